"""Dynamic loss scaling: keep float16 gradients inside their range by a factor that follows them."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gradtx._core.arguments.ranges import is_number
from gradtx._core.arguments.whole import check_count
from gradtx._core.arrays.axes import AxisName
from gradtx._core.arrays.numerics import accumulator, increment, real
from gradtx._core.arrays.tree import flatten, has_gradient, is_trainable, promoted
from gradtx._core.contract.errors import message, none_is_leaf
from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.around import member
from gradtx._core.engine.guarded import Guarded, Skips, counted, no_skips
from gradtx.rules import Transform, factory

FACTOR = 2.0  # a power of two multiplies exactly


class LossScaleState(NamedTuple):
    """State of `loss_scale`.

    Attributes:
        inner: that of the transform inside.
        skips: the steps that were skipped.
        scale: what the loss of the next step is to be multiplied by, float32.
        good: steps made since the scale last changed, int32.
    """

    inner: Any
    skips: Skips
    scale: jax.Array
    good: jax.Array


@jax.jit
def divided(g: jax.Array, scale: jax.Array) -> jax.Array:
    """Return g / scale, in float32 for a float16 g, whose numbers would vanish; bfloat16 has the range of float32."""
    wide = lax.convert_element_type(g, accumulator(g.dtype))
    per = lax.convert_element_type(1.0 / scale, real(wide.dtype))  # once, and exact for a power of two
    quotient = wide * lax.convert_element_type(per, wide.dtype)
    return quotient if g.dtype == jnp.float16 else lax.convert_element_type(quotient, g.dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class LossScale(Guarded):
    """A transform that sees the gradients without the scale: the body of `loss_scale`."""

    init_scale: float = 2.0**16
    growth_interval: int = 2000
    min_scale: float = 1.0
    max_scale: float = 2.0**24
    kind: ClassVar[Any] = LossScaleState

    def init(self, params: Any) -> LossScaleState:
        """Return the state of the one inside, and the first scale."""
        scale = jnp.full((), self.init_scale, jnp.float32)
        return LossScaleState(self.inner.init(params), no_skips(), scale, jnp.zeros((), jnp.int32))

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, LossScaleState]:
        """Return the updates of the one inside, zeros where the step is skipped, and the next state."""
        own = self.checked(state)

        def unscaled() -> tuple[Any, Any]:
            def one(g: Any) -> Any:
                return divided(jnp.asarray(g), own.scale) if has_gradient(g) and is_trainable(g) else g

            grads = jax.tree.map(one, updates, is_leaf=none_is_leaf)
            new, inner = self.inner.update(grads, own.inner, params, **extra)
            return as_without_scale(updates, new, params), inner

        new, inner, outcome, _ = self.attempt(updates, own.inner, params, extra, update=unscaled)
        good = jnp.where(outcome.kept, increment(own.good), jnp.zeros_like(own.good))
        grows = good >= self.growth_interval
        grown, halved = jnp.minimum(own.scale * FACTOR, self.max_scale), jnp.maximum(own.scale / FACTOR, self.min_scale)
        scale = jnp.where(outcome.kept, jnp.where(grows, grown, own.scale), halved)
        good = jnp.where(grows, jnp.zeros_like(good), good)
        return new, LossScaleState(inner, counted(own.skips, outcome), scale, good)


def as_without_scale(grads: Any, updates: Any, params: Any) -> Any:
    """Return updates in the dtype they would have without the scale: the wider of gradient and parameter."""
    leaves, treedef = flatten(updates)
    beside = [None] * len(leaves) if params is None else treedef.flatten_up_to(params)
    out = [
        lax.convert_element_type(u, promoted(jnp.asarray(g), p)) if has_gradient(u) and is_trainable(g) else u
        for g, u, p in zip(treedef.flatten_up_to(grads), leaves, beside, strict=True)
    ]
    return treedef.unflatten(out)


@factory
def loss_scale(
    tx: optax.GradientTransformation,
    init_scale: float = 2**16,
    growth_interval: int = 2000,
    min_scale: float = 1,
    max_scale: float = 2**24,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Divide the gradients of a scaled loss by its scale, skip the steps that overflowed, and let the scale follow.

    with c_t the scale, g_t the gradients of c_t times the loss, and v_t the update of `tx` for g_t / c_t: u_t = v_t,
    and c_{t+1} = c_t, or min(2 c_t, max_scale) after growth_interval steps that were made one after another. Where g_t,
    v_t or the new state holds NaN or an infinity: u_t = 0, the state of `tx` stays as it was, bit for bit, and
    c_{t+1} = max(c_t / 2, min_scale). c_1 = init_scale.

    Multiply the loss by `scale_loss(loss, state)` before you differentiate it. Clip and log the gradients inside `tx`,
    where they no longer carry the scale. The division is made in float32 or wider, and `tx` sees float16 gradients as
    float32.

    Units: those of v; the scale is dimensionless.
    Equivalent to: PyTorch's GradScaler with its growth_factor=2 and backoff_factor=0.5; flax's DynamicScale, which
    leaves it to the caller to skip the step. Both take no upper bound.

    Args:
        tx: the optimizer, gradtx's or optax's.
        init_scale: the first scale, > 0; a power of two divides exactly.
        growth_interval: steps without overflow after which the scale doubles, a whole number >= 1.
        min_scale: the scale never falls below it, > 0.
        max_scale: the scale never rises above it, > 0.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`, so that all shards skip
            together. None is no axis.

    State:
        inner: that of tx; skips: counts, see `skipped`; scale: c of the next step; good: steps made since it changed.

    Raises:
        TypeError: tx is no transform; a scale is no number.
        ValueError: growth_interval < 1, a scale <= 0, init_scale outside [min_scale, max_scale]; at update, a state of
            another transform, or a leaf that varies over a manual axis that axis_name does not name.

    Cost: no array; the passes of `guard`.

    References:
        Micikevicius et al. 2017, section 3.2, https://arxiv.org/abs/1710.03740

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> tx, params = gradtx.loss_scale(gradtx.sgd(0.1), growth_interval=2), jnp.ones(2)
        >>> state = tx.init(params)
        >>> for _ in range(2):
        ...     grads = jax.grad(lambda p: gradtx.scale_loss(jnp.sum(p**2), state))(params)
        ...     u, state = tx.update(grads, state, params)
        >>> [round(x, 4) for x in u.tolist()], state.scale.item()
        ([-0.2, -0.2], 131072.0)
        >>> tx.update(jnp.full(2, jnp.inf), state, params)[1].scale.item()
        65536.0
    """
    inner = member("loss_scale", "tx", tx)
    check_count("loss_scale", "growth_interval", growth_interval, example=2000)
    scales = {"init_scale": init_scale, "min_scale": min_scale, "max_scale": max_scale}
    for name, value in scales.items():
        if not is_number(value):
            got, fix = f"is a {type(value).__name__}", f"write {name}=2**16"
            raise TypeError(message("loss_scale", name, got, "a number > 0", fix))
        if not 0.0 < value < math.inf:
            raise ValueError(f"loss_scale: {name} = {value!r}, expected a number in (0, inf); write {name}=2**16")
    if not min_scale <= init_scale <= max_scale:
        got = f"init_scale = {init_scale!r}"
        expected = f"a number in [min_scale, max_scale] = [{min_scale!r}, {max_scale!r}]"
        raise ValueError(f"loss_scale: {got}, expected {expected}; change one of the three")
    settings = {"tx": inner, "init_scale": init_scale, "growth_interval": growth_interval}
    settings |= {"min_scale": min_scale, "max_scale": max_scale}
    settings |= {} if axis_name is None else {"axis_name": axis_name}
    info = Info(settings, wrapped("loss_scale", settings))
    numbers = float(init_scale), growth_interval, float(min_scale), float(max_scale)
    return Transform.of(LossScale(inner, "loss_scale", info, axis_name, *numbers), info)


def scale_loss(loss: Any, state: Any) -> jax.Array:
    """Multiply a loss by the scale that a state of `loss_scale` asks for.

    Args:
        loss: the loss, a scalar or an array of them; float16 is widened first, since its range ends at 65504.
        state: a state of `loss_scale`, or any tree that holds one.

    Returns:
        scale times loss, float32 or wider.

    Raises:
        ValueError: the state holds no scale.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> state = gradtx.loss_scale(gradtx.sgd(0.1), init_scale=8.0).init(jnp.ones(2))
        >>> gradtx.scale_loss(jnp.float16(0.5), state).item()
        4.0
    """
    leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, LossScaleState))
    found = next((x for x in leaves if isinstance(x, LossScaleState)), None)
    if found is None:
        fix = "give the state of loss_scale(...), or a tree that holds it"
        raise ValueError(message("scale_loss", "state", "holds no loss scale", "the state of loss_scale inside", fix))
    loss = jnp.asarray(loss)
    dtype = accumulator(loss.dtype) if jnp.issubdtype(loss.dtype, jnp.floating) else jnp.dtype(jnp.float32)
    scaled: jax.Array = lax.convert_element_type(loss, dtype) * lax.convert_element_type(found.scale, dtype)
    return scaled
