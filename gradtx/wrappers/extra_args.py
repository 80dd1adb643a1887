"""Extra arguments: a transform that ignores those of `update` that it does not know."""

import dataclasses
from typing import Any, ClassVar

import optax

from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.members import check_member, own
from gradtx.rules import Transform


@dataclasses.dataclass(frozen=True, eq=False)
class Supported:
    """A transform of optax, or of no library, under a name: the body of `with_extra_args_support`.

    Attributes:
        inner: the transform inside, which takes extra arguments.
        name: name in errors.
        info: how it was made.
    """

    inner: Any
    name: str
    info: Info | None = None
    role: ClassVar[str] = "container"

    def init(self, params: Any) -> Any:
        """Return the state of the transform inside."""
        return self.inner.init(params)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates and the next state of the transform inside."""
        out: tuple[Any, Any] = self.inner.update(updates, state, params, **extra)
        return out

    def parts(self, state: Any) -> list[Part]:
        """Return the transform inside."""
        return [Part(None, self.inner, state)]

    def renamed(self, name: str) -> "Supported":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return False: it does not know the form of a state that is not gradtx's."""
        del state
        return False


def with_extra_args_support(tx: optax.GradientTransformation) -> Transform:
    """Return a transform whose update takes extra arguments, and ignores those that it does not know.

    u_t is that of `tx`. A transform of gradtx is returned as it is: all of them take extra arguments.

    Units: those of the update of tx.
    Equivalent to: optax's `with_extra_args_support`; what it returns is a `Transform` with a name, also around one of
        optax's that takes extra arguments already.

    Args:
        tx: the transform, gradtx's or optax's.

    State:
        that of tx.

    Raises:
        TypeError: tx is no transform.

    Cost: none.

    References:
        none.

    Examples:
        >>> import gradtx, optax, jax.numpy as jnp
        >>> negate = lambda grads, state, params=None: (-grads, state)
        >>> plain = optax.GradientTransformation(lambda params: (), negate)
        >>> tx = gradtx.with_extra_args_support(plain)
        >>> tx.update(jnp.array(2.0), tx.init(jnp.array(0.0)), None, value=1.0)[0].item()
        -2.0
    """
    name = "with_extra_args_support"
    check_member(name, "tx", tx)
    kept = own(tx)
    if isinstance(kept, Transform):
        return kept
    settings = {"tx": kept}
    return Transform.of(Supported(optax.with_extra_args_support(kept), name), Info(settings, wrapped(name, settings)))
