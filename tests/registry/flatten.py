"""A transform of vectors: the elements of all leaves in one, cut up again after the update."""

from typing import Any

import numpy as np

from tests.registry.adam import adam
from tests.registry.base import FUSED, Mutant, Row, case_of, reference_of
from tests.registry.numbers import Tree
from tests.registry.sgd import sgd


def flat_adam(grads: list[Tree], params: Tree) -> list[Tree]:
    """Adam, each element by itself."""
    return adam(grads, params, learning_rate=0.1)


def momentum(grads: list[Tree], params: Tree) -> list[Tree]:
    """Heavy ball."""
    return sgd(grads, params, learning_rate=0.1, momentum=0.9)


def flat_rms(grads: list[Tree], params: Tree) -> list[Tree]:
    """-0.5 g / max(1, RMS of all elements / 0.1)."""
    del params
    out = []
    for g in grads:
        squares = [float(x) ** 2 for leaf in g.values() for x in np.ravel(leaf)]
        factor = max(1.0, (sum(squares) / len(squares)) ** 0.5 / 0.1)
        out.append({name: -0.5 * np.asarray(leaf, np.float64) / factor for name, leaf in g.items()})
    return out


def round_adam(library: Any) -> Any:
    """Return Adam of one vector."""
    return library.flatten(library.adam(0.1))


def round_rms(library: Any) -> Any:
    """Return a clip by the RMS of one vector."""
    return library.flatten(library.chain(library.clip_by_block_rms(0.1), library.scale(-0.5)))


def round_any(library: Any, tx: Any) -> Any:
    """Return any transform of vectors."""
    return library.flatten(tx)


def support_momentum(library: Any) -> Any:
    """Return momentum that ignores extra arguments."""
    return library.with_extra_args_support(library.sgd(0.1, 0.9))


SAME = "it returns a transform of gradtx as it is"
WRAPPER = {"kind": "wrapper", "fused": FUSED}
ROWS = [
    Row("flatten", maker=round_adam, reference=flat_adam, optax=True, around=round_any, idle=False, **WRAPPER),
    Row("with_extra_args_support", maker=support_momentum, reference=momentum, alone=SAME, **WRAPPER),
]
CASES = [Row("flatten", "a norm", maker=round_rms, reference=flat_rms, optax=True, **WRAPPER)]

FLAT, FILE = "_core/arrays/flat.py", "wrappers/flatten.py"
NAMED, PLACED = "_core/engine/named.py", "_core/engine/placed.py"


def own(*names: str) -> tuple[str, ...]:
    """Return these tests of the file of `flatten`."""
    return tuple(f"test_flatten.py::test_{name}" for name in names)


def tree(*names: str) -> tuple[str, ...]:
    """Return these tests of `gradtx.tree`."""
    return tuple(f"test_tree.py::test_{name}" for name in names)


MUTANTS = [
    Mutant("flatten: leaves over each other", FLAT, "start += size", "start += 1", reference_of("flatten")),
    Mutant(
        "flatten: a vector for each leaf",
        FLAT,
        "str(dtype_of(x)) if on",
        "f'{dtype_of(x)}{shape_of(x)}' if on",
        case_of("flatten[a norm]"),
    ),
    Mutant(
        "flatten: all dtypes in one vector",
        FLAT,
        "str(dtype_of(x)) if on",
        "'float32' if on",
        own("each_dtype_has_its_vector"),
    ),
    Mutant("flatten: updates stay wide", FILE, "else wide", "else u.dtype", own("gradients_of_other_dtypes")),
    Mutant("flatten: the view is the tree", FILE, "View(into, out)", "None", own("parts_see_vectors")),
    Mutant(
        "flatten: functions of trees",
        FLAT,
        "shapes_in(arg) == like",
        "False",
        own("a_line_search_calls_the_function_of_trees"),
    ),
    Mutant("flatten: a lone number is a gradient", FILE, "or not lone", "or lone", own("a_lone_scalar")),
    Mutant("flatten: what init did not see", FILE, "group is None or", "False or", own("wrong_trees_are_errors")),
    Mutant(
        "tree: the first of several",
        NAMED,
        "value is first or same_scalar(value, first)",
        "True",
        tree("several_values_are_an_error_that_lists_paths_and_no_arrays"),
    ),
    Mutant("tree: equal arrays are one", NAMED, "bool(x.shape == ()", "bool(x.size > 0", tree("equal_counts_are_one")),
    Mutant(
        "tree: filtering is not asked", NAMED, "or filtering(where, value)", "or True", tree("equal_counts_are_one")
    ),
    Mutant(
        "tree_map_params: whatever the shape",
        PLACED,
        "and shape_of(x) == shape_of(p)",
        "",
        tree("the_state_alone_tells_which_arrays_are_like_params"),
    ),
    Mutant(
        "tree_map_params: parts are not put together",
        PLACED,
        "for form, found in widest.items()",
        "for form, found in ()",
        tree("partitioned_params_are_put_together"),
    ),
    Mutant(
        "tree_map_params: a flag of each array is like it",
        PLACED,
        "if makes(init, taller, state) else tree",
        "if False else tree",
        tree("flags_of_arrays_are_not_like_params"),
    ),
]
