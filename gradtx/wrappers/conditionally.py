"""Run a transform in some steps only, as a function of the step says."""

from collections.abc import Callable
from typing import Any

import optax

from gradtx._core.contract.errors import describe, message
from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.around import member
from gradtx._core.engine.conditional import Conditional
from gradtx.rules import Transform, factory


def made(name: str, inner: Any, decides: Any, forwards: bool, passes: bool) -> Transform:
    """Return a conditional transform.

    Raises:
        TypeError: inner is no transform, or should_transform_fn no function.
    """
    tx = member(name, "inner", inner)
    if not callable(decides):
        fix = "give a function of the step, such as lambda step: step % 2 == 0"
        raise TypeError(message(name, "should_transform_fn", f"is {describe(decides)}", "a function", fix))
    settings = {"inner": tx, "should_transform_fn": decides}
    settings |= {"forward_extra_args": True} if forwards else {}
    return Transform.of(Conditional(tx, name, None, decides, forwards, passes), Info(settings, wrapped(name, settings)))


@factory
def conditionally_transform(
    inner: optax.GradientTransformation, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
) -> Transform:
    """Run a transform in the steps that a function chooses; in the others the gradients pass unchanged.

    u_t = v_t(g_t) where should_transform_fn(t) is True, t = 0, 1, 2, ... and v_t the update of `inner`; else u_t = g_t,
    and the state of `inner` stays as it was, bit for bit, so that its schedules count the steps in which it ran.

    Units: those of v and of g; they are to be the same.
    Equivalent to: optax's `conditionally_transform`.

    Args:
        inner: the transform, gradtx's or optax's.
        should_transform_fn: a function of the number of updates asked for so far, an int32 scalar, that returns a bool.
        forward_extra_args: whether it is given the extra arguments of `update` too.

    State:
        inner: that of inner; step: int32.

    Raises:
        TypeError: inner is no transform, or should_transform_fn no function.
        ValueError: at update, should_transform_fn does not return a bool, or a state of another transform.

    Cost: that of inner where it runs; one copy of the update.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.conditionally_transform(gradtx.scale(0.5), lambda step: step % 2 == 1)
        >>> state = tx.init(jnp.array(1.0))
        >>> for _ in range(3):
        ...     u, state = tx.update(jnp.array(4.0), state)
        ...     print(u.item())
        4.0
        2.0
        4.0
    """
    return made("conditionally_transform", inner, should_transform_fn, forward_extra_args, passes=True)


@factory
def conditionally_mask(
    inner: optax.GradientTransformation, should_transform_fn: Callable[..., Any], forward_extra_args: bool = False
) -> Transform:
    """Run a transform in the steps that a function chooses; in the others every update is 0.

    u_t = v_t(g_t) where should_transform_fn(t) is True, t = 0, 1, 2, ... and v_t the update of `inner`; else u_t = 0,
    and the state of `inner` stays as it was, bit for bit, so that its schedules count the steps in which it ran.

    Units: those of v.
    Equivalent to: optax's `conditionally_mask`.

    Args:
        inner: the transform, gradtx's or optax's.
        should_transform_fn: a function of the number of updates asked for so far, an int32 scalar, that returns a bool.
        forward_extra_args: whether it is given the extra arguments of `update` too.

    State:
        inner: that of inner; step: int32.

    Raises:
        TypeError: inner is no transform, or should_transform_fn no function.
        ValueError: at update, should_transform_fn does not return a bool, or a state of another transform.

    Cost: that of inner where it runs; one copy of the update.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.conditionally_mask(gradtx.sgd(0.5), lambda step: step % 2 == 1)
        >>> state = tx.init(jnp.array(1.0))
        >>> for _ in range(3):
        ...     u, state = tx.update(jnp.array(4.0), state)
        ...     print(u.item())
        0.0
        -2.0
        0.0
    """
    return made("conditionally_mask", inner, should_transform_fn, forward_extra_args, passes=False)
