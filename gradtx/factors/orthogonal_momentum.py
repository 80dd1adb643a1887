"""Momentum of matrices with all its singular values brought near 1: the direction of Muon."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.layers import Names, check_layers, check_mesh
from gradtx._core.arrays.matrices import Layout
from gradtx.factors.newton_schulz import all_orthogonalised
from gradtx.rules import Rule, Slots, Transform, leafwise, steps, unbias, zeros


def orthogonal_momentum(
    layout: Layout,
    beta: Any,
    eps: Any,
    mu_dtype: Any,
    orders: Any,
    preconditioning: str,
    check: Callable[..., None],
    *,
    nesterov: bool,
    adaptive: bool,
    layers: Names,
) -> Transform:
    """Return `scale_by_muon` for the matrices of a layout."""

    def init(p: jax.Array, axes: Any) -> Slots:
        del axes
        return {"mu": zeros(p, mu_dtype)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        t = steps(count)
        if not nesterov:
            return {"of_mu": unbias(k.beta, t)}
        return {"of_mu": k.beta * unbias(k.beta, t + 1.0), "of_g": (1 - k.beta) * unbias(k.beta, t)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        check_mesh(layers, k.layout, g, slots["mu"])
        mu = k.beta * slots["mu"] + (1 - k.beta) * g
        return (k.of_mu * mu + k.of_g * g if nesterov else k.of_mu * mu), {"mu": mu}

    def together(ahead: list[jax.Array], layouts: list[Any], k: SimpleNamespace) -> list[jax.Array]:
        found = all_orthogonalised(ahead, layouts, orders, k.eps, preconditioning, layers)
        if not adaptive:
            return found
        return [times_dual_norm(u, h, axes) for u, h, axes in zip(found, ahead, layouts, strict=True)]

    return leafwise(
        Rule(
            "scale_by_muon",
            update,
            init,
            ("mu",),
            {"beta": beta, "eps": eps},
            scalars=scalars,
            check=check_layers(layers, check, even=False),
            elementwise=False,
            layout=layout,
            together=together,
            role="direction",
        )
    )


def times_dual_norm(u: jax.Array, h: jax.Array, axes: Any) -> jax.Array:
    """Return each matrix u times Re <h, u>, the dual norm of what was orthogonalised; both have one axis more."""
    dual = jnp.sum((h.conj() * u).real, [i + 1 for i in (*axes.rows, *axes.columns)], keepdims=True)
    return u * lax.convert_element_type(dual, u.dtype)
