"""Reading the record: `metrics`, `find`, and the features that are drawn from a run."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx.diagnosis.read.courses import quantum_of
from gradtx.diagnosis.read.evidence import find, read
from gradtx.diagnosis.read.extract import features
from gradtx.diagnosis.read.names import group_names
from gradtx.diagnosis.record.record import Meta, Record
from tests.diagnosis.runs import feed, gradients, plain, quadratic, short, start, step_of, train

PER_GROUP = ["grad_norm", "update_norm", "param_norm", "update_ratio"]
RATES = ["learning_rate", "rate_min", "rate_mean", "rate_max"]
KEYS = [*PER_GROUP, *RATES, "step", "loss", "rho", "cosine", "clip", "clipped", "zeros", "nonfinite", "skipped"]


def test_metrics_are_a_flat_dict_of_floats():
    run = short(5)
    got = gradtx.metrics(run.state)
    known = {*KEYS} - {"clip", "clipped"}  # no clip in this chain
    assert set(got) == {*known, *(f"group/{group}/{key}" for key in PER_GROUP for group in ("b", "w"))}
    assert {type(value) for value in got.values()} == {float}
    g, u = (np.concatenate([np.ravel(x) for x in tree.values()]) for tree in (run.grads[4], run.updates[4]))
    assert got["step"] == 4
    assert got["loss"] == 1.0
    assert got["grad_norm"] == pytest.approx(np.linalg.norm(g), rel=1e-5)
    assert got["update_norm"] == pytest.approx(np.linalg.norm(u), rel=1e-5)
    before = np.concatenate([np.ravel(x) for x in run.params[4].values()])
    assert got["update_ratio"] == pytest.approx(np.linalg.norm(u) / np.linalg.norm(before), rel=1e-5)
    assert got["learning_rate"] == pytest.approx(0.1)
    assert got["zeros"] == pytest.approx(1 / 19)
    assert got["nonfinite"] == 0
    assert got["group/w/grad_norm"] == pytest.approx(np.linalg.norm(run.grads[4]["w"]), rel=1e-5)


def test_metrics_before_the_first_step_and_at_it():
    tx, _ = plain()
    got = gradtx.metrics(tx.init(start()))
    assert got == {"nonfinite": 0.0, "skipped": 0.0}
    first = gradtx.metrics(short(1).state)
    assert "rho" not in first
    assert "cosine" not in first
    assert first["grad_norm"] > 0


def test_only_steps_that_a_bound_shortens_were_clipped():
    """Where the chain does not say it, steps are shorter than rate times gradient, and the more so the longer it is."""
    grads = [jax.tree.map(lambda x, t=t: x * (1 + t % 5), g) for t, g in enumerate(gradients(70))]
    late = gradtx.watch(gradtx.chain(gradtx.sgd(0.1), gradtx.clip_by_global_norm(0.01)))
    full = gradtx.watch(gradtx.adagrad(0.1, initial_accumulator_value=1e8))
    clipped = features(read(feed(late, grads).state))
    assert clipped.clipped == 1.0
    assert clipped.clip_median < 0.1
    scaled = features(read(feed(full, grads).state))
    assert scaled.aligned > 0.999
    assert scaled.clipped == 0.0


def test_metrics_of_a_clip():
    tx = gradtx.watch(gradtx.chain(gradtx.clip_by_global_norm(5.0), gradtx.sgd(0.1)))
    run = feed(tx, gradients(20))
    norms = np.array([np.linalg.norm(np.concatenate([np.ravel(x) for x in g.values()])) for g in run.grads])
    got = gradtx.metrics(run.state)
    assert got["clip"] == pytest.approx(min(1.0, 5.0 / norms[-1]), rel=1e-5)
    assert 0 < got["clipped"] < 1
    assert got["clipped"] == pytest.approx(np.mean(norms > 5.0))


def test_metrics_count_what_is_not_finite():
    grads = gradients(4)
    grads[3]["w"] = grads[3]["w"].at[:, 0].set(jnp.float32(np.nan))
    got = gradtx.metrics(short(4, grads=grads).state)
    assert got["nonfinite"] == 5
    assert got["step"] == 2


PLACES = ["['b']", "b", ".layers[0].w", "layers/0/w", "#1", "~", "..", "", "w", "W", "w-2", "a b", "ü", "x" * 300]


def test_metrics_have_names_that_every_logger_takes():
    labels = iter(PLACES)
    p = {str(i): jnp.ones(2, jnp.float32) for i in range(len(PLACES))}
    names = {f"['{i}']": next(labels) for i in p}
    tx = gradtx.watch(gradtx.sgd(0.1), groups=names.get)
    _, state = tx.update(p, tx.init(p), p, value=jnp.float32(1.0))
    got = gradtx.metrics(state)
    assert len([name for name in got if name.startswith("group/")]) == 4 * len(PLACES)  # none was lost
    for name in got:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", name), name
        assert not {"", ".", ".."} & set(name.split("/")), name
        assert len(name) <= 250  # MLflow's limit
    folders = {"/".join(name.split("/")[:i]) for name in got for i in range(1, name.count("/") + 1)}
    assert not folders & set(got)  # MLflow's local store: a name is a file, and a file is no folder
    assert len({name.casefold() for name in got}) == len(got)  # file systems that ignore case
    assert json.loads(json.dumps(got, allow_nan=False)) == got


def test_names_of_groups_can_be_recognised():
    shown = [
        "b",
        "b-2",
        "layers.0.w",
        "layers.0.w-2",
        "_1",
        "_",
        "_-2",
        "_-3",
        "w",
        "W-2",
        "w-2-2",
        "a_b",
        "_-4",
        "x" * 100,
    ]
    assert group_names(PLACES) == dict(zip(PLACES, shown, strict=True))


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_metrics_are_strict_json_at_any_step(steps):
    got = gradtx.metrics(feed(plain()[0], gradients(steps), params=False, step=None).state)
    json.dumps(got, allow_nan=False)
    assert "loss" not in got
    assert "update_ratio" not in got


def test_find_looks_inside():
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.watch(gradtx.sgd(0.1)), gradtx.scale(0.5))
    state = tx.init(start())
    assert isinstance(find(state), Record)
    assert isinstance(find({"model": start(), "optimizer": [state]}), Record)


def test_find_refuses():
    with pytest.raises(TypeError, match=r"without a record.*tx = gradtx.watch\(tx\)"):
        gradtx.diagnose(gradtx.adam(0.1).init(start()))
    tx, _ = plain()
    state = tx.init(start())
    with pytest.raises(ValueError, match="has 2 records, expected one; pass the part"):
        gradtx.diagnose((state, state))
    with pytest.raises(ValueError, match="is traced, expected concrete arrays; call it outside jit"):
        jax.eval_shape(gradtx.metrics, state)
    batch = jax.tree.map(lambda x: jnp.stack([x, x]), state)
    with pytest.raises(ValueError, match=r"batch of shape \(2,\).*jax.tree.map\(lambda x: x\[i\], state\)"):
        gradtx.diagnose(batch)


def as_dicts(x):
    """Return a state as orbax restores it without a target: named tuples as dicts, what is no array gone."""
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return {name: as_dicts(y) for name, y in x._asdict().items() if name != "meta"}
    return as_lists(x, as_dicts)


def as_lists(x, inside=None):
    """Return a state with lists for tuples of any kind."""
    inside = inside or as_lists
    if isinstance(x, dict):
        return {name: inside(y) for name, y in x.items()}
    return [inside(y) for y in x if not isinstance(y, Meta)] if isinstance(x, (tuple, list)) else x


def wrapped(x):
    """Return a state with each array one level below its name, as some checkpoints hold them."""
    return (
        {name: wrapped(y) for name, y in x.items()}
        if isinstance(x, dict)
        else {"value": x}
        if hasattr(x, "shape")
        else x
    )


@pytest.mark.parametrize("changed", [as_dicts, as_lists, lambda x: wrapped(as_dicts(x))])
def test_a_state_restored_without_a_target_is_read(changed):
    state = bounce()
    lost = {"step": 3, "optimizer": [changed(jax.tree.map(np.asarray, state)), {}]}
    want, got = gradtx.diagnose(state), gradtx.diagnose(lost)
    assert (got.verdict, got.headline, got.evidence) == (want.verdict, want.headline, want.evidence)
    assert got.run.notes
    assert "group 0" in str(got)
    assert {k: v for k, v in gradtx.metrics(lost).items() if "/" not in k} == {
        k: v for k, v in gradtx.metrics(state).items() if "/" not in k
    }


def test_a_state_whose_outer_tuples_became_lists_is_read():
    state = short(30).state
    assert gradtx.diagnose([list(state[:1]), [state.record]]).verdict == gradtx.diagnose(state).verdict


WRONG_STATES = {
    "the transform": (gradtx.watch(gradtx.sgd(0.1)), "is the transform itself, .*; pass the state that tx.init"),
    "optax's transform": (optax.sgd(0.1), "is the transform itself"),
    "nothing": (None, "is None, expected the state of a watched transform; pass the state that tx.update returned"),
    "a log": ("run.csv", r"is the path 'run.csv', .*; for a log of a run: gradtx.diagnose\(gradtx.read_log\(path\)\)"),
    "params": (
        {"w": np.ones(3)},
        r"is dict of 1 without a record, .*; wrap it before training, tx = gradtx.watch\(tx\)",
    ),
    "a number": (3.0, "is float without a record"),
}


@pytest.mark.parametrize("name", WRONG_STATES)
@pytest.mark.parametrize("read_out", [gradtx.diagnose, gradtx.metrics])
def test_what_is_no_watched_state_is_refused_by_name(name, read_out):
    state, words = WRONG_STATES[name]
    with pytest.raises(TypeError, match=rf"^{read_out.__name__}: state {words}"):
        read_out(state)


@functools.cache
def bounce() -> gradtx.WatchState:
    return train(gradtx.watch(gradtx.sgd(0.01999)), quadratic, jnp.array([1.0, 1.0], jnp.float32), 200)


def test_features_of_a_bounce_on_a_parabola():
    f = features(read(bounce()))
    lam, eta = 100.0, 0.01999
    assert f.one_loss is True
    # along the steep axis u = -eta lam x, so rho = 1 - eta lam; the flat one, a hundredth of it, is gone by then
    assert f.rho == pytest.approx(1 - eta * lam, abs=1e-2)
    assert f.cos1 == pytest.approx(-1, abs=2e-2)
    assert f.cos2 == pytest.approx(1, abs=2e-2)
    assert abs(f.gain) < 0.05
    assert f.bounce > 0.5
    assert f.straight < 0.1
    assert f.steps == f.rows == 200


def test_features_of_a_descent_on_a_parabola():
    lam, eta = 1.0, 0.01
    state = train(gradtx.watch(gradtx.sgd(eta)), lambda p: 0.5 * jnp.sum(p**2), jnp.array([1.0], jnp.float32), 100)
    f = features(read(state))
    shrink = (1 - eta * lam) ** 2
    assert f.rho == pytest.approx(1 - eta * lam, rel=1e-4)
    assert f.decay == pytest.approx(-np.log(shrink), rel=1e-3)
    assert f.gain == pytest.approx(1 - eta * lam / 2, rel=1e-3)
    assert f.one_loss is True
    assert f.loss_first == pytest.approx(0.5)
    assert f.g_first == pytest.approx((1 - eta) ** 2, rel=1e-3)
    assert f.cos1 == pytest.approx(1.0)


def test_features_tell_minibatches_from_one_loss():
    assert features(read(short(100, np.random.default_rng(0).uniform(1, 2, 100)).state)).one_loss is False
    assert features(read(short(100).state), full_batch=True).one_loss is True


def test_losses_that_scatter_as_high_as_they_stand_are_no_rise():
    rng = np.random.default_rng(0)
    level = 5 * np.exp(-np.arange(64) / 12) + 0.05
    scattered = level * rng.uniform(0.3, 2.0, 64)
    scattered[0], scattered[1] = 3.0, 10.0
    thrown = np.concatenate([[1.5], 90 * np.exp(-np.arange(63) / 3) + 1.5 + 0.1 * rng.normal(size=63)])
    assert features(read(short(64, scattered).state)).peak_early < 8
    assert features(read(short(64, thrown).state)).peak_early > 100


@pytest.mark.parametrize(
    ("course", "jumps"),
    [
        (lambda t: np.where(t < 80, 1.0, 40.0 - 0.2 * (t - 80)), True),  # and half of it is mended since
        (lambda t: np.where(t < 80, 1.0, 2.0 + 40 * np.exp(-(t - 80) / 60)), True),
        (lambda t: 1 + 0.2 * t, False),
        (lambda t: 1 + np.exp(t / 60), False),
        (lambda t: 40 * np.exp(-t / 60), False),
        (lambda t: np.where(t == 80, 40.0, 1.0), False),
    ],
)
def test_a_jump_is_one_though_the_loss_falls_after_it(course, jumps):
    losses = course(np.arange(200.0)) + 0.1 * np.random.default_rng(0).normal(size=200)
    f = features(read(short(200, losses).state))
    assert bool(f.jump > 8) is jumps
    if jumps:
        assert f.jumped_at == pytest.approx(80, abs=12)


@pytest.mark.parametrize(
    ("series", "known"),
    [
        (np.float32([1.75, 1.7, 1.6]), 8 * 2.0**-23 * 1.75),  # steps of a fall are no rounding
        (np.float32([1.75, 1.75 + 2.0**-23]), 2.0**-23),
        (np.asarray([1.7, 1.6], jnp.bfloat16), 0.1),
        (np.asarray([1.75, 0.25], jnp.bfloat16), 8 * 2.0**-7 * 1.75),
        ([1.74, 1.73, 1.5], 0.01),  # as a log prints them
        ([2.0, 2.0], 8 * 2.0**-23 * 2.0),  # all the same: as finely as float32 has it
    ],
)
def test_how_finely_losses_are_known(series, known):
    found = quantum_of(np.asarray(series).astype(float), np.array([np.nan]))
    assert found == pytest.approx(known, rel=0.05)


def test_a_loss_that_is_not_finite_spoils_no_feature():
    losses = np.linspace(2.0, 1.0, 40)
    sound = features(read(short(30, losses[:30]).state))
    losses[30] = np.nan
    spoilt = features(read(short(40, losses).state))
    for name in ("gain", "error", "rho", "bounce", "one_loss", "rising"):
        assert getattr(spoilt, name) == pytest.approx(getattr(sound, name)), name


def test_a_gradient_that_shrinks_has_not_grown():
    drift = gradients(1)[0]
    grads = [{name: x * 0.6**t for name, x in drift.items()} for t in range(40)]
    grads.append({name: x * np.float32(np.nan) for name, x in drift.items()})
    assert features(read(short(41, grads=grads).state)).grown < 2
    assert gradtx.diagnose(short(41, grads=grads).state).verdict == "non_finite"


def test_dead_groups_are_named():
    tx, _ = plain()
    grads = [{**g, "w": jnp.zeros_like(g["w"])} for g in gradients(40)]
    run = feed(tx, grads, np.ones(40), step=plain()[1])
    assert features(read(run.state)).dead == ("w",)
    assert features(read(short(40).state)).dead == ()
    few = {name: g["b"] for name, g in zip("ab", (grads[0], grads[1]), strict=True)}
    small = {"a": few["a"], "b": jnp.zeros(3, jnp.float32)}  # three parameters can rest on an axis
    tx = gradtx.watch(gradtx.sgd(0.1))
    run = feed(tx, [small] * 20, np.ones(20), p=small, step=step_of(tx))
    assert features(read(run.state)).dead == ()
