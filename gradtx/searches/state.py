"""States that hold the objective and its gradient where a line search ended, and the function that uses them again."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.contract.errors import describe, message
from gradtx._core.engine.whole import choose


def holds_both(x: Any) -> bool:
    """Return True for the state of a line search: it has a value and a gradient."""
    return hasattr(x, "_fields") and {"value", "grad"} <= set(x._fields)


def searched(state: Any) -> list[Any]:
    """Return the states of line searches in a state."""
    return [x for x in jax.tree.leaves(state, is_leaf=holds_both) if holds_both(x)]


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Reuse the objective and its gradient where the last line search ended.

    Args:
        value_fn: the objective, `(params, *args, **kwargs) -> scalar`, the same at every step.

    Returns:
        The function `(params, *args, state, **kwargs) -> (value, gradient)`, like `jax.value_and_grad(value_fn)`: it
        takes both from the state of the one line search in `state`, and computes them where the value there is not
        finite, as it is before the first step. Derivatives of what it returns are those of the state.

    Raises:
        TypeError: value_fn is no function; state is missing.
        ValueError: `state` holds no line search, or several, or one that stores no gradient.

    References:
        Nocedal & Wright 2006, section 3.5, https://doi.org/10.1007/978-0-387-40065-5

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> def f(p):
        ...     return jnp.sum(jnp.cosh(p))
        >>> tx, p = gradtx.lbfgs(), jnp.array([1.5, -1.0])
        >>> state, value_and_grad = tx.init(p), gradtx.value_and_grad_from_state(f)
        >>> for _ in range(20):
        ...     value, grad = value_and_grad(p, state=state)
        ...     updates, state = tx.update(grad, state, p, value=value, grad=grad, value_fn=f)
        ...     p = gradtx.apply_updates(p, updates)
        >>> round(float(f(p)), 4)  # cosh(0) + cosh(0)
        2.0
    """
    name = "value_and_grad_from_state"
    if not callable(value_fn):
        fix = "give the function that returns the loss of the params"
        raise TypeError(message(name, "value_fn", f"is {describe(value_fn)}", "a function of the params", fix))
    compute = jax.value_and_grad(value_fn)
    takes_state = "state" in inspect.signature(value_fn).parameters

    def value_and_grad(params: Any, *args: Any, state: Any, **kwargs: Any) -> tuple[Any, Any]:
        found = searched(state)
        if len(found) != 1:
            got, fix = f"holds {len(found)} line searches", "give the state of a chain with one line search"
            raise ValueError(message(name, "state", got, "one", fix))
        own = found[0]
        if own.grad is None:
            got, fix = "stores no gradient", "make the line search with store_grad=True"
            raise ValueError(message(name, "state", got, "the gradient where the line search ended", fix))
        kwargs = {**kwargs, "state": state} if takes_state else kwargs

        def stored() -> tuple[Any, Any]:
            grads = jax.tree.map(lambda p, g: lax.convert_element_type(g, jnp.asarray(p).dtype), params, own.grad)
            return own.value, grads

        def computed() -> tuple[Any, Any]:
            value, grads = compute(params, *args, **kwargs)
            return lax.convert_element_type(value, own.value.dtype), grads

        both: tuple[Any, Any] = choose(jnp.isfinite(own.value), stored, computed)
        return both

    return value_and_grad
