"""The backtracking line search: shrink the step until the objective falls as much as its slope promises."""

import dataclasses
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.whole import check_count
from gradtx.rules import Hyper, NonNegative, Positive, Range, Transform, factory
from gradtx.searches.body import Found, LineSearch, LinesearchState
from gradtx.searches.objective import Along, at_rate, repeat, slope_of

Share = Annotated[Hyper, Range("(0, 1)")]
Growth = Annotated[Hyper, Range("[1, inf]")]


class BacktrackingLinesearchInfo(NamedTuple):
    """How a backtracking line search went.

    Attributes:
        num_linesearch_steps: evaluations made, int32.
        decrease_error: by how much the objective decreased too little at the last; 0 where the search succeeded.
    """

    num_linesearch_steps: jax.Array
    decrease_error: jax.Array


class Trial(NamedTuple):
    """The step size that was tried last.

    Attributes:
        evaluations: made so far.
        eta: the step size.
        value: the objective there.
        error: by how much it decreases too little.
    """

    evaluations: jax.Array
    eta: jax.Array
    value: jax.Array
    error: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class Backtracking(LineSearch):
    """The body of `scale_by_backtracking_linesearch`."""

    info_type: ClassVar[Any] = BacktrackingLinesearchInfo

    def search(
        self, line: Along, value: jax.Array, grads: list[jax.Array], state: LinesearchState, k: SimpleNamespace
    ) -> Found:
        """Return the first step size that decreases the objective enough."""
        slope = slope_of(line.updates, grads)

        def tried(before: Any, eta: jax.Array) -> Trial:
            new = line.value(at_rate(line.updates, line.params, eta))
            most = (1.0 + k.rtol) * value + eta * (k.slope_rtol * slope) + k.atol
            error = jnp.where(jnp.isfinite(new), jnp.maximum(new - most, 0.0), jnp.inf)
            return Trial(before + 1, eta, new, error)

        last = repeat(
            lambda trial: (trial.error > 0) & (trial.evaluations <= self.steps),
            lambda trial: tried(trial.evaluations, k.decrease_factor * trial.eta),
            tried(jnp.zeros((), jnp.int32), jnp.minimum(k.increase_factor * state.learning_rate, k.max_learning_rate)),
        )
        good = last.error <= 0
        eta, reached = jnp.where(good, last.eta, 0.0), jnp.where(good, last.value, value)
        if self.stores_grad:
            _, new = line.value_and_grad(at_rate(line.updates, line.params, eta))
            grads = [jnp.where(good, a, lax.convert_element_type(b, a.dtype)) for a, b in zip(new, grads, strict=True)]
        info = BacktrackingLinesearchInfo(last.evaluations, last.error)
        return Found(eta, reached, grads if self.stores_grad else None, info, last.eta)


@factory
def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: NonNegative = 1e-4,
    decrease_factor: Share = 0.8,
    increase_factor: Growth = 1.5,
    max_learning_rate: Positive = 1.0,
    atol: NonNegative = 0.0,
    rtol: NonNegative = 0.0,
    store_grad: bool = False,
    verbose: bool = False,
) -> Transform:
    """Scale the updates by a step size that decreases the objective enough.

    u_t = eta_t d_t with d the updates of what stands before, f the objective and s = <d_t, grad f(p_t)> its slope:
    eta_t is the first of a, c a, c^2 a, ... with f(p_t + eta d_t) <= (1 + rtol) f(p_t) + eta slope_rtol s + atol, where
    a = min(increase_factor eta_{t-1}, max_learning_rate), c = decrease_factor and eta_0 = 1. The objective is taken at
    the parameters that `apply_updates` gives, in their dtype.

    Where max_backtracking_steps shrinkings find none, and where f is not finite at any, u_t = 0: the parameters stay,
    and the next search goes on from the last step size. `state.info.decrease_error` is then positive.

    Call update(grads, state, params, value=..., grad=..., value_fn=...): f(p_t), its gradient, and f itself, a function
    of the params and of those extra arguments that it names, such as the batch.

    Units: eta is dimensionless: d has the units of p; atol those of f.
    Differs from: optax's where the search fails, which there takes the last step size although f may have grown.

    Args:
        max_backtracking_steps: the largest number of shrinkings, a whole number >= 1.
        slope_rtol: the share of the slope that f has to fall by, >= 0.
        decrease_factor: what a step size that is too large is multiplied by, in (0, 1).
        increase_factor: what the last step size is multiplied by for the first guess, >= 1; infinity always starts at
            max_learning_rate.
        max_learning_rate: the largest step size, > 0.
        atol: how much f may grow, >= 0.
        rtol: the share of f by which it may grow, >= 0.
        store_grad: whether the gradient at the end is computed and kept, for `value_and_grad_from_state`.
        verbose: whether to print where the search fails.

    State:
        learning_rate, value: scalars; grad: like params, float32 or wider, or None; info; count.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, value, grad, value_fn or params missing.
        TypeError: value_fn is no function, or returns no scalar.

    Cost: no array, 1 per parameter with store_grad; an evaluation of f for each step size, a gradient with store_grad.

    References:
        Nocedal & Wright 2006, Algorithm 3.1, https://doi.org/10.1007/978-0-387-40065-5;
        Vaswani et al. 2019, https://arxiv.org/abs/1905.09997

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> f = lambda p: jnp.sum(p**2)
        >>> tx = gradtx.chain(gradtx.sgd(1.0), gradtx.scale_by_backtracking_linesearch(15))
        >>> p = jnp.array([1.0, 2.0, 3.0])
        >>> value, grad = jax.value_and_grad(f)(p)
        >>> u, state = tx.update(grad, tx.init(p), p, value=value, grad=grad, value_fn=f)
        >>> round(float(f(p + u)), 4), round(float(state[-1].learning_rate), 4)
        (5.04, 0.8)
    """
    check_count("scale_by_backtracking_linesearch", "max_backtracking_steps", max_backtracking_steps, example=20)
    hyper = {
        "slope_rtol": slope_rtol,
        "decrease_factor": decrease_factor,
        "increase_factor": increase_factor,
        "max_learning_rate": max_learning_rate,
        "atol": atol,
        "rtol": rtol,
    }
    name = "scale_by_backtracking_linesearch"
    return Transform.of(Backtracking(name, hyper, max_backtracking_steps, verbose, store_grad))
