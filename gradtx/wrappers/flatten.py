"""Flatten: a transform that sees all leaves end to end in one vector."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import optax
from jax import lax

from gradtx._core.arrays.flat import Layout
from gradtx._core.arrays.tree import INIT_FIX, float_leaves, has_gradient, leaf_error, param_leaves, promoted
from gradtx._core.arrays.tree import flatten as leaves_of
from gradtx._core.contract.errors import describe, message
from gradtx._core.contract.transform import Info, Part, View
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.around import Around, member
from gradtx.rules import Transform, factory


class FlattenState(NamedTuple):
    """State of `flatten`.

    Attributes:
        inner: the state of the transform inside, for vectors.
        layout: no array: a dict whose one key says of each leaf which dtype and shape it had at init.
    """

    inner: Any
    layout: dict[str, None]


@dataclasses.dataclass(frozen=True, eq=False)
class Flatten(Around):
    """A transform of vectors: the body of `flatten`."""

    kind: ClassVar[Any] = FlattenState

    def init(self, params: Any) -> FlattenState:
        """Return the state of the transform inside, for vectors."""
        leaves, _ = leaves_of(params)
        leaves = param_leaves(self.name, params, leaves, [True] * len(leaves))
        layout = Layout.of(leaves)
        return FlattenState(self.inner.init(layout.vectors(leaves)), layout.written())

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates of the transform inside, cut up into leaves, and its next state."""
        layout = Layout.read(self.checked(state).layout)
        grads, treedef, beside = float_leaves(self.name, updates, params)
        self.check(layout, updates, grads)
        given = treedef.unflatten(grads if params is None else beside)
        seen = None if params is None else layout.vectors(beside)
        # a lone number has the structure of a lone 0-d parameter, and only a gradient is one
        lone = layout.shapes == ((),)
        own = {key: layout.translated(x, given) if key == "grad" or not lone else x for key, x in extra.items()}
        new, inner = self.inner.update(layout.vectors(grads), state.inner, seen, **own)
        out = []
        for u, g, p in zip(layout.leaves(new), grads, beside, strict=True):
            # a leaf that had no gradient has no update, and one that was made wider for its vector is narrow again
            out.append(lax.convert_element_type(u, narrowed(u, g, p)) if has_gradient(g) else g)
        return treedef.unflatten(out), FlattenState(inner, state.layout)

    def check(self, layout: Layout, updates: Any, grads: list[Any]) -> None:
        """Raise ValueError unless the gradients have the leaves and shapes that init saw."""
        if len(grads) != len(layout.shapes):
            got, expected = f"has {len(grads)} leaves", f"{len(layout.shapes)} as init saw"
            raise ValueError(message(self.name, "grads", got, expected, INIT_FIX))
        for i, (g, shape, group) in enumerate(zip(grads, layout.shapes, layout.groups, strict=True)):
            if has_gradient(g) and (group is None or tuple(g.shape) != shape):
                expected = "None: init saw no parameter with a gradient there" if group is None else f"shape {shape}"
                raise ValueError(leaf_error(self.name, "grads", updates, i, f"is {describe(g)}", expected, INIT_FIX))

    def parts(self, state: Any) -> list[Part]:
        """Return the transform inside, which sees vectors."""
        layout = None if state is None else Layout.read(self.checked(state).layout)

        def into(tree: Any, like: Any) -> Any:
            del like
            return (layout or Layout.of(leaves_of(tree)[0])).into(tree)

        def out(made: Any, given: Any, like: Any) -> Any:
            del like
            return (layout or Layout.of(leaves_of(given)[0])).out(made, given)

        return [part._replace(view=View(into, out)) for part in super().parts(state)]


def narrowed(u: Any, g: Any, p: Any) -> Any:
    """Return the dtype of the update of a leaf: what the vector has, or that of the leaf where it is narrower."""
    wide = promoted(g, p)
    return u.dtype if u.dtype in (g.dtype, wide) else wide


@factory
def flatten(inner: optax.GradientTransformation) -> Transform:
    """Put all leaves end to end in one vector, for a transform that then works on one array.

    u_t is what `inner` makes of the vector of g_t, cut up again. It is one vector where all parameters have one dtype,
    else a dict of vectors, one for each dtype, so that none is made wider; the leaves keep the order of the tree. What
    acts on each element alone gives the updates that it gives without; a norm of each array becomes one of the vector.

    `inner` sees extra arguments that are trees like the gradients as vectors too, and functions of the parameters, such
    as `value_fn`, as functions of the vector. A gradient that is None at a parameter is 0, and its update None.

    Units: those of the update of inner.
    Differs from: optax's `flatten`, which makes all leaves as wide as the widest, and takes no integers.

    Args:
        inner: the transform, gradtx's or optax's. One that needs matrices says that it was given a vector.

    State:
        inner: that of inner, for vectors. Sharded leaves are gathered: do not flatten parameters that are sharded.
        layout: no array; the dtypes and shapes of the leaves at init.

    Raises:
        TypeError: inner is no transform; a leaf is no array.
        ValueError: at update, params or state of another tree; whatever inner says of vectors.

    Cost: no array kept; a copy of gradients, params and updates at each step. Fewer and larger loops where leaves are
        many and small.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.flatten(gradtx.clip_by_block_rms(1.0))  # of all: sqrt((9 + 16) / 2)
        >>> params = {"w": jnp.array([0.0]), "b": jnp.array(0.0)}
        >>> grads = {"w": jnp.array([3.0]), "b": jnp.array(4.0)}
        >>> u, _ = tx.update(grads, tx.init(params), params)
        >>> round(u["w"].item(), 4), round(u["b"].item(), 4)
        (0.8485, 1.1314)
    """
    inside = member("flatten", "inner", inner)
    settings = {"inner": inside}
    return Transform.of(Flatten(inside, "flatten"), Info(settings, wrapped("flatten", settings)))
