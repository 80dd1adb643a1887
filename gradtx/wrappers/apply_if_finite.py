"""optax's name for a guard against what is not finite."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import optax

from gradtx._core.arguments.whole import check_count
from gradtx._core.arrays.axes import AxisName
from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.around import member
from gradtx._core.engine.guarded import Guarded, Skips, counted, no_skips
from gradtx.rules import Transform, factory


class ApplyIfFiniteState(NamedTuple):
    """State of `apply_if_finite`; optax's fields are read from it by their names.

    Attributes:
        inner: that of the transform inside; `inner_state` too.
        skips: the steps that were skipped.
    """

    inner: Any
    skips: Skips

    @property
    def inner_state(self) -> Any:
        """The state of the transform inside."""
        return self.inner

    @property
    def notfinite_count(self) -> jax.Array:
        """The steps skipped one after another up to now."""
        return self.skips.in_row

    @property
    def last_finite(self) -> jax.Array:
        """Whether the last step was made."""
        return self.skips.in_row == 0

    @property
    def total_notfinite(self) -> jax.Array:
        """The steps skipped in all."""
        return self.skips.nonfinite


@dataclasses.dataclass(frozen=True, eq=False)
class ApplyIfFinite(Guarded):
    """A transform that makes finite steps only: the body of `apply_if_finite`."""

    kind: ClassVar[Any] = ApplyIfFiniteState

    def init(self, params: Any) -> ApplyIfFiniteState:
        """Return the state of the one inside, and no skipped step."""
        return ApplyIfFiniteState(self.inner.init(params), no_skips())

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, ApplyIfFiniteState]:
        """Return the updates of the one inside, zeros where the step is skipped, and the next state."""
        own = self.checked(state)
        new, inner, outcome, _ = self.attempt(updates, own.inner, params, extra)
        return new, ApplyIfFiniteState(inner, counted(own.skips, outcome))


@factory
def apply_if_finite(
    inner: optax.GradientTransformation, max_consecutive_errors: int, *, axis_name: AxisName = None
) -> Transform:
    """Skip each step whole whose gradient, update or new state is not finite.

    with v_t the update of `inner`: u_t = v_t, and 0 where the gradient, v_t or the new state holds NaN or an infinity;
    the state of `inner` then stays as it was, bit for bit. A gradient whose sum of squares is beyond float32's range
    counts as not finite.

    Units: those of v.
    Differs from: optax's, which looks at the gradient alone, and which makes the step all the same after more than
    max_consecutive_errors bad ones, so that one NaN stays in the state for good. Here such a step is never made,
    however many come: `state.notfinite_count` goes on counting, and a training loop may stop by it.

    Args:
        inner: the optimizer, gradtx's or optax's.
        max_consecutive_errors: kept for optax's signature, a whole number >= 0; no number of errors lets NaN in.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`, so that all shards skip
            together. None is no axis.

    State:
        inner: that of inner; skips: counts, see `skipped`. optax's names are read from it: `notfinite_count`,
        `last_finite`, `total_notfinite`, `inner_state`.

    Raises:
        TypeError: inner is no transform.
        ValueError: max_consecutive_errors < 0; at update, a state of another transform, or a leaf that varies over a
            manual axis that axis_name does not name.

    Cost: as `guard`.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.apply_if_finite(gradtx.adam(0.1), max_consecutive_errors=2)
        >>> params = jnp.ones(2)
        >>> state = tx.init(params)
        >>> for _ in range(5):
        ...     u, state = tx.update(jnp.array([jnp.inf, 1.0]), state, params)
        >>> u.tolist(), state.notfinite_count.item(), state.inner_state[0].mu.tolist()
        ([0.0, 0.0], 5, [0.0, 0.0])
    """
    tx = member("apply_if_finite", "inner", inner)
    check_count("apply_if_finite", "max_consecutive_errors", max_consecutive_errors, 0, example=5)
    settings = {"inner": tx, "max_consecutive_errors": max_consecutive_errors}
    settings |= {} if axis_name is None else {"axis_name": axis_name}
    info = Info(settings, wrapped("apply_if_finite", settings))
    return Transform.of(ApplyIfFinite(tx, "apply_if_finite", info, axis_name), info)
