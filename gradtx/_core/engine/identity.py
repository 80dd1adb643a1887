"""The transform that changes nothing."""

from typing import Any

import optax

from gradtx._core.arguments.factory import factory
from gradtx._core.arrays.tree import check_slots, float_leaves
from gradtx._core.contract.transform import Plain, Transform


@factory
def identity() -> Transform:
    """Pass the gradients on unchanged.

    u_t = g_t, dtype included.

    Units: those of g.
    Equivalent to: optax's `identity`.

    State:
        empty (`optax.EmptyState`).

    Cost: nothing.

    References:
        none.

    Examples:
        >>> import gradtx
        >>> gradtx.identity().update(3.0, gradtx.identity().init(0.0))[0]
        3.0
    """
    return Transform.of(Plain("identity", lambda params: optax.EmptyState(), pass_on, "identity"))


def pass_on(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
    """Return what was given: the update of `identity`."""
    del extra
    float_leaves("identity", grads, params)
    check_slots("identity", state, optax.EmptyState)
    return grads, state
