"""Lay the leaves of a tree end to end in one vector, or in one for each dtype, and cut such vectors up again."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.tree import flatten, has_gradient, is_trainable, promoted, shape_of

NOTHING = "-"  # in a written layout, a leaf that lies in no vector


class Layout(NamedTuple):
    """Where the leaves of a tree lie in its vectors.

    Attributes:
        shapes: the shape of each leaf, None among the leaves.
        groups: for each leaf the name of the dtype whose vector it is in, None for what has no gradient.
    """

    shapes: tuple[tuple[int, ...], ...]
    groups: tuple[str | None, ...]

    @classmethod
    def of(cls, leaves: Sequence[Any]) -> "Layout":
        """Return the layout of leaves that are arrays or numbers; those without a gradient lie in no vector."""
        own = [has_gradient(x) and is_trainable(x) for x in leaves]
        names = [str(dtype_of(x)) if on else None for x, on in zip(leaves, own, strict=True)]
        return cls(tuple(shape_of(x) or () for x in leaves), tuple(names))

    def written(self) -> dict[str, None]:
        """Return the layout as a container without leaves: a state that holds it keeps it through jit and files."""
        texts = [
            f"{group}[{','.join(map(str, shape))}]" if group else NOTHING
            for shape, group in zip(self.shapes, self.groups, strict=True)
        ]
        return {" ".join(texts): None} if texts else {}

    @classmethod
    def read(cls, written: dict[str, None]) -> "Layout":
        """Return the layout that was written."""
        return parsed(next(iter(written), ""))

    @property
    def names(self) -> list[str]:
        """The dtypes that have a vector."""
        return sorted({name for name in self.groups if name is not None})

    def members(self, name: str) -> list[int]:
        """Return the places of the leaves that lie in the vector of a dtype, in their order in the tree."""
        return [i for i, group in enumerate(self.groups) if group == name]

    def vectors(self, leaves: Sequence[Any]) -> Any:
        """Return the leaves as one vector, or where they have several dtypes as a dict of vectors by dtype.

        A leaf without a gradient is 0 there. Leaves that have shapes but no values give vectors of that kind.
        """
        made = {name: joined([(leaves[i], self.shapes[i]) for i in self.members(name)], name) for name in self.names}
        return next(iter(made.values())) if len(made) == 1 else made

    def leaves(self, form: Any) -> list[Any]:
        """Return the leaves that lie in vectors as `vectors` makes them; None for a leaf that lies in none."""
        names = self.names
        out: list[Any] = [None] * len(self.groups)
        for name in names:
            vector, start = (form if len(names) == 1 else form[name]), 0
            for i in self.members(name):
                size = math.prod(self.shapes[i])
                out[i] = lax.reshape(lax.slice_in_dim(vector, start, start + size), self.shapes[i])
                start += size
        return out

    def fits(self, leaves: Sequence[Any]) -> bool:
        """Return True if these may be the leaves: each without a gradient or of the shape that it has here."""
        pairs = zip(leaves, self.shapes, self.groups, strict=False)
        same = all(x is None or group is None or shape_of(x) == shape for x, shape, group in pairs)
        return len(leaves) == len(self.shapes) and same

    def into(self, tree: Any) -> Any:
        """Return the vectors of a tree of this layout."""
        return self.vectors(flatten(tree)[0])

    def out(self, form: Any, given: Any) -> Any:
        """Return vectors as a tree like `given`, from which a leaf that lies in none is taken."""
        rest, treedef = flatten(given)
        made = zip(self.leaves(form), rest, self.groups, strict=True)
        return treedef.unflatten([r if group is None else x for x, r, group in made])

    def translated(self, x: Any, given: Any) -> Any:
        """Return an extra argument as one for vectors.

        A tree like `given` becomes vectors; a function is given trees, and trees that it returns become vectors.
        """
        if not callable(x):
            leaves, treedef = flatten(x)
            mine = treedef == flatten(given)[1] and any(map(has_gradient, leaves)) and self.fits(leaves)
            return self.vectors(leaves) if mine else x
        like = shapes_in(self.into(given))

        @functools.wraps(x)
        def translating(*args: Any, **kwargs: Any) -> Any:
            seen = [self.out(arg, given) if shapes_in(arg) == like else arg for arg in args]
            return self.translated(x(*seen, **kwargs), given)

        return translating


@functools.lru_cache(maxsize=64)
def parsed(text: str) -> Layout:
    """Return the layout of a text such as "float32[2,3] - bfloat16[]"."""
    shapes, groups = [], []
    for leaf in text.split():
        name, _, sizes = leaf.removesuffix("]").partition("[")
        shapes.append(tuple(int(size) for size in sizes.split(",") if size))
        groups.append(None if leaf == NOTHING else name)
    return Layout(tuple(shapes), tuple(groups))


def dtype_of(x: Any) -> Any:
    """Return the dtype of an array or a number."""
    return x.dtype if hasattr(x, "dtype") else jax.dtypes.canonicalize_dtype(type(x))


def shapes_in(tree: Any) -> Any:
    """Return the structure of a tree and the shapes of its leaves, which say if a tree is in the form of another."""
    leaves, treedef = flatten(tree)
    return treedef, [shape_of(x) for x in leaves]


def joined(pairs: Sequence[tuple[Any, tuple[int, ...]]], name: str) -> Any:
    """Return leaves end to end as one vector, in their dtype or the widest of several; `name` is that of none."""
    found = [jnp.asarray(x) if shape_of(x) is not None and not hasattr(x, "dtype") else x for x, _ in pairs]
    kinds = [x for x in found if has_gradient(x)]
    dtype = functools.reduce(promoted_dtype, [x.dtype for x in kinds]) if kinds else jnp.dtype(name)
    if any(isinstance(x, jax.ShapeDtypeStruct) for x in kinds):
        return jax.ShapeDtypeStruct((sum(math.prod(shape) for _, shape in pairs),), dtype)
    rows = [
        lax.convert_element_type(jnp.ravel(x), dtype) if has_gradient(x) else jnp.zeros(math.prod(shape), dtype)
        for x, (_, shape) in zip(found, pairs, strict=True)
    ]
    return jnp.concatenate(rows)


def promoted_dtype(one: Any, other: Any) -> Any:
    """Return the wider of two dtypes."""
    return promoted(jax.ShapeDtypeStruct((), one), jax.ShapeDtypeStruct((), other))
