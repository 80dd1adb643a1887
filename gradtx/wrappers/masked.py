"""Masks: a transform for some leaves, for which alone it keeps state."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import optax

from gradtx._core.arrays.masks import resolve_mask
from gradtx._core.arrays.tree import align, flatten, has_gradient, promoted
from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.around import Around, member
from gradtx._core.engine.subset import only, taken_apart, view_of
from gradtx.rules import Transform, factory


class MaskedState(NamedTuple):
    """State of `masked` and `selective_transform`.

    Attributes:
        inner_state: the state of the transform inside, with None in place of the leaves left out.
    """

    inner_state: Any

    @property
    def inner(self) -> Any:
        """The state of the transform inside, by the name that it has in other wrappers' states."""
        return self.inner_state


@dataclasses.dataclass(frozen=True, eq=False)
class Masked(Around):
    """A transform for some leaves: the body of `masked` and `selective_transform`.

    Attributes:
        mask: which leaves; see `resolve_mask`.
        wanted: what the mask says at those that are transformed.
        divides: whether extra arguments that are trees like the gradients are masked too.
        freezes: whether the leaves left out get an update of 0, and not their gradient.
    """

    mask: Any = None
    wanted: bool = True
    divides: bool = False
    freezes: bool = False
    kind: ClassVar[Any] = MaskedState

    @property
    def passes_some(self) -> bool:
        """Whether the leaves left out are passed on."""
        return not self.freezes

    def mine(self, tree: Any, root: str) -> list[bool]:
        """Return for each leaf whether it is transformed."""
        what = "freeze_mask" if self.freezes else "mask"
        return [on == self.wanted for on in resolve_mask(self.name, self.mask, tree, root, what)]

    def init(self, params: Any) -> MaskedState:
        """Return the state of the transform inside, for its own leaves."""
        leaves, treedef = flatten(params)
        return MaskedState(self.inner.init(only(treedef, leaves, self.mine(params, "params"))))

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates of its own leaves, the gradients or zeros of the others, and the next state."""
        inner_state = self.checked(state).inner_state
        mine = self.mine(updates, "grads")
        given = taken_apart(self.name, updates, params, extra, self.divides)
        grads, own_params, own_extra = given.part(mine)
        new, inner_state = self.inner.update(grads, inner_state, own_params, **own_extra)
        news = align(self.name, "grads", updates, given.treedef, "updates", new)
        if self.freezes:
            beside = given.params or [None] * len(mine)
            rest = [still(g, p) for g, p in zip(given.grads, beside, strict=True)]
        else:
            rest = given.grads
        out = [u if own else r for u, r, own in zip(news, rest, mine, strict=True)]
        return given.treedef.unflatten(out), MaskedState(inner_state)

    def parts(self, state: Any) -> list[Part]:
        """Return the transform inside, which sees its own leaves alone."""
        view = view_of(self.name, self.mask, self.wanted, still=self.freezes)
        return [part._replace(view=view) for part in super().parts(state)]


def still(g: Any, p: Any) -> Any:
    """Return the update that leaves a parameter where it is; what is no gradient as it is."""
    if not has_gradient(g):
        return g
    g = jnp.asarray(g)
    return jnp.zeros_like(g, dtype=promoted(g, p))


@factory
def masked(inner: optax.GradientTransformation, mask: Any, *, mask_compatible_extra_args: bool = False) -> Transform:
    """Apply a transform to the leaves at which a mask is True, and pass the others on.

    u_t is what `inner` makes of g_t where the mask is True, u_t = g_t elsewhere. `inner` sees None in place of the
    leaves left out, and keeps no state for them. A leaf left out gets its raw gradient as its update, as in optax: to
    hold parameters still use `selective_transform`, and `partition` to give each its own transform.

    Units: those of the update of inner, and of g for the leaves left out.
    Equivalent to: optax's `masked`; a callable that is itself a pytree, such as an equinox module of bools, is a mask
        and is not called.

    Args:
        inner: the transform, gradtx's or optax's. It may be masked itself: its mask has the keys of all the params.
        mask: tree of bools, like the params or a prefix of them, or a function that returns one, called with the
            params by `init` and with the gradients by `update`.
        mask_compatible_extra_args: whether extra arguments that are trees like the gradients are masked too.

    State:
        inner_state: that of inner, None in place of the leaves left out.

    Raises:
        TypeError: inner is no transform; a leaf of the mask is no bool.
        ValueError: at init or update, the mask lacks a key or has one too many; at update, another's state.

    Cost: no array; that of inner.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.masked(gradtx.scale(-0.5), {"w": True, "b": False})
        >>> params = {"w": jnp.array(1.0), "b": jnp.array(1.0)}
        >>> u, _ = tx.update({"w": jnp.array(2.0), "b": jnp.array(2.0)}, tx.init(params), params)
        >>> u["w"].item(), u["b"].item()
        (-1.0, 2.0)
    """
    inside = member("masked", "inner", inner)
    settings = {"inner": inside, "mask": mask}
    body = Masked(inside, "masked", mask=mask, divides=mask_compatible_extra_args)
    return Transform.of(body, Info(settings, wrapped("masked", settings)))
