"""Runs of the sixth set whose fault is in the loss, the data or the state: NaN, a jump, dead units."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from tests.diagnosis.scenarios.base import Scenario
from tests.diagnosis.scenarios.build import instead
from tests.diagnosis.scenarios.fourth_faults import changed, drawn
from tests.diagnosis.scenarios.fresh_faults import cleaned
from tests.diagnosis.scenarios.fresh_problems import Problem
from tests.diagnosis.scenarios.fresh_proofs import lost
from tests.diagnosis.scenarios.proofs import both, clean_but_for_a_step
from tests.diagnosis.scenarios.rates import adam, sgd
from tests.diagnosis.scenarios.sixth_choices_b import (
    GAMES,
    SURVEYS,
    TILLS,
    customers,
    known_alone,
)
from tests.diagnosis.scenarios.sixth_networks_b import CLOUDS, GAITS, MOLECULES
from tests.diagnosis.scenarios.sixth_problems_b import GAZES, GRADES, angles, sixth
from tests.diagnosis.scenarios.sixth_proofs_b import killed, never_back, ruined_at_once
from tests.diagnosis.scenarios.sixth_series_b import WEATHER, hidden_weather


def longer_and_longer(count: Any) -> Any:
    """Return series of weather that are longer the later the step: first 12 days, then up to 100."""
    sky, days = drawn(WEATHER.points, 16)(count)
    return sky, jnp.minimum(days, 12 + count // 3)


def inverse_root(first: float) -> Any:
    """Return the factory of Adam whose rate falls with the root of the step, which is counted from `first`."""
    return lambda f=1.0: optax.adam(lambda count: f * 0.05 / jnp.sqrt(count.astype(jnp.float32) + first))


NOT_FINITE: list[tuple[Any, ...]] = [
    (
        "sixth_weather_underflow",
        Problem(WEATHER.init, hidden_weather(logarithms=False), WEATHER.points),
        16,
        300,
        adam(0.01),
        clean_but_for_a_step(instead(loss=WEATHER.loss)),
        {"batch": longer_and_longer},
    ),
    (
        "sixth_tills_rate_of_zero",
        Problem(TILLS.init, customers(lambda score: jnp.maximum(score, 0)), TILLS.points),
        32,
        400,
        sgd(0.02, momentum=0.5),
        clean_but_for_a_step(instead(loss=TILLS.loss)),
        {},
    ),
    ("sixth_gazes_meet", GAZES, 32, 400, sgd(0.3), clean_but_for_a_step(instead(loss=angles(1e-6))), {}),
    (
        "sixth_surveys_none_known",
        SURVEYS,
        16,
        500,
        lambda f=1.0: optax.adamw(f * 2e-3),
        clean_but_for_a_step(instead(loss=known_alone(1.0))),
        {"told": False},
    ),
    (
        "sixth_grades_root_of_zero",
        GRADES,
        32,
        200,
        inverse_root(0.0),
        ruined_at_once(instead(make_tx=inverse_root(1.0))),
        {},
    ),
]

JUMP = 250  # the step at which runs are thrown


def pruned(factor: float = 1.0) -> Any:
    """Return descent, and one step that sets to 0 all weights but the head's, as by a threshold above them all."""

    def prune(updates: Any, count: jax.Array, params: Any = None) -> Any:
        gone = {name: name != "head" for name in params}
        new = {
            name: jax.tree.map(lambda u, p: jnp.where(count == JUMP, -p, u), updates[name], params[name])
            if gone[name]
            else updates[name]
            for name in params
        }
        return new, count + 1

    once = optax.GradientTransformation(lambda params: jnp.zeros((), jnp.int32), prune)
    return optax.chain(optax.sgd(factor * 0.1), once)


def scaled_gradients(times: float) -> Any:
    """Return the factory of descent whose gradients are still multiplied by a scale of the loss for two steps."""

    def make(factor: float = 1.0) -> Any:
        def scale(count: Any) -> jax.Array:
            return jnp.where((count >= JUMP) & (count < JUMP + 2), jnp.float32(times), jnp.float32(1))

        return optax.chain(optax.scale_by_schedule(scale), optax.sgd(factor * 0.1))

    return make


def wrong_costs(count: Any) -> Any:
    """Return places and costs; for four steps they are gains, in other units."""
    x, cost = drawn(GAMES.points, 32)(count)
    wrong = (count >= JUMP) & (count < JUMP + 4)
    return x, jnp.where(wrong, -30_000 * cost, cost)


def in_counts(x: jax.Array, kind: jax.Array) -> Any:
    """Return recordings as the counts of a sensor whose zero is at 2000."""
    return 2000 + 800 * x, kind


def gone(mended: Any) -> Any:
    """Prove that a run is lost since the jump, and does not come back when it goes on as long again."""
    return both(lost(JUMP, mended, rise=1.3), never_back(JUMP, rise=1.3))


THROWN: list[tuple[Any, ...]] = [
    (
        "sixth_molecules_pruned",
        MOLECULES,
        32,
        600,
        pruned,
        both(gone(instead(make_tx=sgd(0.1))), killed(("round0", "round1"), JUMP)),
        {"also": ("vanishing_dead",)},
    ),
    (
        "sixth_clouds_loss_scale",
        CLOUDS,
        32,
        600,
        scaled_gradients(2048.0),
        both(gone(instead(make_tx=sgd(0.1))), killed(("point0", "point1"), JUMP)),
        {"also": ("vanishing_dead",)},
    ),
    (
        "sixth_games_wrong_costs",
        GAMES,
        32,
        600,
        sgd(0.5),
        gone(cleaned(drawn(GAMES.points, 32))),
        {"batch": wrong_costs},
    ),
    (
        "sixth_gaits_other_units",
        GAITS,
        32,
        600,
        sgd(0.05, momentum=0.9),
        both(gone(cleaned(drawn(GAITS.points, 32))), killed(("conv1", "conv2"), JUMP)),
        {"batch": changed(drawn(GAITS.points, 32), JUMP, in_counts), "also": ("vanishing_dead",), "told": False},
    ),
]


SCENARIOS: list[Scenario] = [
    sixth(name, cause, *rest, **fields)
    for cause, rows in (("non_finite", NOT_FINITE), ("collapsed", THROWN))
    for name, *rest, fields in rows
]
