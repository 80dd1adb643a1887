"""Guard an optimizer: a step that would do harm is left out whole, counted, and named."""

import dataclasses
import math
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gradtx._core.arguments.ranges import is_number
from gradtx._core.arguments.reading import measured
from gradtx._core.arguments.whole import check_count
from gradtx._core.arrays.axes import AxisName
from gradtx._core.arrays.numerics import increment
from gradtx._core.contract.errors import message
from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.around import member
from gradtx._core.engine.guarded import Guarded, Skips, counted, no_skips
from gradtx.rules import Transform, factory

WARM_UP = 20  # steps whose statistics are only gathered
DEVIATIONS = 2.0  # mean deviations above the usual that are no spike whatever the factor


class Level(NamedTuple):
    """Rolling statistics of log n, or of the loss.

    Attributes:
        mean: m.
        deviation: s, the mean of |x - m|.
        seen: the steps in them, int32.
    """

    mean: jax.Array
    deviation: jax.Array
    seen: jax.Array


class GuardState(NamedTuple):
    """State of a guarded transform.

    Attributes:
        inner: that of the transform inside.
        skips: the steps that were skipped; read them with `skipped`.
        level: the statistics that spikes are measured by.
    """

    inner: Any
    skips: Skips
    level: Level


def margin(level: Level, factor: float, loss: bool) -> jax.Array:
    """Return how far above the mean is no spike yet."""
    allowed = (factor - 1.0) * jnp.abs(level.mean) if loss else math.log(factor)
    return allowed + DEVIATIONS * level.deviation


def gathered(level: Level, x: jax.Array, factor: float, window: int, loss: bool) -> Level:
    """Return the statistics with one more number; one that is not finite leaves them alone."""
    seen = increment(level.seen)
    weight = 1.0 / jnp.minimum(seen, window).astype(jnp.float32)
    off = x - level.mean
    # what lies beyond the margin counts as if it lay on it: one spike moves little, spikes that go on are taken in
    off = jnp.where(level.seen < min(WARM_UP, window), off, jnp.minimum(off, margin(level, factor, loss)))
    away = jnp.where(level.seen == 0, 0.0, jnp.abs(off))
    new = Level(level.mean + weight * off, level.deviation + weight * (away - level.deviation), seen)
    return Level(*(jnp.where(jnp.isfinite(x), a, b) for a, b in zip(new, level, strict=True)))


@dataclasses.dataclass(frozen=True, eq=False)
class Guard(Guarded):
    """A transform whose harmful steps are left out: the body of `guard`."""

    spikes: float | None = None
    window: int = 100
    kind: ClassVar[Any] = GuardState

    def init(self, params: Any) -> GuardState:
        """Return the state of the one inside, and no skipped step."""
        level = Level(jnp.zeros((), jnp.float32), jnp.zeros((), jnp.float32), jnp.zeros((), jnp.int32))
        return GuardState(self.inner.init(params), no_skips(), level)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, GuardState]:
        """Return the updates of the one inside, zeros where the step is skipped, and the next state."""
        level: Level = self.checked(state).level
        loss = measured(self.name, "value", extra["value"]) if self.spikes and extra.get("value") is not None else None

        def number(norm: jax.Array) -> jax.Array:
            x = jnp.log(norm) if loss is None else loss  # a gradient of zeros says nothing: -inf
            return x.astype(jnp.float32)

        def admits(norm: jax.Array) -> jax.Array:
            x = number(norm)
            ready = level.seen >= min(WARM_UP, self.window)
            far = x > level.mean + margin(level, self.spikes or 1.0, loss is not None)
            return ~(ready & far)

        new, inner, outcome, norm = self.attempt(
            updates, state.inner, params, extra, None if self.spikes is None else admits
        )
        if self.spikes is not None:
            level = gathered(level, number(norm), self.spikes, self.window, loss is not None)
        return new, GuardState(inner, counted(state.skips, outcome), level)


@factory
def guard(
    tx: optax.GradientTransformation,
    spikes: float | None = None,
    window: int = 100,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Skip each step whole that would bring in what is not finite, and with `spikes` each that stands far out.

    with v_t the update of `tx`: u_t = v_t, and 0 where the step is skipped, in the dtype of v_t; the state of `tx` then
    stays as it was, bit for bit. A step is skipped, however many come one after another, where the gradient, the update
    or the new state holds NaN or an infinity; a gradient whose sum of squares is beyond float32's range (norms above
    1.8e19) counts as not finite.

    with `spikes` = f, n_t the gradient's norm, x_t = log n_t: a step is a spike, and skipped too, where
    x_t - m_{t-1} > log f + 2 s_{t-1}, but for the first min(20, window) ones. With k_t = min(t, window) and
    d_t = min(x_t - m_{t-1}, log f + 2 s_{t-1}): m_t = m_{t-1} + d_t / k_t; s_t = s_{t-1} + (|d_t| - s_{t-1}) / k_t,
    m and s 0 at first, the first |d| counted as 0 and no d bounded in the first min(20, window) steps. A spike moves m
    and s a little, so that a new level that lasts is taken in. Where the extra argument `value`, the loss, is given, it
    stands in place of log n_t, and (f - 1) |m_{t-1}| in place of log f. A number that is not finite, and the norm 0,
    leave m and s alone.

    Units: those of v; f is dimensionless.
    Differs from: optax's `apply_if_finite`, which looks at the gradient alone and lets NaN in after some steps.

    Args:
        tx: the optimizer, gradtx's or optax's.
        spikes: f > 1, how many times the usual norm is far above it; None looks for no spikes.
        window: the number of steps that the statistics remember, a whole number >= 1.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`, so that all shards skip
            together. None is no axis.

    State:
        inner: that of tx; skips: counts, see `skipped`; level: m, s and the number of steps in them.

    Raises:
        TypeError: tx is no transform; spikes is no number.
        ValueError: spikes <= 1, window < 1; at update, a state of another transform, or a leaf that varies over a
            manual axis that axis_name does not name.

    Cost: no array; one pass over the gradient, which a `clip_by_global_norm` inside shares. Nothing else is read where
    tx is made of methods of gradtx that work on each number by itself (adamw, lion, sgd and their kind), because finite
    gradients make their results finite; under jit the params are taken to be finite there. The results of all others
    are looked at: those of light computations (optax's, float16, a `Rule` of one's own) by computing them twice, those
    of matrix products and loops beside a copy of the old state.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.guard(gradtx.sgd(0.1, momentum=0.5), spikes=4.0), jnp.ones(2)
        >>> state = tx.init(params)
        >>> for t in range(60):
        ...     size = {30: jnp.nan, 40: 1000.0}.get(t, 1.0)
        ...     u, state = tx.update(jnp.full(2, size), state, params)
        >>> round(u[0].item(), 4), gradtx.skipped(state)[:5]
        (-0.2, (2, 1, 1, 30, 40))
    """
    inner = member("guard", "tx", tx)
    check_factor(spikes)
    check_count("guard", "window", window, example=100)
    settings = {"tx": inner} | ({} if spikes is None else {"spikes": spikes, "window": window})
    settings |= {} if axis_name is None else {"axis_name": axis_name}
    info = Info(settings, wrapped("guard", settings))
    return Transform.of(Guard(inner, "guard", info, axis_name, None if spikes is None else float(spikes), window), info)


def check_factor(spikes: Any) -> None:
    """Raise unless the factor of spikes is a number above 1, or None."""
    if spikes is None:
        return
    if not is_number(spikes):
        got, fix = f"is a {type(spikes).__name__}", "write spikes=4.0"
        raise TypeError(message("guard", "spikes", got, "a number > 1 or None", fix))
    if not 1.0 < spikes < math.inf:
        raise ValueError(f"guard: spikes = {spikes!r}, expected a number in (1, inf) or None; write spikes=4.0")
