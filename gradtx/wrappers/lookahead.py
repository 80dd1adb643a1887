"""Lookahead: every few steps the parameters return to slow ones, which have gone part of the way."""

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gradtx._core.arguments.whole import check_count
from gradtx._core.arrays.numerics import wider
from gradtx._core.arrays.tree import has_gradient
from gradtx._core.contract.errors import describe, message, none_is_leaf
from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.apply import apply_updates
from gradtx._core.engine.around import Around, member
from gradtx._core.engine.choose import alike, either
from gradtx.rules import Hyper, LeafState, Range, Rule, Slots, Transform, chain, factory, leafwise, own_copy

Share = Annotated[Hyper, Range("[0, 1]")]


class LookaheadState(NamedTuple):
    """State of `lookahead`.

    Attributes:
        inner: the fast optimizer's state.
        sync: `count`, updates made, and `slow`, the slow parameters, None where the params hold them.
    """

    inner: Any
    sync: LeafState


class LookaheadParams(optax.LookaheadParams):  # type: ignore[misc]  # optax says no types
    """Hold fast and slow parameters side by side, as optax's lookahead wants them.

    `lookahead` takes plain params too, and then keeps the slow ones itself.

    Attributes:
        fast: parameters at which gradients are taken.
        slow: parameters at which to evaluate.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> gradtx.LookaheadParams.init_synced(jnp.array(2.0)).slow.item()
        2.0
    """

    __slots__ = ()

    @classmethod
    def init_synced(cls, params: Any) -> "LookaheadParams":
        """Return both alike, each in buffers of its own, so that a step may overwrite them."""

        def copied(x: Any) -> Any:
            return x if isinstance(x, jax.ShapeDtypeStruct) else jnp.array(x, copy=True)

        return cls(fast=params, slow=jax.tree.map(copied, params))


def keeper(sync_period: int, slow_step_size: Any) -> Transform:
    """Return the transform that keeps the slow parameters, and at the end of a period returns to them."""

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del k
        return {"is_last": count % sync_period == sync_period - 1}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        # the way to slow + share (p + g - slow); the slow ones are then read from the new params, since of an update
        # that two arrays are computed from XLA writes parts out
        way = (1.0 - k.slow_step_size) * (slots["slow"] - p) + k.slow_step_size * g
        u = jnp.where(k.is_last, way, g)
        return u, {"slow": jnp.where(k.is_last, p + u, slots["slow"])}

    rule = Rule(
        "lookahead",
        update,
        lambda p: {"slow": own_copy(p)},
        ("slow",),
        {"slow_step_size": slow_step_size},
        {"slow_step_size": Range("[0, 1]")},
        scalars,
        needs_params=True,
    )
    return leafwise(rule)


@dataclasses.dataclass(frozen=True, eq=False)
class Lookahead(Around):
    """A fast optimizer and the keeper of the slow parameters: the body of `lookahead`."""

    keeper: Any = None
    both: Any = None
    sync_period: int = 1
    reset_state: bool = False
    kind: ClassVar[Any] = LookaheadState

    def init(self, params: Any) -> LookaheadState:
        """Return the fast optimizer's state, and the slow parameters unless the params hold them."""
        if isinstance(params, optax.LookaheadParams):
            sync = LeafState(jnp.zeros((), jnp.int32), {"slow": None})
            return LookaheadState(self.inner.init(params.fast), sync)
        return LookaheadState(self.inner.init(params), self.keeper.init(params))

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates, in a pair where the params are one, and the next state.

        Raises:
            ValueError: params that hold no slow ones, with a state made for such that do.
        """
        inner, sync = self.checked(state)
        if isinstance(params, optax.LookaheadParams):
            new, inner = self.inner.update(updates, inner, params.fast, **extra)
            fast, moved = self.keeper.update(new, sync._replace(slots={"slow": params.slow}), params.fast)
            slow = jax.tree.map(apart, fast, moved.slow, params.slow, is_leaf=none_is_leaf)
            new = params._replace(fast=fast, slow=slow)
            at, after = (params.fast, fast), moved._replace(slots=sync.slots)
        else:
            if sync.slow is None and params is not None:
                got, fix = f"is {describe(params)}", "give LookaheadParams to update, or plain params to init"
                raise ValueError(message(self.name, "params", got, "the LookaheadParams that init was given", fix))
            new, (inner, after) = self.both.update(updates, (inner, sync), params, **extra)
            at = (params, new)
        if self.reset_state:
            due = sync.count % self.sync_period == self.sync_period - 1
            inner = either(due, lambda: alike(self.inner.init(apply_updates(*at)), inner), lambda: inner)
        return new, LookaheadState(inner, after)


def apart(u: Any, new: Any, old: Any) -> Any:
    """Return the update of a slow parameter, in the dtype of that of the fast one."""
    if not has_gradient(u):
        return u
    new, old = (lax.convert_element_type(x, wider(new.dtype, u.dtype)) for x in (new, old))
    return lax.convert_element_type(new - old, u.dtype)


@factory
def lookahead(
    fast_optimizer: optax.GradientTransformation,
    sync_period: int,
    slow_step_size: Share,
    reset_state: bool = False,
) -> Transform:
    """Let a fast optimizer look ahead, and follow it with slow parameters part of the way.

    with d_t the fast optimizer's update at the parameters p_t, s_0 = p_1, a = slow_step_size: u_t = d_t, s_t = s_{t-1};
    in every sync_period-th step s_t = s_{t-1} + a (p_t + d_t - s_{t-1}) and u_t = s_t - p_t, so that p_{t+1} = s_t.

    Nothing may change the updates after it: put it around the whole optimizer. Evaluate at the slow parameters, which
    `eval_params(state, params)` gives. With `LookaheadParams`, as optax wants them, the params hold the slow ones: then
    `update` gives the updates of both, gradients are those of `params.fast`, and `params.slow` is where to evaluate.

    Units: those of the fast optimizer's.
    Differs from: optax's, which takes `LookaheadParams` alone, and where reset_state starts the fast optimizer anew at
    the parameters before the step; here at those after it.

    Args:
        fast_optimizer: a whole optimizer, gradtx's or optax's.
        sync_period: steps from one return to the next, a whole number >= 1.
        slow_step_size: how far the slow parameters follow, in [0, 1]; at 1 the fast optimizer alone, at 0 no parameter
            is ever far from where it began. Number, array or schedule.
        reset_state: whether the fast optimizer starts anew after each return.

    State:
        `LookaheadState`: inner, the fast optimizer's; sync: slow, like params, float32 or wider, and the count.

    Raises:
        ValueError: sync_period < 1; slow_step_size outside [0, 1]; at update, params missing, or a state of another
            transform.
        TypeError: fast_optimizer is no transform.

    Cost: 1 array per parameter; no pass beside the fast optimizer's last, where XLA gives one loop two results. On a
    CPU it writes an update such as Adam's out first. With reset_state, a copy of the fast optimizer's state too.

    References:
        Zhang et al. 2019, Algorithm 1, https://arxiv.org/abs/1907.08610

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.lookahead(gradtx.sgd(0.25), sync_period=2, slow_step_size=0.5)
        >>> p = jnp.array(8.0)
        >>> state = tx.init(p)
        >>> for _ in range(3):
        ...     updates, state = tx.update(2 * p, state, p)
        ...     p = p + updates
        >>> p.item(), gradtx.eval_params(state, p).item()  # 8 -> 4 -> 2, halfway back: 5 -> 2.5
        (2.5, 5.0)
    """
    fast = member("lookahead", "fast_optimizer", fast_optimizer)
    check_count("lookahead", "sync_period", sync_period, example=5)
    slow = keeper(sync_period, slow_step_size)
    numbers = {"sync_period": sync_period, "slow_step_size": slow_step_size, "reset_state": reset_state}
    settings = {"fast_optimizer": fast, **numbers}
    body = Lookahead(fast, "lookahead", None, slow, chain(fast, slow), sync_period, reset_state)
    return Transform.of(body, Info(settings, wrapped("lookahead", settings)))
