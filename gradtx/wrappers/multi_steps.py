"""optax's `MultiSteps`: gradients of several micro-steps in one update, as an object with methods."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from gradtx._core.arguments.whole import whole
from gradtx._core.arrays.axes import AxisName, summed_over
from gradtx._core.arrays.norm import global_norm
from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.accumulating import AccumulateState, Accumulating
from gradtx._core.engine.around import member
from gradtx._core.engine.finite import check_split
from gradtx.rules import Transform

Skip = Callable[[Any, Any, Any], tuple[Any, Any]]


class MultiSteps:
    """Update once for several micro-steps, by the mean of their gradients.

    `accumulate` under optax's name: the same recurrence, with optax's arguments and methods.

    Units: those of the update of `opt`.
    Differs from: optax's, which runs the optimizer in every micro-step, and where a gradient that is not finite stays
    in the sums for good unless `skip_not_finite` is given; here such a gradient is left out where
    `should_skip_update_fn` is None. The state is `AccumulateState`, from which optax's names can be read.

    Args:
        opt: the optimizer, gradtx's or optax's.
        every_k_schedule: micro-steps to an update, a whole number >= 1, or a function of the number of updates made
            that returns one.
        use_grad_mean: whether the optimizer gets the mean of the gradients or, with False, their sum.
        should_skip_update_fn: `(gradients, updates made, params) -> (skip, info)`: where skip is True it is as if that
            micro-step had never been; info is stored in `state.skip_state`. None leaves out what is not finite.
        accumulator_dtype: dtype of the sums, None is float32 or wider.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`, so that all shards leave
            out the same micro-steps. None is no axis.

    Raises:
        TypeError: opt is no transform, or every_k_schedule no whole number.
        ValueError: every_k_schedule < 1; at update, gradients unlike the params, a state of another transform, a skip
            that is no bool or differs between devices, or a leaf that varies over a manual axis which axis_name does
            not name.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.MultiSteps(gradtx.sgd(0.5), 2), jnp.array(1.0)
        >>> state = tx.init(p)
        >>> for g in (2.0, 4.0):
        ...     u, state = tx.update(jnp.array(g), state, p)
        ...     print(u.item(), bool(tx.has_updated(state)))
        0.0 False
        -1.5 True
    """

    def __init__(
        self,
        opt: optax.GradientTransformation,
        every_k_schedule: int | Callable[[Any], Any],
        use_grad_mean: bool = True,
        should_skip_update_fn: Skip | None = None,
        accumulator_dtype: DTypeLike | None = None,
        *,
        axis_name: AxisName = None,
    ) -> None:
        """Hold the transform that it stands for."""
        inner = member("MultiSteps", "opt", opt)
        every = every_k_schedule
        every = every if callable(every) else whole("MultiSteps", "every_k_schedule", every)
        settings = {"opt": inner, "every_k_schedule": every, "use_grad_mean": use_grad_mean}
        settings |= {} if should_skip_update_fn is None else {"should_skip_update_fn": should_skip_update_fn}
        settings |= {} if axis_name is None else {"axis_name": axis_name}
        options = use_grad_mean, should_skip_update_fn, accumulator_dtype
        body = Accumulating(inner, "MultiSteps", None, every, "every_k_schedule", *options, axis_name)
        self._tx = Transform.of(body, Info(settings, wrapped("MultiSteps", settings)))

    @property
    def inner_opt(self) -> optax.GradientTransformationExtraArgs:
        """The optimizer inside."""
        inner: optax.GradientTransformationExtraArgs = self._tx.body.inner
        return inner

    def init(self, params: Any) -> AccumulateState:
        """Return the state for these params."""
        state: AccumulateState = self._tx.init(params)
        return state

    def update(
        self, updates: Any, state: AccumulateState, params: Any = None, **extra_args: Any
    ) -> tuple[Any, AccumulateState]:
        """Return zeros, or in the last micro-step the optimizer's update, and the next state."""
        out: tuple[Any, AccumulateState] = self._tx.update(updates, state, params, **extra_args)
        return out

    def has_updated(self, state: AccumulateState) -> jax.Array:
        """Return True if the last micro-step made an update."""
        return (state.micro_step == 0) & (state.updates > 0)

    def gradient_transformation(self) -> Transform:
        """Return it as a transform."""
        return self._tx

    def __repr__(self) -> str:
        """Print as the call that makes it."""
        return repr(self._tx)


def skip_not_finite(
    updates: Any, gradient_step: Any, params: Any, *, axis_name: AxisName = None
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return True if gradients hold NaN or an infinity: a `should_skip_update_fn` of `MultiSteps`.

    Args:
        updates: the gradients.
        gradient_step: updates made, which do not matter.
        params: the params, which do not matter.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`; None is no axis.

    Returns:
        Whether to skip, and `should_skip` and `num_not_finite`, the number of such entries, to store.

    Raises:
        TypeError: a leaf is no array.
        ValueError: a leaf varies over a manual axis that axis_name does not name.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> grads = {"w": jnp.array([1.0, jnp.nan, jnp.inf])}
        >>> skip, info = gradtx.skip_not_finite(grads, 0, None)
        >>> bool(skip), info["num_not_finite"].item()
        (True, 2)
    """
    del gradient_step, params
    leaves = [x for _, x in check_split("skip_not_finite", "updates", updates, axis_name)]
    found = summed_over([jnp.sum(~jnp.isfinite(x), dtype=jnp.int32) for x in leaves], leaves, axis_name)
    bad = sum(found, jnp.zeros((), jnp.int32))
    return bad > 0, {"should_skip": bad > 0, "num_not_finite": bad}


def skip_large_updates(
    updates: Any, gradient_step: Any, params: Any, max_squared_norm: Any, *, axis_name: AxisName = None
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return True if the norm of the gradients is too large: a `should_skip_update_fn` of `MultiSteps`.

    Bind the bound first: `functools.partial(skip_large_updates, max_squared_norm=42.0)`.

    Args:
        updates: the gradients.
        gradient_step: updates made, which do not matter.
        params: the params, which do not matter.
        max_squared_norm: the square of the largest norm that is not skipped.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`; None is no axis.

    Returns:
        Whether to skip, and `should_skip` and `norm_squared`, the square of the norm, to store. A norm that is not
        finite is skipped.

    Raises:
        TypeError: a leaf is no array.
        ValueError: a leaf varies over a manual axis that axis_name does not name.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> grads = {"w": jnp.array([3.0, 4.0])}
        >>> skip, info = gradtx.skip_large_updates(grads, 0, None, max_squared_norm=24.0)
        >>> bool(skip), info["norm_squared"].item()
        (True, 25.0)
    """
    del gradient_step, params
    norm = global_norm(updates, axis_name=axis_name)
    squared = norm * norm
    skip = ~(squared < max_squared_norm)
    return skip, {"should_skip": skip, "norm_squared": squared}
