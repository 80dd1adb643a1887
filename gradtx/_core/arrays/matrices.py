"""Arrays as stacks of matrices: which axes of a weight are the rows, which the columns, and which a batch."""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._core.arrays.tree import flatten, is_trainable, shape_of
from gradtx._core.contract.errors import describe, message, none_is_leaf, paths, tree_mismatch


class MuonDimensionNumbers(NamedTuple):
    """Which axes of a weight make a matrix W, used as x W = y; all others are a batch of such matrices.

    Attributes:
        reduction_axis: the axis, or axes, that the product sums over: the rows.
        output_axis: the axis, or axes, of the output: the columns.
    """

    reduction_axis: int | Sequence[int] = 0
    output_axis: int | Sequence[int] = 1


class Axes(NamedTuple):
    """The axes of a stack of matrices, counted from 0.

    Attributes:
        batch: those over which the matrices are stacked.
        rows: those that make the rows.
        columns: those that make the columns.
    """

    batch: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]


Layout = Callable[[Any, str], list[Axes | None]]
MATRIX = Axes((), (0,), (1,))
LEAVE = "leave it as it is"


def stacked(axes: Axes) -> Axes:
    """Return the axes of a stack of such arrays, along one axis more in front."""
    batch, rows, columns = (tuple(i + 1 for i in own) for own in axes)
    return Axes((0, *batch), rows, columns)


def fans(shape: Sequence[int], axes: Axes) -> tuple[int, int]:
    """Return fan in and fan out: the numbers of rows and of columns."""
    return math.prod(shape[i] for i in axes.rows), math.prod(shape[i] for i in axes.columns)


def as_stack(x: jax.Array, axes: Axes) -> jax.Array:
    """Return an array as a stack of matrices, its batch axes in front: of shape (..., rows, columns).

    The batch axes stay apart: one that is sharded, such as that of the layers, stays sharded so.
    """
    order = (*axes.batch, *axes.rows, *axes.columns)
    shape = (*(x.shape[i] for i in axes.batch), *fans(x.shape, axes))
    x = x if order == tuple(range(x.ndim)) else jnp.transpose(x, order)
    return x if x.shape == shape else x.reshape(shape)


def from_stack(stack: jax.Array, axes: Axes, shape: Sequence[int]) -> jax.Array:
    """Return what `as_stack` made a stack of, in its own shape."""
    order = (*axes.batch, *axes.rows, *axes.columns)
    inner = tuple(shape[i] for i in order)
    x = stack if stack.shape == inner else stack.reshape(inner)
    return x if order == tuple(range(len(order))) else jnp.transpose(x, [order.index(i) for i in range(len(order))])


def is_spec(x: Any) -> bool:
    """Return True for dimension numbers, gradtx's or optax's, and for None."""
    return x is None or (hasattr(x, "reduction_axis") and hasattr(x, "output_axis"))


def path_at(root: str, tree: Any, i: int) -> str:
    """Return the path of leaf i of a tree."""
    return paths(root, tree)[i]


def axes_of(transform: str, where: Callable[[], str], spec: Any, shape: Sequence[int]) -> Axes:
    """Return the axes that dimension numbers name in an array of this shape.

    Raises:
        ValueError: they are no axes of it, or not different ones.
    """
    fix = "write MuonDimensionNumbers(-2, -1) for a stack of matrices"
    named = [axis if isinstance(axis, Sequence) else (axis,) for axis in (spec.reduction_axis, spec.output_axis)]
    both, ndim = [*named[0], *named[1]], len(shape)
    if not all(isinstance(i, int) and -ndim <= i < ndim for i in both):
        got, expected = f"has shape {tuple(shape)} and the axes {both}", f"axes from {-ndim} to {ndim - 1}"
        raise ValueError(message(transform, where(), got, expected, fix))
    rows, columns = (tuple(i % ndim for i in axes) for axes in named)
    if not rows or not columns or len({*rows, *columns}) < len(both):
        got = f"has the reduction axes {list(named[0])} and the output axes {list(named[1])} of {ndim}"
        raise ValueError(message(transform, where(), got, "one or more of each, all different", fix))
    return Axes(tuple(i for i in range(ndim) if i not in both and i - ndim not in both), rows, columns)


def layout_of(transform: str, argument: str, specs: Any, elsewhere: str, *, small: bool) -> Layout:
    """Return the layout of a rule for matrices: the axes at each leaf, None where it does not apply.

    Args:
        transform: name in errors.
        argument: the argument that `specs` was given as.
        specs: a tree of `MuonDimensionNumbers`, like the params or a prefix of them, or a function of the params that
            returns one; None at a leaf leaves it out. None as a whole takes each array of 2 dimensions as a matrix.
        elsewhere: what becomes of a leaf that is left out, for errors.
        small: whether arrays of fewer than 2 dimensions are left out where `specs` is None, else they are an error.
    """

    def by_default(root: str, tree: Any, i: int, shape: tuple[int, ...]) -> Axes | None:
        if len(shape) == 2 or (small and len(shape) < 2):  # a matrix
            return MATRIX if len(shape) == 2 else None  # a matrix
        fix = f"give {argument} with MuonDimensionNumbers(...) at this leaf, or with None there to {elsewhere}"
        got = f"has shape {shape}"
        raise ValueError(message(transform, paths(root, tree)[i], got, "2 dimensions, or to be told its axes", fix))

    def layout(tree: Any, root: str) -> list[Axes | None]:
        leaves = flatten(tree)[0]
        shapes = [shape_of(x) if x is not None and is_trainable(x) else None for x in leaves]
        if specs is None:
            return [None if shape is None else by_default(root, tree, i, shape) for i, shape in enumerate(shapes)]
        given = specs(tree) if callable(specs) else specs
        known = spread(transform, argument, given, root, tree) if leaves else []
        return [
            None
            if spec is None or shape is None
            else axes_of(transform, functools.partial(path_at, root, tree, i), spec, shape)
            for i, (spec, shape) in enumerate(zip(known, shapes, strict=True))
        ]

    return layout


def spread(transform: str, argument: str, specs: Any, root: str, tree: Any) -> list[Any]:
    """Return the dimension numbers at each leaf of a tree, of which theirs may be a prefix.

    Raises:
        ValueError: their tree is no prefix of it.
        TypeError: a leaf of theirs is neither dimension numbers nor None.
    """
    treedef: Any
    found, treedef = jax.tree.flatten(specs, is_leaf=is_spec)
    fix = "give MuonDimensionNumbers at matrices and None elsewhere"
    try:
        below = treedef.flatten_up_to(tree)
    except (ValueError, TypeError, KeyError):
        marks = jax.tree.map(lambda _: True, specs, is_leaf=is_spec)
        raise tree_mismatch(transform, argument, marks, root, tree, fix, prefix=True) from None
    out: list[Any] = []
    for i, (spec, subtree) in enumerate(zip(found, below, strict=True)):
        if not is_spec(spec):
            where = paths(argument, jax.tree.map(lambda _: True, specs, is_leaf=is_spec))[i]
            raise TypeError(message(transform, where, f"is {describe(spec)}", "MuonDimensionNumbers or None", fix))
        out += [spec] * len(jax.tree.leaves(subtree, is_leaf=none_is_leaf))
    return out


def is_alone(axes: Axes) -> bool:
    """Return True if each number is a matrix of its own."""
    return not axes.rows and not axes.columns


def is_mixed(x: jax.Array, axes: Axes | None) -> bool:
    """Return True if a leaf of these axes is made of matrices whose elements a rule mixes."""
    del x
    return axes is not None and not is_alone(axes)


def or_alone(layout: Layout) -> Layout:
    """Return the layout that takes a leaf which another leaves out as a batch of numbers, each a matrix of its own."""

    def whole(tree: Any, root: str) -> list[Axes | None]:
        ranks = [len(shape_of(x) or ()) for x in flatten(tree)[0]]
        known = layout(tree, root)
        return [axes or Axes(tuple(range(n)), (), ()) for axes, n in zip(known, ranks, strict=True)]

    return whole


def whole_number(transform: str, argument: str, value: Any, least: int) -> int:
    """Return a setting as an int.

    Raises:
        ValueError: it is no integer, or below `least`.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < least:
        fix = "give a Python number; it is fixed when the step is compiled"
        raise ValueError(message(transform, argument, f"= {value!r}", f"an integer >= {least}", fix))
    return operator.index(value)


def where_none(layout: Layout) -> Callable[[Any], Any]:
    """Return the mask that is True at the leaves that a layout leaves out."""

    def mask(tree: Any) -> Any:
        return flatten(tree)[1].unflatten([axes is None for axes in layout(tree, "params")])

    return mask
