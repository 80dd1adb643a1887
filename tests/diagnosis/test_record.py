"""What the record holds, against float64 NumPy, and when it is written, wrapped, halved and frozen."""

import functools
import io
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import gradtx
from gradtx.diagnosis.read.evidence import read
from gradtx.diagnosis.record.record import COLUMNS, RING
from tests.diagnosis.runs import Fed, feed, gradients, plain, short, start, step_of

STEPS = 70
RATE = 0.05


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.asarray(x, np.float64).reshape(-1) for x in jax.tree.leaves(tree)])


def rows_of(run: Fed) -> dict[str, np.ndarray]:
    """Compute the columns that need no knowledge of the transform anew, in float64."""
    gs, us, ps = ([flat(x) for x in trees] for trees in (run.grads, run.updates, run.params))
    n, nan = len(gs), np.nan
    size = np.linalg.norm

    def pair(a: Any, b: Any) -> float:
        return float(a @ b / size(a) / size(b))

    blocks = [t for t in range(64, n, 64)]
    travelled = {t: sum(us[i] @ us[i] for i in range(t - 64, t)) for t in blocks}
    return {
        "step": np.arange(n),
        "loss": np.asarray(run.losses),
        "gg": np.array([g @ g for g in gs]),
        "uu": np.array([u @ u for u in us]),
        "pp": np.array([p @ p for p in ps[:n]]),
        "start": np.array([nan] + [gs[t - 1] @ us[t - 1] for t in range(1, n)]),
        "end": np.array([nan] + [gs[t] @ us[t - 1] for t in range(1, n)]),
        "gu": np.array([g @ u for g, u in zip(gs, us, strict=True)]),
        "cos1": np.array([nan] + [pair(gs[t], gs[t - 1]) for t in range(1, n)]),
        "cos2": np.array([nan, nan] + [pair(gs[t], gs[t - 2]) for t in range(2, n)]),
        "ucos": np.array([nan] + [pair(us[t], us[t - 1]) for t in range(1, n)]),
        "pcos": np.array([pair(gs[t], ps[t]) for t in range(n)]),
        "straight": np.array(
            [(ps[t] - ps[t - 64]) @ (ps[t] - ps[t - 64]) / travelled[t] if t in travelled else nan for t in range(n)]
        ),
        "zeros": np.array([np.mean(g == 0) for g in gs]),
    }


CHAINS = {
    "sgd": lambda: gradtx.sgd(RATE),
    "momentum": lambda: gradtx.sgd(RATE, momentum=0.9),
    "adam": lambda: gradtx.adam(RATE),
    "clip + adamw": lambda: gradtx.chain(gradtx.clip_by_global_norm(6.0), gradtx.adamw(RATE, weight_decay=0.01)),
    "optax.adam": lambda: optax.adam(RATE),
}


@functools.cache
def fed(name: str) -> Fed:
    with lax_for_optax():
        return feed(gradtx.watch(CHAINS[name]()), gradients(STEPS), np.linspace(3.0, 1.0, STEPS))


def lax_for_optax() -> Any:
    """Let dtypes be promoted, which optax's own transforms rely on."""
    return jax.numpy_dtype_promotion("standard")


by_chain = pytest.mark.parametrize("name", CHAINS)


@pytest.mark.share(4)
@by_chain
def test_columns(name):
    run = fed(name)
    got, want = read(run.state).rows, rows_of(run)
    assert len(got["step"]) == STEPS
    for column, numbers in want.items():
        np.testing.assert_allclose(got[column], numbers, rtol=2e-4, atol=1e-5, err_msg=column)
    rho = got["end"][1:] / got["start"][1:]
    np.testing.assert_allclose(rho, want["end"][1:] / want["start"][1:], rtol=5e-4, atol=1e-4)


@by_chain
def test_first_rows_are_kept_beside_the_last(name):
    run = read(fed(name).state)
    assert len(run.early["step"]) == 64
    for column in COLUMNS:
        np.testing.assert_array_equal(run.early[column], run.rows[column][:64], err_msg=column)


@by_chain
def test_groups(name):
    run = fed(name)
    got = read(run.state)
    assert list(got.groups) == ["b", "w"]
    assert got.sizes == {"b": 4, "w": 15}
    for group, columns in got.groups.items():
        for column, trees in (("gg", run.grads), ("uu", run.updates), ("pp", run.params[:-1])):
            want = [flat(tree[group]) @ flat(tree[group]) for tree in trees]
            np.testing.assert_allclose(columns[column], want, rtol=1e-5, err_msg=f"{group} {column}")
        np.testing.assert_allclose(columns["zeros"], 0.25 if group == "b" else 0.0)
        assert got.group_peak[group] == columns["gg"].max()


def adam_sigma(grads: list[np.ndarray]) -> list[np.ndarray]:
    nu, out = 0.0, []
    for t, g in enumerate(grads, 1):
        nu = 0.999 * nu + 0.001 * g**2
        out.append(np.sqrt(nu / (1 - 0.999**t)) + 1e-8)
    return out


@pytest.mark.parametrize("name", ["adam", "clip + adamw"])
def test_effective_rates_of_adam(name):
    run = fed(name)
    got = read(run.state).rows
    gs = [flat(g) for g in run.grads]
    if name == "clip + adamw":
        factor = np.minimum(1.0, 6.0 / np.array([np.linalg.norm(g) for g in gs]))
        assert (factor < 1).any()
        assert (factor == 1).any()
        np.testing.assert_allclose(got["clip"], factor, rtol=1e-5)
        gs = [g * f for g, f in zip(gs, factor, strict=True)]
    else:
        assert np.isnan(got["clip"]).all()
    rates = [RATE / sigma for sigma in adam_sigma(gs)]
    moved = [rate[rate < 1e5] for rate in rates]  # where the gradient is 0, sigma is eps
    np.testing.assert_allclose(got["rate_min"], [r.min() for r in moved], rtol=1e-4)
    np.testing.assert_allclose(got["rate_max"], [r.max() for r in rates], rtol=1e-4)
    np.testing.assert_allclose(got["rate_mean"], [np.exp(np.mean(np.log(r))) for r in rates], rtol=1e-4)


@pytest.mark.parametrize("name", ["sgd", "momentum"])
def test_without_sigma_the_rate_is_one_number(name):
    rows = read(fed(name).state).rows
    for column in ("learning_rate", "rate_min", "rate_mean", "rate_max"):
        np.testing.assert_allclose(rows[column], RATE, rtol=1e-6)


def test_learning_rate_of_optax_is_unknown_unless_given():
    assert np.isnan(read(fed("optax.adam").state).rows["learning_rate"]).all()
    told = gradtx.watch(optax.adam(RATE), learning_rate=lambda count: 0.5 / (1.0 + count.astype(jnp.float32)))
    injected = gradtx.watch(optax.inject_hyperparams(optax.sgd)(learning_rate=0.25))
    with lax_for_optax():
        rows = read(feed(told, gradients(3)).state).rows
        np.testing.assert_allclose(rows["learning_rate"], [0.5, 0.25, 0.5 / 3], rtol=1e-6)
        np.testing.assert_allclose(read(feed(injected, gradients(2)).state).rows["learning_rate"], 0.25)


def test_scheduled_rate_is_that_of_the_step():
    tx = gradtx.watch(gradtx.sgd(gradtx.polynomial_schedule(1.0, 0.0, 1, 10)))
    np.testing.assert_allclose(read(feed(tx, gradients(3)).state).rows["learning_rate"], [1.0, 0.9, 0.8], rtol=1e-6)


def test_every_measures_runs_of_three_and_no_pair_across_a_gap():
    tx = gradtx.watch(gradtx.sgd(0.1), every=8)
    run = feed(tx, gradients(30), np.arange(30.0))
    got = read(run.state)
    want = [t for t in range(30) if t % 8 < 3]
    np.testing.assert_array_equal(got.rows["step"], want)
    firsts = np.array(want) % 8 == 0
    for column in ("start", "end", "cos1", "ucos"):
        np.testing.assert_array_equal(np.isnan(got.rows[column]), firsts, err_msg=column)
    np.testing.assert_array_equal(np.isnan(got.rows["cos2"]), np.array(want) % 8 < 2)
    every_step = rows_of(run)
    for column in ("gg", "end", "cos1", "cos2"):
        known = np.isfinite(got.rows[column])
        np.testing.assert_allclose(got.rows[column][known], every_step[column][want][known], rtol=2e-4, atol=1e-5)
    np.testing.assert_array_equal(got.losses, np.arange(30.0))


@pytest.mark.share(4)
@pytest.mark.parametrize(("every", "measured"), [(1, 9), (2, 9), (3, 9), (4, 7)])
def test_every_below_a_run_measures_all(every, measured):
    tx = gradtx.watch(gradtx.sgd(0.1), every=every)
    state = feed(tx, gradients(9)).state
    assert len(read(state).rows["step"]) == measured


def test_ring_keeps_the_last_256():
    losses = np.sqrt(np.arange(300.0) + 1)
    got = read(short(300, losses).state)
    np.testing.assert_array_equal(got.rows["step"], np.arange(300 - RING, 300))
    np.testing.assert_array_equal(got.early["step"], np.arange(64))
    np.testing.assert_array_equal(got.losses, losses[-RING:].astype(np.float32))
    np.testing.assert_array_equal(got.early_losses, losses[:64].astype(np.float32))
    assert not np.isnan(got.rows["end"]).any()


@functools.cache
def long_run() -> Fed:
    steps = 1100  # halves the history three times: 256, 512, 1024
    losses = np.random.default_rng(3).uniform(1.0, 2.0, steps).astype(np.float32)
    few = gradients(4)
    return short(steps, losses, [few[t % 4] for t in range(steps)])


def test_history_adds_up_after_halvings():
    run = long_run()
    history, losses = read(run.state).history, np.asarray(run.losses, np.float64)
    length = 8
    assert int(run.state.record.block) == length
    starts = np.arange(0, len(losses), length)
    np.testing.assert_array_equal(history["step"], starts)
    blocks = [losses[i : i + length] for i in starts]
    np.testing.assert_array_equal(history["losses"], [len(b) for b in blocks])
    np.testing.assert_allclose(history["loss_sum"], [b.sum() for b in blocks], rtol=1e-6)
    np.testing.assert_array_equal(history["loss_max"], [b.max() for b in blocks])
    np.testing.assert_array_equal(history["loss_min"], [b.min() for b in blocks])
    np.testing.assert_allclose(history["loss_sum"].sum(), losses.sum(), rtol=1e-6)
    gg = np.array([flat(g) @ flat(g) for g in run.grads])
    np.testing.assert_allclose(history["gg_max"], [gg[i : i + length].max() for i in starts], rtol=1e-5)
    np.testing.assert_allclose(history["rate_min"], 0.1, rtol=1e-6)


@pytest.mark.parametrize("kind", ["loss", "gradient", "update"])
def test_freezes_at_the_first_step_that_is_not_finite(kind):
    grads, losses = gradients(40), np.linspace(2.0, 1.0, 40)
    tx, step = plain()
    if kind == "loss":
        losses[30] = np.nan
    elif kind == "gradient":
        grads[30]["w"] = grads[30]["w"].at[0, :2].set(jnp.array([jnp.nan, jnp.inf], jnp.float32))
    else:
        grads[30]["w"] = grads[30]["w"].at[0, 0].set(3e38)
        tx = gradtx.watch(gradtx.sgd(100.0))
        step = step_of(tx)
    run = feed(tx, grads, losses, step=step)
    got = read(run.state)
    assert (got.steps, got.bad_step) == (30, 30)
    assert got.bad == ({"w": 2} if kind == "gradient" else {})
    np.testing.assert_array_equal(got.rows["step"], np.arange(30))
    np.testing.assert_array_equal(got.losses, losses[:30].astype(np.float32))
    assert np.isfinite(got.rows["gg"]).all()
    assert got.history["losses"].sum() == 30
    assert np.isfinite(got.history["loss_max"]).all()
    bare = gradtx.sgd(100.0 if kind == "update" else 0.1)
    for u, g in zip(run.updates, grads, strict=True):
        jax.tree.map(np.testing.assert_array_equal, u, bare.update(g, bare.init(g))[0])


def test_freezes_inside_a_block():
    losses = np.ones(303)
    losses[301] = np.inf  # the second step of a block of two
    few = gradients(1) * 303
    got = read(short(303, losses, few).state)
    assert got.bad_step == 301
    assert got.history["losses"].sum() == 301
    np.testing.assert_array_equal(got.history["loss_max"], 1.0)


def test_bad_gradient_between_measured_steps_is_found_at_the_next_loss_or_measurement():
    grads = gradients(20)
    grads[5] = jax.tree.map(lambda g: g * jnp.nan, grads[5])
    tx = gradtx.watch(gradtx.sgd(0.1, momentum=0.9), every=8)
    got = read(feed(tx, grads, np.ones(20)).state)
    assert got.bad_step == 8  # the momentum carries it; the loss here does not
    assert np.isfinite(got.rows["gg"]).all()


@pytest.mark.share(4)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "complex64"])
def test_dtypes(dtype):
    p = jax.tree.map(lambda x: x.astype(dtype), start())
    grads = gradients(12, dtype)
    if dtype == "complex64":
        turned = jnp.complex64(0.6 + 0.8j)
        grads = [jax.tree.map(lambda x: x * turned, g) for g in grads]
    run = feed(gradtx.watch(gradtx.sgd(0.1)), grads, np.ones(12), p=p)
    assert all(x.dtype == dtype for x in jax.tree.leaves(run.params[-1]))
    rows = read(run.state).rows

    def real(tree: Any) -> np.ndarray:
        leaves = [np.asarray(x, np.complex128).reshape(-1) for x in jax.tree.leaves(tree)]
        return np.concatenate([part for x in leaves for part in (x.real, x.imag)])

    gs, us = [real(g) for g in grads], [real(u) for u in run.updates]
    np.testing.assert_allclose(rows["gg"], [g @ g for g in gs], rtol=1e-3)
    np.testing.assert_allclose(rows["end"][1:], [g @ u for g, u in zip(gs[1:], us, strict=False)], rtol=1e-2, atol=1e-2)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(gs[1:], gs, strict=False)]
    np.testing.assert_allclose(rows["cos1"][1:], cosines, atol=5e-3)
    np.testing.assert_allclose(rows["zeros"], 1 / 19, rtol=1e-5)


def test_checkpoint_continues_the_same_record():
    grads, losses = gradients(40), np.linspace(2.0, 1.0, 40)
    tx, step = plain()
    whole = feed(tx, grads, losses, step=step)
    half = feed(tx, grads[:25], losses[:25], step=step)
    leaves = [np.asarray(x) for x in jax.tree.leaves((half.params[-1], half.state))]
    file = io.BytesIO(pickle.dumps(leaves))
    again = gradtx.watch(gradtx.sgd(0.1))
    fresh = start()
    structure = jax.tree.structure((fresh, again.init(fresh)))
    p, state = jax.tree.unflatten(structure, [jnp.asarray(x) for x in pickle.load(file)])
    again_step = step_of(again)
    for g, loss in zip(grads[25:], losses[25:], strict=True):
        p, state, _ = again_step(p, state, g, {"value": jnp.float32(loss)})
    jax.tree.map(np.testing.assert_array_equal, state, whole.state)
    assert jax.tree.structure(state) == jax.tree.structure(whole.state)


LARGE = {"b": (200,), "w": (500, 400), "x": (250, 400)}


@functools.cache
def large() -> Fed:
    """Train with a small leaf, kept whole, whose gradient is large and steady."""
    tx, steady = gradtx.watch(gradtx.sgd(0.1), every=1), jnp.full(200, 20.0, jnp.float32)
    return feed(tx, [{**g, "b": steady} for g in gradients(6, shapes=LARGE)], np.ones(6), p=start(shapes=LARGE))


def test_large_model_adds_no_array_of_its_size():
    record, total = large().state.record, 300_200
    assert record.meta.total == total
    assert 10_000 < record.meta.sampled <= 20_000
    assert max(x.size for x in jax.tree.leaves(record)) <= 20_000
    assert sum(x.nbytes for x in jax.tree.leaves(record)) < 400_000


def test_large_model_is_estimated():
    run = large()
    rows, want = read(run.state).rows, rows_of(run)
    for column in ("gg", "uu", "pp", "gu", "start"):
        np.testing.assert_allclose(rows[column], want[column], rtol=1e-4, err_msg=column)
    for column in ("end", "cos1", "cos2", "ucos"):
        np.testing.assert_allclose(rows[column], want[column], rtol=0.05, err_msg=column)


def test_large_model_measures_3_steps_of_96_by_default():
    shapes = jax.eval_shape(lambda: start(shapes=LARGE))
    meta = jax.eval_shape(gradtx.watch(gradtx.sgd(0.1)).init, shapes).record.meta
    assert (meta.every, meta.run) == (96, 3)


def test_scan_gives_the_same_record():
    tx, step = plain()
    grads, losses = gradients(10), np.linspace(2.0, 1.0, 10)
    loop = feed(tx, grads, losses, step=step).state
    stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *grads)

    def body(carry, given):
        p, state = carry
        updates, state = tx.update(given[0], state, p, value=given[1])
        return (gradtx.apply_updates(p, updates), state), None

    p = start()
    (_, state), _ = jax.jit(lambda c, xs: jax.lax.scan(body, c, xs))((p, tx.init(p)), (stacked, losses.astype("f4")))
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(loop), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_population():
    tx, step = plain()
    runs = [feed(tx, gradients(8, seed=seed), np.linspace(seed + 2.0, 1.0, 8), step=step) for seed in (0, 1)]
    params = jax.tree.map(lambda x: jnp.stack([x, x]), start())
    state = jax.vmap(tx.init)(params)
    update = jax.jit(jax.vmap(lambda g, s, p, loss: tx.update(g, s, p, value=loss)))
    for t in range(8):
        g = jax.tree.map(lambda *xs: jnp.stack(xs), *[run.grads[t] for run in runs])
        loss = jnp.asarray([run.losses[t] for run in runs], jnp.float32)
        updates, state = update(g, state, params, loss)
        params = gradtx.apply_updates(params, updates)
    for i, run in enumerate(runs):
        got = gradtx.metrics(jax.tree.map(lambda x, i=i: x[i], state))
        want = gradtx.metrics(run.state)
        assert got.keys() == want.keys()
        for key, value in want.items():
            np.testing.assert_allclose(got[key], value, rtol=1e-4, err_msg=key)


@pytest.mark.share(2)
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_sharded_over_8_devices(kind):
    shapes = {"b": (8,), "w": (16, 3)}
    mesh = jax.make_mesh((8,), ("x",), (AxisType[kind],), devices=jax.devices()[:8])
    spread = NamedSharding(mesh, PartitionSpec("x"))
    grads, p = gradients(6, shapes=shapes), start(shapes=shapes)
    tx = gradtx.watch(gradtx.adam(0.1))
    single = feed(tx, grads, np.ones(6), p=p)
    both = [jax.device_put(g, spread) for g in grads]
    sharded = feed(tx, both, np.ones(6), p=jax.device_put(p, spread))
    assert sharded.params[-1]["w"].sharding.is_equivalent_to(spread, 2)
    for column, numbers in read(single.state).rows.items():
        np.testing.assert_allclose(read(sharded.state).rows[column], numbers, rtol=1e-4, atol=1e-6, err_msg=column)


def test_shapes_alone():
    tx = gradtx.watch(gradtx.adam(0.1))
    p = jax.eval_shape(start)
    state = jax.eval_shape(tx.init, p)
    _, after = jax.eval_shape(lambda g, s, p: tx.update(g, s, p, value=jnp.float32(1.0)), p, state, p)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype, x.weak_type), state
    )


def test_donated_right_after_init():
    tx, _ = plain()
    p, g = start(), gradients(1)[0]
    state = tx.init(p)
    pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves((p, state))]
    assert len(set(pointers)) == len(pointers)

    def step(p, state, g):
        updates, state = tx.update(g, state, p, value=jnp.float32(1.0))
        return gradtx.apply_updates(p, updates), state

    run = jax.jit(step, donate_argnums=(0, 1))
    old = jax.tree.leaves((p, state))
    p, state = run(*run(p, state, g), g)
    assert all(x.is_deleted() for x in old)
    assert gradtx.metrics(state)["step"] == 1


def test_without_params_and_without_loss():
    tx = gradtx.watch(gradtx.sgd(0.1))
    rows = read(feed(tx, gradients(5), params=False).state).rows
    for column in ("pp", "straight", "loss"):
        assert np.isnan(rows[column]).all(), column
    assert np.isfinite(rows["end"][1:]).all()
    got = gradtx.metrics(feed(tx, gradients(5), params=False).state)
    assert not {"loss", "update_ratio"} & set(got)  # what is not known is absent
    assert got["update_norm"] == pytest.approx(0.1 * got["grad_norm"])


def test_a_loss_now_and_then():
    tx, _ = plain()
    p, state = start(), None
    state = tx.init(p)
    for t, g in enumerate(gradients(6)):
        extra = {"value": jnp.float32(t)} if t % 2 else {}
        _, state = tx.update(g, state, p, **extra)
    history = read(state).history
    assert history["losses"].tolist() == [0, 1, 0, 1, 0, 1]
    assert int(state.record.losses_seen) == 3
    assert read(state).bad_step == -1


NESTED = {"body": {"w": (3, 2), "b": (2,)}, "head": {"w": (2, 2)}}


def nested() -> Any:
    return jax.tree.map(lambda shape: jnp.ones(shape, jnp.float32), NESTED, is_leaf=lambda x: isinstance(x, tuple))


@pytest.mark.parametrize(
    ("groups", "want"),
    [
        (None, {"body": 8, "head": 4}),
        (lambda path: "weights" if "w" in path else "biases", {"biases": 2, "weights": 10}),
        ({"body": {"w": "a", "b": "b"}, "head": {"w": "a"}}, {"b": 2, "a": 10}),
        ({"body": "old", "head": "new"}, {"old": 8, "new": 4}),
    ],
    ids=["top level", "function", "tree", "prefix"],
)
def test_groups_by_name_function_tree_and_prefix(groups, want):
    tx = gradtx.watch(gradtx.sgd(1.0), groups=groups)
    p = nested()
    _, state = tx.update(p, tx.init(p), p)
    got = read(state)
    assert got.sizes == want
    found = {name: columns["gg"][0] for name, columns in got.groups.items()}  # all gradients are 1
    assert found == pytest.approx(want)


def test_groups_that_do_not_fit():
    for groups in ({"body": "old"}, {"body": "old", "head": "new", "neck": "x"}, {"body": {"w": "a"}, "head": "b"}):
        with pytest.raises(ValueError, match=r"watch: groups.*give each leaf a label"):
            gradtx.watch(gradtx.sgd(1.0), groups=groups).init(nested())


def test_one_array_and_no_array():
    tx = gradtx.watch(gradtx.sgd(1.0))
    p = jnp.ones(3, jnp.float32)
    _, state = tx.update(p, tx.init(p), p)
    assert list(read(state).groups) == ["params"]
    _, state = tx.update({}, tx.init({}), {})
    assert read(state).steps == 1


def test_odd_leaves():
    tx = gradtx.watch(gradtx.sgd(1.0))
    p = {
        "none": None,
        "scalar": jnp.ones((), jnp.float32),
        "empty": jnp.ones((0, 3), jnp.float32),
        "w": jnp.ones(2, jnp.float32),
    }
    updates, state = tx.update(p, tx.init(p), p)
    assert updates["none"] is None
    assert read(state).rows["gg"][0] == pytest.approx(3)


def test_a_leaf_that_is_none_after_init():
    tx = gradtx.watch(gradtx.sgd(1.0))
    p = {"v": jnp.ones((), jnp.float32), "w": jnp.ones(2, jnp.float32)}
    state, frozen = tx.init(p), {**p, "w": None}
    for g in (p, frozen, frozen):
        _, state = tx.update(g, state, g)
    assert read(state).rows["gg"] == pytest.approx([3, 1, 1])
    np.testing.assert_allclose(read(state).rows["end"], [np.nan, -1, -1], rtol=1e-6)
