"""A measurement of the updates as a moving average, to be read in a `monitor`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import written
from gradtx.factors.ema import ema
from gradtx.rules import Decay, Transform, factory, scalar_dtype
from gradtx.wrappers.snapshot import check_measure, seen


def as_floats(x: Any) -> jax.Array:
    """Return a number as one that has a mean: True and False as 1 and 0."""
    x = jnp.asarray(x)
    return lax.convert_element_type(x, x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else scalar_dtype())


@dataclasses.dataclass(frozen=True, eq=False)
class MeasureWithEma:
    """A function of the updates and the average of what it gives: the body of `measure_with_ema`."""

    measure: Callable[[Any], Any]
    average: Transform
    name: str = "measure_with_ema"
    info: Info | None = None
    role: str = "container"

    def value(self, updates: Any) -> Any:
        """Return what is measured now."""
        return jax.tree.map(as_floats, self.measure(seen(updates)))

    def init(self, params: Any) -> Any:
        """Return the state of an average of nothing yet."""
        return self.average.init(self.value(params))

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the average of the measurements in place of the updates, and the next state."""
        del params, extra
        average, state = self.average.update(self.value(updates), state)
        return average, state

    def parts(self, state: Any) -> list[Part]:
        """Return the average."""
        return [Part(None, self.average, state)]

    def renamed(self, name: str) -> "MeasureWithEma":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True for the state of an average."""
        return bool(self.average.body.fits(state))


@factory
def measure_with_ema(
    measure: Callable[[Any], Any],
    decay: Decay,
    debias: bool = True,
    accumulator_dtype: DTypeLike | None = None,
) -> Transform:
    """Average a measurement of the updates, for `monitor`.

    x_t = measure(g_t); m_t = decay m_{t-1} + (1 - decay) x_t, m_0 = 0; what it gives in place of an update is
    u_t = m_t / (1 - decay^t) with `debias`, else m_t.

    Units: those that measure gives.
    Differs from: optax's in the state alone, which is that of `ema`, float32 or wider.

    Args:
        measure: `updates -> arrays`, one or a tree of them; True and False count as 1 and 0.
        decay: weight of the past, in [0, 1).
        debias: whether to divide by the sum of the weights so far.
        accumulator_dtype: dtype the average is stored in; None is the measurement's, float32 or wider.

    State:
        mu: like what measure gives.

    Raises:
        TypeError: measure is no function.
        ValueError: decay outside [0, 1); at update, measure gives another form than of the params.

    Cost: that of measure.

    References:
        Kingma & Ba 2014, section 3, https://arxiv.org/abs/1412.6980

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> clipped = gradtx.measure_with_ema(lambda u: gradtx.global_norm(u) > 1.0, 0.5)
        >>> tx, params = gradtx.monitor({"clipped": clipped}), jnp.zeros(2)
        >>> state = tx.init(params)
        >>> for g in ([3.0, 4.0], [0.3, 0.4]):
        ...     _, state = tx.update(jnp.array(g), state, params)
        >>> round(state.measurements["clipped"].item(), 4)  # (0.25 1 + 0.5 0) / 0.75
        0.3333
    """
    check_measure("measure_with_ema", "measure", measure)
    average = ema(decay, debias, accumulator_dtype)
    named = Transform.of(average.body.renamed("measure_with_ema"), average.info)
    settings = {"measure": measure, "decay": decay}
    return Transform.of(
        MeasureWithEma(measure, named), Info(settings, f"measure_with_ema({written(measure)}, {written(decay)})")
    )
