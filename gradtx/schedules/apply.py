"""Apply eta: multiply by a constant, a schedule or minus the learning rate."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax

from gradtx.rules import Factor, Hyper, LearningRate, Range, Rule, Slots, Transform, factory, identity, leafwise, steps


def multiply(name: str, factor: Hyper, sign: float = 1.0) -> Transform:
    """Return the transform u = sign factor g; the factor is computed once a step."""

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del count
        return {"step": sign * getattr(k, name)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g * k.step, slots

    ranges = {name: Range("(-inf, inf)", event=True)}
    return leafwise(Rule(name, update, hyper={name: factor}, ranges=ranges, scalars=scalars, event=name, role="rate"))


def falling_rate(learning_rate: Hyper, lr_decay: Hyper) -> Transform:
    """Return the transform u_t = -eta_t g_t / (1 + lr_decay (t-1)), with the state of `scale_by_learning_rate`."""

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        return {"step": -k.learning_rate / (1.0 + k.lr_decay * (steps(count) - 1.0))}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g * k.step, slots

    name, hyper = "learning_rate", {"learning_rate": learning_rate, "lr_decay": lr_decay}
    ranges = {name: Range("[0, inf)", event=True), "lr_decay": Range("[0, inf)")}
    rule = Rule("scale_by_learning_rate", update, hyper=hyper, ranges=ranges, scalars=scalars, event=name, role="rate")
    return leafwise(rule)


@factory
def scale(step_size: Factor) -> Transform:
    """Multiply by a number.

    u_t = step_size g_t.

    Units: those of step_size times those of g.
    Equivalent to: optax's `scale`.

    Args:
        step_size: any finite number (negative turns ascent into descent), array or schedule.

    State:
        no slots; the count alone.

    Raises:
        ValueError: step_size is NaN or infinite.

    Cost: no array; one pass.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale(-0.5)
        >>> tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))[0].item()
        -1.5
    """
    return multiply("step_size", step_size)


@factory
def scale_by_schedule(step_size_fn: Factor) -> Transform:
    """Multiply by what a schedule gives at this count.

    u_t = step_size_fn(t - 1) g_t: the first update sees count 0.

    Units: those of the schedule's value times those of g.
    Equivalent to: optax's `scale_by_schedule`.

    Args:
        step_size_fn: a function of the int32 count, of any sign, or an event schedule (`schedules.hold_until`).

    State:
        no slots; the count, and the count of the event.

    Raises:
        ValueError: at update, the schedule gives no scalar, or the extra argument that an event waits for is missing.

    Cost: no array; one pass.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_schedule(lambda count: 1.0 / (count + 2))
        >>> tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))[0].item()
        1.5
    """
    return multiply("step_size_fn", step_size_fn)


@factory
def scale_by_learning_rate(learning_rate: LearningRate | None = None, *, flip_sign: bool = True) -> Transform:
    """Multiply by minus the learning rate, the last link of a chain that descends.

    u_t = -learning_rate_t g_t, or +learning_rate_t g_t with `flip_sign=False`.

    Units: those of the parameter over those of the update it gets.
    Equivalent to: optax's `scale_by_learning_rate`.

    Args:
        learning_rate: >= 0, a number, an array, a schedule or an event schedule; None is no scaling at all.
        flip_sign: whether to descend.

    State:
        no slots; the count, and the count of the event.

    Raises:
        ValueError: learning_rate is negative, NaN or infinite; at update, an event's extra argument is missing.

    Cost: no array; one pass.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_learning_rate(0.1)
        >>> round(tx.update(jnp.array(3.0), tx.init(jnp.array(0.0)))[0].item(), 4)
        -0.3
    """
    if learning_rate is None:
        return identity()
    return multiply("learning_rate", learning_rate, -1.0 if flip_sign else 1.0)
