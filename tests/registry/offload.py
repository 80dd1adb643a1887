"""The state in the memory of the host: what a transform gives, wherever its state lies."""

from typing import Any

from tests.registry.adam import adam
from tests.registry.base import FUSED, Mutant, Row
from tests.registry.numbers import Tree


def offloaded_adam(grads: list[Tree], params: Tree) -> list[Tree]:
    """Adam: where the state lies changes no number."""
    return adam(grads, params, learning_rate=0.1)


def round_adam(library: Any) -> Any:
    """Return Adam, its state on the host."""
    return library.offload(library.adam(0.1))


ROWS = [
    Row(
        "offload",
        maker=round_adam,
        reference=offloaded_adam,
        kind="wrapper",
        alone="no transform outside may compute with what lies on the host",
        on_host=True,
        differentiable=False,  # jax takes no derivative through what goes to the host and back
        fused=FUSED,
    ),
]


def own(name: str) -> tuple[str, ...]:
    """Return this test of the file of `offload`."""
    return (f"memory/test_offload.py::test_{name}",)


MUTANTS = [
    Mutant(
        "offload: a state on the device",
        "memory/offload.py",
        "return to_host(x)",
        "return x",
        own("the_state_lies_on_the_host_and_no_bit_differs"),
    ),
    Mutant(
        "offload: all at once",
        "_core/engine/fetching.py",
        "if before else waiting[var]",
        "if False else waiting[var]",
        own("a_leaf_is_fetched_after_the_one_before_it_is_gone"),
    ),
]
