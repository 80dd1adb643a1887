"""What every wrapper is made of: a transform inside another, and its state inside a named tuple."""

import dataclasses
from typing import Any, ClassVar, Self

import optax

from gradtx._core.arrays.tree import check_slots
from gradtx._core.contract.transform import Info, Part
from gradtx._core.engine.members import check_member, own


@dataclasses.dataclass(frozen=True, eq=False)
class Around:
    """A transform around another one: the base of a wrapper's body, which adds `kind`, `init` and `update`.

    Attributes:
        inner: the transform inside, which takes extra arguments.
        name: name in errors.
        info: how it was made.
        kind: the NamedTuple that is its state; the field `inner` holds the state of the transform inside.
    """

    inner: Any
    name: str
    info: Info | None = None
    role: ClassVar[str] = "container"
    kind: ClassVar[Any]

    def checked(self, state: Any) -> Any:
        """Return the state.

        Raises:
            ValueError: the state was made by another transform.
        """
        check_slots(self.name, state, self.kind)
        return state

    def parts(self, state: Any) -> list[Part]:
        """Return the transform inside with its state, which is None where it could not be found."""
        return [Part(None, self.inner, None if state is None else self.checked(state).inner)]

    def renamed(self, name: str) -> Self:
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True if `state` has the form of the states that `init` makes."""
        body = getattr(self.inner, "body", None)
        return type(state) is self.kind and (body is None or bool(body.fits(state.inner)))


def member(name: str, position: str, tx: Any) -> Any:
    """Return the transform that a wrapper is given, gradtx's or optax's, as one that takes extra arguments.

    Raises:
        TypeError: it is no transform.
    """
    check_member(name, position, tx)
    return optax.with_extra_args_support(own(tx))
