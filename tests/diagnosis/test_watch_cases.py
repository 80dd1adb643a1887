"""`watch` where users broke it: NaN checks, late steps, skipped and huge gradients, checkpoints, wrappers, rates."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental import checkify

import gradtx
from gradtx.diagnosis.read.evidence import read
from gradtx.diagnosis.record.groups import depth, group_labels
from gradtx.diagnosis.record.record import BLOCK
from gradtx.diagnosis.record.written import merge
from tests.diagnosis.runs import feed, gradients, plain, quadratic, short, start, train

NAN = jnp.float32(np.nan)
CHAINS = {
    "sgd": lambda: gradtx.sgd(0.01),
    "clip + adamw": lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.01)),
    "optax.adam": lambda: optax.adam(0.01),
}
by_chain = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if "adamw" in name else pytest.mark.exhaustive) for name in CHAINS]
)
optax_dtypes = functools.partial(jax.numpy_dtype_promotion, "standard")  # which optax's own transforms rely on


def healthy(name: str) -> Any:
    """Return watched transform, params and the step of a healthy run."""
    tx = gradtx.watch(CHAINS[name]())

    def step(p: Any, state: Any) -> Any:
        value, g = jax.value_and_grad(quadratic)(p)
        updates, state = tx.update(g, state, p, value=value)
        return gradtx.apply_updates(p, updates), state

    return tx, jnp.array([1.0, 2.0], jnp.float32), step


@pytest.mark.exhaustive
@by_chain
def test_a_healthy_run_passes_the_checks_for_nan_and_infinity(name):
    tx, p, step = healthy(name)
    with optax_dtypes(), jax.debug_nans(True), jax.debug_infs(True):
        state = tx.init(p)
        p, state = step(p, state)
        jitted = jax.jit(step)
        for _ in range(3):
            p, state = jitted(p, state)
        p, state = jax.jit(lambda p, s: jax.lax.scan(lambda c, _: (step(*c), None), (p, s), length=70)[0])(p, state)
        _, at_rest = jax.jit(tx.update)(jnp.zeros_like(p), state, p)
        _, at_rest = jax.jit(tx.update)(jnp.zeros_like(p), at_rest, p)
    for x in jax.tree.leaves((state, at_rest)):
        assert np.isfinite(x).all()
    got = gradtx.metrics(at_rest)
    assert "cosine" not in got
    assert "rho" not in got
    assert got["grad_norm"] == 0
    assert read(state).steps == 74
    assert np.isfinite(read(state).rows["straight"]).sum() == 1


@pytest.mark.exhaustive
@by_chain
def test_checkify_finds_nothing(name):
    tx, p, step = healthy(name)
    checks = checkify.all_checks
    with optax_dtypes():
        error, state = jax.jit(checkify.checkify(tx.init, errors=checks))(p)
        error.throw()
        checked = jax.jit(checkify.checkify(step, errors=checks))
        for _ in range(3):
            error, (p, state) = checked(p, state)
            error.throw()
        still = checkify.checkify(lambda g, s, p: tx.update(g, s, p)[1], errors=checks)
        error, _ = jax.jit(still)(jnp.zeros_like(p), state, p)
    error.throw()


@pytest.mark.parametrize(("t", "block"), [(2**24, 2**16), (2**30 - 4, 2**22), (2**31 - 20, 2**23)])
def test_late_steps_keep_their_number_and_their_history(t, block):
    tx, step = plain()
    p, state = start(), tx.init(start())
    state = state._replace(record=state.record._replace(step=jnp.int32(t), block=jnp.int32(block)))
    grads = gradients(8)
    for g in grads:
        p, state, _ = step(p, state, g, {"value": jnp.float32(1.0)})
    got = read(state)
    np.testing.assert_array_equal(got.rows["step"], t + np.arange(8))
    np.testing.assert_array_equal(got.early["step"], t + np.arange(8))
    assert np.isfinite(got.rows["end"][1:]).all()
    assert np.isfinite(got.rows["cos2"][2:]).all()
    assert got.steps == t + 8
    assert int(state.record.block) == 2 ** int(np.ceil(np.log2((t + 8) / 256)))
    assert got.history["losses"].sum() == 8


def test_steps_stop_at_the_largest_int32():
    tx, step = plain()
    state = tx.init(start())
    state = state._replace(record=state.record._replace(step=jnp.int32(2**31 - 2), block=jnp.int32(2**23)))
    for g in gradients(3):
        _, state, _ = step(start(), state, g, {"value": jnp.float32(1.0)})
    assert read(state).steps == 2**31 - 1
    assert int(state.record.block) == 2**23


def test_a_block_of_a_million_losses_keeps_its_digits():
    losses = np.random.default_rng(0).uniform(0.5, 1.5, 2**20).astype(np.float32)
    one = {"losses": 1.0, "loss_mean": 0.0, "loss_lost": 0.0}
    single = jnp.array([one.get(name, 0.0) for name in BLOCK], jnp.float32)

    def add(block: Any, loss: Any) -> Any:
        return merge(block, single.at[BLOCK.index("loss_mean")].set(loss)), None

    block, _ = jax.jit(lambda xs: jax.lax.scan(add, single.at[0].set(0.0), xs))(losses)
    assert block[0] == 2**20
    mean = float(block[1]) + float(block[2])
    assert mean == pytest.approx(losses.astype(np.float64).mean(), rel=1e-6)


def guarded(bad: tuple[int, ...], steps: int = 60, every: int | None = None, losses: Any = None) -> Any:
    """Train SGD that skips non-finite gradients, and return its state."""
    grads = gradients(steps)
    for t in bad:
        grads[t] = {**grads[t], "w": grads[t]["w"].at[0, :2].set(NAN)}
    tx = gradtx.watch(optax.apply_if_finite(optax.sgd(0.1), 10), every=every)
    with optax_dtypes():
        return feed(tx, grads, np.linspace(2.0, 1.0, steps) if losses is None else losses).state


def test_a_skipped_step_is_counted_and_the_record_goes_on():
    got = read(guarded((20, 40)))
    assert (got.skipped, got.first_skipped, got.last_skipped, got.skipped_bad) == (2, 20, 40, {"w": 2})
    assert (got.steps, got.bad_step, got.bad) == (60, -1, {})
    np.testing.assert_array_equal(got.rows["step"], [t for t in range(60) if t not in (20, 40)])
    assert got.history["losses"].sum() == 60
    assert all(np.isnan(got.rows[name][20]) for name in ("end", "cos1", "cos2", "ucos"))
    assert gradtx.metrics(guarded((20, 40)))["skipped"] == 2
    report = gradtx.diagnose(guarded((20, 40)))
    assert report.verdict != "non_finite"
    assert "2 steps were skipped, the first 20, the last 40" in str(report)
    assert "w (2 entries)" in str(report)
    assert report.to_dict()["skipped"] == {"steps": 2, "first": 20, "last": 40, "entries": {"w": 2}}


def test_a_skipped_step_may_lose_its_loss_and_fall_between_measurements():
    losses = np.linspace(2.0, 1.0, 60)
    losses[21] = np.nan
    got = read(guarded((21,), every=8, losses=losses))
    assert (got.skipped, got.first_skipped, got.bad_step, got.steps) == (1, 21, -1, 60)
    assert got.history["losses"].sum() == 59
    assert np.isnan(got.losses[21])


def test_a_run_that_skips_nothing_says_so():
    assert read(short(30).state).skipped == 0
    assert "skipped" not in str(gradtx.diagnose(short(30).state))


def test_a_skipped_step_does_not_hide_a_later_end():
    losses = np.linspace(2.0, 1.0, 60)
    losses[50] = np.inf
    got = read(guarded((20,), losses=losses))
    assert (got.skipped, got.bad_step, got.bad) == (1, 50, {})


@pytest.mark.parametrize(("size", "bound"), [(3e19, 1.0), (3e38, 1e9)])
def test_a_huge_finite_gradient_is_recorded(size, bound):
    grads = gradients(40)
    grads[30] = {**grads[30], "w": grads[30]["w"].at[0, 0].set(size)}
    tx = gradtx.watch(gradtx.chain(gradtx.clip_by_global_norm(bound), gradtx.sgd(0.1)))
    state = feed(tx, grads, np.ones(40)).state
    got = read(state)
    assert (got.bad_step, got.skipped) == (-1, 0)
    assert np.sqrt(got.rows["gg"][30]) == pytest.approx(size, rel=1e-6)
    assert np.sqrt(got.groups["w"]["gg"][30]) == pytest.approx(size, rel=1e-6)
    small = np.linalg.norm(np.asarray(grads[30]["b"], np.float64))
    assert np.sqrt(got.groups["b"]["gg"][30]) == pytest.approx(small, rel=1e-6)
    assert np.sqrt(got.group_peak["w"]) == pytest.approx(size, rel=1e-6)
    assert np.sqrt(got.history["gg_max"].max()) == pytest.approx(size, rel=1e-6)
    assert np.sqrt(got.rows["uu"][30]) == pytest.approx(0.1 * bound, rel=1e-5)
    assert got.rows["gu"][30] == pytest.approx(-0.1 * bound * size, rel=1e-5)
    assert got.rows["clip"][30] == pytest.approx(bound / size, rel=1e-5)
    u = -0.1 * bound  # the update of step 30 is in this entry alone
    assert got.rows["end"][31] == pytest.approx(u * float(grads[31]["w"][0, 0]), rel=1e-4)
    assert np.isfinite(got.rows["cos1"][31])
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_huge_gradient_of_a_model_of_one_parameter(shape):
    p = jnp.full(shape, 3e19, jnp.float32)
    tx = gradtx.watch(gradtx.scale(-1e-20))
    _, state = jax.jit(tx.update)(p, tx.init(p), p)
    assert gradtx.metrics(state)["grad_norm"] == pytest.approx(3e19, rel=1e-6)
    assert gradtx.metrics(state)["update_norm"] == pytest.approx(0.3, rel=1e-6)


def stored(x: Any) -> Any:
    """Return what flax's serialization makes of a state: it knows containers and named tuples, and packs values."""
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return {name: stored(getattr(x, name)) for name in x._fields}
    if isinstance(x, dict):
        return {key: stored(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return {str(i): stored(value) for i, value in enumerate(x)}
    assert x is None or type(x) in (str, int, bool, float) or isinstance(x, jax.Array), type(x)
    return x


def test_a_state_is_made_of_what_checkpoint_libraries_store():
    state = short(3).state
    assert stored(state)["record"]["meta"]["groups"] == {"0": "b", "1": "w"}
    assert jax.tree.structure(jax.tree.map(lambda x: x, state)) == jax.tree.structure(state)
    assert not jax.tree.leaves(state.record.meta)


def test_flax_stores_and_restores_a_state():
    serialization = pytest.importorskip("flax.serialization")
    tx, step = plain()
    run = short(5)
    again = serialization.from_bytes(tx.init(start()), serialization.to_bytes(run.state))
    assert jax.tree.structure(again) == jax.tree.structure(run.state)
    jax.tree.map(np.testing.assert_array_equal, again, run.state)
    _, state, _ = step(run.params[-1], again, run.grads[0], {"value": jnp.float32(1.0)})
    assert read(state).steps == 6


@pytest.mark.parametrize("inner", [gradtx.adam, optax.adam], ids=["gradtx", "optax"])
def test_tree_map_params_reaches_the_slots_alone(inner):
    tx, p = gradtx.watch(inner(0.1), groups={"b": "one", "w": "two"}), start()
    state = tx.init(p)
    mapped = optax.tree_map_params(tx, lambda x: x + 1, state)
    assert jax.tree.structure(mapped) == jax.tree.structure(state)
    assert mapped.record.meta == state.record.meta
    jax.tree.map(np.testing.assert_array_equal, mapped.record, state.record)
    new, old = (jax.tree.leaves(x.inner) for x in (mapped, state))
    assert sum(np.all(np.asarray(a) == np.asarray(b) + 1) for a, b in zip(new, old, strict=True)) == 4  # mu, nu of two
    marked = optax.tree_map_params(tx, lambda x: "slot", state, transform_non_params=lambda x: "other")
    assert set(jax.tree.leaves(marked)) == {"slot", "other"}
    with optax_dtypes():
        jax.jit(tx.update)(p, mapped, p)


def test_lookahead_is_measured_at_its_fast_parameters():
    grads, p = gradients(12), start()
    pair = optax.LookaheadParams.init_synced(p)

    def run(tx: Any) -> Any:
        def step(p: Any, state: Any, g: Any) -> Any:
            updates, state = tx.update(g, state, p)
            return optax.apply_updates(p, updates), state

        step, p, state = jax.jit(step), pair, tx.init(pair)
        for g in grads:
            p, state = step(p, state, g)
        return p, state

    with optax_dtypes():
        (bare, own), (watched, state) = (run(tx) for tx in (slow(), gradtx.watch(slow())))
    jax.tree.map(np.testing.assert_array_equal, (watched, state.inner), (bare, own))
    got = read(state)
    assert got.sizes == {"b": 4, "w": 15}
    size = np.sqrt(sum(np.sum(np.square(np.asarray(x, np.float64))) for x in jax.tree.leaves(grads[0])))
    assert np.sqrt(got.rows["gg"][0]) == pytest.approx(size, rel=1e-6)
    assert np.sqrt(got.rows["uu"][0]) == pytest.approx(0.1 * size, rel=1e-6)


def slow() -> Any:
    return optax.lookahead(optax.sgd(0.1), sync_period=5, slow_step_size=0.5)


def test_a_learning_rate_outside_jit_is_called_live():
    rate = [1.0]
    tx, p = gradtx.watch(optax.sgd(0.1), learning_rate=lambda count: rate[0]), start()
    state, seen = tx.init(p), []
    for value in (1.0, 0.1, 0.3):
        rate[0] = value
        _, state = tx.update(p, state, p)
        seen.append(gradtx.metrics(state)["learning_rate"])
    assert seen == pytest.approx([1.0, 0.1, 0.3])
    table = gradtx.watch(optax.sgd(0.1), learning_rate=lambda count: [0.5, 0.25][int(count)])
    state = table.init(p)
    for value in (0.5, 0.25):
        _, state = table.update(p, state, p)
        assert gradtx.metrics(state)["learning_rate"] == value


def test_what_is_recorded_outside_jit_is_what_the_update_did():
    factor = [1.0]

    def update(grads: Any, state: Any, params: Any = None) -> Any:
        return jax.tree.map(lambda g: factor[0] * g, grads), state

    tx, p = gradtx.watch(optax.GradientTransformation(lambda params: optax.EmptyState(), update)), start()
    state = tx.init(p)
    for value in (1.0, 3.0):
        factor[0] = value
        _, state = tx.update(p, state, p)
        got = gradtx.metrics(state)
        assert got["update_norm"] == pytest.approx(value * got["grad_norm"])


def test_a_rate_traced_anew_is_the_new_one():
    rate = [1.0]
    tx, p = gradtx.watch(optax.sgd(0.1), learning_rate=lambda count: rate[0]), start()
    for value in (1.0, 0.1):
        rate[0] = value
        _, state = jax.jit(lambda g, s, p: tx.update(g, s, p))(p, tx.init(p), p)
        assert gradtx.metrics(state)["learning_rate"] == pytest.approx(value)


X = np.zeros(2)


@pytest.mark.parametrize(
    ("params", "want"),
    [
        ({"params": {"Dense_0": {"w": X, "b": X}, "Dense_1": {"w": X}}}, ["Dense_0", "Dense_0", "Dense_1"]),
        ({"layers": [{"w": X, "b": None}, {"w": X}]}, ["layers.0", "layers.1"]),
        ({"params": {"layers": {0: X, 1: X}}}, ["layers.0", "layers.1"]),
        ({"params": {"w": X}}, ["w"]),
        ([X, X], ["0", "1"]),
        ({"a": {"b": {"c": X}}, "d": X}, ["a", "d"]),
        (optax.LookaheadParams({"w": X}, {"w": X}), ["fast", "slow"]),
        (X, ["params"]),
        ({}, []),
    ],
)
def test_default_groups_are_the_first_keys_that_differ(params, want):
    assert group_labels(None, params, depth(params)) == want


def test_default_groups_stay_when_a_leaf_loses_its_gradient():
    p = {"body": {"b": jnp.ones(2, jnp.float32), "w": jnp.ones(3, jnp.float32)}, "head": jnp.ones(4, jnp.float32)}
    tx = gradtx.watch(gradtx.sgd(0.1))
    g = {**p, "head": None}
    _, state = tx.update(g, tx.init(p), p)
    got = read(state)
    assert list(got.groups) == ["body", "head"]
    assert got.groups["body"]["gg"][0] == pytest.approx(5)
    assert got.groups["head"]["gg"][0] == 0


def test_a_dead_layer_below_one_key_is_a_group_of_its_own():
    tx = gradtx.watch(gradtx.sgd(0.1))
    p = {"layers": [jnp.ones((4, 4), jnp.float32), jnp.ones((4, 4), jnp.float32)]}

    def loss(p: Any) -> jax.Array:
        first, second = p["layers"]
        return 1.0 + jnp.sum(second**2) + jnp.sum(jax.nn.relu(first - 3.0))

    got = gradtx.diagnose(train(tx, loss, p, 40))
    assert got.verdict == "vanishing_dead"
    assert got.features.dead == ("layers.0",)
    assert got.run.groups["layers.0"]["zeros"][-1] == 1
    assert got.run.groups["layers.1"]["zeros"][-1] == 0


def test_a_leaf_of_no_group_is_refused():
    tx = gradtx.watch(gradtx.scale(1.0), groups=lambda path: path)
    state = tx.init({"a": jnp.ones(2, jnp.float32)})
    g = {"b": jnp.ones(2, jnp.float32)}
    with pytest.raises(ValueError, match=r"watch: grads have a leaf in group \"\['b'\]\", expected one of"):
        tx.update(g, state, g)
