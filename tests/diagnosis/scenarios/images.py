"""A small convolutional net on 8x8 images of waves."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx
from tests.diagnosis.scenarios import data, models, proofs
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import Data, instead, learning
from tests.diagnosis.scenarios.rates import warmed


def loss(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy."""
    x, labels = batch
    return models.cross_entropy(models.conv(params, x), labels)


def standardized(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy on images divided by their own standard deviation."""
    x, labels = batch
    x = x - jnp.mean(x, axis=(1, 2), keepdims=True)
    return loss(params, (x / jnp.sqrt(jnp.mean(jnp.square(x), axis=(1, 2), keepdims=True)), labels))


def start() -> Any:
    """Return the usual params."""
    return models.conv_init(seed=20)


def clear() -> tuple[np.ndarray, ...]:
    """Return 512 images with some noise."""
    return data.images(512, seed=21, noise=0.7)


def mislabelled() -> tuple[np.ndarray, ...]:
    """Return 4096 noisy images, 3 in 10 with a label drawn at random."""
    return data.images(4096, seed=22, noise=1.0, flipped=0.3)


def net(name: str, cause: str, half: str, steps: int, points: Data, size: int = 0, **fields: Any) -> Scenario:
    """Return a scenario on these images; size 0 is full batch."""
    big = lambda: tuple(x[:512] for x in points())  # noqa: E731  # a method would hide the slice
    fields = {"init": start, "loss": loss, "big_batch": big, **fields}
    return learning(name, cause, half, steps, points, size, **fields)


def dark() -> Any:
    """Return params whose second convolution never fires."""
    params = start()
    return {**params, "conv2": {"w": params["conv2"]["w"], "b": np.full(12, -30, np.float32)}}


def constant_image(step: int, size: int) -> Callable[[Any], Any]:
    """Return minibatches, one of which has an image of one grey value."""
    clean = data.minibatches(clear(), size)

    def batch(count: Any) -> Any:
        x, labels = clean(count)
        return jnp.where((count == step) & (jnp.arange(size) == 0)[:, None, None], 0.5, x), labels

    return batch


def rising(factor: float = 1.0) -> gradtx.Transform:
    """Return descent whose rate doubles every 40 steps without end."""
    return gradtx.sgd(lambda count: factor * 0.02 * jnp.exp2(jnp.asarray(count, jnp.float32) / 40))


def clipped(bound: float | None) -> Callable[..., Any]:
    """Return the factory of momentum descent behind a clip."""

    def make(factor: float = 1.0) -> gradtx.Transform:
        tx = gradtx.sgd(factor * 0.01, momentum=0.9)
        return tx if bound is None else gradtx.chain(gradtx.clip_by_global_norm(bound), tx)

    return make


def cold_scale() -> gradtx.Transform:
    """Return a second-moment scale that starts at 0, uncorrected, and some momentum over it."""
    return gradtx.chain(gradtx.scale_by_rms(0.9995), gradtx.trace(0.5))


SCENARIOS = [
    net(
        "conv_bfloat16_cosine",
        "healthy",
        "tune",
        300,
        clear,
        16,
        init=lambda: models.half(start()),
        make_tx=lambda factor=1.0: gradtx.sgd(gradtx.schedules.cosine(factor * 0.005, 1000), momentum=0.9),
        proof=proofs.improving(),
    ),
    net(
        "conv_rmsprop_clip",
        "healthy",
        "held",
        300,
        clear,
        32,
        make_tx=lambda factor=1.0: gradtx.chain(gradtx.clip_by_global_norm(1.5), gradtx.rmsprop(factor * 1e-3)),
        proof=proofs.improving(),
    ),
    net(
        "conv_decayed_too_soon",
        "crawling",
        "held",
        600,
        clear,
        32,
        make_tx=lambda factor=1.0: optax.sgd(optax.exponential_decay(factor * 0.01, 10, 0.85), momentum=0.9),
        proof=proofs.slow(other=lambda: gradtx.sgd(0.01, momentum=0.9)),
    ),
    net(
        "conv_rmsprop_floor",
        "noise_floor",
        "held",
        800,
        mislabelled,
        16,
        make_tx=lambda factor=1.0: gradtx.rmsprop(factor * 0.03),
        proof=proofs.noisy(),
    ),
    net(
        "conv_rate_rises",
        "diverging",
        "held",
        400,
        clear,
        32,
        make_tx=rising,
        proof=proofs.growing(0.01),
    ),
    net(
        "conv_constant_image",
        "non_finite",
        "held",
        300,
        clear,
        16,
        init=lambda: models.half(start()),
        loss=standardized,
        batch=constant_image(171, 16),
        make_tx=lambda factor=1.0: gradtx.adamw(factor * 0.002),
        proof=proofs.clean_but_for_a_step(instead(batch=data.minibatches(clear(), 16))),
    ),
    net(
        "conv_dark",
        "vanishing_dead",
        "held",
        400,
        clear,
        16,
        init=dark,
        make_tx=lambda factor=1.0: gradtx.rmsprop(factor * 0.002, momentum=0.5),
        proof=proofs.dead(("conv1", "conv2"), instead(init=start)),
    ),
    net(
        "conv_clip",
        "always_clipped",
        "held",
        500,
        clear,
        32,
        make_tx=clipped(0.001),
        proof=proofs.both(proofs.clipped(0.001, clipped(None)), proofs.slow(30.0)),
        also=("crawling",),
    ),
    net(
        "conv_cold_rms",
        "needs_warmup",
        "held",
        300,
        clear,
        32,
        make_tx=warmed(cold_scale, 0.01),
        proof=proofs.cold_start(warmed(cold_scale, 0.01, 200)),
    ),
]
