"""`LeafState`, the one state of every rule lifted to trees."""

from typing import Any, NamedTuple

import jax

from gradtx._core.arrays.codes import decoded
from gradtx._core.contract.errors import message


class LeafState(NamedTuple):
    """State of a transform that was lifted from a rule.

    A slot or a scalar of the memory is readable as an attribute too: `state.nu` is `state.slots["nu"]`, as arrays where
    it is kept in few bits.

    Attributes:
        count: updates made, int32 scalar; stays at the largest int32.
        slots: slot name to a tree like the params, None where a leaf has no slot.
        event: count at which an event schedule switched, int32 scalar, -1 before; None where no event can be.
        memory: scalars that belong to the whole tree, by name.
    """

    count: jax.Array  # type: ignore[assignment]  # optax's states hide tuple.count with the same field
    slots: dict[str, Any]
    event: jax.Array | None = None
    memory: dict[str, Any] = {}  # noqa: RUF012  # never changed: a state is made anew

    def __getattr__(self, name: str) -> Any:
        """Return the slot, or the scalar of the memory, of this name."""
        for held in (self.slots, self.memory):
            if isinstance(held, dict) and name in held:
                return decoded(held[name])
        got, expected = f"has no field or slot {name!r}", f"one of the slots {sorted(self.slots)}"
        raise AttributeError(message("LeafState", "state", got, expected, "read a slot that the method keeps"))
