"""Sums over whole leaves, for methods that learn a rate from all of them: inner products, squares, magnitudes.

Every sum is taken in the dtype of the step's scalars, float32 or wider, and inside `shard_map` over all shards of the
named axes; a leaf that is the same on all of them counts once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.axes import AxisName, split_over, summed_over
from gradtx._core.arrays.compat import manual_axes
from gradtx._core.arrays.norm import SMALL
from gradtx._core.arrays.numerics import abs_sq, root, scalar_dtype
from gradtx._core.arrays.turns import first_turn, in_turn, next_turn, on_one_device, takes_turns
from gradtx._core.contract.errors import LeafError, message


def joined(axis_name: AxisName, *trees: Sequence[jax.Array]) -> list[list[jax.Array]]:
    """Return lists of leaves that belong together, on one device the small ones of the same dtypes as one array.

    A sum for each of many small leaves would cost more than the copy.
    """
    rows = list(zip(*trees, strict=True))
    if axis_name is not None or not on_one_device():
        return [list(leaves) for leaves in trees]
    alike: dict[Any, list[Any]] = {}
    for i, row in enumerate(rows):
        alike.setdefault(tuple(x.dtype for x in row) if row[0].size <= SMALL else i, []).append(row)
    columns = [list(zip(*group, strict=True)) for group in alike.values()]
    whole = [[xs[0] if len(xs) == 1 else jnp.concatenate([x.reshape(-1) for x in xs]) for xs in own] for own in columns]
    return [[own[i] for own in whole] for i in range(len(trees))]


def inner(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the real part of <a, b>."""
    pairs = [(a.real, b.real), (a.imag, b.imag)] if jnp.iscomplexobj(a) or jnp.iscomplexobj(b) else [(a, b)]
    wide = [[lax.convert_element_type(x, scalar_dtype()) for x in pair] for pair in pairs]
    return sum((jnp.sum(x * y) for x, y in wide), jnp.zeros((), scalar_dtype()))


def size(leaves: Sequence[jax.Array], axis_name: AxisName = None) -> jax.Array:
    """Return the sum of the magnitudes of all numbers."""

    def of(x: jax.Array) -> jax.Array:
        magnitude = root(abs_sq(x)) if jnp.iscomplexobj(x) else jnp.abs(x)
        return jnp.sum(lax.convert_element_type(magnitude, scalar_dtype()))

    (leaves,) = joined(axis_name, leaves)
    return total(summed_over([of(x) for x in leaves], leaves, axis_name))


def summed(x: jax.Array) -> jax.Array:
    """Return the sum of a real array."""
    return jnp.sum(lax.convert_element_type(x, scalar_dtype()))


def quotients(
    ms: Sequence[jax.Array], squares: Sequence[jax.Array], eps: Any, unbias: Any = 1.0, axis_name: AxisName = None
) -> jax.Array:
    """Return the sum over all leaves of m / (sqrt(unbias v) + eps), all of them real, 0 where that is divided by 0.

    XLA:CPU sums up arithmetic as it goes, but stores what a choice gives, and a scalar that many leaves share, as large
    as a leaf. So no choice is made, and each leaf has scalars of its own.
    """
    ms, squares = joined(axis_name, ms, squares)
    sums, turn = [], first_turn()
    for m, v in zip(ms, squares, strict=True):
        own = turn if takes_turns(m) else None
        scalars = (unbias, eps, float(jnp.finfo(v.dtype).tiny))
        scale, shift, least = (in_turn(lax.convert_element_type(x, v.dtype), own) for x in scalars)
        sigma = root(scale * v) + shift
        sums.append(summed(m * jnp.sign(sigma) / jnp.maximum(sigma, least)))
        turn = turn if own is None else next_turn(sums[-1])
    return total(summed_over(sums, list(ms), axis_name))


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the real part of conj(a) b, element by element."""
    return a.real * b.real + a.imag * b.imag if jnp.iscomplexobj(a) else a * b


def total(values: Sequence[jax.Array]) -> jax.Array:
    """Return the sum of scalars, 0 where there is none."""
    return sum(values, jnp.zeros((), scalar_dtype()))


def square(leaves: Sequence[jax.Array], axis_name: AxisName = None) -> jax.Array:
    """Return the sum of |x|^2 over all leaves."""
    return products(leaves, leaves, axis_name)


def products(these: Sequence[jax.Array], those: Sequence[jax.Array], axis_name: AxisName = None) -> jax.Array:
    """Return the real part of <a, b> summed over all pairs of leaves."""

    def one(a: jax.Array, b: jax.Array) -> jax.Array:
        over = tuple(sorted({*split_over(a, axis_name), *split_over(b, axis_name)}))
        return lax.psum(inner(a, b), over) if over else inner(a, b)

    return total([one(a, b) for a, b in zip(*joined(axis_name, these, those), strict=True)])


def times(factor: Any, x: jax.Array) -> jax.Array:
    """Return an array times a scalar of the step, in the dtype of the array."""
    return lax.convert_element_type(lax.convert_element_type(factor, x.real.dtype), x.dtype) * x


def after(sums: jax.Array, scalars: Any) -> tuple[jax.Array, Any]:
    """Return a sum of old slots, and scalars that are known only once it is.

    Slots that are computed with such a scalar are written when the sum has read the old ones, which XLA would
    otherwise copy.
    """
    sums, scalars = lax.optimization_barrier((sums, scalars))  # XLA:CPU may leave a barrier out, but no product
    turn = next_turn(sums)
    return sums, jax.tree.map(lambda x: in_turn(x, turn), scalars)


def once(scalar: jax.Array) -> jax.Array:
    """Return a sum over leaves, over 1, for what many leaves read.

    XLA:CPU repeats additions in each loop that reads their result, so that it would compile n of them for each of n
    leaves. It repeats no division, and does not know the 1.
    """
    return scalar / lax.convert_element_type(next_turn(scalar), scalar.dtype)


def moved(start: Sequence[jax.Array], params: Sequence[jax.Array]) -> list[jax.Array]:
    """Return start - p for each leaf, in the dtype of the start."""
    return [x - lax.convert_element_type(p, x.dtype) for x, p in zip(start, params, strict=True)]


OUTSIDE = "average the gradients over it first, or update outside shard_map"
HELD = "give axis_name=() if each device holds whole arrays, else update outside shard_map"


def check_whole(leaves: Sequence[jax.Array], fix: str = OUTSIDE) -> None:
    """Raise for a leaf of which each shard holds a part: a sum over it would be that of one shard.

    Raises:
        LeafError: a leaf varies over a manual axis of `shard_map`.
    """
    for i, x in enumerate(leaves):
        axes = sorted(manual_axes(x))
        if axes:
            raise LeafError(i, f"varies over the mesh axis {axes[0]!r}", "a leaf that each device has whole", fix)


def refuse_parts(
    transform: str, axis_name: tuple[()] | None, mixes: Callable[[jax.Array, Any], bool]
) -> Callable[..., None]:
    """Return the `check` of a rule for whole arrays, which cannot be put together from sums over shards.

    Args:
        transform: name in errors.
        axis_name: () takes what each device holds as a whole array, None refuses one that differs between devices.
        mixes: `(array, layout) -> bool`: whether the rule mixes the elements of this array.

    Raises:
        ValueError: axes are named.
    """
    if axis_name is not None and axis_name != ():
        got, fix = f"= {axis_name!r}", "an array that is split over devices must be updated outside shard_map"
        raise ValueError(message(transform, "axis_name", got, "None, or () where each device holds whole arrays", fix))

    def check(x: jax.Array, layout: Any = None) -> None:
        check_whole([x] if axis_name is None and mixes(x, layout) else [], HELD)

    return check
