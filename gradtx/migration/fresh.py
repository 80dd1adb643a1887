"""A state that no update has changed yet, and where in it each array of another library's state belongs."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.contract.errors import message
from gradtx._core.contract.transform import Transform
from gradtx._core.engine.parts import walk
from gradtx.migration.keys import Entry, entries, segments


class Fresh:
    """What `tx.init` made, by the names of its arrays."""

    def __init__(self, caller: str, tx: Any, state: Any) -> None:
        """Name the arrays of the state."""
        self.caller, self.tx, self.state = caller, tx, state
        named = zip(entries(caller, tx, state), jax.tree.leaves(state), strict=True)
        self.arrays: dict[Entry, Any] = dict(named)

    @cached_property
    def transforms(self) -> list[str]:
        """The transforms that keep arrays, in the order in which they run."""
        return list(dict.fromkeys(entry.transform for entry in self.arrays))

    def filled(self, transform: str, slot: str, tree: Any) -> dict[str, Any]:
        """Return the arrays of a tree by their keys in a slot of a transform, see `widened`."""
        flat = {}
        for path, value in jax.tree_util.tree_flatten_with_path(tree)[0]:
            entry = Entry(transform, slot, "/".join(segments(path)))
            flat[entry.key] = self.widened(entry, value)
        return flat

    def has(self, transform: str, slots: Mapping[str, Any]) -> bool:
        """Return True if a transform has a place for every array of these slots."""
        return all(key in self.keys for slot, tree in slots.items() for key in self.filled(transform, slot, tree))

    @cached_property
    def keys(self) -> set[str]:
        """The keys of all arrays."""
        return {entry.key for entry in self.arrays}

    def widened(self, entry: Entry, value: Any) -> Any:
        """Return an array in the dtype of its slot if no digit is lost; otherwise as it is, for `restore` to judge."""
        like = self.arrays.get(entry)
        if like is None:
            return value
        with jax.numpy_dtype_promotion("standard"):
            wider = jnp.promote_types(value.dtype, like.dtype)
        return value.astype(like.dtype) if wider == like.dtype else value

    def at(self, slot: str, path: str) -> list[Entry]:
        """Return the places of a slot of a parameter, one for each transform that has such a slot."""
        return [entry for entry in self.arrays if (entry.name, entry.path) == (slot, path)]

    def counted(self, count: int | None) -> dict[str, Any]:
        """Return every count of the state at a number of updates.

        Raises:
            ValueError: the number is not known, and a schedule needs it.
        """
        counts = [entry for entry in self.arrays if entry.name == "count" and not entry.path]
        if count is None:
            self.check_no_schedule()
            return {}
        return {entry.key: count for entry in counts}

    def check_no_schedule(self) -> None:
        """Raise ValueError if a hyperparameter changes with the count."""
        for link in walk(self.tx, self.state):
            if not isinstance(link.tx, Transform):
                continue
            live = [name for name in link.tx.info.hypers if callable(link.tx.settings.get(name))]
            if live:
                where, expected = f"{link.tx.name}.{live[0]}", "the number of updates made so far"
                raise ValueError(message(self.caller, where, "is a schedule", expected, "pass count="))

    def unneeded(self, flat: Mapping[str, Any]) -> Iterable[str]:
        """Return the keys that other libraries have nothing for: counts where nothing depends on them, and events."""
        return [e.key for e in self.arrays if e.name in ("count", "event") and not e.path and e.key not in flat]
