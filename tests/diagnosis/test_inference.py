"""What is inferred of a run without being told: whether all steps see one loss, and all leaves one rate."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx.diagnosis.read.evidence import read
from gradtx.diagnosis.read.extract import features
from gradtx.diagnosis.record.rates import learning_rate
from tests.diagnosis.scenarios.base import plain


@plain
def one_loss(batch: int, steps: int = 30) -> Any:
    """Return the answer for a line fitted without noise, so that all minibatches share their minimum."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1024, 3)).astype(np.float32)
    rows = rng.integers(0, 1024, (steps, batch)) if batch else np.tile(np.arange(64), (steps, 1))
    xs, ys = jnp.asarray(x[rows]), jnp.asarray((x @ np.array([10, 20, 30], np.float32))[rows])
    tx = gradtx.watch(gradtx.sgd(0.1))

    def step(carry: Any, batch: Any) -> Any:
        p, state = carry
        value, g = jax.value_and_grad(lambda p: 0.5 * jnp.mean(jnp.square(batch[0] @ p - batch[1])))(p)
        updates, state = tx.update(g, state, p, value=value)
        return (gradtx.apply_updates(p, updates), state), None

    p = jnp.zeros(3, jnp.float32)
    return features(read(jax.jit(lambda: jax.lax.scan(step, (p, tx.init(p)), (xs, ys))[0][1])())).one_loss


def test_thirty_minibatches_that_agree_well_are_not_one_loss():
    assert one_loss(64) is False  # cosines of 0.95: the slopes alone would take them for one


def test_thirty_steps_on_one_batch_are_one_loss():
    assert one_loss(0) is True


MASK = {"a": True, "b": False}
PARAMS = {"a": jnp.ones(3), "b": jnp.ones(2)}


@pytest.mark.parametrize(
    ("tx", "rate"),
    [
        (optax.masked(gradtx.sgd(0.1), MASK), None),  # what the mask leaves out passes as it is
        (optax.chain(optax.masked(gradtx.sgd(0.1), MASK)), None),
        (optax.masked(optax.chain(gradtx.trace(0.9), gradtx.sgd(0.1)), MASK), None),
        (gradtx.chain(optax.masked(gradtx.add_decayed_weights(0.1), MASK), gradtx.sgd(0.2)), 0.2),
        (optax.apply_if_finite(gradtx.sgd(0.3), 5), 0.3),
    ],
    ids=["masked", "in a chain", "a chain in it", "only the decay", "no mask"],
)
def test_a_rate_behind_a_mask_of_optax_is_not_that_of_all(tx, rate):
    found = learning_rate(tx, tx.init(PARAMS))
    assert found is None if rate is None else float(found) == pytest.approx(rate)


@plain
def frozen_share(moved: Any) -> Any:
    """Return the features of a run in which only these arrays move."""
    params = {"layer0": {"w": jnp.ones((4, 5)), "b": jnp.ones(5)}, "layer1": {"w": jnp.ones((5, 2)), "b": jnp.ones(2)}}
    labels = {name: {key: "on" if (name, key) in moved else "off" for key in layer} for name, layer in params.items()}
    tx = gradtx.watch(gradtx.partition({"on": gradtx.sgd(0.01), "off": gradtx.set_to_zero()}, labels))

    def step(carry: Any, _: Any) -> Any:
        p, state = carry
        value, g = jax.value_and_grad(lambda p: sum(jnp.sum(x**2) for x in jax.tree.leaves(p)))(p)
        updates, state = tx.update(g, state, p, value=value)
        return (gradtx.apply_updates(p, updates), state), None

    return features(read(jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), length=40)[0][1])(params)))


def test_weights_that_are_frozen_beside_biases_that_move_are_counted():
    found = frozen_share({("layer0", "b"), ("layer1", "b")})
    assert found.frozen == ()
    assert found.frozen_leaves == ("layer0.w", "layer1.w")
    assert found.frozen_share == pytest.approx(30 / 37)
    assert frozen_share({("layer0", "b"), ("layer0", "w"), ("layer1", "b")}).frozen_share == pytest.approx(10 / 37)


@pytest.mark.parametrize(
    ("tx", "known"),
    [
        (gradtx.chain(gradtx.clip(1e-3), gradtx.sgd(0.1)), True),
        (gradtx.chain(gradtx.sgd(0.1), gradtx.clip_by_global_norm(1e-3)), True),
        (gradtx.chain(gradtx.zero_nans(), gradtx.sgd(0.1), gradtx.set_to_zero()), False),
        (optax.chain(optax.clip(1e-3), gradtx.sgd(0.1)), False),
    ],
)
def test_a_clip_is_known_wherever_it_stands(tx, known):
    assert gradtx.watch(tx).init(PARAMS).record.meta.limits is known
