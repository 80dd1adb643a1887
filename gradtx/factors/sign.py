"""The sign of each number: a direction of size 1, whose sigma is 1."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
from jax import lax

from gradtx.rules import Rule, Slots, Transform, divide, factory, leafwise


def sign(x: jax.Array) -> jax.Array:
    """Return `x / |x|`, 0 at 0; for a complex number its phase."""
    return divide(x, jnp.abs(x)) if jnp.iscomplexobj(x) else lax.sign(x)


@factory
def scale_by_sign() -> Transform:
    """Replace each number by its sign.

    u_t = sign(g_t), 0 where g_t is 0; for a complex number g_t / |g_t|.

    Units: dimensionless (invariant to g -> c g for c > 0).
    Equivalent to: optax's `scale_by_sign`.

    State:
        no slots; the count alone.

    Cost: no array; one pass.

    References:
        Bernstein et al. 2018, Algorithm 1, https://arxiv.org/abs/1802.04434

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.scale_by_sign()
        >>> tx.update(jnp.array([-3.0, 0.0, 0.1]), tx.init(jnp.zeros(3)))[0].tolist()
        [-1.0, 0.0, 1.0]
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p, k
        return sign(g), slots

    return leafwise(Rule("scale_by_sign", update, role="direction"))
