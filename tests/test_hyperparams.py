"""Hyperparameters by name: what `hyperparams` reads, what `print` shows, what a factory keeps of its function."""

import inspect
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

PARAMS = {"w": jnp.ones(3), "b": jnp.ones(())}
GRADS = jax.tree.map(lambda p: 0.5 * p, PARAMS)


def falling(count: Any) -> jax.Array:
    return 1.0 / (2.0 + jnp.asarray(count).astype(jnp.float32))


def read(tx: Any, updates: int = 0) -> dict[str, Any]:
    """Return the hyperparameters after this many updates."""
    state = tx.init(PARAMS)
    for _ in range(updates):
        _, state = tx.update(GRADS, state, PARAMS)
    return gradtx.hyperparams(tx, state)


def test_names_and_values_of_a_recipe() -> None:
    assert read(gradtx.adamw(0.1, b2=0.99)) == {
        "scale_by_adam.b1": 0.9,
        "scale_by_adam.b2": 0.99,
        "scale_by_adam.eps": 1e-8,
        "scale_by_adam.eps_root": 0.0,
        "add_decayed_weights.weight_decay": 1e-4,
        "scale_by_learning_rate.learning_rate": 0.1,
    }


def test_recipe_without_momentum_has_the_rate_alone() -> None:
    assert read(gradtx.sgd(0.1)) == {"scale_by_learning_rate.learning_rate": 0.1}


def test_one_transform() -> None:
    assert read(gradtx.trace(0.9)) == {"trace.decay": 0.9}
    assert read(gradtx.identity()) == {}
    assert read(gradtx.clip_by_global_norm(2.0)) == {"clip_by_global_norm.max_norm": 2.0}


def test_numbers_of_every_kind_read_as_python_numbers() -> None:
    for value in (1, 0.5, np.float32(0.5), np.array(0.5), jnp.float32(0.5), jnp.asarray(0.5, jnp.bfloat16)):
        (got,) = read(gradtx.scale(value)).values()
        assert isinstance(got, (int, float))
        assert got == float(value)


@pytest.mark.parametrize("updates", [0, 1, 5])
def test_schedule_reads_as_the_next_update_will_see_it(updates: int) -> None:
    tx = gradtx.chain(gradtx.scale_by_schedule(falling), gradtx.sgd(falling, momentum=0.9))
    got = read(tx, updates)
    assert got["scale_by_schedule.step_size_fn"] == pytest.approx(1 / (2 + updates))
    assert got["scale_by_learning_rate.learning_rate"] == pytest.approx(1 / (2 + updates))
    assert got["trace.decay"] == 0.9


def test_read_value_is_the_one_used() -> None:
    tx = gradtx.scale(falling)
    state = tx.init(PARAMS)
    for _ in range(4):
        said = gradtx.hyperparams(tx, state)["scale.step_size"]
        updates, state = tx.update(GRADS, state, PARAMS)
        np.testing.assert_allclose(updates["w"], 0.5 * said, rtol=1e-6)


def test_each_hyperparameter_may_be_a_schedule() -> None:
    tx = gradtx.adamw(falling, b1=falling, b2=falling, eps=falling, weight_decay=falling)
    got = read(tx, 2)
    assert got.pop("scale_by_adam.eps_root") == 0.0
    assert len(got) == 5
    assert all(value == pytest.approx(0.25) for value in got.values())


def test_nested_chains_read_flat() -> None:
    inner = gradtx.chain(gradtx.trace(0.5), gradtx.chain(gradtx.scale(2.0)))
    assert read(gradtx.chain(inner, gradtx.scale_by_learning_rate(0.1))) == {
        "trace.decay": 0.5,
        "scale.step_size": 2.0,
        "scale_by_learning_rate.learning_rate": 0.1,
    }


def test_duplicates_are_numbered() -> None:
    assert read(gradtx.chain(gradtx.scale(1.0), gradtx.chain(gradtx.scale(2.0)), gradtx.scale(3.0))) == {
        "scale.step_size": 1.0,
        "scale#2.step_size": 2.0,
        "scale#3.step_size": 3.0,
    }


def test_labels_come_first() -> None:
    tx = gradtx.named_chain(("fast", gradtx.sgd(0.1, 0.9)), ("slow", gradtx.named_chain(("rate", gradtx.scale(0.5)))))
    assert read(tx, 1) == {
        "fast.trace.decay": 0.9,
        "fast.scale_by_learning_rate.learning_rate": 0.1,
        "slow.rate.scale.step_size": 0.5,
    }


def test_labels_tell_duplicates_apart() -> None:
    tx = gradtx.named_chain(("a", gradtx.chain(gradtx.scale(1.0), gradtx.scale(2.0))), ("b", gradtx.scale(3.0)))
    assert read(tx) == {"a.scale.step_size": 1.0, "a.scale#2.step_size": 2.0, "b.scale.step_size": 3.0}


def test_members_of_optax_are_passed_over() -> None:
    tx = gradtx.chain(optax.clip(1.0), gradtx.scale(0.5), optax.trace(0.9))
    assert read(tx, 1) == {"scale.step_size": 0.5}


def test_ratio_reads_both_of_its_parts() -> None:
    got = read(gradtx.ratio(gradtx.trace(0.7), gradtx.scale_by_rms(0.8)))
    assert 0.7 in got.values()
    assert 0.8 in got.values()


def test_rules_of_a_user_read_by_their_name() -> None:
    rule = gradtx.Rule("shrink", lambda g, slots, p, k: (k.step_size * g, {}), hyper={"step_size": falling})
    assert read(gradtx.leafwise(rule), 2)["shrink.step_size"] == pytest.approx(0.25)


def test_traced_state_gives_scalar_arrays() -> None:
    tx = gradtx.sgd(falling)
    got = jax.jit(lambda state: gradtx.hyperparams(tx, state))(tx.init(PARAMS))
    assert got["scale_by_learning_rate.learning_rate"].shape == ()
    np.testing.assert_allclose(got["scale_by_learning_rate.learning_rate"], 0.5)


def test_reading_changes_nothing() -> None:
    tx = gradtx.adamw(falling)
    state = tx.init(PARAMS)
    before = jax.tree.leaves(state)
    gradtx.hyperparams(tx, state)
    assert all(a is b for a, b in zip(before, jax.tree.leaves(state), strict=True))


def test_transform_of_optax_keeps_no_settings() -> None:
    assert gradtx.hyperparams(optax.adam(0.1), optax.adam(0.1).init(PARAMS)) == {}
    with pytest.raises(TypeError, match=r"hyperparams: tx is a float, expected a transform; give the tx"):
        gradtx.hyperparams(0.1, None)


def test_state_of_another_chain_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"sgd: state .*; use the state that this tx.init made"):
        gradtx.hyperparams(gradtx.sgd(0.1), gradtx.adamw(0.1).init(PARAMS))


PRINTED = [
    (gradtx.scale(-0.5), "scale(-0.5)"),
    (gradtx.trace(0.9, nesterov=True), "trace(decay=0.9, nesterov=True)"),
    (gradtx.scale_by_adam(), "scale_by_adam(b1=0.9, b2=0.999, eps=1e-08)"),
    (gradtx.scale_by_adam(mu_dtype=jnp.bfloat16), "scale_by_adam(b1=0.9, b2=0.999, eps=1e-08, mu_dtype=bfloat16)"),
    (
        gradtx.adamw(falling),
        "chain(scale_by_adam(b1=0.9, b2=0.999, eps=1e-08), add_decayed_weights(0.0001), "
        "scale_by_learning_rate(falling))",
    ),
    (gradtx.sgd(jnp.float32(0.5)), "chain(identity(), scale_by_learning_rate(0.5))"),
    (gradtx.named_chain(("a", gradtx.trace(0.9))), "named_chain(a=trace(0.9))"),
    (gradtx.chain(optax.clip(1.0), gradtx.scale(2.0)), "chain(optax.clip, scale(2.0))"),
    (gradtx.chain(), "chain()"),
]


@pytest.mark.parametrize(("tx", "text"), PRINTED, ids=[text[:40] for _, text in PRINTED])
def test_print(tx: gradtx.Transform, text: str) -> None:
    assert str(tx) == repr(tx) == text


def test_print_never_dumps_an_array() -> None:
    mask = {"w": np.ones((100, 100), bool), "b": jnp.ones((5, 5), bool)}
    for tx in (gradtx.adamw(0.1, mask=mask), gradtx.chain(gradtx.add_decayed_weights(0.1, mask))):
        assert len(str(tx)) < 300


def test_printing_a_traced_hyperparameter() -> None:
    texts: list[str] = []
    jax.eval_shape(lambda rate: (texts.append(str(gradtx.sgd(rate))), 0)[1], jnp.float32(0.1))
    assert texts == ["chain(identity(), scale_by_learning_rate(<traced>))"]


@pytest.mark.parametrize("name", [n for n in gradtx.__all__ if n.startswith("scale_by_") or n in ("adam", "sgd")])
def test_factory_keeps_its_signature_and_name(name: str) -> None:
    made = getattr(gradtx, name)
    inner = inspect.unwrap(made)
    assert made.__name__ == name
    assert made.__doc__.splitlines()[0] == inner.__doc__.splitlines()[0]
    assert not re.search(r"(?m)^ +\{\w+\}$", made.__doc__), "an argument that the decorator did not fill in"
    outer, own = (inspect.signature(x) for x in (made, inner))  # annotations of hyperparameters are written in short
    assert [p.replace(annotation=p.empty) for p in outer.parameters.values()] == [
        p.replace(annotation=p.empty) for p in own.parameters.values()
    ]
    assert outer.return_annotation is own.return_annotation
    assert made.__module__.startswith("gradtx.")


def test_transform_knows_its_name_and_settings() -> None:
    tx = gradtx.adam(0.1, b2=0.99)
    assert tx.name == "adam"
    assert tx.settings["b2"] == 0.99
    assert tx.settings["learning_rate"] == 0.1
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    init, update = tx
    assert (init, update) == (tx.init, tx.update)
