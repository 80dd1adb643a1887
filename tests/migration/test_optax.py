"""`import_optax_state`: optax's run goes on in gradtx with the same numbers."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx
from tests.migration.runs import assert_close, go, start

RATE = {"init_value": 0.2, "decay_steps": 20}
CHAINS = {
    "adamw": lambda lib: lib.adamw(0.1, weight_decay=0.03),
    "adam": lambda lib: lib.adam(0.1),
    "nadam": lambda lib: lib.nadam(0.1),
    "sgd": lambda lib: lib.sgd(0.1, momentum=0.9),
    "nesterov": lambda lib: lib.sgd(0.1, momentum=0.9, nesterov=True),
    "plain": lambda lib: lib.sgd(0.1),
    "rmsprop": lambda lib: lib.rmsprop(0.1),
    "rmsprop with momentum": lambda lib: lib.rmsprop(0.1, momentum=0.8),
    "rmsprop centered": lambda lib: lib.rmsprop(0.1, centered=True, momentum=0.8),
    "adagrad": lambda lib: lib.adagrad(0.1),
    "adadelta": lambda lib: lib.adadelta(0.1),
    "lion": lambda lib: lib.lion(0.1, weight_decay=0.01),
    "lamb": lambda lib: lib.lamb(0.1),
    "amsgrad": lambda lib: lib.amsgrad(0.1),
    "adabelief": lambda lib: lib.adabelief(0.1),
    "radam": lambda lib: lib.radam(0.1),
    "two of a kind": lambda lib: lib.chain(lib.trace(0.5), lib.trace(0.9), lib.scale(-0.1)),
    "adamax": lambda lib: lib.adamax(0.1),
    "yogi": lambda lib: lib.yogi(0.1),
    "muon": lambda lib: lib.contrib.muon(0.1),
    "novograd": lambda lib: lib.novograd(0.1),
    "sm3": lambda lib: lib.sm3(0.1),
    "rprop": lambda lib: lib.rprop(0.1),
    "ademamix": lambda lib: lib.contrib.ademamix(0.1),
    "prodigy": lambda lib: lib.contrib.prodigy(),
    "clip and schedule": lambda lib: lib.chain(
        lib.clip_by_global_norm(0.5), lib.adamw(lib.cosine_decay_schedule(**RATE)), lib.ema(0.9)
    ),
    "parts": lambda lib: lib.chain(
        lib.trace(0.5), lib.scale_by_adam(), lib.trace(0.9), lib.scale_by_schedule(lib.cosine_decay_schedule(-0.2, 20))
    ),
    "momentum and schedule": lambda lib: lib.sgd(lib.cosine_decay_schedule(**RATE), momentum=0.9),
}


@pytest.mark.share(4)
@pytest.mark.parametrize("name", CHAINS)
def test_numbers_go_on(name: str) -> None:
    """To 1e-12 of what optax goes on to."""
    theirs, ours = CHAINS[name](optax), CHAINS[name](gradtx)
    params, state = go(theirs, start(), theirs.init(start()), 0)
    state_of_ours, report = gradtx.import_optax_state(ours, params, state)
    assert report.dropped == ()
    assert all(key.endswith(("count", "event")) for key in report.added)
    # a run of ours from the start has the same state, so nothing is left as init makes it
    own = go(ours, start(), ours.init(start()), 0)[1]
    kept = gradtx.export_state(ours, state_of_ours)
    wanted = gradtx.export_state(ours, own)
    assert_close({k: kept[k] for k in report.kept}, {k: wanted[k] for k in report.kept}, rtol=1e-10)
    assert_close(go(ours, params, state_of_ours, 5)[0], go(theirs, params, state, 5)[0])


WRAPPED = {
    "inject_hyperparams": lambda lib: lib.inject_hyperparams(lib.adam)(learning_rate=0.1, b1=0.8),
    "apply_if_finite": lambda lib: lib.apply_if_finite(lib.sgd(0.1, momentum=0.9), 3),
    "MultiSteps": lambda lib: lib.MultiSteps(lib.adam(0.1), 5),
    "schedule_free": lambda lib: lib.contrib.schedule_free(lib.rmsprop(0.1), 0.1, b1=0.9),
    "schedule_free_adamw": lambda lib: lib.contrib.schedule_free_adamw(0.1, weight_decay=0.01),
    "schedule_free_sgd": lambda lib: lib.contrib.schedule_free_sgd(0.1, weight_decay=0.01),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_a_wrapper_keeps_goes_on(name: str) -> None:
    theirs, ours = WRAPPED[name](optax), WRAPPED[name](gradtx)
    params, state = go(theirs, start(), theirs.init(start()), 0)
    if name == "inject_hyperparams":
        state.hyperparams["learning_rate"] = jnp.asarray(0.02)
    if name == "apply_if_finite":
        state = theirs.update(jax.tree.map(lambda p: p * jnp.nan, params), state, params)[1]
    new, report = gradtx.import_optax_state(ours, params, state)
    assert report.dropped == ()
    if name == "apply_if_finite":
        assert gradtx.skipped(new)[:2] == (1, 1)
        assert int(new.notfinite_count) == 1
    in_float32 = ("inject_hyperparams", "MultiSteps")  # our values, and optax's sum
    rtol = 1e-6 if name in in_float32 else 1e-12
    assert_close(go(ours, params, new, 5)[0], go(theirs, params, state, 5)[0], rtol)


def test_a_sum_that_has_begun_is_named() -> None:
    theirs = optax.MultiSteps(optax.adam(0.1), 3)
    state = go(theirs, start(), theirs.init(start()), 0, steps=4)[1]
    tx = gradtx.MultiSteps(gradtx.adam(0.1), 3)
    with pytest.raises(ValueError, match=r"holds what no transform keeps: MultiStepsState/mini_step, .*/acc_grads"):
        gradtx.import_optax_state(tx, start(), state)


@pytest.mark.share(3)
@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9, "weight_decay_rate": 0.01}, {"min_dim_size_to_factor": 2}])
def test_adafactor_goes_on(settings: dict[str, Any]) -> None:
    """Optax computes it in float32, under x64 too: the numbers agree in its digits."""
    theirs, ours = optax.adafactor(0.1, **settings), gradtx.adafactor(0.1, **settings)
    params, state = go(theirs, start("float32"), theirs.init(start("float32")), 0)
    new, report = gradtx.import_optax_state(ours, params, state)
    assert report.dropped == ()
    assert_close(go(ours, params, new, 5)[0], go(theirs, params, state, 5)[0], rtol=2e-6)


def test_half_precision_becomes_wider() -> None:
    """Optax's accumulators of bfloat16 parameters are bfloat16, ours float32: no digit is lost."""
    params = start("bfloat16")
    theirs, ours = optax.adam(0.1), gradtx.adam(0.1)
    state = go(theirs, params, theirs.init(params), 0, steps=1)[1]
    new, _ = gradtx.import_optax_state(ours, params, state)
    assert new[0].mu["scale"].dtype == jnp.float32
    assert new[0].mu["scale"] == state[0].mu["scale"].astype(jnp.float32)


def test_what_optax_leaves_out_is_left_out() -> None:
    """A masked member keeps moments of the leaves it has only; both libraries name the same."""
    mask = {"mlp": [{"w": True, "b": False}, {"w": True}], "scale": False}
    theirs = optax.masked(optax.scale_by_adam(), mask)
    state = go(theirs, start(), theirs.init(start()), 0, steps=2)[1]
    _, report = gradtx.import_optax_state(gradtx.scale_by_adam(), start(), state, may_add=["scale_by_adam"])
    paths = {key.split("/", 2)[2] for key in report.added}
    assert paths == {"mlp/0/b", "scale"}


def test_what_optax_wrappers_hold_is_found() -> None:
    """What the wrapper keeps for itself is dropped, by its name."""
    theirs = optax.inject_hyperparams(optax.adamw)(learning_rate=0.1)
    params, state = go(theirs, start(), theirs.init(start()), 0)
    tx = gradtx.adamw(0.1)
    with pytest.raises(ValueError, match=r"holds what no transform keeps: InjectStatefulHyperparamsState/hyperparams"):
        gradtx.import_optax_state(tx, params, state)
    new, report = gradtx.import_optax_state(tx, params, state, may_drop=["InjectStatefulHyperparamsState"])
    assert report.dropped == ("InjectStatefulHyperparamsState/hyperparams",)
    assert "adamw/scale_by_learning_rate/count" in report.kept
    assert_close(go(tx, params, new, 5)[0], go(theirs, params, state, 5)[0])
    theirs = optax.apply_if_finite(optax.sgd(0.1, momentum=0.9), 3)
    state = go(theirs, start(), theirs.init(start()), 0)[1]
    _, report = gradtx.import_optax_state(gradtx.sgd(0.1, 0.9), params, state, may_drop=["ApplyIfFiniteState"])
    assert "ApplyIfFiniteState/total_notfinite" in report.dropped
    assert "sgd/trace/trace/mlp/0/w" in report.kept


def test_groups_of_a_partition_find_their_parameters() -> None:
    """Whatever their order: jax sorts the keys of a dict."""
    mlp = {"mlp": True, "scale": False}
    scale = {"mlp": False, "scale": True}
    tx = gradtx.chain(optax.masked(gradtx.scale_by_adam(), mlp), optax.masked(gradtx.scale_by_adam(), scale))
    state = tuple(optax.masked(optax.scale_by_adam(), mask).init(start()) for mask in (scale, mlp))
    _, report = gradtx.import_optax_state(tx, start(), state)
    assert (report.added, report.dropped) == ((), ())


def test_what_has_no_counterpart_is_named() -> None:
    theirs = optax.chain(optax.scale_by_adan(), optax.scale(-0.1))
    with pytest.raises(ValueError, match=r"^import_optax_state: the state lacks adam/scale_by_adam/.*ScaleByAdanState"):
        gradtx.import_optax_state(gradtx.adam(0.1), start(), theirs.init(start()))
    with pytest.raises(ValueError, match=r"holds what no transform keeps: ScaleByAdamState, expected"):
        gradtx.import_optax_state(gradtx.sgd(0.1), start(), optax.adam(0.1).init(start()))
    restored = (
        {"count": jnp.int32(1), "mu": start(), "nu": start()},
    )  # as a checkpoint library gives it without a target
    with pytest.raises(ValueError, match=r"holds what no transform keeps: an array outside any state of optax's"):
        gradtx.import_optax_state(gradtx.adam(0.1), start(), restored)
    with pytest.raises(TypeError, match=r"^import_optax_state: tx is"):
        gradtx.import_optax_state(3, start(), ())


def test_counts() -> None:
    tx = gradtx.sgd(gradtx.schedules.linear(1.0, 0.0, 10), momentum=0.9)
    state = optax.sgd(0.1, momentum=0.9).init(start())
    with pytest.raises(ValueError, match=r"^import_optax_state: scale_by_learning_rate.learning_rate is a sch.*count="):
        gradtx.import_optax_state(tx, start(), state)
    new, report = gradtx.import_optax_state(tx, start(), state, count=4)
    assert gradtx.hyperparams(tx, new)["scale_by_learning_rate.learning_rate"] == pytest.approx(0.6)
    assert report.added == ("sgd/scale_by_learning_rate/event",)
    both = gradtx.chain(gradtx.scale_by_adam(), gradtx.scale_by_lion())
    one, other = optax.scale_by_adam().init(start()), optax.scale_by_lion().init(start())
    with pytest.raises(ValueError, match=r"^import_optax_state: state holds the counts \[0, 3\].*count="):
        gradtx.import_optax_state(both, start(), (one, other._replace(count=jnp.int32(3))))
    new, _ = gradtx.import_optax_state(both, start(), (one, other._replace(count=jnp.int32(3))), count=3)
    assert [int(state.count) for state in new] == [3, 3]


def test_a_shape_that_differs_is_named() -> None:
    state = optax.adam(0.1).init(start())
    wrong = jax.tree.map(lambda x: x[..., :1] if x.ndim == 2 else x, state)
    with pytest.raises(ValueError, match=r"the key 'adam/scale_by_adam/mu/mlp/0/w' is float64 of shape \(3, 1\)"):
        gradtx.import_optax_state(gradtx.adam(0.1), start(), wrong)
