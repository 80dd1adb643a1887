"""Runs in which something does not move: a rate of 0, a mask, rounding, a decay or a cut graph holds the params."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import counterfactuals, images, logistic, models
from tests.diagnosis.scenarios.build import WIDE
from tests.diagnosis.scenarios.images import net
from tests.diagnosis.scenarios.logistic import logistic as softmax
from tests.diagnosis.scenarios.perceptrons import LAYERS, classify, groups, network, noisily_taught, taught
from tests.diagnosis.scenarios.rates import adam, sgd


def scheduled(make: Any, eta: Any) -> Any:
    """Return the factory of a transform whose rate is a schedule times a factor."""
    return lambda factor=1.0: make(lambda count: factor * eta(count))


def only_biases(factor: float = 1.0) -> Any:
    """Return descent that moves nothing but the biases."""
    labels = {f"layer{i}": {"w": "held", "b": "moved"} for i in range(3)}
    return gradtx.partition({"held": gradtx.set_to_zero(), "moved": gradtx.sgd(factor * 0.1)}, labels)


def all_masked(factor: float = 1.0) -> Any:
    """Return Adam whose updates a mask of the wrong sense sets to 0."""
    return optax.chain(
        gradtx.adam(factor * 1e-3), optax.masked(optax.set_to_zero(), lambda p: jax.tree.map(jnp.ndim, p))
    )


def off_zero(params: Any) -> Any:
    """Return the params with biases of a half: next to 0 no update is lost."""
    return {name: {**layer, "b": layer["b"] + np.float32(0.5)} for name, layer in params.items()}


def decayed_sgd(rate: float, decay: float) -> Any:
    """Return the factory of descent on a loss with a penalty of decay / 2 times the squares."""
    return lambda factor=1.0: gradtx.chain(gradtx.add_decayed_weights(decay), gradtx.sgd(factor * rate))


def adamw(rate: float, decay: float) -> Any:
    """Return the factory of AdamW."""
    return lambda factor=1.0: gradtx.adamw(factor * rate, weight_decay=decay)


def cut_classify(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of a relu network whose first layer's output is cut off from its gradient."""
    x, labels = batch
    hidden = jax.lax.stop_gradient(jax.nn.relu(models.affine(params["layer0"], x)))
    rest = {name: params[name] for name in params if name != "layer0"}
    return models.cross_entropy(models.mlp(rest, hidden, jax.nn.relu), labels)


def cut_images(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the images' net with its convolutions cut off from their gradient."""
    return images.loss({name: jax.lax.stop_gradient(x) if "conv" in name else x for name, x in params.items()}, batch)


SCENARIOS = [
    softmax(
        "softmax_rate_zero",
        "not_moving",
        "tune",
        300,
        logistic.far_apart,
        16,
        make_tx=sgd(0.0),
        proof=counterfactuals.unmoved(sgd(0.05)),
    ),
    network(
        "relu_schedule_ended",
        "not_moving",
        "tune",
        400,
        groups,
        32,
        sizes=WIDE,
        loss=classify,
        make_tx=scheduled(gradtx.adam, gradtx.schedules.linear(5e-4, 0.0, 60)),
        proof=counterfactuals.unmoved(adam(5e-4), since=70),
    ),
    network(
        "tanh_bfloat16_lost",
        "not_moving",
        "tune",
        2000,
        taught,
        init=lambda: models.half(off_zero(models.mlp_init(LAYERS, seed=7))),
        loss=models.fit(jnp.tanh),
        make_tx=sgd(2e-4),
        proof=counterfactuals.rounded(),
    ),
    network(
        "tanh_only_biases",
        "not_moving",
        "tune",
        500,
        noisily_taught,
        32,
        loss=models.fit(jnp.tanh),
        make_tx=only_biases,
        proof=counterfactuals.unmoved(sgd(0.1), share=0.8, drop=0.15),
        also=("noise_floor",),
    ),
    softmax(
        "softmax_scheduler_never_stepped",
        "not_moving",
        "held",
        300,
        logistic.scattered,
        16,
        make_tx=scheduled(gradtx.adam, lambda count: 0.0 * jnp.asarray(count, jnp.float32)),
        proof=counterfactuals.unmoved(adam(0.01)),
    ),
    net(
        "conv_cosine_ended",
        "not_moving",
        "held",
        300,
        images.clear,
        16,
        make_tx=scheduled(lambda eta: gradtx.sgd(eta, momentum=0.9), gradtx.schedules.cosine(0.005, 50)),
        proof=counterfactuals.unmoved(sgd(0.005, momentum=0.9), since=60),
    ),
    network(
        "relu_bfloat16_adam_lost",
        "not_moving",
        "held",
        800,
        groups,
        32,
        init=lambda: models.half(off_zero(models.mlp_init(WIDE, seed=7))),
        loss=classify,
        make_tx=adam(2e-5),
        proof=counterfactuals.rounded(0.05),
    ),
    network(
        "relu_all_masked",
        "not_moving",
        "held",
        300,
        groups,
        32,
        sizes=WIDE,
        loss=classify,
        make_tx=all_masked,
        proof=counterfactuals.unmoved(adam(1e-3)),
    ),
    network(
        "tanh_adamw_decay",
        "decay_bound",
        "tune",
        800,
        noisily_taught,
        32,
        loss=models.fit(jnp.tanh),
        make_tx=adamw(0.003, 10.0),
        proof=counterfactuals.better_with(adamw(0.003, 0.0)),
    ),
    softmax(
        "softmax_penalty",
        "decay_bound",
        "tune",
        500,
        logistic.far_apart,
        64,
        make_tx=decayed_sgd(0.1, 3.0),
        proof=counterfactuals.better_with(decayed_sgd(0.1, 0.0)),
    ),
    network(
        "relu_lion_decay",
        "decay_bound",
        "held",
        800,
        groups,
        64,
        sizes=WIDE,
        loss=classify,
        make_tx=lambda factor=1.0: gradtx.lion(factor * 0.001, weight_decay=30.0),
        proof=counterfactuals.better_with(lambda: gradtx.lion(0.001, weight_decay=0.0)),
    ),
    net(
        "conv_adamw_decay",
        "decay_bound",
        "held",
        500,
        images.clear,
        16,
        make_tx=adamw(0.003, 15.0),
        proof=counterfactuals.better_with(adamw(0.003, 0.0)),
    ),
    network(
        "relu_first_layer_cut",
        "vanishing_dead",
        "tune",
        500,
        groups,
        32,
        sizes=(16, 8, 16, 5),
        loss=cut_classify,
        make_tx=adam(0.003),
        proof=counterfactuals.cut(("layer0",), classify),
    ),
    net(
        "conv_encoder_cut",
        "vanishing_dead",
        "held",
        400,
        images.clear,
        16,
        loss=cut_images,
        make_tx=adam(0.003),
        proof=counterfactuals.cut(("conv1", "conv2"), images.loss),
    ),
]
