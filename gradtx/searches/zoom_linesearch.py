"""The zoom line search on trees, for a loop of one's own."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.factory import ranges_of
from gradtx._core.arguments.ranges import check
from gradtx._core.arguments.reading import read
from gradtx._core.arguments.whole import check_count
from gradtx.rules import Hyper, NonNegative, Positive, Range
from gradtx.searches.body import tell
from gradtx.searches.objective import as_scalar, at_rate, slope_of
from gradtx.searches.zoom import Point, Search, Settings, judge, start

Share = Annotated[Hyper, Range("[0, 1)")]
Growth = Annotated[Hyper, Range("(1, inf)")]
Bound = Annotated[Hyper, Range("[0, inf]")]


class ZoomLinesearchState(NamedTuple):
    """What `zoom_linesearch` knows so far.

    Attributes:
        params: where the search began.
        updates: the direction.
        grad: the gradient at the best step size so far.
        search: the numbers of the search; see `gradtx.searches.zoom.Search`.
    """

    params: Any
    updates: Any
    grad: Any
    search: Search

    @property
    def stepsize(self) -> jax.Array:
        """The best step size so far, 0 where none decreases the objective enough."""
        return self.search.best.at

    @property
    def value(self) -> jax.Array:
        """The objective there."""
        return self.search.best.value

    @property
    def decrease_error(self) -> jax.Array:
        """By how much the objective decreases too little there."""
        return self.search.decrease_error

    @property
    def curvature_error(self) -> jax.Array:
        """By how much the slope there is too large."""
        return self.search.curvature_error

    @property
    def done(self) -> jax.Array:
        """Whether the search is at its end."""
        return self.search.done

    @property
    def failed(self) -> jax.Array:
        """Whether it ended without a step size for which both criteria hold."""
        return self.search.failed


@jax.jit
def after(state: ZoomLinesearchState, new: Point, grad: Any, k: Settings) -> ZoomLinesearchState:
    """Return the search after the evaluation of a point, with the gradient there."""
    search, is_best = judge(state.search, new, k)
    kept = jax.tree.map(
        lambda x, old: jnp.where(is_best, lax.convert_element_type(x, old.dtype), old), grad, state.grad
    )
    return state._replace(grad=kept, search=search)


def begun(updates: Any, params: Any, value: jax.Array, grad: Any, guess: Any, k: Settings) -> ZoomLinesearchState:
    """Return a search that has evaluated nothing yet."""
    return ZoomLinesearchState(params, updates, grad, start(value, slope_of(updates, grad), guess, k))


def advanced(state: ZoomLinesearchState, value_and_grad: Callable[[Any], Any], k: Settings) -> ZoomLinesearchState:
    """Return the search after one more evaluation."""
    at = state.search.trial
    value, grad = value_and_grad(at_rate(state.updates, state.params, at))
    value = as_scalar("zoom_linesearch", "what value_and_grad_fn returned", value)
    new: ZoomLinesearchState = after(state, Point(at, value, slope_of(state.updates, grad)), grad, k)
    return new


class Steps(NamedTuple):
    """The functions of `zoom_linesearch`."""

    init: Callable[..., ZoomLinesearchState]
    step: Callable[..., ZoomLinesearchState]
    going: Callable[[ZoomLinesearchState], jax.Array]


def zoom_linesearch(
    max_linesearch_steps: int,
    max_stepsize: Positive | None = None,
    tol: NonNegative = 0.0,
    increase_factor: Growth = 2.0,
    slope_rtol: Share = 1e-4,
    curv_rtol: Bound = 0.9,
    approx_dec_rtol: NonNegative | None = 1e-6,
    interval_threshold: NonNegative = 1e-5,
    verbose: bool = False,
) -> Steps:
    """Search a step size that decreases an objective enough and leaves a small slope, in a loop of one's own.

    `scale_by_zoom_linesearch` says which criteria it searches by and what happens where none fulfils them.

    Args:
        max_linesearch_steps: the largest number of evaluations, a whole number >= 1.
        max_stepsize: the largest step size, > 0; None is none.
        tol: how far both criteria may be missed, >= 0.
        increase_factor: what a step size that is too small is multiplied by, > 1.
        slope_rtol: c1, the share of the slope that the objective has to fall by, in [0, 1).
        curv_rtol: c2, the share of the slope that may be left, >= 0; infinity asks for a decrease alone.
        approx_dec_rtol: c3, the share of the objective below which its decrease is read from slopes, >= 0; None is
            never.
        interval_threshold: the width below which an interval is not narrowed further, >= 0.
        verbose: whether to print where the search fails.

    Returns:
        Three functions, a `lax.while_loop`'s start, body and condition: init(updates, params, *, value, grad,
        stepsize_guess=1.0), step(state, value_and_grad_fn, fn_kwargs={}) and going(state). The state has `stepsize`,
        `value` and `grad` of the best so far, `done`, `failed`, `decrease_error` and `curvature_error`.

    Raises:
        ValueError: a number is out of its range.

    References:
        Nocedal & Wright 2006, Algorithms 3.5 and 3.6, https://doi.org/10.1007/978-0-387-40065-5

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> f = jax.value_and_grad(lambda p: 3.0 * p**2)
        >>> init, step, going = gradtx.zoom_linesearch(max_linesearch_steps=10)
        >>> state = init(-6.0 * jnp.array(1.0), jnp.array(1.0), value=3.0, grad=jnp.array(6.0))
        >>> while going(state):
        ...     state = step(state, f)
        >>> round(float(state.stepsize), 4)
        0.1667
    """
    name = "zoom_linesearch"
    check_count(name, "max_linesearch_steps", max_linesearch_steps, example=20)
    given = {
        "tol": tol,
        "increase_factor": increase_factor,
        "slope_rtol": slope_rtol,
        "curv_rtol": curv_rtol,
        "approx_dec_rtol": approx_dec_rtol,
        "interval_threshold": interval_threshold,
        "max_stepsize": max_stepsize,
    }
    check(name, {key: x for key, x in given.items() if x is not None}, ranges_of(zoom_linesearch))
    numbers = [read(x, 0, None, f"{name}: {key}") for key, x in given.items()]
    k = Settings._make([*numbers, max_linesearch_steps])

    def init_fn(updates: Any, params: Any, *, value: Any, grad: Any, stepsize_guess: Any = 1.0) -> ZoomLinesearchState:
        return begun(updates, params, as_scalar(name, "value", value), grad, jnp.asarray(stepsize_guess), k)

    def step_fn(
        state: ZoomLinesearchState, value_and_grad_fn: Callable[..., Any], fn_kwargs: Mapping[str, Any] | None = None
    ) -> ZoomLinesearchState:
        new: ZoomLinesearchState = advanced(state, lambda params: value_and_grad_fn(params, **(fn_kwargs or {})), k)
        if verbose:
            errors = {"decrease_error": new.decrease_error, "curvature_error": new.curvature_error}
            tell(name, new.done, new.stepsize, errors)
        return new

    def cond_step_fn(state: ZoomLinesearchState) -> jax.Array:
        return ~state.done

    return Steps(init_fn, step_fn, cond_step_fn)
