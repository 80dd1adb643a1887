"""The objective along an update: its value and its slope at p + eta u, as parameters that the step would give."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.reading import check_same
from gradtx._core.arrays.numerics import accumulator, scalar_dtype
from gradtx._core.arrays.sums import inner, times, total
from gradtx._core.arrays.tree import is_traced, promoted
from gradtx._core.contract.errors import describe, message
from gradtx._core.engine.apply import add
from gradtx._core.engine.whole import Leaves


class Along(NamedTuple):
    """The objective along an update, on the leaves that have a gradient.

    Attributes:
        value: `leaves -> f`, a scalar in the dtype of the step's scalars.
        value_and_grad: `leaves -> (f, gradients)`, each gradient float32 or wider.
        updates: u, leaf by leaf.
        params: p, leaf by leaf.
    """

    value: Callable[..., Any]
    value_and_grad: Callable[..., Any]
    updates: list[jax.Array]
    params: list[jax.Array]


def as_scalar(transform: str, what: str, value: Any) -> jax.Array:
    """Return a value of the objective in the dtype of the step's scalars.

    Raises:
        TypeError: it is no number.
        ValueError: it is no scalar, or differs between the devices of a `shard_map`.
    """
    if not isinstance(value, (int, float)) and not hasattr(value, "dtype"):
        fix = "return the loss alone, without auxiliary output"
        raise TypeError(message(transform, what, f"is {describe(value)}", "the objective, a scalar", fix))
    if jnp.shape(value) != ():
        got = f"has shape {jnp.shape(value)}"
        raise ValueError(message(transform, what, got, "the objective, a scalar", "take the mean over the batch"))
    check_same(transform, what, value)
    return lax.convert_element_type(value, scalar_dtype())


def arguments_of(function: Callable[..., Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the extra arguments that a function names, such as the batch."""
    takes = list(inspect.signature(function).parameters)[1:]
    return {name: extra[name] for name in takes if name in extra}


def along(leaves: Leaves, value_fn: Any, extra: Mapping[str, Any]) -> Along:
    """Return the objective along the updates.

    Args:
        leaves: the updates and the params.
        value_fn: the objective, a function of the params.
        extra: extra arguments of `update`, of which those that `value_fn` names are given to it.

    Raises:
        TypeError: `value_fn` is no function.
    """
    name = leaves.transform
    if not callable(value_fn):
        fix = "give the function that returns the loss of the params"
        raise TypeError(message(name, "value_fn", f"is {describe(value_fn)}", "a function of the params", fix))
    given = arguments_of(value_fn, extra)
    whole = leaves.treedef.unflatten(leaves.params)

    def objective(xs: list[jax.Array]) -> jax.Array:
        return as_scalar(name, "what value_fn returned", value_fn(leaves.put(xs, whole), **given))

    both = jax.value_and_grad(objective)

    def value_and_grad(xs: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
        value, grads = both(xs)
        return value, [lax.convert_element_type(g, accumulator(g.dtype)) for g in grads]

    return Along(objective, value_and_grad, leaves.of(leaves.all), leaves.of(leaves.params))


@jax.jit
def scaled(updates: Any, params: Any, eta: jax.Array) -> Any:
    """Return eta u, each leaf rounded to the dtype that an update has."""

    def times_eta(u: jax.Array, p: jax.Array) -> jax.Array:
        wide = times(eta, lax.convert_element_type(u, accumulator(u.dtype)))
        return lax.convert_element_type(wide, promoted(u, p))

    return jax.tree.map(times_eta, updates, params)


@jax.jit
def at_rate(updates: Any, params: Any, eta: jax.Array) -> Any:
    """Return the parameters that a step of this rate gives, rounded as `apply_updates` rounds them."""
    return jax.tree.map(add, params, scaled(updates, params, eta))


@jax.jit
def slope_of(updates: Any, grads: Any) -> jax.Array:
    """Return df / d eta; a complex gradient is what `jax.grad` gives, the conjugate of the way uphill."""
    pairs = zip(jax.tree.leaves(updates), jax.tree.leaves(grads), strict=True)
    return total([inner(u.conj(), g) for u, g in pairs])


def repeat(going: Callable[[Any], Any], step: Callable[[Any], Any], state: Any) -> Any:
    """Return the state after as many steps as `going` says; what it found counts as constant in derivatives.

    Outside jit it is Python's own loop: `lax.while_loop` would compile the objective anew at each update.
    """
    while not is_traced(state):
        if not going(state):
            return state
        state = step(state)
    state = lax.stop_gradient(state)
    # a while loop has no reverse mode, so that nothing which is differentiated may be closed over either
    converted, closed_over = jax.closure_convert(step, state)
    constants = lax.stop_gradient(closed_over)
    return lax.while_loop(going, lambda state: converted(state, *constants), state)
