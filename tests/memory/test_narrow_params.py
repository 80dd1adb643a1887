"""bfloat16 parameters that learn: the master in two halves, and rounding by chance."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import gradtx
from gradtx.memory.bits import bits_of
from gradtx.memory.stochastic_rounding import random_bits

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 16)).astype(np.float32)
SHAPES = {"kernel": (16, 9), "bias": (9,), "gain": ()}
BF16 = jnp.bfloat16
ROUNDINGS = {"keep_residue": gradtx.keep_residue, "stochastic_rounding": gradtx.stochastic_rounding}
each = pytest.mark.parametrize("name", ROUNDINGS)


def params() -> dict[str, jax.Array]:
    rng = np.random.default_rng(1)
    return {name: jnp.asarray(rng.normal(size=shape), BF16) for name, shape in SHAPES.items()}


def wide(x: jax.Array) -> jax.Array:
    return x.astype(jnp.float32)


def loss(p: Any, phase: jax.Array) -> jax.Array:
    p = jax.tree.map(wide, p)
    h = jnp.tanh(jnp.tensordot(X, p["kernel"], 1) + p["bias"][None]) * p["gain"]
    return jnp.mean((jnp.sum(h, 1) - jnp.sin(X[:, 0] + phase)) ** 2)


def rounded(master: jax.Array) -> jax.Array:
    """Return float32 numbers as bfloat16, a tie away from zero."""
    bits = jax.lax.bitcast_convert_type(master, jnp.int32) + 0x8000
    return jax.lax.bitcast_convert_type((bits >> 16).astype(jnp.int16), BF16)


def method() -> gradtx.Transform:
    return gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-2, weight_decay=0.1))


def test_params_and_residue_are_a_float32_master() -> None:
    """0 bits differ after 200 steps from a master whose loss sees it rounded; gradients are bfloat16."""
    plain, tx = method(), gradtx.chain(method(), gradtx.keep_residue())

    def both(carry: Any, phase: jax.Array) -> tuple[Any, None]:
        p, state, master, own = carry
        u, state = tx.update(jax.grad(loss)(p, phase), state, p)
        seen = jax.tree.map(rounded, master)
        g = jax.tree.map(wide, jax.grad(loss)(seen, phase))
        v, own = plain.update(g, own, seen)
        return (gradtx.apply_updates(p, u), state, jax.tree.map(lambda m, x: m + wide(x), master, v), own), None

    p = params()
    start = (p, tx.init(p), jax.tree.map(wide, p), plain.init(p))
    end = jax.jit(lambda c: jax.lax.scan(both, c, jnp.arange(200, dtype=jnp.float32))[0])(start)
    p, state, master, _ = end
    residue = state[-1].slots["residue"]
    for name in SHAPES:
        joined = np.asarray(bits_of(p[name])) + np.asarray(residue[name], np.int32)
        np.testing.assert_array_equal(joined, np.asarray(master[name]).view(np.int32))
        assert np.any(np.asarray(p[name]) != np.asarray(params()[name]))
        assert residue[name].dtype == jnp.int16


def trained(tx: gradtx.Transform, size: int = 1) -> np.ndarray:
    """Return where 500 equal gradients take numbers that start at 1."""
    p = jnp.ones(size, BF16)

    def step(carry: Any, _: Any) -> tuple[Any, None]:
        p, state = carry
        u, state = tx.update(jnp.ones_like(p), state, p)
        return (gradtx.apply_updates(p, u), state), None

    end = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), length=500)[0][0])(p)
    return np.asarray(end, np.float64)


def test_small_steps_arrive() -> None:
    adam = gradtx.adam(1e-3)
    assert trained(adam) == 1.0
    assert trained(gradtx.chain(adam, gradtx.keep_residue())) == 0.5
    assert trained(gradtx.chain(adam, gradtx.keep_residue(8))) == 0.49609375  # each step is rounded to 256 units
    by_chance = trained(gradtx.chain(adam, gradtx.stochastic_rounding()), 4096)
    assert abs(by_chance.mean() - 0.5) < 4 * by_chance.std() / 64
    assert np.unique(by_chance).size > 10


def test_a_parameter_that_shrinks_at_once_keeps_its_master() -> None:
    """2^8-fold and more the update is still exact; beyond float32's digits the residue is counted from what was hit."""
    tx = gradtx.keep_residue()
    for shrink in (2.0**-9, 2.0**-15):
        p = jnp.asarray([1.0078125], BF16)
        target = np.float32(shrink) * np.float32(1.0 + 2.0**-7 + 2.0**-9)
        u, state = tx.update(jnp.asarray([target - np.float32(1.0078125)], jnp.float32), tx.init(p), p)
        new = gradtx.apply_updates(p, u)
        master = wide(p) + jnp.asarray(target - np.float32(1.0078125))
        assert int((bits_of(new) + state.residue.astype(jnp.int32))[0]) == int(np.asarray(master).view(np.int32)[0])
    p = jnp.asarray([1.0], BF16)
    state = tx.init(p)._replace(slots={"residue": jnp.asarray([3], jnp.int16)})  # the master is 1 + 3 * 2^-23
    u, state = tx.update(jnp.asarray([-1.0], jnp.float32), state, p)
    new = gradtx.apply_updates(p, u)
    assert new.item() == 3 * 2.0**-23
    assert state.residue.item() == 0


def test_a_parameter_that_lands_near_zero_keeps_its_master() -> None:
    """Whatever is left of a float32 master of size 1: all 2^16 masters of one parameter, less numbers of its size."""
    tx, p = gradtx.keep_residue(), jnp.ones(2**16, BF16)
    state = tx.init(p)._replace(slots={"residue": jnp.arange(-(2**15), 2**15, dtype=jnp.int32).astype(jnp.int16)})
    old = np.asarray(bits_of(p) + state.residue.astype(jnp.int32)).view(np.float32)
    for g in (-1.0, -1.0 - 2.0**-20, -1.0 + 2.0**-24, -1.5, 3.0):
        u, new = tx.update(jnp.full(2**16, g, jnp.float32), state, p)
        after = bits_of(gradtx.apply_updates(p, u)) + new.residue.astype(jnp.int32)
        wanted = old + np.float32(g)
        np.testing.assert_allclose(np.asarray(after).view(np.float32), wanted, rtol=0, atol=2.0**-24)
        assert np.mean(np.asarray(after).view(np.float32) != wanted) < 0.01


def test_eight_bits_are_rounded() -> None:
    tx, p = gradtx.keep_residue(8), jnp.ones(4, BF16)
    g = jnp.asarray([100.0, 200.0, 400.0, 2.0**15 - 1], jnp.float32) * 2.0**-23
    assert tx.update(g, tx.init(p), p)[1].residue.tolist() == [0, 1, 2, 127]


@each
def test_what_is_not_finite_stays_so(name: str) -> None:
    """The bits of a NaN would wrap round to those of a number."""
    nan = np.array([0x7FFFFFFF, 0xFFFFFFFF], np.uint32).view(np.float32)
    g = jnp.asarray(np.concatenate([nan, [np.inf, -np.inf]]).astype(np.float32))
    tx, p = ROUNDINGS[name](), jnp.ones(4, BF16)
    u, _ = tx.update(g, tx.init(p), p)
    new = np.asarray(gradtx.apply_updates(p, u), np.float32)
    assert np.isnan(new[:2]).all()
    assert new[2:].tolist() == [np.inf, -np.inf]


@each
def test_wide_params_pass(name: str) -> None:
    tx = ROUNDINGS[name]()
    p = {"f32": jnp.ones(3, jnp.float32), "f64": jnp.ones(3, jnp.float64), "none": None}
    g = {"f32": jnp.full(3, 1e-9, jnp.float32), "f64": jnp.full(3, 1e-12, jnp.float64), "none": None}
    u, state = tx.update(g, tx.init(p), p)
    assert u["none"] is None
    for key in ("f32", "f64"):
        np.testing.assert_array_equal(u[key], g[key])
        assert u[key].dtype == g[key].dtype
    assert sum(x.size for x in jax.tree.leaves(state)) == 1  # the count
    assert jax.tree.structure(state) == jax.tree.structure(tx.init({**p, "f32": jnp.ones(3, BF16)}))


def test_the_mean_of_what_is_rounded_is_right() -> None:
    """At each fraction of the last bit, of either sign, for each number on its own and over the steps."""
    tx, size, steps = gradtx.stochastic_rounding(seed=5), 4096, 64
    run = jax.jit(lambda g, state, p: tx.update(g, state, p))
    for sign in (1.0, -1.0):
        for share in (1 / 512, 0.1, 0.5, 0.75):
            p = jnp.full(size, sign, BF16)
            g, state, up = jnp.full(size, sign * share * 2.0**-7, jnp.float32), tx.init(p), []
            for _ in range(steps):
                u, state = run(g, state, p)
                up.append(np.asarray(u, np.float64) * sign * 2.0**7)
            up = np.stack(up)
            assert set(np.unique(up)) == {0.0, 1.0}
            deviation = np.sqrt(share * (1 - share))
            assert abs(up.mean() - share) < 4 * deviation / np.sqrt(up.size)
            for axis in (0, 1):  # the means of numbers and of steps scatter as those of independent draws do
                ratio = up.mean(axis).var() / (deviation**2 / up.shape[axis])
                assert abs(ratio - 1) < 5 * np.sqrt(2 / up.shape[1 - axis])


def test_random_bits_are_even_and_independent() -> None:
    p, key, leaf = jnp.zeros((512, 512), BF16), jnp.uint32(77), jnp.uint32(0)
    bits = np.asarray(random_bits(p, key, leaf)).reshape(-1)
    n = bits.size
    counts = np.bincount(bits >> 26, minlength=64)
    assert np.sum((counts - n / 64) ** 2 / (n / 64)) < 120  # chi-square, 63 degrees: mean 63, deviation 11
    unit = bits / 2.0**32 - 0.5
    others = [np.roll(unit, 1), np.roll(unit, 512)]
    for other in ((jnp.uint32(78), leaf), (key, leaf + 1)):
        others.append(np.asarray(random_bits(p, *other)).reshape(-1) / 2.0**32 - 0.5)
    for other in others:
        assert abs(np.mean(unit * other)) * 12 < 4 / np.sqrt(n)


def test_leaves_are_rounded_by_numbers_of_their_own() -> None:
    tx = gradtx.stochastic_rounding()
    p = {"a": jnp.ones(256, BF16), "b": jnp.ones(256, BF16)}
    g = jax.tree.map(lambda x: jnp.full(256, 2.0**-8, jnp.float32), p)
    u, _ = tx.update(g, tx.init(p), p)
    assert 64 < int(jnp.sum(u["a"] != u["b"])) < 192
    other, _ = gradtx.stochastic_rounding(seed=1).update(g, tx.init(p), p)
    assert 64 < int(jnp.sum(u["a"] != other["a"])) < 192
    one = str(jax.make_jaxpr(tx.update)(g["a"], tx.init(p["a"]), p["a"])).count("shift_right_logical")
    assert str(jax.make_jaxpr(tx.update)(g, tx.init(p), p)).count("shift_right_logical") == one, "one trace for both"


@each
def test_it_runs_in_the_kernel_of_the_rest(name: str) -> None:
    tx = gradtx.chain(method(), ROUNDINGS[name]())
    assert [positions for _, positions in tx.body.runs] == [[0, 1, 2, 3, 4]]


@each
def test_shards_are_those_of_one_device(name: str) -> None:
    """Bit for bit, without a collective, on automatic and explicit meshes."""
    tx = ROUNDINGS[name]()
    p = jnp.asarray(RNG.normal(size=(8, 16)), BF16)
    g = jnp.asarray(RNG.normal(size=(8, 16)) * 1e-2, BF16)
    wanted, own = tx.update(g, tx.init(p), p)
    for kind in (jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit):
        mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(kind, kind))
        with jax.set_mesh(mesh):
            where = jax.NamedSharding(mesh, jax.P("x", "y"))
            state = tx.init(jax.device_put(p, where))
            compiled = jax.jit(tx.update).lower(*jax.device_put((g,), where), state, jax.device_put(p, where)).compile()
            got, new = compiled(jax.device_put(g, where), state, jax.device_put(p, where))
        assert not re.search(r"all-(gather|reduce)|collective-permute", compiled.as_text())
        assert got.sharding.is_equivalent_to(where, 2)
        np.testing.assert_array_equal(got, wanted)
        for x, y in zip(jax.tree.leaves(new), jax.tree.leaves(own), strict=True):
            np.testing.assert_array_equal(x, y)


def test_shards_inside_shard_map_draw_their_own() -> None:
    tx = gradtx.stochastic_rounding()
    mesh = jax.make_mesh((2,), ("x",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    p, g = jnp.ones(512, BF16), jnp.full(512, 2.0**-8, jnp.float32)

    def update(g: Any, p: Any) -> Any:
        return tx.update(g, tx.init(p), p)[0]

    over = jax.shard_map(update, mesh=mesh, in_specs=jax.P("x"), out_specs=jax.P("x"))
    halves = np.asarray(over(g, p)).reshape(2, -1)
    assert 64 < np.sum(halves[0] != halves[1]) < 192
    alike = jax.shard_map(update, mesh=mesh, in_specs=jax.P(), out_specs=jax.P())
    np.testing.assert_array_equal(alike(g, p), update(g, p))


@each
def test_float16_is_refused(name: str) -> None:
    tx = ROUNDINGS[name]()
    p = {"layer": [jnp.ones(2, jnp.float16)]}
    with pytest.raises(TypeError, match=rf"{name}: params\['layer'\]\[0\] is float16 .* expected bfloat16"):
        tx.update(p, tx.init(p), p)
    good = {"layer": [jnp.ones(2, BF16)]}
    with pytest.raises(TypeError, match=rf"{name}: params\['layer'\]\[0\] is float16 .* expected bfloat16"):
        tx.update(p, tx.init(good), p)


@each
def test_params_are_needed(name: str) -> None:
    tx = gradtx.chain(gradtx.sgd(0.1), ROUNDINGS[name]())
    with pytest.raises(ValueError, match=f"{name}: params is None"):
        tx.update(params(), tx.init(params()))


@each
def test_nothing_may_follow(name: str) -> None:
    last = ROUNDINGS[name]()
    with pytest.raises(ValueError, match=f"chain: {name}.* stands before scale.*expected the last place"):
        gradtx.chain(gradtx.chain(gradtx.sgd(0.1), last), gradtx.scale(0.5))
    with pytest.raises(ValueError, match=f"named_chain: {name}.*expected the last place"):
        gradtx.named_chain(("a", last), ("b", gradtx.scale(0.5)))
    gradtx.chain(gradtx.sgd(0.1), last, gradtx.identity())
    gradtx.watch(gradtx.guard(gradtx.chain(gradtx.sgd(0.1), last)))
    params, inside = {"w": jnp.ones(2, BF16), "b": jnp.ones(2, BF16)}, gradtx.chain(gradtx.sgd(0.1), last)
    for tx in (gradtx.masked(inside, {"w": True, "b": False}), gradtx.guard(inside)):
        with pytest.raises(ValueError, match=rf"chain: .*{name}.* stands before scale\(0.5\), which acts on params\["):
            gradtx.chain(tx, gradtx.scale(0.5)).init(params)
    masks = ({"w": True, "b": False}, {"w": False, "b": True})
    gradtx.chain(*(gradtx.masked(inside, mask) for mask in masks)).init(params)


def test_a_state_of_other_dtypes_is_refused() -> None:
    tx = gradtx.keep_residue()
    narrow, full = jnp.ones(3, BF16), jnp.ones(3, jnp.float32)
    for made, given in ((narrow, full), (full, narrow)):
        with pytest.raises(ValueError, match=r"keep_residue: params is .* of shape \(3,\), expected what the state"):
            tx.update(given, tx.init(made), given)


@pytest.mark.parametrize("bits", [0, 4, 32, True, "16"])
def test_bits_are_8_or_16(bits: Any) -> None:
    with pytest.raises(ValueError, match=r"keep_residue: bits is .*, expected 8 or 16"):
        gradtx.keep_residue(bits)


def test_a_seed_is_an_integer() -> None:
    with pytest.raises(TypeError, match="stochastic_rounding: seed is float, expected an integer"):
        gradtx.stochastic_rounding(1.5)
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match=r"stochastic_rounding: seed is .*, expected 0 <= seed < "):
            gradtx.stochastic_rounding(seed)


def test_masters_move_by_less_than_a_bfloat16_can() -> None:
    """The residue holds what a checkpoint of the params alone would lose."""
    p = jnp.ones(1, BF16)
    tx = gradtx.keep_residue()
    u, state = tx.update(jnp.full(1, 2.0**-12, jnp.float32), tx.init(p), p)
    assert u.item() == 0
    assert state.residue.item() == 2.0**-12 / 2.0**-23
    assert np.asarray(p).dtype == ml_dtypes.bfloat16
