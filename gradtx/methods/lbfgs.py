"""L-BFGS: the gradient times an inverse Hessian that is made of the last few steps and of how the gradient changed."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gradtx._core.arguments.whole import check_count
from gradtx._core.arrays.numerics import scalar_dtype, zeros
from gradtx._core.arrays.tree import promoted
from gradtx._core.engine.whole import Whole
from gradtx.factors.inverse_hessian import Last, Memory, newton
from gradtx.rules import LearningRate, Transform, chain, factory
from gradtx.schedules.apply import scale, scale_by_learning_rate
from gradtx.searches.scale_by_zoom import scale_by_zoom_linesearch

ZOOM = scale_by_zoom_linesearch(20, initial_guess_strategy="one")


class LBFGSState(NamedTuple):
    """State of `scale_by_lbfgs`.

    Attributes:
        count: updates made, int32.
        params: the params of the last update, like params, float32 or wider.
        updates: its gradients, like params.
        diff_params_memory: the last steps s, like params with one axis more in front.
        diff_updates_memory: the changes y of the gradient at them, likewise.
        weights_memory: 1 / <s, y> of each pair, 0 where there is none yet.
        pairs: pairs kept so far, int32; the newest stands at (pairs - 1) modulo the size of the memory.
        products_memory: <s_i, y_j> for each y_j not older than s_i; the other half is not read.
    """

    count: jax.Array  # type: ignore[assignment]  # optax's states hide tuple.count with the same field
    params: Any
    updates: Any
    diff_params_memory: Any
    diff_updates_memory: Any
    weights_memory: jax.Array
    pairs: jax.Array
    products_memory: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class LBFGS(Whole):
    """The body of `scale_by_lbfgs`."""

    memory_size: int
    scale_init_precond: bool
    kind: ClassVar[Any] = LBFGSState
    role: ClassVar[str] = "direction"

    def init(self, params: Any) -> LBFGSState:
        """Return a memory without pairs."""
        leaves, treedef = self.start(params)

        def tree(*lead: int) -> Any:
            slots = [None if p is None else jnp.broadcast_to(zeros(p), (*lead, *p.shape)) for p in leaves]
            return treedef.unflatten(slots)

        m = self.memory_size
        count, pairs = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
        weights, products = jnp.zeros(m, scalar_dtype()), jnp.zeros((m, m), scalar_dtype())
        return LBFGSState(count, tree(), tree(), tree(m), tree(m), weights, pairs, products)

    def update(self, updates: Any, state: LBFGSState, params: Any = None, **extra: Any) -> tuple[Any, LBFGSState]:
        """Return the direction and the next memory."""
        del extra
        state = self.checked(state)
        leaves = self.leaves(updates, params)

        def stored(name: str, *lead: int) -> list[jax.Array]:
            return leaves.like(f"state.{name}", getattr(state, name), lead)

        old_p, old_g = stored("params"), stored("updates")
        s, y = stored("diff_params_memory", self.memory_size), stored("diff_updates_memory", self.memory_size)
        p, g = (
            [lax.convert_element_type(x, old.dtype) for x, old in zip(leaves.of(xs), old_p, strict=True)]
            for xs in (leaves.params, leaves.all)
        )
        last = Last(old_p, old_g, Memory(s, y, state.weights_memory, state.products_memory), state.count, state.pairs)
        direction, new = newton(p, g, last, self.scale_init_precond)
        out = [
            lax.convert_element_type(u, promoted(leaves.all[i], leaves.params[i]))
            for i, u in zip(leaves.places, direction, strict=True)
        ]
        after = LBFGSState(
            new.updates,
            leaves.put(new.p, state.params),
            leaves.put(new.g, state.updates),
            leaves.put(new.memory.s, state.diff_params_memory),
            leaves.put(new.memory.y, state.diff_updates_memory),
            new.memory.rho,
            new.pairs,
            new.memory.products,
        )
        return leaves.put(out), after


@factory
def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True) -> Transform:
    """Multiply the gradients by an inverse Hessian learned from the last steps.

    with the pairs s = p_t - p_{t-1} and y = g_t - g_{t-1} of the last m = memory_size updates for which <s, y> > 0, rho
    = 1 / <s, y>, all products over the whole tree: q = g_t; from the newest pair to the oldest a_i = rho_i <s_i, q>, q
    = q - a_i y_i; r = gamma q; from the oldest to the newest r = r + (a_i - rho_i <y_i, r>) s_i; u_t = r. Here gamma =
    <s, y> / <y, y> of the newest pair, and before there is one min(1, 1 / |g_t|); 1 without `scale_init_precond`.

    Units: those of p where there is a pair (Newton's step). A descent is -u, best with a line search behind it.
    Differs from: optax's, which keeps pairs with <s, y> < 0 too, after which u may be uphill; the book has pairs of a
    Wolfe line search only, for which <s, y> > 0. Where a step was 0 optax's gamma is 1 once.

    Args:
        memory_size: the number of pairs, a whole number >= 1.
        scale_init_precond: whether gamma is fitted to the newest pair.

    State:
        params, updates: like params, float32 or wider, of the last update; diff_params_memory and diff_updates_memory:
        the same with one axis of memory_size in front; weights_memory: rho; count and pairs: int32 scalars;
        products_memory: the <s_i, y_j> that the loops take, memory_size x memory_size.

    Raises:
        ValueError: memory_size is no whole number >= 1; at update, params missing.

    Cost: 2 + 2 memory_size arrays per parameter; 5 memory_size passes: each s is read three times, each y twice.

    References:
        Nocedal & Wright 2006, Algorithms 7.4 and 7.5, https://doi.org/10.1007/978-0-387-40065-5

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.scale_by_lbfgs(), jnp.array([3.0, 1.0])
        >>> state = tx.init(p)
        >>> for _ in range(9):
        ...     u, state = tx.update(p * jnp.array([2.0, 8.0]), state, p)
        ...     p = p - u
        >>> p.round(3).tolist()
        [0.0, 0.0]
    """
    check_count("scale_by_lbfgs", "memory_size", memory_size, example=10)
    return Transform.of(LBFGS("scale_by_lbfgs", {}, memory_size, scale_init_precond))


@factory
def lbfgs(
    learning_rate: LearningRate | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: optax.GradientTransformation | None = ZOOM,
) -> Transform:
    """Descend by quasi-Newton steps whose length a line search finds.

    u_t = -eta_t r_t, with r_t the direction of `scale_by_lbfgs` and eta_t the step size that `linesearch` finds along
    it, from 1; times learning_rate_t before the search, or instead of it, where that is given.

    Call update(grads, state, params, value=..., grad=..., value_fn=...) with the objective, its gradient and the
    function; `value_and_grad_from_state` takes the first two from the search before. For one objective that is the same
    at every step, such as a whole batch.

    Units: those of p where there is a pair (Newton's step).
    Differs from: optax's in the pairs that are kept, see `scale_by_lbfgs`, and where the line search fails.

    Args:
        learning_rate: multiplies the direction before the line search, >= 0; None is 1.
        memory_size: the number of pairs, a whole number >= 1.
        scale_init_precond: whether the inverse Hessian is made from <s, y> / <y, y> I, else from I.
        linesearch: the transform that finds the step size, by default
            `scale_by_zoom_linesearch(20, initial_guess_strategy="one")`; None takes learning_rate alone.

    State:
        a tuple: of `scale_by_lbfgs`, of the rate, and of the line search.

    Raises:
        ValueError: memory_size is no whole number >= 1; at update, value, grad, value_fn or params missing.

    Cost: 3 + 2 memory_size arrays per parameter; 5 memory_size passes, and an evaluation of the objective and its
        gradient for each step size.

    References:
        Nocedal & Wright 2006, Algorithms 7.4, 7.5, 3.5 and 3.6, https://doi.org/10.1007/978-0-387-40065-5

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> def f(p):
        ...     return 100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2
        >>> tx, p = gradtx.lbfgs(), jnp.array([-1.2, 1.0])
        >>> state, value_and_grad = tx.init(p), gradtx.value_and_grad_from_state(f)
        >>> for _ in range(40):
        ...     value, grad = value_and_grad(p, state=state)
        ...     updates, state = tx.update(grad, state, p, value=value, grad=grad, value_fn=f)
        ...     p = gradtx.apply_updates(p, updates)
        >>> p.round(3).tolist()
        [1.0, 1.0]
    """
    direction = scale_by_lbfgs(memory_size, scale_init_precond)
    rate = scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate)
    return chain(direction, rate) if linesearch is None else chain(direction, rate, linesearch)
