"""bfloat16 parameters that learn: the bits that bfloat16 lacks are kept beside them.

Near 1 a bfloat16 number moves by 2^-8 or not at all, so that small updates are lost for good. Here the parameter is
the upper half of a float32 master, and its lower half is a slot.
"""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.contract.errors import LeafError, describe, message
from gradtx.memory.bits import bits_of, float32, is_narrow, to_nearest
from gradtx.rules import Rule, Slots, Transform, factory, leafwise, zeros

SLOT = {16: jnp.int16, 8: jnp.int8}


def start(p: jax.Array, dtype: Any) -> Slots:
    """Return the slot of a parameter: nothing is lost yet; a wide one keeps none, an empty array says so."""
    return {"residue": zeros(p, dtype) if is_narrow(p) else jnp.zeros((0,), dtype)}


def split(new: jax.Array, p: jax.Array, bits: int) -> tuple[jax.Array, jax.Array]:
    """Return the update of a bfloat16 parameter to a float32 master, and the bits of the master that it then lacks.

    p + u is the master rounded, except where the sum of two float32 numbers of p's size is so near 0 that it has fewer
    digits than bfloat16 keeps: then no bits are lacking, and p + u may miss it by half of the last bit that p had.
    """
    nearest = to_nearest(new)
    rest = lax.bitcast_convert_type(new, jnp.int32) - lax.bitcast_convert_type(nearest, jnp.int32)
    if bits < 16:
        rest = lax.shift_right_arithmetic(rest + np.int32(1 << (15 - bits)), np.int32(16 - bits))
    most = np.int32(1 << (bits - 1))
    return nearest - float32(p), lax.convert_element_type(jnp.clip(rest, -most, most - 1), SLOT[bits])


def update(g: jax.Array, slots: Slots, p: jax.Array, bits: int) -> tuple[jax.Array, Slots]:
    """Return the update after which the parameter is the master rounded, and the rest of the master."""
    narrow, residue = is_narrow(p), slots["residue"]
    if narrow != (residue.shape == p.shape) and p.shape != (0,):
        made_for = "bfloat16" if residue.shape == p.shape else "another dtype"
        fix = "use the state that init made for params of these dtypes"
        raise LeafError(0, f"is {describe(p)}", f"what the state was made for, {made_for}", fix)
    if not narrow:
        return g, slots
    lower = lax.shift_left(lax.convert_element_type(residue, jnp.int32), np.int32(16 - bits))
    master = lax.bitcast_convert_type(bits_of(p) + lower, jnp.float32)
    u, rest = split(master + float32(g), p, bits)
    return lax.convert_element_type(u, g.dtype), {"residue": rest}


@factory
def keep_residue(bits: int = 16) -> Transform:
    """Let bfloat16 parameters learn, by keeping the bits of a float32 master that they lack.

    theta_t = p_t + r_t is the master, r_0 = 0. theta_t = theta_{t-1} + g_t in float32; p_t is theta_t rounded to
    bfloat16, a tie away from zero; r_t is what theta_t has beyond p_t, in units of the last bit of float32; and
    u_t = p_t - p_{t-1}. With 8 bits r_t is rounded to 256 of those units.

    It stands last in a chain, so that g is the finished step. What stands before it, such as weight decay, sees p and
    not the master. Float32 and wider parameters pass. The updates of bfloat16 parameters are float32, whatever the
    gradient's dtype: in bfloat16 they would miss p_t where a parameter changes its size. Add them with `apply_updates`.

    Units: those of p.
    Equivalent to: float32 parameters that the loss sees rounded, to the bit with 16 bits.
    Differs from: Kahan's sum, whose rest is a bfloat16 number and loses bits at the same price.

    Args:
        bits: of each parameter's residue: 16 is exact; 8 is half the memory, and about 1% of a small step is lost.

    State:
        residue: like the bfloat16 params, int16 or int8; empty for others.

    Raises:
        ValueError: bits is neither 8 nor 16; something follows in the chain; params missing at update.
        TypeError: params in float16.

    Cost: 2 bytes per bfloat16 parameter, or 1; one pass, in the loop of what stands before it.

    References:
        Zamirai et al. 2020, https://arxiv.org/abs/2010.06192, for why rounded updates are lost

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> p, steps = jnp.ones((), jnp.bfloat16), 500
        >>> def trained(tx, p):
        ...     state = tx.init(p)
        ...     for _ in range(steps):
        ...         u, state = tx.update(jnp.ones_like(p), state, p)
        ...         p = gradtx.apply_updates(p, u)
        ...     return p.item()
        >>> kept = gradtx.chain(gradtx.adam(1e-3), gradtx.keep_residue())
        >>> trained(gradtx.adam(1e-3), p), trained(kept, p)
        (1.0, 0.5)
    """
    if bits not in SLOT or isinstance(bits, bool):
        fix = "16 keeps all that bfloat16 lacks, 8 half of it"
        raise ValueError(message("keep_residue", "bits", f"is {bits!r}", "8 or 16", fix))

    def init(p: jax.Array) -> Slots:
        return start(p, SLOT[bits])

    def run(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del k
        return update(g, slots, p, bits)

    rule = Rule(
        "keep_residue",
        run,
        init,
        ("residue",),
        needs_params=True,
        reads_old=True,
        stores=True,
        role="rounding",
    )
    return leafwise(rule)
