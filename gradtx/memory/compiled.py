"""What the compiler makes of one update: bytes of its arguments, temporary memory, and what devices send each other."""

import math
import re
import warnings
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding

from gradtx._core.contract.errors import describe, message
from gradtx._core.engine.apply import apply_updates
from gradtx.memory.placing import with_sharding, without_sharding

KINDS = ("all-gather", "all-reduce", "all-to-all", "collective-broadcast", "collective-permute", "reduce-scatter")
INSTRUCTION = re.compile(rf"= (.*?) ({'|'.join(KINDS)})(-start)?\(")
ARRAY = re.compile(r"\b(pred|[a-z]+?(\d+)[a-z0-9]*)\[([\d,]*)\]")


class Sent(NamedTuple):
    """What one kind of collective sends in a program.

    Attributes:
        arrays: how many arrays it gives.
        bytes: their size on each device.
    """

    arrays: int
    bytes: int


class Compiled(NamedTuple):
    """What the compiler says of one update, for each device.

    Attributes:
        arguments: bytes of gradients, state and params.
        temporaries: bytes beside the arguments and the results.
        collectives: the kind to what it sends; empty where devices do not speak to each other.
    """

    arguments: int
    temporaries: int
    collectives: dict[str, Sent]


def compile_update(tx: Any, grads: Any, state: Any, params: Any, mesh: Any, extra: Any) -> Compiled:
    """Compile an update with `apply_updates` for the devices of a mesh; nothing is run.

    Args:
        tx: the transform.
        grads: shapes with shardings.
        state: the same.
        params: the same.
        mesh: the mesh, None for one device.
        extra: `(grads, params) -> extra arguments of update`.

    Raises:
        ValueError: the mesh holds no devices.
    """

    def step(grads: Any, state: Any, params: Any) -> Any:
        updates, state = tx.update(grads, state, params, **extra(grads, params))
        return apply_updates(params, updates), state

    if mesh is not None and not isinstance(mesh, Mesh):
        got, fix = f"is {describe(mesh)}", "pass a jax.sharding.Mesh, or leave compile=False"
        raise ValueError(message("describe", "mesh", got, "one with devices to compile for", fix))
    arguments = grads, state, params
    placed: Any = {}
    if mesh is None:
        arguments = jax.tree.map(without_sharding, arguments)
    else:
        arguments = jax.tree.map(lambda x: with_sharding(x, on(x, mesh)), arguments)
        # as a training step keeps them: what an update leaves divided otherwise would compile anew at each step
        placed = {"out_shardings": jax.tree.map(lambda x: x.sharding, (arguments[2], arguments[1]))}
    jitted = jax.jit(step, donate_argnums=(1, 2), keep_unused=True, **placed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*donated")  # an update that makes no use of a buffer
        if mesh is None:
            made = jitted.lower(*arguments).compile()
        else:
            with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
                made = jitted.lower(*arguments).compile()
    memory: Any = made.memory_analysis()
    sent = collectives(made.as_text() or "")
    return Compiled(int(memory.argument_size_in_bytes), int(memory.temp_size_in_bytes), sent)


def on(x: Any, mesh: Mesh) -> NamedSharding:
    """Return the sharding of an array over the devices of a mesh."""
    spec = x.sharding.spec if isinstance(x.sharding, NamedSharding) else jax.sharding.PartitionSpec()
    return NamedSharding(mesh, spec)


def collectives(text: str) -> dict[str, Sent]:
    """Return what each kind of collective of a compiled program sends, from its text.

    An instruction in a loop or a branch counts once.
    """
    found: dict[str, Sent] = {}
    for result, kind, start in INSTRUCTION.findall(text):
        sizes = [bits(name, width) * numbers(shape) // 8 for name, width, shape in ARRAY.findall(result)]
        if start and kind != "all-reduce":  # its result holds the operands too, which come first
            sizes = sizes[len(sizes) // 2 :]
        had = found.get(kind, Sent(0, 0))
        found[kind] = Sent(had.arrays + len(sizes), had.bytes + sum(sizes))
    return found


def bits(name: str, width: str) -> int:
    """Return the size of one number of a type of XLA's."""
    return 8 if name == "pred" else int(width)


def numbers(shape: str) -> int:
    """Return how many numbers an array of a shape such as `4,8` has."""
    return math.prod(int(n) for n in shape.split(",") if n)
