"""Hyperparameters at run time: read them in the state, set them between steps, batch them, compile once."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gradtx._core.arguments.ranges import is_number
from gradtx._core.contract.errors import describe, message
from gradtx._core.contract.transform import Info, Transform
from gradtx._core.contract.writing import shown
from gradtx._core.engine.members import check_member
from gradtx._core.engine.tuning import TunableState, Tuning, parted, ranges_by_name


def tunable(factory: Callable[..., optax.GradientTransformation], **values: Any) -> Transform:
    """Make a transform whose hyperparameters live in its state.

    u_t is what `factory(**values)` makes of g_t, with each numeric value read from the state: `hyperparams(tx, state)`
    shows them, `set_hyperparams(state, learning_rate=0.01)` sets them between two steps without compiling anew, and
    `jax.vmap` over states trains a population in one program, each member as if it were alone.

    A value may be a schedule: the state then holds what it gives for the next update, until it is set, from when it
    stays as it was set. What is no number (a bool, a string, None, a dtype, a mask, an event schedule) stays as it is
    given, and so does a whole number of a function that is not gradtx's.

    Units: those of the transform.

    Args:
        factory: gradtx's function that makes a transform, optax's, or one of your own that returns a chain.
        **values: its arguments, by name. Those of gradtx's that have a range, and floats and schedules of other
            functions, live in the state.

    State:
        `TunableState`: inner; count; hyperparams, float32 scalars by name whatever the params are; held; bounds;
        hyperparams_states.

    Raises:
        TypeError: factory is no function, returns no transform, or takes other arguments.
        ValueError: a value is out of its range; at update, a state of another transform.

    Cost: some scalars.

    References:
        none.

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> tx, p = gradtx.tunable(gradtx.sgd, learning_rate=0.5), jnp.array(1.0)
        >>> state, update = tx.init(p), jax.jit(tx.update)
        >>> u, state = update(jnp.array(1.0), state, p)
        >>> state = gradtx.set_hyperparams(state, learning_rate=0.25)
        >>> u.item(), update(jnp.array(1.0), state, p)[0].item(), update._cache_size()
        (-0.5, -0.25, 1)
    """
    name = "tunable"
    if not callable(factory) or isinstance(factory, optax.GradientTransformation):
        fix = "give the function and its arguments: tunable(gradtx.adam, learning_rate=0.1)"
        raise TypeError(message(name, "factory", f"is {describe(factory)}", "a function that makes a transform", fix))
    tx = factory(**values)  # its own checks of arguments and ranges
    check_member(name, "what the factory returned", tx)
    ranges = ranges_by_name(factory)
    make, tuned = parted(factory, values, ranges)
    info = Info({"factory": factory, **values}, f"{name}({shown(tx)})")
    return Transform.of(Tuning(make, tuned, ranges), info)


def owners(state: Any) -> list[tuple[str, TunableState]]:
    """Return the states that hold hyperparameters, with their paths."""
    found = jax.tree_util.tree_flatten_with_path(state, is_leaf=lambda x: isinstance(x, TunableState))[0]
    own = [(jax.tree_util.keystr(path), x) for path, x in found if isinstance(x, TunableState)]
    # a tunable transform may hold others
    return [
        pair for path, x in own for pair in [(path, x), *[(path + ".inner" + more, y) for more, y in owners(x.inner)]]
    ]


def set_hyperparams(state: Any, within: str = "", /, **values: Any) -> Any:
    """Return a state with other values of hyperparameters, which the next update will use.

    Nothing is compiled anew: the values are arrays of the state. A value that a schedule moved stays as it is set.

    Args:
        state: the state of a transform that `tunable` or `inject_hyperparams` made, or of one that holds it at any
            depth, such as a chain.
        within: the beginning of the path of the state that is meant, where several have a hyperparameter of this name;
            the error lists them.
        **values: numbers or arrays, by name; for the states of a population one value, or one for each member.

    Returns:
        The new state, of the same structure and dtypes.

    Raises:
        ValueError: no such hyperparameter or path, or several; a value out of its range; an array of another shape.
        TypeError: a value is no number, such as a schedule.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> adam = gradtx.tunable(gradtx.adam, learning_rate=0.1, b1=0.5)
        >>> tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), adam)
        >>> state = gradtx.set_hyperparams(tx.init(jnp.zeros(2)), b1=0.75)
        >>> float(gradtx.hyperparams(tx, state)["scale_by_adam.b1"])
        0.75
    """
    name = "set_hyperparams"
    for key, value in values.items():
        every = owners(state)
        places = [(path, own) for path, own in every if path.startswith(within)]
        if every and not places:
            fix = f"choose from {[path for path, _ in every]}"
            raise ValueError(message(name, "within", f"is {within!r}", "the beginning of a path in the state", fix))
        having = {path: own for path, own in places if key in own.hyperparams}
        if not having:
            known = sorted({other for _, own in places for other in own.hyperparams})
            fix = f"one of {known}" if known else "make the transform with tunable(...)"
            raise ValueError(message(name, key, "is not tunable", "a hyperparameter that the state holds", fix))
        if len(having) > 1:
            first, places_of = next(iter(having)), " and at ".join(repr(path) for path in having)
            fix = f"name the one that is meant: set_hyperparams(state, {first!r}, {key}=...)"
            raise ValueError(message(name, key, f"stands at {places_of}", "one place", fix))
        (own,) = having.values()
        state = replaced(state, own, one_set(name, own, key, value))
    return state


def one_set(name: str, own: TunableState, key: str, value: Any) -> TunableState:
    """Return a state in which one value is another.

    Raises:
        TypeError: it is no number.
        ValueError: it is out of its range or of another shape.
    """
    old = jnp.asarray(own.hyperparams[key])
    real = hasattr(value, "dtype") and hasattr(value, "shape") and is_real(value.dtype)
    if not (is_number(value) or real):
        fix = "a schedule is given to tunable(...); here give the number of this step"
        raise TypeError(message(name, key, f"is {describe(value)}", "a real number or an array of them", fix))
    if jnp.shape(value) not in ((), old.shape):
        got = f"has shape {jnp.shape(value)}"
        raise ValueError(message(name, key, got, f"a scalar or the shape {old.shape} of the state", "give one number"))
    new = jnp.broadcast_to(jnp.asarray(value, old.dtype), old.shape)
    place = sorted(own.hyperparams).index(key)
    if not isinstance(new, jax.core.Tracer) and not isinstance(own.bounds, jax.core.Tracer):
        # all members of a population have the same bounds
        low, high = np.asarray(own.bounds).reshape(-1, len(own.hyperparams), 2)[0, place]
        wide = np.asarray(new, low.dtype).reshape(-1)
        if not np.all((wide >= low) & (wide <= high)):
            bad = next(float(x) for x in wide if not low <= x <= high)
            expected = f"a number from {float(low):.6g} to {float(high):.6g}"
            raise ValueError(message(name, key, f"is {bad!r}", expected, "give a number in this range"))
    held = jnp.asarray(own.held).at[..., place].set(True)
    return own._replace(hyperparams={**own.hyperparams, key: new}, held=held)


def is_real(dtype: Any) -> bool:
    """Return True for the dtype of real numbers."""
    return bool(jnp.issubdtype(dtype, np.number) and not jnp.issubdtype(dtype, np.complexfloating))


def replaced(tree: Any, old: TunableState, new: TunableState) -> Any:
    """Return a state in which one of the states that it holds is another."""
    if tree is old:
        return new

    def one(x: Any) -> Any:
        if x is old:
            return new
        return x._replace(inner=replaced(x.inner, old, new)) if isinstance(x, TunableState) else x

    return jax.tree.map(one, tree, is_leaf=lambda x: isinstance(x, TunableState))
