"""An optimizer that runs on gradients of matrices in their few largest directions: the body of `scale_by_galore`."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.matrices import MATRIX, Axes, Layout, as_stack, from_stack
from gradtx._core.arrays.numerics import increment, wider, zeros
from gradtx._core.arrays.tree import flatten, promoted, shape_of
from gradtx._core.engine.whole import Leaves, Whole, choose


class GaLoreState(NamedTuple):
    """State of `scale_by_galore`.

    Attributes:
        count: updates made, int32.
        base_optimizer_state: of the optimizer that runs on the projected gradients.
        projector: the directions at each matrix, as columns; None elsewhere.
    """

    count: jax.Array  # type: ignore[assignment]  # optax's states hide tuple.count with the same field
    base_optimizer_state: Any
    projector: Any


def matrices(tree: Any, root: str) -> list[Axes | None]:
    """Return the layout that takes each array of 2 dimensions as a matrix."""
    del root
    return [MATRIX if len(shape_of(x) or ()) == 2 else None for x in flatten(tree)[0]]  # a matrix


def is_tall(shape: tuple[int, ...]) -> bool:
    """Return True if a matrix has no more columns than rows: its rows are then projected, else its columns."""
    return shape[-2] >= shape[-1]


def largest_directions(g: jax.Array, rank: int) -> jax.Array:
    """Return the singular vectors of the largest singular values, of the longer side of each matrix of a stack."""
    left, _, right = jnp.linalg.svd(g, full_matrices=False)
    found = left if is_tall(g.shape) else jnp.swapaxes(right, -1, -2).conj()
    found = found[..., :rank]
    # a singular vector has no sign; the moments that stay need one that does not depend on the machine
    at = jnp.argmax(jnp.abs(found), axis=-2, keepdims=True)
    largest = jnp.take_along_axis(found, at, axis=-2)
    return found * jnp.sign(largest).conj()


def projected(g: jax.Array, directions: jax.Array) -> jax.Array:
    """Return a stack of matrices in their few directions."""
    if is_tall(g.shape):
        return jnp.swapaxes(directions, -1, -2).conj() @ g
    return g @ directions


def back(low: jax.Array, directions: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return what is known in few directions as a stack of matrices of this shape."""
    if is_tall(shape):
        return directions @ low
    return low @ jnp.swapaxes(directions, -1, -2).conj()


@dataclasses.dataclass(frozen=True, eq=False)
class GaLore(Whole):
    """The body of `scale_by_galore`.

    Attributes:
        rank: the number of directions.
        gap: updates from one choice of directions to the next.
        base: the optimizer that runs on the projected gradients.
        layout: which leaves are matrices.
        check: raises a `LeafError` for a matrix of which each shard holds a part.
    """

    rank: int
    gap: int
    base: Any
    layout: Layout
    check: Callable[..., None]
    kind: ClassVar[Any] = GaLoreState
    role: ClassVar[str] = "direction"

    def axes(self, tree: Any, root: str) -> list[Axes | None]:
        """Return the axes of each matrix, None at what is none or has no numbers."""
        known = self.layout(tree, root)
        return [a if a and x is not None and x.size else None for a, x in zip(known, flatten(tree)[0], strict=True)]

    def init(self, params: Any) -> GaLoreState:
        """Return the optimizer's state for the projected params, and directions that are all 0."""
        leaves, treedef = self.start(params)
        small = list(leaves)
        directions: list[Any] = [None] * len(leaves)
        for i, (p, axes) in enumerate(zip(leaves, self.axes(params, "params"), strict=True)):
            if p is not None and axes is not None:
                directions[i], small[i] = self.starts(as_stack(p, axes))
        state = self.base.init(treedef.unflatten(small))
        return GaLoreState(jnp.zeros((), jnp.int32), state, treedef.unflatten(directions))

    def starts(self, stack: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return directions that are all 0, and zeros like a stack of matrices projected on them.

        A sum has the shape, and along the batch the sharding, that is needed; its value is not used.
        """
        rank, tall = min(self.rank, *stack.shape[-2:]), is_tall(stack.shape)
        kept, left = (jnp.sum(stack, axis) for axis in ((-1, -2) if tall else (-2, -1)))
        directions = zeros(jnp.broadcast_to(kept[..., None], (*kept.shape, rank)))
        rows = left[..., None, :] if tall else left[..., None]
        shape = (*left.shape[:-1], rank, left.shape[-1]) if tall else (*left.shape, rank)
        return directions, zeros(jnp.broadcast_to(rows, shape), stack.dtype)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, GaLoreState]:
        """Return the optimizer's updates of the projected gradients, projected back."""
        state = self.checked(state)
        leaves = self.leaves(updates, params, needs_params=False, whole=False)
        tree, root = (updates, "grads") if params is None else (params, "params")
        found = self.axes(tree, root) if leaves.places else []
        known = {i: axes for i, axes in enumerate(found) if axes is not None and i in leaves.places}
        for i, axes in known.items():
            self.check_leaf(updates, i, self.check, leaves.all[i], axes)
        old = leaves.treedef.flatten_up_to(state.projector)
        wide = self.wide(leaves)
        stacks = {i: as_stack(wide[i], axes) for i, axes in known.items()}
        directions = self.directions(stacks, {i: old[i] for i in known}, state.count)
        small = wide | {i: projected(g, cast(directions[i], g)) for i, g in stacks.items()}
        low, after = self.base.update(leaves.put(list(small.values())), state.base_optimizer_state, **extra)
        out = dict(zip(leaves.places, leaves.of(leaves.treedef.flatten_up_to(low)), strict=True))
        scale = self.at(state.count).scale
        for i, g in stacks.items():
            u = back(cast(out[i], g), cast(directions[i], g), g.shape)
            out[i] = from_stack(jnp.asarray(scale, u.real.dtype).astype(u.dtype) * u, known[i], wide[i].shape)
        new = leaves.put(
            [lax.convert_element_type(out[i], promoted(leaves.all[i], leaves.params[i])) for i in leaves.places]
        )
        projector = leaves.treedef.unflatten([directions.get(i, x) for i, x in enumerate(old)])
        return new, GaLoreState(increment(state.count), after, projector)

    def wide(self, leaves: Leaves) -> dict[int, jax.Array]:
        """Return the gradients by their place, in the accumulator that holds gradient and parameter."""

        def dtype(i: int) -> Any:
            g, p = leaves.all[i], leaves.params[i]
            return wider(g.dtype, g.dtype if p is None else p.dtype)

        return {i: lax.convert_element_type(leaves.all[i], dtype(i)) for i in leaves.places}

    def directions(self, stacks: dict[int, jax.Array], old: dict[int, Any], count: jax.Array) -> dict[int, Any]:
        """Return the directions of each matrix, chosen anew where it is time and its gradient is finite."""

        def chosen(g: jax.Array, before: jax.Array) -> jax.Array:
            finite = jnp.all(jnp.isfinite(g))
            new = largest_directions(lax.stop_gradient(jnp.where(finite, g, jnp.zeros_like(g))), before.shape[-1])
            return jnp.where(finite, cast(new, before), before)

        found: dict[int, Any] = choose(
            count % self.gap == 0, lambda: {i: chosen(g, old[i]) for i, g in stacks.items()}, lambda: old
        )
        return found


def cast(x: jax.Array, like: jax.Array) -> jax.Array:
    """Return an array in the dtype of another."""
    return lax.convert_element_type(x, like.dtype)
