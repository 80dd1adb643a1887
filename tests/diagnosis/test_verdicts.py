"""Each rule fires on what it is for and on nothing else, and no verdict depends on units."""

import dataclasses
import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.diagnosis.diagnose import blew_up
from gradtx.diagnosis.judge.finding import Finding
from gradtx.diagnosis.judge.verdicts import RULES
from gradtx.diagnosis.read.evidence import read
from gradtx.diagnosis.read.extract import features
from gradtx.diagnosis.read.features import Features
from tests.diagnosis.cases import FIRES, QUIET, firing, stopped, word
from tests.diagnosis.runs import train

WORDS = [rule.__name__ for rule in RULES]


def fired(f: Features) -> list[Finding]:
    return [finding for rule in RULES if (finding := rule(f)) is not None]


def test_every_rule_has_a_case():
    assert set(FIRES) == set(WORDS)


def test_quiet_features_and_unknown_ones_fire_nothing():
    assert fired(QUIET) == []
    assert fired(Features()) == []
    assert fired(Features(steps=500, rows=256, loss_first=1.0, loss_last=1.0)) == []


@pytest.mark.parametrize("verdict", WORDS)
def test_rule_fires_first(verdict):
    found = fired(firing(verdict))
    assert [finding.verdict for finding in found][:1] == [word(verdict)]
    assert any(character.isdigit() for character in "".join(found[0].evidence))


@pytest.mark.parametrize("verdict", WORDS)
def test_rule_is_stopped_by_one_number(verdict):
    assert word(verdict) not in [finding.verdict for finding in fired(stopped(verdict))]


@pytest.mark.parametrize("verdict", WORDS)
def test_rule_says_no_unknown_word(verdict):
    finding = fired(firing(verdict))[0]
    text = " ".join([finding.headline, *finding.evidence, finding.action, finding.doubt])
    for unwanted in ("nan", "inf ", "unknown", "None"):
        assert unwanted not in text, text


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Features) if f.type in ("float", float)])
def test_one_unknown_number_breaks_no_rule(field):
    for verdict in WORDS:
        for finding in fired(dataclasses.replace(firing(verdict), **{field: math.nan})):
            assert finding.action


def test_healthy_is_not_said_of_what_diverges_or_bounces():
    grows = dataclasses.replace(firing("diverging"), share=0.9)
    bounces = dataclasses.replace(firing("oscillating"), share=0.3)
    assert fired(grows)[0].verdict == "diverging"
    assert fired(bounces)[0].verdict == "oscillating"


def test_a_bounce_names_the_rate_that_lands_on_the_line_minimum():
    f = dataclasses.replace(firing("oscillating"), rho=-1.5, learning_rate=0.4)
    assert re.search(r"learning rate x 0\.4 .*0\.16\b", fired(f)[0].action)


def test_noise_seen_through_momentum_is_no_crawl():
    noise = dataclasses.replace(firing("noise_floor"), straight=15.0, ucos=0.9, cos1=0.0, cos2=0.0)
    assert [finding.verdict for finding in fired(noise)] == ["noise_floor"]
    way = dataclasses.replace(noise, ucos=0.0)
    assert fired(way)[0].verdict == "crawling"


def test_blow_up():
    assert blew_up(QUIET, -1, {}) is None
    sudden = blew_up(QUIET, 40, {"w": 3})
    assert sudden.verdict == "non_finite"
    assert "step 40" in sudden.headline
    assert "w (3 entries)" in sudden.evidence[0]
    grew = blew_up(dataclasses.replace(QUIET, grown=1e6), 40, {})
    assert grew.verdict == "diverging"
    assert "0.025" in grew.action  # a quarter of the rate


def steep(p: jax.Array) -> jax.Array:
    return 50.0 * p[0] ** 2 + 1e-4 * p[1] ** 2


def bowl(p: jax.Array) -> jax.Array:
    return 0.5 * p[0] ** 2 + 1.0 * p[1] ** 2 + 1.0


RUNS = {  # loss, rate, steps, verdict
    "bounce": (steep, 0.01999, 150, "oscillating"),
    "descent": (lambda p: 0.5 * jnp.sum(p**2), 0.005, 150, "healthy"),
    "minimum": (bowl, 0.2, 60, "converged_minimum"),
}


@functools.cache
def features_of(name: str, loss_scale: float, param_scale: float) -> Features:
    """Train on c L(p / s) from s p_0, whose steps are those of L where the rate is s^2 / c times as large."""
    loss, rate, steps, _ = RUNS[name]
    tx = gradtx.watch(gradtx.sgd(rate * param_scale**2 / loss_scale))
    start = param_scale * jnp.array([1.0, 0.7], jnp.float32)
    return features(read(train(tx, lambda p: loss_scale * loss(p / param_scale), start, steps)))


UNITS = {"loss_first", "loss_start", "loss_middle", "loss_last", "loss_least", "spread", "quantum", "gained", "fall"}
UNITS |= {"g_first", "g_last", "g_most", "u_first", "u_last", "p_last", "learning_rate"}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(("loss_scale", "param_scale"), [(2.0**10, 1.0), (2.0**-10, 1.0), (1.0, 2.0**7)])
def test_verdicts_have_no_units(name, loss_scale, param_scale):
    plain, scaled = features_of(name, 1.0, 1.0), features_of(name, loss_scale, param_scale)
    assert fired(plain)[0].verdict == RUNS[name][3]
    assert [x.verdict for x in fired(scaled)] == [x.verdict for x in fired(plain)]
    for field in dataclasses.fields(Features):
        if field.name not in UNITS:
            a, b = getattr(plain, field.name), getattr(scaled, field.name)
            if isinstance(a, float):
                # at the minimum the loss changes by its own rounding, and the median of that is what `error` is
                rtol = 5e-2 if (name, field.name) == ("minimum", "error") else 1e-3
                np.testing.assert_allclose(b, a, rtol=rtol, atol=1e-5, err_msg=field.name)
            else:
                assert a == b, field.name


@pytest.mark.parametrize(("eta", "steps"), [(2.01, 6000), (2.1, 600), (2.5, 200)])
def test_a_run_that_grew_for_thousands_of_steps_is_no_bad_batch(eta, steps):
    """Just beyond 2 / L a quadratic grows by a hundredth a step, until it overflows."""
    tx, start = gradtx.watch(gradtx.sgd(eta)), jnp.ones(3, jnp.float32)

    def step(carry, _):
        w, state = carry
        loss, grad = jax.value_and_grad(lambda w: jnp.vdot(w, w) / 2)(w)
        u, state = tx.update(grad, state, w, value=loss)
        return (gradtx.apply_updates(w, u), state), loss

    (_, state), losses = jax.lax.scan(step, (start, tx.init(start)), length=steps)
    assert not jnp.isfinite(losses[-1])
    found = gradtx.diagnose(state)
    assert found.verdict == "diverging"
    assert "NOT a bad batch" in found.headline
