"""Reading the record: `metrics`, `find`, and the features that are drawn from a run."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.diagnosis.read.evidence import find, read
from gradtx.diagnosis.read.extract import features
from gradtx.diagnosis.record.record import Record
from tests.diagnosis.runs import feed, gradients, plain, quadratic, short, start, step_of, train

PER_GROUP = ["grad_norm", "update_norm", "param_norm", "update_ratio"]
RATES = ["learning_rate", "rate_min", "rate_mean", "rate_max"]
KEYS = [*PER_GROUP, *RATES, "step", "loss", "rho", "cosine", "clip", "clipped", "zeros", "nonfinite", "skipped"]


def test_metrics_are_a_flat_dict_of_floats():
    run = short(5)
    got = gradtx.metrics(run.state)
    assert set(got) == {*KEYS, *(f"{key}/{group}" for key in PER_GROUP for group in ("b", "w"))}
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
    assert math.isnan(got["clip"])
    assert math.isnan(got["clipped"])
    assert got["grad_norm/w"] == pytest.approx(np.linalg.norm(run.grads[4]["w"]), rel=1e-5)


def test_metrics_before_the_first_step_and_at_it():
    tx, _ = plain()
    got = gradtx.metrics(tx.init(start()))
    assert {key for key, value in got.items() if not math.isnan(value)} == {"nonfinite", "skipped"}
    first = gradtx.metrics(short(1).state)
    assert math.isnan(first["rho"])
    assert math.isnan(first["cosine"])
    assert first["grad_norm"] > 0


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


def test_find_looks_inside():
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.watch(gradtx.sgd(0.1)), gradtx.scale(0.5))
    state = tx.init(start())
    assert isinstance(find(state), Record)
    assert isinstance(find({"model": start(), "optimizer": [state]}), Record)


def test_find_refuses():
    with pytest.raises(TypeError, match=r"without a record.*tx = gradtx.watch\(tx\)"):
        gradtx.diagnose(gradtx.adam(0.1).init(start()))
    with pytest.raises(TypeError, match="without a record"):
        gradtx.metrics(None)
    tx, _ = plain()
    state = tx.init(start())
    with pytest.raises(ValueError, match="has 2 records, expected one; pass the part"):
        gradtx.diagnose((state, state))
    with pytest.raises(ValueError, match="is traced, expected concrete arrays; call it outside jit"):
        jax.eval_shape(gradtx.metrics, state)
    batch = jax.tree.map(lambda x: jnp.stack([x, x]), state)
    with pytest.raises(ValueError, match=r"batch of shape \(2,\).*jax.tree.map\(lambda x: x\[i\], state\)"):
        gradtx.diagnose(batch)


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
