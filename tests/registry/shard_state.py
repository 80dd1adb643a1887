"""Shards of the state over a mesh: what a transform gives, wherever its state lies."""

from typing import Any

from tests.registry.adam import adam
from tests.registry.base import FUSED, Mutant, Row
from tests.registry.numbers import Tree


def sharded_adam(grads: list[Tree], params: Tree) -> list[Tree]:
    """Adam: where the state lies changes no number."""
    return adam(grads, params, learning_rate=0.1)


def round_adam(library: Any) -> Any:
    """Return Adam, its state in shards over one device."""
    import jax  # here, so that a reference does not lean on it

    mesh = jax.make_mesh((1,), ("x",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    return library.shard_state(library.adam(0.1), "x", mesh=mesh)


def round_any(library: Any, tx: Any) -> Any:
    """Return any transform, its state in shards over the mesh on which the params lie."""
    return library.shard_state(tx, "x")


ROWS = [
    Row("shard_state", maker=round_adam, reference=sharded_adam, around=round_any, kind="wrapper", fused=FUSED),
]


def own(*names: str) -> tuple[str, ...]:
    """Return these tests of the file of `shard_state`."""
    return tuple(f"memory/test_shard_state.py::test_{name}" for name in names)


FILE, MESHES = "memory/shard_state.py", "_core/arrays/meshes.py"
MUTANTS = [
    Mutant(
        "shard_state: no axis more",
        FILE,
        "None if s is None else with_axis(x.shape, s, self.axis, sizes)",
        "s",
        own("an_eighth_of_the_state_and_the_same_bits"),
    ),
    Mutant(
        "shard_state: the first dimension alone",
        MESHES,
        "if size and size % (parts_in(part, sizes) * sizes[axis]) == 0:",
        "if size % (parts_in(part, sizes) * sizes[axis]) == 0 and i == 0:",
        own("an_eighth_of_the_state_and_the_same_bits"),
    ),
    Mutant(
        "shard_state: a state of no known devices",
        FILE,
        "known_devices(self.inner.init(params), params)",
        "self.inner.init(params)",
        own("an_eighth_of_the_state_and_the_same_bits"),
    ),
]
