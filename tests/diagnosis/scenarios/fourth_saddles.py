"""Runs of the fourth set at a saddle, or with a part that no gradient reaches."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.diagnosis.scenarios import fourth_equations, fourth_models, fourth_problems, models
from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.counterfactuals import cut
from tests.diagnosis.scenarios.fourth_equations import HIMMELBLAU
from tests.diagnosis.scenarios.fourth_models import BARS
from tests.diagnosis.scenarios.fourth_problems import FEW_WORDS, PARITY, fourth
from tests.diagnosis.scenarios.fresh_models import nothing
from tests.diagnosis.scenarios.fresh_problems import Points, Problem
from tests.diagnosis.scenarios.proofs import dead, saddle
from tests.diagnosis.scenarios.rates import adam, sgd


def against() -> Any:
    """Return needles each of which points away from its neighbours, but for a millionth."""
    noise = 1e-6 * np.random.default_rng(291).normal(size=10)
    return {"angle": (np.pi * (np.arange(10) % 2) + noise).astype(np.float32)}


NEEDLES = Problem(against, fourth_equations.needles, nothing)


def pass_between() -> Any:
    """Return a place at a pass of Himmelblau's function, to five digits."""
    return {"x": np.array([3.38515, 0.07385], np.float32)}


def cube() -> Points:
    """Return a table with three sides of 8, the sum of two outer products, and the places of its entries."""
    rng = np.random.default_rng(292)
    a, b, c = rng.normal(size=(3, 8, 2))
    return (np.einsum("ir,jr,kr->ijk", a, b, c).astype(np.float32),)


def outer(params: Any, batch: Any) -> jax.Array:
    """Return half the mean squared error of a sum of two outer products."""
    made = jnp.einsum("ir,jr,kr->ijk", params["a"], params["b"], params["c"])
    return models.squared(made, batch[0])


CUBE = Problem(lambda: {name: fourth_problems.table(293 + i, 8, 2, 0.02) for i, name in enumerate("abc")}, outer, cube)


SADDLES: list[tuple[Any, ...]] = [
    ("fourth_needles_against", NEEDLES, 0, 200, sgd(0.1), saddle(), {}),
    ("fourth_himmelblau_pass", HIMMELBLAU, 0, 200, sgd(0.002), saddle(), {"init": pass_between}),
    ("fourth_cube_small_start", CUBE, 0, 300, sgd(0.5), saddle(), {}),
    (
        "fourth_few_words_small_start",
        FEW_WORDS,
        64,
        250,
        sgd(0.2),
        saddle(),
        {"init": fourth_problems.few_vectors(1e-4), "also": ("at_chance",)},
    ),
    (
        "fourth_parity_small_start",
        PARITY,
        0,
        400,
        sgd(0.1),
        saddle(),
        {"init": lambda: models.mlp_init((6, 24, 2), 215, 0.02), "also": ("at_chance",)},
    ),
]


def chosen(hard: bool) -> Any:
    """Return the loss of four experts of which a gate chooses one, or weighs all."""

    def loss(params: Any, batch: Any) -> jax.Array:
        x, y = batch
        scores = models.affine(params["gate"], x)
        weight = jax.nn.one_hot(jnp.argmax(scores, axis=1), 4, dtype=jnp.float32) if hard else jax.nn.softmax(scores)
        return models.squared(jnp.sum(weight * models.affine(params["experts"], x), axis=1), y[:, 0])

    return loss


def experts() -> Any:
    """Return a gate and four linear experts."""
    rng = np.random.default_rng(296)
    return {"gate": models.dense(rng, 6, 4, 0.1), "experts": models.dense(rng, 6, 4)}


def folds() -> Points:
    """Return points and the size of a number that goes with them."""
    x = np.random.default_rng(297).normal(size=(600, 6))
    return x.astype(np.float32), np.abs(3 * x[:, :1] + x[:, 1:2]).astype(np.float32)


EXPERTS = Problem(experts, chosen(hard=True), folds)


def positive(params: Any, batch: Any) -> jax.Array:
    """Return the loss of a network whose output is cut off below 0, as prices are."""
    x, y = batch
    return models.squared(jax.nn.relu(models.mlp(params, x, jnp.tanh)), y)


def lifted(bias: float) -> Any:
    """Return what makes a network whose last bias is this."""

    def init() -> Any:
        params = models.mlp_init((6, 16, 1), 298)
        return {**params, "layer1": {**params["layer1"], "b": np.full(1, bias, np.float32)}}

    return init


PRICES = Problem(lifted(-8.0), positive, folds)


def detached(whole: bool) -> Any:
    """Return the loss of the autoencoder with the code held fixed for the gradient, or not."""

    def loss(params: Any, batch: Any) -> jax.Array:
        held = params if whole else {**params, "encoder": jax.lax.stop_gradient(params["encoder"])}
        return fourth_models.binary_vae(held, batch)

    return loss


def deep_graph(size: float) -> Any:
    """Return what makes a graph network of seven layers."""

    def init() -> Any:
        rng = np.random.default_rng(299)
        sizes = (8, *[12] * 6, 3)
        return {f"layer{i}": models.dense(rng, sizes[i], sizes[i + 1], size) for i in range(7)}

    return init


def smoothed(params: Any, batch: Any) -> jax.Array:
    """Return the cross-entropy of the groups after seven layers of smoothing."""
    a, h, group = batch
    for name in sorted(params):
        h = a @ models.affine(params[name], h)
        h = jnp.tanh(h) if name != "layer6" else h
    return models.cross_entropy(h[:40], group[:40])


DEEP = Problem(deep_graph(0.1), smoothed, fourth_equations.graph_points)
ALL = ("layer0", "layer1")

DEAD: list[tuple[Any, ...]] = [
    ("fourth_prices_below_zero", PRICES, 32, 300, adam(1e-3), dead(ALL, instead(init=lifted(2.0))), {}),
    ("fourth_experts_hard_gate", EXPERTS, 32, 1000, adam(0.01), cut(("gate",), chosen(hard=False)), {}),
    (
        "fourth_bars_code_detached",
        BARS,
        32,
        1000,
        adam(3e-3),
        cut(("encoder",), detached(whole=True)),
        {"loss": detached(whole=False)},
    ),
    (
        "fourth_friends_seven_layers",
        DEEP,
        0,
        400,
        sgd(0.3),
        dead(("layer0", "layer1"), instead(init=deep_graph(1.5)), ratio=1e-3),
        {"also": ("saddle_plateau", "at_chance")},
    ),
]
SCENARIOS: list[Scenario] = [
    fourth(name, cause, *rest, **fields)
    for cause, rows in (("saddle_plateau", SADDLES), ("vanishing_dead", DEAD))
    for name, *rest, fields in rows
]
