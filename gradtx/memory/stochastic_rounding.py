"""bfloat16 parameters that learn without any memory: rounded up or down by chance, so that the mean is right.

The random bits are a hash of the seed, the step, the leaf and the place in it. No key is carried or split, nothing is
communicated, and a run that is resumed draws the bits it would have drawn.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arrays.compat import explicit_sharding, manual_axes
from gradtx._core.contract.errors import describe, message
from gradtx.memory.bits import float32, is_narrow, of_upper, or_not_finite
from gradtx.rules import Rule, Slots, Transform, factory, leafwise

WORD = 2**32
OF_COUNT, OF_LEAF, OF_SHARD = (np.uint32(x) for x in (0x9E3779B9, 0x85EBCA6B, 0xC2B2AE35))  # odd: no two counts meet


def mix(x: jax.Array) -> jax.Array:
    """Return 32 bits of which each depends on all of x: shifts and products that lose nothing."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def places(p: jax.Array) -> jax.Array:
    """Return the place of each number of an array, counted along its rows, modulo 2^32, sharded as the array."""
    is_explicit, sharding = explicit_sharding(p)
    found = jnp.zeros((), jnp.uint32)
    stride = 1
    for dimension in reversed(range(p.ndim)):
        where = {"out_sharding": sharding} if is_explicit else {}
        along = lax.broadcasted_iota(jnp.uint32, p.shape, dimension, **where)
        found = found + along * np.uint32(stride % WORD)
        stride *= p.shape[dimension]
    return found


def random_bits(p: jax.Array, key: jax.Array, leaf: jax.Array) -> jax.Array:
    """Return 32 bits for each number of an array.

    Where the shards of `p` differ inside `shard_map`, each draws bits of its own.
    """
    key = mix(key ^ (jnp.asarray(leaf) * OF_LEAF))
    for axis in sorted(manual_axes(p)):
        key = mix(key ^ (lax.convert_element_type(lax.axis_index(axis) + 1, jnp.uint32) * OF_SHARD))
    return mix(mix(places(p) ^ key) + key)


def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
    """Return the update that leads to one of the two bfloat16 numbers next to p + g."""
    if not is_narrow(p):
        return g, slots
    exact = float32(p) + float32(g)
    # what is cut off, plus as many random bits, carries over into the last bit kept as often as it should
    carried = lax.bitcast_convert_type(exact, jnp.uint32) + (random_bits(p, k.key, k.leaf) >> np.uint32(16))
    rounded = or_not_finite(of_upper(carried), exact)
    return lax.convert_element_type(rounded - float32(p), g.dtype), slots


@factory
def stochastic_rounding(seed: int = 0) -> Transform:
    """Let bfloat16 parameters learn without memory, by rounding each up or down with the right odds.

    p_t is one of the two bfloat16 numbers next to p_{t-1} + g_t, the farther one with the probability by which the sum
    is beyond the nearer, so that its mean is the sum; u_t = p_t - p_{t-1}. The random bits are a hash of seed, t, the
    place of the leaf in the tree, and the place in the leaf.

    It stands last in a chain, so that g is the finished step. Float32 and wider parameters pass. The updates of
    bfloat16 parameters are float32, whatever the gradient's dtype: in bfloat16 they would miss p_t where a parameter
    changes its size. Add them with `apply_updates`.

    Units: those of p.
    Differs from: `keep_residue` in what it costs and gives: no memory, and noise of the last bit at each step.

    Args:
        seed: of the hash, in [0, 2^32); the same seed rounds in the same way.

    State:
        no slots; the count alone.

    Raises:
        ValueError: seed outside its range; something follows in the chain; params missing at update.
        TypeError: seed is no integer; params in float16, at update.

    Cost: no array; one pass, in the loop of what stands before it.

    References:
        Gupta et al. 2015, section 2.2, https://arxiv.org/abs/1502.02551;
        Zamirai et al. 2020, https://arxiv.org/abs/2010.06192

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.stochastic_rounding(), jnp.ones(10_000, jnp.bfloat16)
        >>> u, _ = tx.update(jnp.full(10_000, 2.0**-9), tx.init(p), p)
        >>> new = gradtx.apply_updates(p, u).astype(jnp.float32)
        >>> sorted(set(new.tolist())), round(float(new.mean()), 4), 1 + 2.0**-9
        ([1.0, 1.0078125], 1.0019, 1.001953125)
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
        raise TypeError(message("stochastic_rounding", "seed", f"is {describe(seed)}", "an integer", "give seed=0"))
    if not 0 <= seed < WORD:
        raise ValueError(message("stochastic_rounding", "seed", f"is {seed}", "0 <= seed < 2**32", "give seed=0"))
    own = np.uint32(seed)

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del k
        return {"key": mix(own ^ (lax.convert_element_type(count, jnp.uint32) * OF_COUNT))}

    rule = Rule(
        "stochastic_rounding",
        update,
        scalars=scalars,
        needs_params=True,
        needs_leaf=True,
        stores=True,
        role="rounding",
    )
    return leafwise(rule)
