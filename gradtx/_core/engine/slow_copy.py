"""A slow copy of the parameters: a moving average of them, or a copy that is renewed every few steps."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.ranges import Range, check_value
from gradtx._core.arrays.numerics import real, wider
from gradtx._core.arrays.tree import flatten
from gradtx._core.contract.errors import describe, message, paths, tree_mismatch

FIX = "give two trees of the same parameters"


def pairs(name: str, new: Any, old: Any) -> tuple[list[Any], list[Any], Any]:
    """Return the leaves of two trees as arrays, None among them, and their structure.

    Raises:
        ValueError: the trees or shapes differ; the error names the path.
    """
    leaves, treedef = flatten(new)
    try:
        others = treedef.flatten_up_to(old)
    except (ValueError, TypeError, KeyError):
        raise tree_mismatch(name, "new_tensors", new, "old_tensors", old, FIX) from None
    leaves, others = ([x if x is None else jnp.asarray(x) for x in xs] for xs in (leaves, others))
    for i, (x, y) in enumerate(zip(leaves, others, strict=True)):
        drops_a_part = jnp.iscomplexobj(x) and y is not None and not jnp.iscomplexobj(y)
        if x is not None and (y is None or x.shape != y.shape or drops_a_part):
            path = paths("new_tensors", new)[i]
            like = "old_tensors" + path[len("new_tensors") :]
            raise ValueError(message(name, path, f"is {describe(x)}", f"{describe(y)} as {like}", FIX))
    return leaves, others, treedef


def is_inexact(x: Any) -> bool:
    """Return True for an array of a floating or complex dtype."""
    return x is not None and bool(jnp.issubdtype(x.dtype, jnp.inexact))


@jax.jit
def mixed(new: jax.Array, old: jax.Array, step: jax.Array) -> jax.Array:
    """Return step new + (1 - step) old, in the wider dtype, rounded once to that of `old`."""
    dtype = wider(new.dtype, old.dtype)
    new, ratio, rest = (lax.convert_element_type(x, dtype) for x in (new, step, 1 - step))
    return lax.convert_element_type(ratio * new + rest * lax.convert_element_type(old, dtype), old.dtype)


def incremental_update(new_tensors: Any, old_tensors: Any, step_size: Any) -> Any:
    """Move an average of the parameters a step towards them.

    a_t = step_size p_t + (1 - step_size) a_{t-1} for each leaf, computed in the wider of the two dtypes (float32 at
    least) and rounded once to that of a. A half-precision average stays where a step is less than it can hold; keep it
    in float32. Integers, bools and keys are taken from the new tree; None stays None.

    Units: those of the parameters.
    Differs from: optax's, whose result has the wider dtype, so that it is no carry of `lax.scan`, and which makes
    floating numbers of integers.

    Args:
        new_tensors: the parameters p_t.
        old_tensors: their average a_{t-1}, a tree of the same structure and shapes.
        step_size: in [0, 1]; at 1 the average is p_t, at 0 it stays. A number or a scalar array.

    Returns:
        The average a_t, in the dtypes of old_tensors.

    Raises:
        ValueError: the trees or shapes differ; step_size outside [0, 1].
        TypeError: step_size is no number.

    Cost: the average; one pass.

    References:
        Polyak & Juditsky 1992, https://doi.org/10.1137/0330046

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> average = {"w": jnp.array(1.0)}
        >>> for p in (3.0, 5.0):
        ...     average = gradtx.incremental_update({"w": jnp.array(p)}, average, 0.25)
        >>> average["w"].item()
        2.375
    """
    name = "incremental_update"
    check_value(name, "step_size", step_size, Range("[0, 1]"))
    leaves, others, treedef = pairs(name, new_tensors, old_tensors)

    def one(new: Any, old: Any) -> Any:
        if not (is_inexact(new) and is_inexact(old)):
            return new
        return mixed(new, old, jnp.asarray(step_size, real(wider(new.dtype, old.dtype))))

    return treedef.unflatten([one(new, old) for new, old in zip(leaves, others, strict=True)])


def periodic_update(new_tensors: Any, old_tensors: Any, steps: Any, update_period: Any) -> Any:
    """Renew a copy of the parameters every few steps.

    a_t = p_t where steps is a multiple of update_period, 0 included, else a_t = a_{t-1}.

    Units: those of the parameters.
    Differs from: optax's, which fails where the dtypes differ; here p_t is rounded to those of the copy.

    Args:
        new_tensors: the parameters p_t.
        old_tensors: their copy a_{t-1}, a tree of the same structure and shapes.
        steps: the number of updates made so far, a whole number or an array of one.
        update_period: after how many the copy is renewed, a whole number >= 1.

    Returns:
        The copy a_t, in the dtypes of old_tensors.

    Raises:
        ValueError: the trees or shapes differ; update_period < 1.
        TypeError: steps or update_period is no whole number.

    Cost: the copy; one pass where it is renewed.

    References:
        Mnih et al. 2015, https://doi.org/10.1038/nature14236; Grill et al. 2020, https://arxiv.org/abs/2006.07733

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> copy = jnp.array(0.0)
        >>> for step in range(1, 6):
        ...     copy = gradtx.periodic_update(jnp.array(float(step)), copy, step, 2)
        >>> copy.item()
        4.0
    """
    name = "periodic_update"
    check_value(name, "update_period", update_period, Range("[1, inf)"))
    for argument, value in (("steps", steps), ("update_period", update_period)):
        if not jnp.issubdtype(jnp.asarray(value).dtype, jnp.integer):
            got, fix = f"is {describe(value)}", "give an integer"
            raise TypeError(message(name, argument, got, "a whole number", fix))
    leaves, others, treedef = pairs(name, new_tensors, old_tensors)
    steps = jnp.asarray(steps)
    renewed = jnp.remainder(steps, jnp.asarray(update_period, steps.dtype)) == 0

    kept = [None if x is None else y for x, y in zip(leaves, others, strict=True)]

    def as_kept(x: Any, y: Any) -> Any:
        return x if x is None or x.dtype == y.dtype else x.astype(y.dtype)

    def renew() -> list[Any]:
        return list(map(as_kept, leaves, kept))

    out: list[Any] = lax.cond(renewed, renew, lambda: kept)
    return treedef.unflatten(out)
