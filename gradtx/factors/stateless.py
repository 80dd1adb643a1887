"""Transforms that remember nothing: a function of a user's as one, on whole trees or on one array, and the zero."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gradtx._core.arrays.tree import check_slots, float_leaves, has_gradient, shape_of
from gradtx._core.contract.errors import describe, message, paths, tree_mismatch
from gradtx._core.contract.transform import Plain
from gradtx.rules import Rule, Slots, Transform, factory, leafwise


@factory
def set_to_zero() -> Transform:
    """Set every update to 0, so that no parameter moves.

    u_t = 0, also where g_t is not finite.

    Units: none.
    Equivalent to: optax's `set_to_zero`.

    State:
        no slots; the count alone.

    Cost: nothing: XLA leaves out what is not read.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.set_to_zero()
        >>> tx.update(jnp.array([3.0, jnp.nan]), tx.init(jnp.zeros(2)))[0].tolist()
        [0.0, 0.0]
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p, k
        return jnp.zeros_like(g), slots

    return leafwise(Rule("set_to_zero", update, role="limit", still=True))


def check_function(name: str, f: Any) -> None:
    """Raise unless `f` can be called."""
    if not callable(f):
        fix = "give one such as lambda g, p: -0.1 * g"
        raise TypeError(message(name, "f", f"is {describe(f)}", "a function of the gradients and the params", fix))


@factory
def stateless(f: Callable[[Any, Any], Any]) -> Transform:
    """Make a transform of a function of whole trees.

    u_t = f(g_t, p_t), with p_t None where `update` is given no params. The dtypes are those that f returns.

    Units: those that f gives.
    Equivalent to: optax's `stateless`.

    Args:
        f: `(grads, params) -> updates`; the updates are a tree like the gradients.

    State:
        empty (`optax.EmptyState`).

    Raises:
        TypeError: f is no function.
        ValueError: at update, f returns another tree or other shapes than those of the gradients.

    Cost: that of f.

    References:
        none.

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> times = lambda grads, params: jax.tree.map(lambda g, p: g * p, grads, params)
        >>> tx = gradtx.stateless(times)
        >>> params = {"w": jnp.array(3.0)}
        >>> tx.update({"w": jnp.array(2.0)}, tx.init(params), params)[0]["w"].item()
        6.0
    """
    check_function("stateless", f)

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        leaves, treedef, _ = float_leaves("stateless", grads, params)
        check_slots("stateless", state, optax.EmptyState)
        updates, fix = f(grads, params), "return a tree like the gradients"
        try:
            new = treedef.flatten_up_to(updates)
        except (ValueError, TypeError, KeyError):
            raise tree_mismatch("stateless", "f(grads, params)", updates, "grads", grads, fix) from None
        for i, (g, u) in enumerate(zip(leaves, new, strict=True)):
            if has_gradient(g) and shape_of(u) != g.shape:
                where = paths("f(grads, params)", grads)[i]
                raise ValueError(message("stateless", where, f"is {describe(u)}", f"shape {tuple(g.shape)}", fix))
        return updates, state

    return Transform.of(Plain("stateless", lambda params: optax.EmptyState(), update))


@factory
def stateless_with_tree_map(f: Callable[[Any, Any], Any]) -> Transform:
    """Make a transform of a function of one array.

    u_t = f(g_t, p_t) for each leaf, with p_t None where `update` is given no params. f is given float32 arrays or
    wider, both of one dtype; its result is rounded once. It runs alone; `leafwise` makes a transform that runs in one
    kernel with its neighbours in a chain.

    Units: those that f gives.
    Differs from: optax's, which gives f each array in its own dtype.

    Args:
        f: `(g, p) -> u`, with u of the shape of g.

    State:
        no slots; the count alone.

    Raises:
        TypeError: f is no function.
        ValueError: at update, f returns another shape.

    Cost: that of f.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.stateless_with_tree_map(lambda g, p: -0.5 * g)
        >>> tx.update({"w": jnp.array(3.0)}, tx.init({"w": jnp.array(0.0)}))[0]["w"].item()
        -1.5
    """
    check_function("stateless_with_tree_map", f)

    def one(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del k
        u = jnp.asarray(f(g, p))
        if u.shape != g.shape:
            got, fix = f"returned shape {u.shape}", "return an array of the shape of the gradient"
            raise ValueError(message("stateless_with_tree_map", "f", got, f"shape {g.shape}", fix))
        return u, slots

    name, users = "stateless_with_tree_map", (Rule("f", f),)  # so that f is called anew at each update outside jit
    alone, with_params = (leafwise(Rule(name, one, needs_params=needs, made_of=users)) for needs in (False, True))

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        made: tuple[Any, Any] = (alone if params is None else with_params).update(grads, state, params, **extra)
        return made

    return Transform.of(Plain(name, alone.init, update))
