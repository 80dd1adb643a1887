"""Recognise a record that a checkpoint library gave back as plain dicts, lists or tuples.

A checkpoint that is restored without a target has the arrays but not the types: named tuples come back as dicts (orbax,
flax) or lists, and what was no array (the names of the groups, the printed transform) is gone.
"""

from typing import Any

import jax
import numpy as np

from gradtx.diagnosis.record.record import BLOCKS, COLUMNS, HISTORY, RING, Record

SHAPES = {(RING, len(COLUMNS)), (BLOCKS, len(HISTORY))}  # of the two tables that every record has


def has_lost_record(state: Any) -> bool:
    """Return True if the state holds the arrays of a record, by their names or by their shapes, but not its type."""
    names = {name for name in Record._fields if name != "meta"}
    found: dict[Any, set[Any]] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        keys = [jax.tree_util.keystr((key,), simple=True) for key in path]
        for i, key in enumerate(keys):  # a library may wrap each array once more, below its name
            if key in names:
                found.setdefault(path[:i], set()).add(key)
        shape = np.shape(leaf) if hasattr(leaf, "shape") else None
        if shape in SHAPES:
            found.setdefault(("shapes", path[:-1]), set()).add(shape)
    return any(len(keys) > len(names) // 2 or keys >= SHAPES for keys in found.values())
