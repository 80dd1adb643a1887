"""Find a record that a library gave back as plain dicts, lists or tuples, and make it one again.

A checkpoint that is restored without a target, and the state of an `nnx.Optimizer`, have the arrays but not the types:
named tuples come back as dicts (orbax, flax) or lists, and what was no array (the names of the groups, the printed
transform) is gone. The numbers are all there; groups and arrays are then numbered.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from gradtx.diagnosis.record.record import BLOCK, BLOCKS, GROUP_COLUMNS, RING, ROW, Meta, Record, column

FIELDS = tuple(name for name in Record._fields if name != "meta")
SHAPES = {"ring": (RING, len(ROW)), "history": (BLOCKS, len(BLOCK)), "losses": (RING,)}
UNNAMED = "a transform whose name the checkpoint does not hold"


def lost_records(state: Any) -> Iterator[Record]:
    """Yield the records in a state that lost their type, wherever they lie."""
    found = as_record(state)
    if found is not None:
        yield found
        return
    for inside in children(state):
        yield from lost_records(inside)


def children(state: Any) -> list[Any]:
    """Return what a container holds."""
    if isinstance(state, Mapping):
        return list(state.values())
    if isinstance(state, (list, tuple)):
        return list(state)
    held = getattr(state, "__dict__", None) if hasattr(state, "opt_state") else None
    return list(held.values()) if held else []


def as_record(x: Any) -> Record | None:
    """Return the record that a dict with its names, or a list in its order, stands for; None if it is none."""
    if isinstance(x, Mapping):
        named = {str(key): value for key, value in x.items()}
        values = [named[name] for name in FIELDS] if set(FIELDS) <= set(named) else []
    else:
        values = list(x) if isinstance(x, (list, tuple)) else []
        values = values[1:] if len(values) == len(FIELDS) + 1 else values
    if len(values) != len(FIELDS):
        return None
    arrays = dict(zip(FIELDS, map(array, values), strict=True))
    shapes = {name: np.shape(arrays[name])[-len(shape) :] for name, shape in SHAPES.items()}
    if any(arrays[name] is None for name in FIELDS) or shapes != SHAPES:
        return None
    return Record(meta=guess(arrays), **arrays)


def array(x: Any) -> Any:
    """Return the one array in x: itself, the value of a variable, or what a library put one level below its name."""
    leaves = jax.tree.leaves(getattr(x, "value", x) if not hasattr(x, "shape") else x)
    return leaves[0] if len(leaves) == 1 and hasattr(leaves[0], "shape") else None


def guess(arrays: Mapping[str, Any]) -> Meta:
    """Return what the arrays themselves tell of the record's Meta."""
    groups, leaves = np.shape(arrays["groups"])[-2], np.shape(arrays["leaves"])[-2]
    sampled = int(np.shape(arrays["g1"])[-1])
    steps = np.sort(np.asarray(arrays["ring_steps"]).reshape(-1))
    gaps = np.diff(steps[steps >= 0])
    run = 3 if len(gaps) and gaps.max() > 1 else 1
    clip = column(np.asarray(arrays["ring"]), "clip")
    return Meta(
        transform=UNNAMED,
        groups=tuple(f"group {i}" for i in range(groups)),
        sizes=(max(sampled // max(groups, 1), len(GROUP_COLUMNS)),) * groups,
        every=int(gaps.max()) + run - 1 if run > 1 else 1,
        run=run,
        total=sampled,
        sampled=sampled,
        clips=bool(np.any(clip > 0)),
        leaves=tuple(f"array {i}" for i in range(leaves)),
    )
