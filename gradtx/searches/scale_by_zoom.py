"""The zoom line search as a transform: scale the update by the step size that it finds."""

import dataclasses
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._core.arguments.whole import check_count
from gradtx._core.contract.errors import message
from gradtx.rules import NonNegative, Positive, Transform, factory
from gradtx.searches.body import Found, LineSearch, LinesearchState, failed
from gradtx.searches.objective import Along, repeat
from gradtx.searches.zoom import Settings
from gradtx.searches.zoom_linesearch import Bound, Growth, Share, advanced, begun


class ZoomLinesearchInfo(NamedTuple):
    """How a zoom line search went.

    Attributes:
        num_linesearch_steps: evaluations made, int32.
        decrease_error: by how much the objective decreases too little; positive where no step size is taken.
        curvature_error: by how much the slope is too large; positive where the step size is not as good as asked.
    """

    num_linesearch_steps: jax.Array
    decrease_error: jax.Array
    curvature_error: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class Zoom(LineSearch):
    """The body of `scale_by_zoom_linesearch`."""

    starts_at_one: bool = False
    info_type: ClassVar[Any] = ZoomLinesearchInfo

    def search(
        self, line: Along, value: jax.Array, grads: list[jax.Array], state: LinesearchState, k: SimpleNamespace
    ) -> Found:
        """Return the step size that the zoom line search finds."""
        settings = Settings(**vars(k), steps=self.steps)
        guess = state.learning_rate
        if self.starts_at_one:
            guess = jnp.where(failed(state), guess, 1.0)
        done = repeat(
            lambda search: ~search.done,
            lambda search: advanced(search, line.value_and_grad, settings),
            begun(line.updates, line.params, value, grads, guess, settings),
        )
        info = ZoomLinesearchInfo(done.search.evaluations, done.decrease_error, done.curvature_error)
        return Found(done.stepsize, done.value, done.grad, info, done.search.trial)


@factory
def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: Positive | None = None,
    tol: NonNegative = 0.0,
    increase_factor: Growth = 2.0,
    slope_rtol: Share = 1e-4,
    curv_rtol: Bound = 0.9,
    approx_dec_rtol: NonNegative | None = 1e-6,
    stepsize_precision: NonNegative = 1e-5,
    initial_guess_strategy: str = "keep",
    verbose: bool = False,
) -> Transform:
    """Scale the updates by a step size that decreases the objective enough and leaves a small slope.

    u_t = eta_t d_t with d the updates of what stands before, f the objective, phi(eta) = f(p_t + eta d_t) and c1, c2,
    c3 = slope_rtol, curv_rtol, approx_dec_rtol: eta_t fulfils phi(eta) <= phi(0) + c1 eta phi'(0) + tol and
    |phi'(eta)| <= c2 |phi'(0)| + tol. Where phi(eta) <= phi(0) + c3 |phi(0)|, phi'(eta) <= (2 c1 - 1) phi'(0) may stand
    for the first, which rounding hides there. Step sizes grow from eta_{t-1}, eta_0 = 1, by increase_factor until an
    interval must hold such an eta; it is then narrowed at the minimum of a cubic, else of a parabola, else in the
    middle. The objective is taken at the parameters that `apply_updates` gives, in their dtype.

    The search ends after max_linesearch_steps evaluations, at max_learning_rate, or where the interval is narrower than
    stepsize_precision, with the lowest point found that fulfils the first criterion. Where there is none, where
    d is no descent (phi'(0) > 0) and where f is not finite, u_t = 0: the parameters stay, and the next search goes on
    where this one ended. `state.info` has positive errors then.

    Call update(grads, state, params, value=..., grad=..., value_fn=...): f(p_t), its gradient, and f itself, a function
    of the params and of those extra arguments that it names, such as the batch.

    Units: eta is dimensionless: d has the units of p; tol those of f.
    Differs from: optax's where the search fails, which there takes the last step size although f may have grown.

    Args:
        max_linesearch_steps: the largest number of evaluations, a whole number >= 1.
        max_learning_rate: the largest step size, > 0; None is none.
        tol: how far both criteria may be missed, >= 0.
        increase_factor: what a step size that is too small is multiplied by, > 1.
        slope_rtol: c1, in [0, 1).
        curv_rtol: c2, >= 0; infinity asks for a decrease alone.
        approx_dec_rtol: c3, >= 0; None never reads a decrease from slopes.
        stepsize_precision: the width below which an interval is not narrowed further, >= 0.
        initial_guess_strategy: "keep" starts at the last step size, "one" at 1, which suits methods like L-BFGS.
        verbose: whether to print where the search fails.

    State:
        learning_rate, value: scalars; grad: like params, float32 or wider; info; count.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, value, grad, value_fn or params missing.
        TypeError: value_fn is no function, or returns no scalar.

    Cost: 1 array per parameter; an evaluation of f and its gradient for each step size, most often one.

    References:
        Nocedal & Wright 2006, Algorithms 3.5 and 3.6, https://doi.org/10.1007/978-0-387-40065-5;
        Hager & Zhang 2006, https://doi.org/10.1145/1132973.1132979

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> f = lambda p: 3.0 * jnp.sum(p**2)
        >>> tx = gradtx.chain(gradtx.sgd(1.0), gradtx.scale_by_zoom_linesearch(15))
        >>> p = jnp.array([1.0, 2.0])
        >>> value, grad = jax.value_and_grad(f)(p)
        >>> u, state = tx.update(grad, tx.init(p), p, value=value, grad=grad, value_fn=f)
        >>> round(float(state[-1].learning_rate), 4), int(state[-1].info.num_linesearch_steps)
        (0.1667, 2)
    """
    name = "scale_by_zoom_linesearch"
    check_count(name, "max_linesearch_steps", max_linesearch_steps, example=20)
    if initial_guess_strategy not in ("keep", "one"):
        got = f"= {initial_guess_strategy!r}"
        raise ValueError(message(name, "initial_guess_strategy", got, "'keep' or 'one'", "write 'one' for L-BFGS"))
    hyper = {
        "tol": tol,
        "increase_factor": increase_factor,
        "slope_rtol": slope_rtol,
        "curv_rtol": curv_rtol,
        "approx_dec_rtol": approx_dec_rtol,
        "stepsize_precision": stepsize_precision,
        "max_learning_rate": max_learning_rate,
    }
    one = initial_guess_strategy == "one"
    return Transform.of(Zoom(name, hyper, max_linesearch_steps, verbose, starts_at_one=one))
