"""bfloat16 parameters that learn: a float32 master in two halves, and stochastic rounding by a hash; in NumPy."""

import math
from typing import Any

import ml_dtypes
import numpy as np

from tests.registry.adam import adamw
from tests.registry.base import FUSED, Mutant, Row, reference_of, row
from tests.registry.numbers import Tree, elements, like

WORD = 2**32


def number_of(bits: int) -> float:
    """Return the float32 number of 32 bits."""
    return float(np.uint32(bits).view(np.float32))


def bits_of(x: float) -> int:
    """Return the 32 bits of a number in float32."""
    return int(np.float32(x).view(np.uint32))


def is_narrow(store: Any) -> bool:
    """Return True for bfloat16."""
    return np.dtype(store) == np.dtype(ml_dtypes.bfloat16)


def keep_residue(grads: list[Tree], params: Tree, *, bits: int = 16, store: Any = np.float64) -> list[Tree]:
    """theta_t = theta_{t-1} + g_t in float32, p_t its upper 16 bits, a tie away from zero; u_t = p_t - p_{t-1}."""
    if not is_narrow(store):
        return grads
    master, p, updates = like(params), like(params), []
    for name, i in elements(params):
        master[name][i] = p[name][i] = params[name][i]
    for g in grads:
        u = like(params)
        for name, i in elements(params):
            theta = float(np.float32(master[name][i]) + np.float32(g[name][i]))
            new = number_of(((bits_of(theta) + 2**15) >> 16) << 16)
            u[name][i] = new - p[name][i]
            rest = round_half_up((bits_of(theta) - bits_of(new)) / 2 ** (16 - bits))
            rest = max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, rest))
            p[name][i], master[name][i] = new, number_of(bits_of(new) + rest * 2 ** (16 - bits))
        updates.append(u)
    return updates


def round_half_up(x: float) -> int:
    """Return the nearest integer, the upper one of two."""
    return math.floor(x + 0.5)


def mix(x: int) -> int:
    """Return the 32 bits that the hash makes of 32."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> shift)) * factor % WORD
    return x ^ (x >> 16)


def stochastic_rounding(grads: list[Tree], params: Tree, *, seed: int = 0, store: Any = np.float64) -> list[Tree]:
    """p_t is p_{t-1} + g_t, plus 16 random bits below the last that bfloat16 keeps, cut off."""
    if not is_narrow(store):
        return grads
    p, updates = {name: np.array(x) for name, x in params.items()}, []
    for t, g in enumerate(grads):
        u = like(params)
        for leaf, name in enumerate(sorted(params)):
            key = mix(mix(seed ^ (t * 0x9E3779B9 % WORD)) ^ (leaf * 0x85EBCA6B % WORD))
            for place, i in enumerate(np.ndindex(np.shape(params[name]))):
                random = mix((mix(place ^ key) + key) % WORD)
                exact = float(np.float32(p[name][i]) + np.float32(g[name][i]))
                new = number_of(((bits_of(exact) + (random >> 16)) >> 16) << 16)
                u[name][i] = new - p[name][i]
                p[name][i] = new
        updates.append(u)
    return updates


def stored_adamw(grads: list[Tree], params: Tree) -> list[Tree]:
    """AdamW: arrays so small are not kept in few bits."""
    return adamw(grads, params, learning_rate=RATE, weight_decay=DECAY)


def around_adamw(library: Any) -> Any:
    """Return AdamW, its moments in 8 bits."""
    return library.store(library.adamw(RATE, weight_decay=DECAY), mu="fp8", nu="fp8_root")


RATE, DECAY = 0.1, 0.3
WIDE = {"params": ("bf16", "f32", "f64"), "stores": True}
ROWS: list[Row] = [
    row("keep_residue", traits={**WIDE, "reference": keep_residue, "numbers_only": ("bits",)}),
    row("keep_residue", "8 bits", traits={**WIDE, "reference": keep_residue, "numbers_only": ("bits",)}, bits=8),
    row(
        "stochastic_rounding",
        # the rounding of a number depends on the place of its leaf, and on its place there
        traits={**WIDE, "reference": stochastic_rounding, "random": True, "laws": (), "numbers_only": ("seed",)},
        seed=3,
    ),
    Row(
        "store",
        maker=around_adamw,
        reference=stored_adamw,
        kind="wrapper",
        fused=FUSED,
        around=lambda library, tx: library.store(tx),
    ),
]


def memory(name: str) -> tuple[str, ...]:
    """Return this test of parameters in bfloat16."""
    return (f"memory/test_narrow_params.py::test_{name}",)


def kept(name: str) -> tuple[str, ...]:
    """Return this test of state in few bits."""
    return (f"memory/test_store.py::test_{name}",)


CODES = "_core/arrays/codes.py"
BITS, RESIDUE, CHANCE = "memory/bits.py", "memory/keep_residue.py", "memory/stochastic_rounding.py"
NARROW = (*reference_of("keep_residue", dtype="bfloat16"),)
MUTANTS = [
    Mutant("residue: cut off instead of rounded", BITS, "jnp.int32) + HALF", "jnp.int32) + 0 * HALF", NARROW),
    Mutant(
        "residue: wraps a NaN into a number",
        BITS,
        "jnp.where(jnp.isfinite(x), rounded, x)",
        "rounded",
        memory("what_is_not_finite_stays_so"),
    ),
    Mutant("residue: forgotten", RESIDUE, "bits_of(p) + lower", "bits_of(p) + 0 * lower", NARROW),
    Mutant(
        "residue: 8 bits are cut off",
        RESIDUE,
        "rest + np.int32(1 << (15 - bits))",
        "rest",
        memory("eight_bits_are_rounded"),
    ),
    Mutant(
        "residue: the update is rounded once more",
        "_core/engine/segment.py",
        "if self.members[-1].rule.stores:",
        "if False:",
        memory("params_and_residue_are_a_float32_master"),
    ),
    Mutant(
        "residue: may stand anywhere",
        "_core/engine/order.py",
        'getattr(x, "role", "") not in ("identity", "measure")',
        "False",
        memory("nothing_may_follow"),
    ),
    Mutant(
        "stochastic rounding: the same at every step",
        CHANCE,
        "jnp.uint32) * OF_COUNT)",
        "jnp.uint32) * np.uint32(0))",
        reference_of("stochastic_rounding", dtype="bfloat16"),
    ),
    Mutant(
        "stochastic rounding: the same in every leaf",
        CHANCE,
        "(jnp.asarray(leaf) * OF_LEAF)",
        "(jnp.zeros_like(key))",
        memory("leaves_are_rounded_by_numbers_of_their_own"),
    ),
    Mutant(
        "stochastic rounding: half of the bits",
        CHANCE,
        ">> np.uint32(16))\n    rounded",
        ">> np.uint32(17))\n    rounded",
        memory("the_mean_of_what_is_rounded_is_right"),
    ),
    Mutant(
        "stochastic rounding: shards alike",
        CHANCE,
        "for axis in sorted(manual_axes(p)):",
        "for axis in ():",
        memory("shards_inside_shard_map_draw_their_own"),
    ),
    Mutant(
        "store: no root", CODES, 'root(x) if self.kind == "fp8_root" else x', "x", kept("what_is_kept_is_near_what_was")
    ),
    Mutant(
        "store: small magnitudes vanish",
        CODES,
        "jnp.maximum(share, LEAST), share)",
        "share, share)",
        kept("what_is_kept_is_near_what_was"),
    ),
    Mutant(
        "store: small means are rounded up",
        CODES,
        "jnp.trunc(share / LEAST)",
        "jnp.ceil(share / LEAST)",
        kept("steps_are_hardly_longer"),
    ),
    Mutant("store: blocks of any size", CODES, "block >= FEWEST and", "", kept("blocks_divide_the_last_axis")),
    Mutant("store: one scale a row", CODES, "min(last, MOST)", "last", kept("blocks_divide_the_last_axis")),
    Mutant(
        "store: an array of zeros is encoded",
        CODES,
        "    code = full(p, TOP if value else 0.0, FLOAT8)\n",
        "    return Coded(kind, full(p, 0.0, FLOAT8), jnp.zeros((*p.shape[:-1], p.shape[-1] // block), "
        "jnp.float32)).encoded(slot)\n    code = full(p, TOP if value else 0.0, FLOAT8)\n",
        kept("zero_codes_are_made_at_once"),
    ),
    Mutant(
        "store: starts at 0",
        "_core/engine/storage.py",
        "start_of(rule, name).value or 0.0",
        "0.0",
        kept("a_slot_that_starts_at_a_number"),
    ),
    Mutant(
        "store: scales lie anywhere",
        CODES,
        "sharded_as(of_block, scale) if isinstance(p, jax.core.Tracer) else scale",
        "scale",
        kept("blocks_are_sharded_as_their_parameter"),
    ),
    Mutant(
        "store: no chain sees through it",
        "memory/store.py",
        "only_starts: bool = True",
        "only_starts: bool = False",
        kept("members_run_as_one_kernel"),
    ),
    Mutant(
        "store: watch samples codes",
        "diagnosis/record/measure.py",
        "(decoded(step.inner), step.grads",
        "(step.inner, step.grads",
        kept("watch_reads_the_rate_of_a_stored_sigma"),
    ),
    Mutant(
        "store: a root for any slot",
        "memory/store.py",
        "not begins.is_magnitude",
        "False",
        kept("what_cannot_be_kept_is_an_error"),
    ),
]
