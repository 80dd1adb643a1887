"""The two sums of products of a matrix's gradients, one of rows and one of columns, that SOAP and Shampoo keep."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.layers import Names, check_mesh, from_layers, has_layers, to_layers
from gradtx._core.arrays.matrices import Axes, as_stack, fans
from gradtx.rules import Rule, Slots, zeros


def sides_of(shape: tuple[int, ...], axes: Axes, most: int) -> tuple[bool, bool]:
    """Return whether the rows and whether the columns have a basis: neither one alone nor more than `most`."""
    rows, columns = fans(shape, axes)
    return 1 < rows <= most, 1 < columns <= most


def adjoint(x: jax.Array) -> jax.Array:
    """Return the conjugate transpose of each matrix of a stack."""
    return jnp.swapaxes(x.conj(), -1, -2)


def bounded(x: jax.Array, most: float) -> jax.Array:
    """Return an array whose parts are at most this large; NaN passes on."""
    if jnp.iscomplexobj(x):
        return lax.complex(jnp.clip(x.real, -most, most), jnp.clip(x.imag, -most, most))
    return jnp.clip(x, -most, most)


def squares(p: jax.Array, axes: Axes, sides: tuple[bool, bool]) -> dict[str, jax.Array]:
    """Return zeros of the shapes of a stack's G G^H and G^H G, (..., m, m) and (..., n, n); (1,) where not kept."""
    stack, found = as_stack(p, axes), {}
    for name, kept, axis in zip(("left", "right"), sides, (-1, -2), strict=True):
        if kept:  # sums have the shape, and along the batch the sharding, that is needed; their values are not used
            sums = jnp.sum(stack, axis)
            found[name] = zeros(jnp.broadcast_to(sums[..., None], (*sums.shape, sums.shape[-1])))
        else:
            found[name] = zeros(jnp.zeros(1, p.dtype))
    return found


def products(g: jax.Array, slots: Slots, sides: tuple[bool, bool], keep: Any, add: Any) -> dict[str, jax.Array]:
    """Return the sums of G G^H and G^H G with this stack of gradients in them, those that are kept."""
    most = float(jnp.finfo(g.dtype).max)
    g = bounded(g, most**0.5 / 2**14)  # one huge gradient would leave infinities, and their differences, for good
    made = {"left": lambda: g @ adjoint(g), "right": lambda: adjoint(g) @ g}
    on = [name for name, kept in zip(("left", "right"), sides, strict=True) if kept]
    return {name: bounded(keep * slots[name] + add * made[name](), most / 2**20) for name in on}


def in_layers(rule: Rule, names: Names) -> Rule:
    """Return the rule computed, and its slots kept, with stacks split over their layers; see `layers.py`."""
    if not names:
        return rule

    def init(p: jax.Array, axes: Axes) -> Slots:
        return rule.init(to_layers(p, names, axes.batch[0]) if has_layers(axes) else p, axes)

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        if not has_layers(k.layout):
            return rule.update(g, slots, p, k)
        check_mesh(names, k.layout, g, *jax.tree.leaves(dict(slots)))
        first = k.layout.batch[0]
        u, new = rule.update(to_layers(g, names, first), slots, p, k)
        return from_layers(u, g, names, first), new

    return dataclasses.replace(rule, init=init, update=update, made_of=(rule,))
