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
from tests.diagnosis.cases import FIRES, JUMP, QUIET, UNTOLD, firing, stopped, word
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


def test_a_run_without_losses_that_leads_nowhere_is_never_called_good():
    far = dataclasses.replace(firing("leads_alone"), p_growth=3.0)
    assert fired(far)[0].verdict == "healthy"
    thrown, undone = {"outward_sure": -9.0}, {"cos1": 0.9, "cos2": 0.9, "straight": 1.0}
    for change in (thrown, undone, {"lost": 0.9}, {"g_last": 0.001}, {"path": 0.05}):
        assert "healthy" not in [x.verdict for x in fired(dataclasses.replace(far, **change))], change
    up = dataclasses.replace(far, downhill=-9.0, cos1=0.9, g_growth=2.0)
    assert fired(up)[0].verdict == "diverging"
    assert "wrong sign" in fired(up)[0].action


@pytest.mark.parametrize("verdict", [verdict for verdict in WORDS if verdict.endswith("_alone")])
def test_rules_without_losses_leave_alone_a_run_that_has_told_one(verdict):
    f = dataclasses.replace(firing(verdict), loss_first=1.0)  # given now and then, too seldom for a course
    assert not any("value=" in found.doubt or found.verdict == word(verdict) for found in fired(f))


@pytest.mark.parametrize(
    ("change", "verdicts"),
    [({}, ["crawling"]), ({"downhill": 2.0}, []), ({"rho": -0.9}, [])],
)
def test_without_losses_straight_steps_crawl_only_where_they_lead_down(change, verdicts):
    way = {**UNTOLD, "straight": 60.0, "path": 0.01, "downhill": 9.0, "rho": 0.9}
    assert [x.verdict for x in fired(dataclasses.replace(QUIET, **{**way, **change}))] == verdicts


def test_few_gradients_that_have_nothing_in_common_are_no_floor():
    assert fired(dataclasses.replace(firing("aimless_alone"), rows=64))[0].verdict == "noise_floor"
    assert fired(dataclasses.replace(firing("aimless_alone"), rows=63)) == []


def test_a_start_at_0_has_no_growth_to_print():
    f = dataclasses.replace(firing("thrown_alone"), p_growth=math.nan)
    assert fired(f)[0].verdict == "needs_warmup"
    assert not any("unknown" in line for line in fired(f)[0].evidence)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [({}, "collapsed"), ({"p_growth": 1.0}, None), ({"lost_again": 0.3}, None), ({"jump": 3.0}, None)],
)
def test_a_smaller_jump_is_one_where_it_made_the_parameters_large(change, verdict):
    jumped = {**JUMP, "jump": 5.0, "lost_again": 0.5, "p_growth": 8.0}
    found = [x.verdict for x in fired(dataclasses.replace(QUIET, **{**jumped, **change}))]
    assert ("collapsed" in found) is (verdict == "collapsed")


@pytest.mark.parametrize(("level", "verdict"), [(1.401, "at_chance"), (1.42, "noise_floor")])
def test_noise_of_the_steps_lifts_a_guess_by_no_more_than_a_spread(level, verdict):
    f = dataclasses.replace(firing("at_chance"), loss_last=level, spread=0.02)
    assert fired(f)[0].verdict == verdict


def test_a_slope_that_does_not_end_is_no_minimum():
    rests = firing("vanished_alone")
    assert fired(rests)[0].verdict == "converged_minimum"
    goes_on = dataclasses.replace(rests, straight=64.0, rho=1.0)
    assert "converged_minimum" not in [x.verdict for x in fired(goes_on)]


def test_a_bounce_is_seen_by_steps_whose_gradient_turns_round_in_part():
    signs = dataclasses.replace(QUIET, **UNTOLD, bounce=1.0, gain=math.nan, cos1=-0.6, cos2=0.99, rho=-0.99, ucos=-0.99)
    assert fired(signs)[0].verdict == "oscillating"
    assert fired(dataclasses.replace(signs, ucos=-0.6)) == []


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
    way = dataclasses.replace(noise, ucos=0.0, downhill=3.5)
    assert fired(way)[0].verdict == "crawling"
    assert fired(dataclasses.replace(way, downhill=1.0))[0].verdict == "noise_floor"  # the next batch sees no way


HIDDEN = {
    "one_loss": False,
    "straight": 3.0,
    "downhill": 9.0,
}  # what noise hides: steps lead down, and none goes straight
EVEN = {"scaled": False, "steady": 0.9, "loss_start": 1.01, "loss_last": 1.0, "spread": 0.01, "held": 0.9}


def test_a_crawl_that_noise_hides_is_seen_by_the_next_batch():
    noise = dataclasses.replace(QUIET, one_loss=False, straight=3.0)
    assert fired(noise)[0].verdict == "noise_floor"
    crawl = dataclasses.replace(QUIET, **HIDDEN)
    assert [x.verdict for x in fired(crawl)] == ["crawling"]
    assert "9 standard errors below 0" in fired(crawl)[0].evidence[0]
    assert fired(dataclasses.replace(crawl, downhill=-9.0))[0].verdict == "noise_floor"
    far = dataclasses.replace(crawl, path=0.4)  # no step that comes so far is short
    assert fired(far)[0].verdict == "healthy"
    assert "0.4 times as far" in fired(far)[0].evidence[1]
    assert fired(dataclasses.replace(far, jump=5.0))[0].verdict == "noise_floor"


def test_a_fall_that_two_signs_agree_on_is_one():
    unsure = dataclasses.replace(QUIET, **HIDDEN, certainty=2.3, gained=0.01, share=0.2)
    assert fired(unsure)[0].verdict == "healthy"
    assert "9 standard errors below 0" in fired(unsure)[0].evidence[1]
    assert fired(dataclasses.replace(unsure, certainty=1.0))[0].verdict == "crawling"
    assert fired(dataclasses.replace(unsure, downhill=3.5))[0].verdict == "noise_floor"


@pytest.mark.parametrize(
    "change",
    [{"steady": 0.5}, {"steady": 2.0}, {"scaled": True}, {"held": 0.01}, {"loss_start": 3.0}, {"p_growth": 3.0}],
)
def test_a_fall_through_noise_is_a_crawl_where_it_is_even_and_small(change):
    falls = {**HIDDEN, **EVEN, "certainty": 20.0, "gained": 0.005, "share": 0.5}
    assert fired(dataclasses.replace(QUIET, **falls))[0].verdict == "crawling"
    assert fired(dataclasses.replace(QUIET, **{**falls, **change}))[0].verdict == "healthy"


def test_an_even_fall_under_a_sigma_is_a_crawl_where_the_parameters_have_hardly_moved():
    falls = {**HIDDEN, **EVEN, "certainty": 20.0, "gained": 0.005, "share": 0.5, "scaled": True}
    assert fired(dataclasses.replace(QUIET, **falls, path=0.01))[0].verdict == "crawling"
    assert fired(dataclasses.replace(QUIET, **falls, path=0.1))[0].verdict == "healthy"


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "decay_bound"),
        ({"outward_sure": 2.0}, "noise_floor"),
        ({"outward": 0.01}, "noise_floor"),
        ({"decays": False}, "healthy"),  # nothing takes back what the gradient does
        ({"decays": None}, "noise_floor"),
        ({"decays": None, "p_growth": 0.7}, "decay_bound"),  # who made them smaller against the gradient?
        ({"downhill": 9.0}, "crawling"),
        ({"lost": 0.8}, "noise_floor"),  # by the rounding of the parameters
        ({"lost": 0.8, "u_last": 0.001}, "decay_bound"),  # the steps themselves have become next to nothing
        ({"outward_sure": 0.0, "p_growth": 0.05}, "decay_bound"),
    ],
)
def test_a_decay_that_noise_hides_is_seen_by_what_the_gradient_would_do(change, verdict):
    bound = {"one_loss": False, "decays": True, "outward": 0.5, "outward_sure": 20.0, **change}
    found = fired(dataclasses.replace(QUIET, **bound))[0]
    assert found.verdict == verdict
    if verdict == "decay_bound" and "p_growth" not in change:
        assert "20 standard errors above 0: the gradient would make the parameters larger" in found.evidence[0]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "decay_bound"),
        ({"p_growth": 0.2}, "healthy"),
        ({"pace": 0.8}, "healthy"),
        ({"outward_sure": 2.0}, "healthy"),
        ({"decays": False}, "healthy"),
        ({"certainty": 1.0, "decays": True, "outward_sure": 0.0, "g_last": 1e-12}, "decay_bound"),  # nothing is left
    ],
)
def test_parameters_that_shrink_to_a_tenth_against_their_gradient_are_bound_though_the_loss_falls(change, verdict):
    falls = {"gained": 0.015, "share": 0.1, "pace": 0.16, "certainty": 4.2, "downhill": -9.0}
    f = dataclasses.replace(QUIET, one_loss=False, p_growth=0.04, outward=0.6, outward_sure=30.0, **falls)
    assert fired(dataclasses.replace(f, **change))[0].verdict == verdict


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "healthy"),
        ({"outward_sure": 3.0}, "noise_floor"),
        ({"outward": 0.05}, "noise_floor"),
        ({"outward_sure": -47.0, "outward": -0.9}, "noise_floor"),
        ({"path": 0.01}, "noise_floor"),
        ({"gained": -0.04, "share": -0.2, "certainty": -1.5}, "noise_floor"),
        ({"decays": None}, "noise_floor"),
        ({"frozen_leaves": ("w",), "frozen_share": 0.4}, "noise_floor"),  # of these -g.p says nothing
        ({"downhill": 9.0, "path": 0.08}, "crawling"),  # a short way
    ],
)
def test_a_fall_that_noise_hides_is_seen_by_parameters_that_the_gradient_makes_larger(change, verdict):
    tuned = {"gained": 0.04, "share": 0.2, "certainty": 1.5, "downhill": 0.8, "outward": 0.9, "outward_sure": 47.0}
    f = dataclasses.replace(QUIET, one_loss=False, decays=False, path=0.15, **tuned)
    found = fired(dataclasses.replace(f, **change))[0]
    assert found.verdict == verdict
    if not change:
        assert "47 standard errors above 0: the loss falls where the parameters grow" in found.evidence[1]


def test_steps_that_lead_down_and_have_come_far_do_not_crawl():
    risen = {"gained": -0.1, "share": -0.3, "certainty": -9.0, "downhill": 18.0}  # as a policy's surrogate may
    far = dataclasses.replace(QUIET, one_loss=False, p_growth=2.5, **risen)
    assert fired(far)[0].verdict == "healthy"
    assert "come far" in fired(far)[0].headline
    assert fired(dataclasses.replace(far, p_growth=1.2))[0].verdict == "crawling"
    assert fired(dataclasses.replace(far, straight=60.0))[0].verdict == "crawling"
    assert fired(dataclasses.replace(far, downhill=2.0))[0].verdict == "noise_floor"


def test_frozen_weights_are_named_where_what_moves_gains_little():
    falls = {"gained": 0.04, "certainty": 9.0, "frozen_leaves": ("layer0.w",), "frozen_share": 0.9}
    found = fired(dataclasses.replace(QUIET, **falls, share=0.07))[0]
    assert found.verdict == "not_moving"
    assert "no update reaches layer0.w" in found.headline
    assert fired(dataclasses.replace(QUIET, **falls, share=0.2))[0].verdict == "healthy"  # an adapter
    assert fired(dataclasses.replace(QUIET, **{**falls, "frozen_share": 0.4}, share=0.07))[0].verdict == "healthy"


def test_a_burst_is_excused_by_a_fall_that_counts():
    falls = dataclasses.replace(firing("sigma_burst"), gained=0.01, certainty=20.0, share=0.1)
    assert fired(falls)[0].verdict == "healthy"
    assert fired(dataclasses.replace(falls, share=1e-5))[0].verdict == "sigma_burst"


def test_a_start_that_is_thrown_is_seen_by_its_gradient_where_losses_scatter():
    f = dataclasses.replace(firing("needs_warmup"), peak_early=4.0)
    assert "needs_warmup" not in [x.verdict for x in fired(f)]
    assert fired(dataclasses.replace(f, g_thrown=1e5))[0].verdict == "needs_warmup"


def test_a_run_above_its_start_has_collapsed_though_it_falls():
    falls = dataclasses.replace(firing("collapsed"), gained=0.3, share=0.5, certainty=20.0)
    assert fired(falls)[0].verdict == "healthy"
    above = fired(dataclasses.replace(falls, rise=900.0, dead=("layer0",), gone=("layer0",)))
    assert [x.verdict for x in above][:2] == ["collapsed", "vanishing_dead"]  # units that a jump has killed
    assert "still far above where the run began" in above[0].headline


def test_a_clip_of_each_entry_is_seen_by_steps_of_one_length():
    f = dataclasses.replace(QUIET, one_loss=False, clipped=math.nan, scaled=False, held=0.04, aligned=0.6)
    assert fired(dataclasses.replace(f, limits=True))[0].verdict == "always_clipped"
    assert fired(f)[0].verdict == "noise_floor"  # a sign's steps
    assert fired(dataclasses.replace(f, limits=True, held=0.5))[0].verdict == "noise_floor"


def test_clipped_steps_that_go_straight_have_far_to_go():
    ends = dataclasses.replace(firing("always_clipped"), gained=0.3, share=0.3, certainty=9.0, remaining=0.9)
    assert fired(ends)[0].verdict == "healthy"
    assert fired(dataclasses.replace(ends, straight=62.0))[0].verdict == "always_clipped"


@pytest.mark.parametrize(
    ("change", "verdict"), [({}, "at_chance"), ({"outward_sure": 9.0}, "healthy"), ({"pace": 0.9}, "healthy")]
)
def test_a_fall_to_chance_is_none_that_learns(change, verdict):
    falls = {"loss_start": 1.6, "loss_middle": 1.42, "loss_last": 1.39, "gained": 0.03, "share": 0.1, "certainty": 5.0}
    fades = {**falls, "one_loss": False, "pace": 0.2, "outward_sure": -8.0, **change}
    found = fired(dataclasses.replace(QUIET, **fades))[0]
    assert found.verdict == verdict
    assert ("has come down to ln(4)" in found.headline) is (verdict == "at_chance")


def test_batches_whose_gradients_have_all_vanished_are_at_a_minimum():
    f = dataclasses.replace(QUIET, one_loss=False, straight=16.0, cos1=0.5, cos2=0.5, share=1e-6, g_last=1e-5)
    assert [x.verdict for x in fired(f)] == ["converged_minimum"]
    assert fired(dataclasses.replace(f, g_last=0.1, downhill=3.5))[0].verdict == "crawling"


def test_gradients_that_exploded_after_a_quiet_stretch_have_not_vanished():
    """What grew beyond all before in the last steps makes the usual gradient a small part of the largest."""
    vanished = {"one_loss": False, "straight": 16.0, "cos1": 0.5, "cos2": 0.5, "share": 1e-6, "g_last": 1e-5}
    ends = {**vanished, "g_most": 1e6, "g_last": 0.5, "grown": 1e9, "rho": -1e9}
    f = dataclasses.replace(QUIET, **ends)
    assert fired(f)[0].verdict == "diverging"
    for quiet in ({"grown": 2.0}, {"rho": 0.5}, {"g_most": 1.0}):
        assert fired(dataclasses.replace(f, **quiet))[0].verdict != "diverging"
    words = {x.verdict for x in fired(dataclasses.replace(f, grown=2.0))}
    assert "converged_minimum" not in words


def test_steps_of_one_length_that_turn_about_a_minimum_are_a_bounce():
    """As those of sign methods do: what the last half gains is next to nothing, however sure it is."""
    bounce = {"one_loss": True, "cos1": -0.6, "cos2": 0.8, "rho": -0.998, "gain": 1e-3, "bounce": 100.0}
    f = dataclasses.replace(QUIET, **bounce, certainty=5.0, share=1e-4, g_last=0.2, straight=0.5)
    assert [x.verdict for x in fired(f)] == ["oscillating"]
    rests = dataclasses.replace(f, bounce=1.0)
    assert "converged_minimum" not in {x.verdict for x in fired(rests)}
    assert "converged_minimum" in {x.verdict for x in fired(dataclasses.replace(rests, g_last=1e-4))}


def test_straight_steps_that_momentum_alone_makes_straight_are_no_crawl():
    falls = {"one_loss": False, "certainty": 20.0, "share": 0.4, "ucos": 0.97, "g_first": 1.0, "g_last": 0.9}
    f = dataclasses.replace(QUIET, **falls, straight=44.0, cos1=0.1, cos2=0.1, remaining=-1.0)
    assert fired(f)[0].verdict == "healthy"
    assert fired(dataclasses.replace(f, straight=60.0))[0].verdict == "crawling"


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


@pytest.mark.share(4)
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
