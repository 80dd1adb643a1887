"""To which parameter each array of a state belongs, and its bytes."""

from typing import Any

import jax

from gradtx.memory.placing import Bytes, bytes_of
from gradtx.migration.keys import entries

NONE = Bytes(0, 0)


def by_parameter(tx: Any, state: Any, names: set[str]) -> tuple[dict[str, dict[str, Bytes]], Bytes]:
    """Return the bytes of each slot of each parameter, and of what belongs to none."""
    kept: dict[str, dict[str, Bytes]] = {}
    rest = NONE
    for entry, x in zip(entries("describe", tx, state), jax.tree.leaves(state), strict=True):
        owner = owner_of(entry.path, names) if entry.path or x.shape else None
        if owner is None:
            rest += bytes_of(x)
            continue
        slot = f"{entry.name} {x.dtype}"
        own = kept.setdefault(owner, {})
        own[slot] = own.get(slot, NONE) + bytes_of(x)
    return kept, rest


def owner_of(path: str, names: set[str]) -> str | None:
    """Return the parameter whose path this is, or begins this; a slot may be several arrays."""
    steps = path.split("/")
    starts = ("/".join(steps[:n]) for n in range(len(steps), -1, -1))
    return next((start for start in starts if start in names), None)
