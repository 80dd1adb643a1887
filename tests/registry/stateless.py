"""A user's function as a transform: here the gradient plus a tenth of the parameter, u = g + 0.1 p."""

from typing import Any

from tests.registry.base import Mutant, row
from tests.registry.numbers import Store, Tree
from tests.registry.weight_decay import add_decayed_weights


def reference(grads: list[Tree], params: Tree, *, store: Store = float) -> list[Tree]:
    """U = g + 0.1 p."""
    return add_decayed_weights(grads, params, weight_decay=0.1, store=store)


def halved(grads: list[Tree], params: Tree) -> list[Tree]:
    """U = g / 2."""
    del params
    return [{name: x / 2 for name, x in g.items()} for g in grads]


def of_trees(library: Any) -> Any:
    """Return `stateless` of a function of whole trees."""
    import jax

    return library.stateless(lambda grads, params: jax.tree.map(lambda g: 0.5 * g, grads))


def of_arrays(library: Any) -> Any:
    """Return `stateless_with_tree_map` of a function of one array."""
    return library.stateless_with_tree_map(lambda g, p: g + 0.1 * p)


ROWS = [
    row("stateless", traits={"reference": halved, "maker": of_trees, "power": 1, "keeps_dtype": True, "optax": True}),
    row("stateless_with_tree_map", traits={"reference": reference, "maker": of_arrays, "optax": True}),
]

FILE = "factors/stateless.py"
MUTANTS = [
    Mutant(
        "stateless: a function of arrays is compiled once",
        FILE,
        ", made_of=users)",
        ")",
        ("test_constraints.py::test_a_function_that_changed_is_called_anew",),
    ),
    Mutant(
        "stateless: never the params",
        FILE,
        "alone if params is None else with_params",
        "alone",
        ("test_constraints.py::test_a_function_of_arrays_is_given_the_params_if_there_are_some",),
    ),
]
