"""Numbers that are not finite: replaced by 0, and reported."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.axes import AxisName, refuse_shards, split_over
from gradtx.rules import Rule, Slots, Transform, factory, leafwise, one_number


@factory
def zero_nans(*, infinities: bool = False, axis_name: AxisName = None) -> Transform:
    """Replace each NaN of the gradient by 0, and with `infinities` each infinity too.

    u_t = 0 where g_t is NaN (or infinite), u_t = g_t elsewhere. A NaN that stands beside an infinity is no longer
    seen by what follows, but the infinity is: Adam makes NaN of it for good. `infinities` keeps both out.

    Units: those of g.
    Equivalent to: optax's `zero_nans` without `infinities`.

    Args:
        infinities: whether infinities become 0 too.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`, so that found_nan is that
            of all shards together. None is no axis.

    State:
        found_nan: a bool for each leaf, whether something was replaced in its last gradient.

    Raises:
        ValueError: a leaf varies over a manual axis that axis_name does not name.

    Cost: no array; one pass, and one to report.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.zero_nans(infinities=True)
        >>> grads = {"w": jnp.array([jnp.nan, jnp.inf, 3.0]), "b": jnp.array(4.0)}
        >>> updates, state = tx.update(grads, tx.init(grads))
        >>> updates["w"].tolist(), updates["b"].item()
        ([0.0, 0.0, 3.0], 4.0)
        >>> {name: found.item() for name, found in sorted(state.found_nan.items())}
        {'b': False, 'w': True}
    """

    def init(p: jax.Array) -> Slots:
        return {"found_nan": one_number(p, False, bool, by_device=axis_name == ())}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del slots, p, k
        bad = ~jnp.isfinite(g) if infinities else jnp.isnan(g)
        if jnp.iscomplexobj(g):
            found = jnp.any(bad)
        else:  # XLA:CPU writes out what a comparison gives before it reduces it; a NaN is the largest number
            found = jnp.isnan(jnp.sum(g - g) if infinities else jnp.max(g, initial=-jnp.inf))
        over = split_over(g, axis_name)
        found = lax.pmax(found.astype(jnp.int32), over) > 0 if over else found
        return jnp.where(bad, jnp.zeros_like(g), g), {"found_nan": found}

    check = refuse_shards(axis_name)
    return leafwise(Rule("zero_nans", update, init, ("found_nan",), check=check, elementwise=False, role="limit"))
