"""Keep parameters at 0 or above."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp

from gradtx.rules import LeafError, Rule, Slots, Transform, factory, leafwise


def check_real(x: jax.Array) -> None:
    """Raise for a complex array, which is neither above nor below 0."""
    if jnp.iscomplexobj(x):
        fix = "send it to another transform with partition"
        raise LeafError(0, f"is {x.dtype}", "real numbers, of which one is the larger", fix)


@factory
def keep_params_nonnegative() -> Transform:
    """Change the updates so that no parameter falls below 0; the last transform of a chain.

    u_t = max(g_t, -p_t), with g_t the update so far: p_t + u_t >= 0, also after rounding. A parameter that is negative
    moves to 0, or to where g_t takes it if that is above 0.

    Units: those of p.
    Equivalent to: optax's `keep_params_nonnegative`.

    State:
        no slots; the count alone.

    Raises:
        ValueError: a complex leaf; at update, params missing.

    Cost: no array; one pass.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.keep_params_nonnegative()
        >>> params = jnp.array([1.0, 1.0])
        >>> tx.update(jnp.array([-3.0, -0.5]), tx.init(params), params)[0].tolist()
        [-1.0, -0.5]
    """

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del k
        return jnp.maximum(g, -p), slots

    return leafwise(Rule("keep_params_nonnegative", update, needs_params=True, check=check_real, role="limit"))
