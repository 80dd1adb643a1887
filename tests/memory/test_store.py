"""State in few bits: what is kept, how large it is, what a step makes of it, and who reads it."""

import math
import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx._core.arrays.codes import Coded, block_of, start
from tests.memory.steps import ratio
from tests.registry import ROWS, Row

BITS = {"mu": "fp8", "nu": "fp8_root"}
RNG = np.random.default_rng(0)


def stored(tx: Any = None, **how: str) -> gradtx.Transform:
    return gradtx.store(gradtx.adamw(1e-2) if tx is None else tx, **(how or BITS))


def params(last: int = 256, rows: int = 8) -> dict[str, jax.Array]:
    return {"w": jnp.asarray(RNG.normal(size=(rows, last)), jnp.float32), "b": jnp.zeros(7, jnp.float32)}


def bytes_of(tree: Any) -> int:
    return sum(x.nbytes for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(("last", "most"), [(128, 2.07), (256, 2.07), (96, 2.1), (352, 2.26), (32, 2.26), (50257, 8.0)])
def test_bytes_of_adam(last: int, most: float) -> None:
    tx, p = stored(gradtx.adam(1e-3)), {"w": jnp.zeros((4, last), jnp.float32)}
    state = jax.eval_shape(tx.init, p)
    kept = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state[0].slots))
    assert kept / (4 * last) <= most
    assert most == 8.0 or kept / (4 * last) <= 2.3


@pytest.mark.parametrize(
    ("shape", "block"), [((), 0), ((7,), 0), ((0, 64), 0), ((257,), 0), ((3, 62), 62), ((512,), 128)]
)
def test_blocks_divide_the_last_axis(shape: tuple[int, ...], block: int) -> None:
    assert block_of(shape) == block


def test_the_structure_does_not_depend_on_sizes() -> None:
    tx = stored()
    small, large = (jax.eval_shape(tx.init, {"w": jax.ShapeDtypeStruct(s, jnp.float32)}) for s in ((3,), (4, 128)))
    assert jax.tree.structure(small) == jax.tree.structure(large)
    assert small[0].slots["mu"]["w"].code.dtype == jnp.float32
    assert large[0].slots["mu"]["w"].code.dtype == jnp.float8_e4m3fn


def test_small_arrays_are_exact() -> None:
    p = {"w": jnp.asarray(RNG.normal(size=(5, 7)), jnp.float32)}
    ours, plain = stored(), gradtx.adamw(1e-2)
    s, t = ours.init(p), plain.init(p)
    for _ in range(3):
        u, s = ours.update(p, s, p)
        v, t = plain.update(p, t, p)
        chex.assert_trees_all_equal(u, v)


@pytest.mark.parametrize("kind", BITS.values())
def test_what_is_kept_is_near_what_was(kind: str) -> None:
    """Half of the last of 3 bits: 1/16 of a number or of a root; the largest of a block is exact to float32."""
    x = np.exp(RNG.uniform(-8, 0, size=(4, 256))).astype(np.float32)
    x = x if kind == "fp8_root" else x * RNG.choice([-1, 1], size=x.shape).astype(np.float32)
    like = start(kind, jnp.zeros((4, 256)), jnp.zeros((4, 256)), 0.0)
    got = np.asarray(like.encoded(jnp.asarray(x)).decoded())
    power = 2 if kind == "fp8_root" else 1
    np.testing.assert_allclose(np.abs(got) ** (1 / power), np.abs(x) ** (1 / power), rtol=1 / 16 + 1e-6)
    assert np.array_equal(np.sign(got), np.sign(x))
    largest = np.abs(x).reshape(4, 2, 128).argmax(-1)[..., None]
    pairs = [np.take_along_axis(y.reshape(4, 2, 128), largest, -1) for y in (got, x)]
    np.testing.assert_allclose(*pairs, rtol=1e-6)
    tiny = np.full((4, 256), 1e-13, np.float32)
    tiny[:, ::128] = 1.0
    kept = np.asarray(like.encoded(jnp.asarray(tiny)).decoded())
    assert np.all((kept[:, 1] > 0) == (kind == "fp8_root")), "a magnitude that is not 0 stays so"
    zero = like.encoded(jnp.zeros((4, 256))).decoded()
    np.testing.assert_array_equal(zero, 0.0)


@pytest.mark.parametrize("kind", ["constant", "random signs"])
def test_steps_are_hardly_longer(kind: str) -> None:
    """At most 1.1 times float32's."""
    assert max(ratio(kind)) <= 1.1


def test_zero_codes_are_made_at_once() -> None:
    """No constant of an array's size is computed while XLA compiles, and slots lie as their parameters."""
    tx, p = stored(), {"w": jnp.zeros((64, 256))}
    text = jax.jit(tx.init).lower(p).as_text()
    assert "sqrt" not in text
    assert "f8E4M3FN>" in text


@pytest.mark.share(3)
@pytest.mark.parametrize("kind", [jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit], ids=["auto", "explicit"])
@pytest.mark.parametrize("spec", [("x", None), (None, "x"), ("y", "x")], ids=str)
def test_blocks_are_sharded_as_their_parameter(kind: Any, spec: tuple[Any, ...]) -> None:
    """Bits as on one device; no collective where each device holds whole blocks."""
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(kind, kind))
    tx = stored(gradtx.adam(1e-2))
    p = jnp.asarray(RNG.normal(size=(8, 512)), jnp.float32)
    gs = [jnp.asarray(RNG.normal(size=(8, 512)), jnp.float32) for _ in range(2)]
    wanted, own = [], tx.init(p)
    for g in gs:
        u, own = jax.jit(tx.update)(g, own, p)
        wanted.append(u)
    where = jax.NamedSharding(mesh, jax.P(*spec))
    with jax.set_mesh(mesh):
        p = jax.device_put(p, where)
        for init in (tx.init, jax.jit(tx.init)):
            state = init(p)
            for slot in state[0].slots.values():
                assert slot.code.sharding.is_equivalent_to(where, 2)
                assert slot.scale.sharding.is_equivalent_to(where, 2), slot.scale.sharding
        compiled = jax.jit(tx.update).lower(jax.device_put(gs[0], where), state, p).compile()
        for g, u in zip(gs, wanted, strict=True):
            got, state = compiled(jax.device_put(g, where), state, p)
            np.testing.assert_array_equal(got, u)
        chex.assert_trees_all_equal(jax.device_get(state), jax.device_get(own))
    assert not re.search(r"all-(gather|reduce|to-all)|collective-permute", compiled.as_text())


def test_a_block_over_several_devices_works() -> None:
    """On an explicit mesh, which shards nothing by itself: 3 blocks of 64 over 4 devices."""
    mesh = jax.make_mesh((4,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
    tx, p = stored(gradtx.adam(1e-2)), jnp.asarray(RNG.normal(size=(2, 228)), jnp.float32)
    u, _ = tx.update(p, tx.init(p), p)
    with jax.set_mesh(mesh):
        q = jax.device_put(p, jax.NamedSharding(mesh, jax.P(None, "x")))
        v, state = jax.jit(tx.update)(q, jax.jit(tx.init)(q), q)
    np.testing.assert_array_equal(u, v)
    assert state[0].slots["mu"].code.sharding.spec == jax.P(None, "x")


def test_members_run_as_one_kernel() -> None:
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), stored(), gradtx.keep_residue())
    assert [positions for _, positions in tx.body.runs] == [[0, 1, 2, 3, 4]]
    p = {"w": jnp.ones((2, 128), jnp.bfloat16)}
    state = tx.init(p)
    u, new = jax.jit(tx.update)(p, state, p)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, new)
    assert jax.tree.structure(state) == jax.tree.structure(new)
    alone = stored()
    v, _ = alone.update(jax.tree.map(lambda x: x / optax.tree.norm(p), p), alone.init(p), p)
    assert np.all(np.asarray(v["w"], np.float32) != 0)
    assert u["w"].dtype == jnp.float32


def test_bfloat16() -> None:
    tx, p = stored(mu="bfloat16", nu="bfloat16"), params()
    state = tx.init(p)
    assert bytes_of(state[0].slots) * 2 == bytes_of(gradtx.adamw(1e-2).init(p)[0].slots)
    _, new = tx.update(p, state, p)
    assert all(x.dtype == jnp.bfloat16 for x in jax.tree.leaves(new[0].slots))
    np.testing.assert_array_equal(new[0].mu["w"], (0.1 * p["w"]).astype(jnp.bfloat16))


def test_a_slot_that_starts_at_a_number() -> None:
    tx = gradtx.store(gradtx.scale_by_rss(0.25), sum_of_squares="fp8_root")
    state = tx.init(jnp.zeros((2, 64)))
    np.testing.assert_allclose(state.sum_of_squares, 0.25, rtol=1e-6)
    with jax.enable_x64(False):
        assert jax.jit(tx.init)(jnp.zeros((2, 64))).slots["sum_of_squares"].code.dtype == jnp.float8_e4m3fn


def trained(tx: gradtx.Transform, steps: int = 3) -> tuple[Any, Any]:
    p = jax.tree.map(jnp.copy, PARAMS)
    state = tx.init(p)
    for t in range(steps):
        u, state = tx.update(jax.tree.map(lambda x, t=t: jnp.cos(x + t), p), state, p)
        p = gradtx.apply_updates(p, u)
    return p, state


PARAMS = params()


def test_who_reads_a_slot_reads_arrays() -> None:
    tx = stored()
    p, state = trained(tx)
    found = gradtx.tree.get(state, "nu")["w"]
    assert found.shape == p["w"].shape
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, state[0].nu["w"])
    wanted = np.asarray(trained(gradtx.adamw(1e-2))[1][0].nu["w"])
    np.testing.assert_allclose(found, wanted, rtol=0.3, atol=1e-8)
    again = gradtx.tree.set(state, nu=gradtx.tree.get(state, "nu"))
    chex.assert_trees_all_equal_shapes_and_dtypes(again, state)
    np.testing.assert_allclose(gradtx.tree.get(again, "nu")["w"], found, rtol=1e-6)
    assert gradtx.hyperparams(tx, state)["scale_by_learning_rate.learning_rate"] == pytest.approx(1e-2)
    assert repr(tx) == "store(" + repr(gradtx.adamw(1e-2)) + ", mu='fp8', nu='fp8_root')"
    assert "float8" in repr(state)
    specs = {"w": "spec of w", "b": "spec of b"}
    placed = gradtx.tree_map_params(tx, lambda _, s: s, state, specs, transform_non_params=lambda _: "none")
    assert (placed[0].slots["mu"]["w"].code, placed[0].slots["mu"]["w"].scale) == ("spec of w", "none")


def test_watch_reads_the_rate_of_a_stored_sigma() -> None:
    """From a sample of the array, whose blocks are of different sizes."""
    sizes = np.repeat(10.0 ** np.arange(5), 128)
    big = {"w": jnp.asarray(RNG.normal(size=(64, 640)) * sizes, jnp.float32)}
    rates = []
    for inner in (gradtx.adamw(1e-2), stored()):
        tx = gradtx.watch(inner)
        state = tx.init(big)
        step = jax.jit(tx.update)
        for _ in range(3):
            _, state = step(big, state, big)
        rates.append([gradtx.metrics(state)[f"rate_{name}"] for name in ("min", "mean")])
    np.testing.assert_allclose(*rates, rtol=0.1)
    assert not np.allclose(rates[0], 1e-2, rtol=0.1)


def test_a_state_goes_on_in_another_form() -> None:
    plain, ours = gradtx.adamw(1e-2), stored()
    p, state = trained(ours)
    flat = gradtx.export_state(ours, state)
    assert {"adamw/scale_by_adam/mu/w/fp8", "adamw/scale_by_adam/nu/w/fp8_root", "adamw/scale_by_adam/nu/w/scale"} <= {
        *flat
    }
    same, report = gradtx.import_state(ours, p, flat)
    chex.assert_trees_all_equal(same, state)
    assert not report.added
    wide, report = gradtx.import_state(plain, p, flat)
    assert report.added == report.dropped == ()
    np.testing.assert_array_equal(wide[0].nu["w"], state[0].nu["w"])
    back, report = gradtx.import_state(ours, p, gradtx.export_state(plain, wide))
    assert report.added == report.dropped == ()
    np.testing.assert_allclose(back[0].nu["w"], state[0].nu["w"], rtol=1e-6)
    other, _ = gradtx.import_state(stored(nu="fp8"), p, flat)
    assert isinstance(other[0].slots["nu"]["w"], Coded)
    assert other[0].slots["nu"]["w"].kind == "fp8"
    assert other[0].slots["mu"]["w"].dtype == jnp.float32


WRAPPERS = [row for row in ROWS if row.around is not None]


@pytest.mark.share(4)
@pytest.mark.parametrize("row", WRAPPERS, ids=lambda row: row.name)
def test_it_goes_round_every_wrapper_and_inside(row: Row) -> None:
    """On shapes alone: what is inside keeps its slots in few bits, and the state is stable."""
    mesh = jax.sharding.AbstractMesh((1,), ("x",))  # for the wrappers that ask on which mesh the params lie
    there = jax.sharding.NamedSharding(mesh, jax.P())
    shapes = {"w": ((2, 128), jnp.float32), "b": ((3,), jnp.bfloat16)}
    p = {name: jax.ShapeDtypeStruct(*of, sharding=there) for name, of in shapes.items()}
    assert row.around is not None
    for tx in (stored(row.around(gradtx, gradtx.adamw(1e-2))), row.around(gradtx, stored())):
        state = jax.eval_shape(tx.init, p)
        assert {x.dtype for x in jax.tree.leaves(state)} >= {jnp.dtype(jnp.float8_e4m3fn)}

        def update(g: Any, s: Any, p: Any, tx: Any = tx) -> Any:
            return tx.update(g, s, p, **row.given(g, p))

        _, new = jax.eval_shape(update, p, state, p)
        assert jax.tree.structure(state) == jax.tree.structure(new)
        chex.assert_trees_all_equal_shapes_and_dtypes(state, new)


def test_it_reaches_into_optax_s_wrappers() -> None:
    tx = gradtx.store(optax.MultiSteps(gradtx.adam(1e-3), 2).gradient_transformation(), **BITS)
    state = jax.eval_shape(tx.init, {"w": jax.ShapeDtypeStruct((2, 128), jnp.float32)})
    assert jnp.float8_e4m3fn in [x.dtype for x in jax.tree.leaves(state)]


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "unknown slot": (
        lambda: stored(mom="fp8"),
        ValueError,
        r"store: mom is no slot of adamw, expected one of mu, nu; print",
    ),
    "unknown code": (
        lambda: stored(mu="int4"),
        ValueError,
        r"store: mu is 'int4', expected one of bfloat16, fp8, fp8_root",
    ),
    "negative": (
        lambda: stored(mu="fp8_root"),
        ValueError,
        r"store: mu of scale_by_adam may be negative.*expected magnitudes; give mu=\"fp8\"",
    ),
    "parameter": (
        lambda: gradtx.store(gradtx.dog(), params0="fp8"),
        ValueError,
        r"store: params0 of .* starts at the parameter, expected .*; leave it as it is, or give params0=\"bfloat16\"",
    ),
    "shape": (
        lambda: gradtx.store(gradtx.novograd(0.1), norm="fp8_root"),
        ValueError,
        r"store: norm of .* is no array in the shape of its parameter",
    ),
    "optax": (
        lambda: gradtx.store(gradtx.chain(gradtx.adam(0.1), optax.trace(0.9)), mu="fp8"),
        TypeError,
        r"store: tx holds optax.*, whose slots cannot be seen, expected transforms of gradtx; store what is",
    ),
    "no transform": (lambda: gradtx.store(3.0, mu="fp8"), TypeError, r"store: tx is float, expected a transform"),
    "complex": (
        lambda: stored(gradtx.adam(0.1)).init({"w": [jnp.zeros((2, 64), jnp.complex64)]}),
        TypeError,
        r"scale_by_adam: params\['w'\]\[0\] is complex64 .*, expected a real array; leave such leaves out of store",
    ),
    "shape of one leaf": (
        lambda: gradtx.store(gradtx.adafactor(0.1), v="bfloat16").init({"w": jnp.zeros((256, 256))}),
        ValueError,
        r"params\['w'\] has a slot 'v' that is .*, expected shape \(256, 256\)",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_kept_is_an_error(name: str) -> None:
    make, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        make()


def test_derivatives_are_finite() -> None:
    """Through what a step makes of its gradient; what was kept is taken as given."""
    tx, p = stored(gradtx.adam(1.0)), jnp.zeros((1, 64))

    def total(g: jax.Array) -> jax.Array:
        _, state = tx.update(g, tx.init(p), p)
        return jnp.sum(tx.update(g, state, p)[0])

    for g in (jnp.ones((1, 64)), jnp.zeros((1, 64))):
        assert np.all(np.isfinite(jax.grad(total)(g)))
