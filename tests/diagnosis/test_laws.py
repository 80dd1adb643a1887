"""Two laws: no verdict rests on the loss's zero or scale, and each printed sentence holds for the number in it."""

import dataclasses
import functools
import math
import re
from typing import Any

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

import gradtx
from gradtx.diagnosis.diagnose import judge
from gradtx.diagnosis.judge.verdicts import RULES
from gradtx.diagnosis.read.evidence import Evidence, read
from gradtx.diagnosis.read.features import Features
from gradtx.diagnosis.read.logged import from_columns
from tests.diagnosis.cases import FIRES, firing
from tests.diagnosis.scenarios.base import plain

laws = hypothesis.settings(max_examples=10, deadline=None, derandomize=True)
T = np.arange(400.0)


def noise(seed: int, size: float) -> Any:
    return size * np.random.default_rng(seed).normal(size=400)


LOGS: dict[str, dict[str, Any]] = {
    "falls": {"loss": 2 * np.exp(-T / 150) + noise(0, 0.05)},
    "flat": {"loss": 0.4 + noise(1, 0.02)},
    "rises": {"loss": 1 + T / 100 + noise(2, 0.05), "grad_norm": 1 + T / 50},
    "jumps": {"loss": np.where(T < 240, 0.8 + np.exp(-T / 20), 6.2) + noise(3, 0.02)},
    "spikes": {"loss": 2.8 + noise(4, 0.01) + np.where(T % 37 == 5, 4.2, 0)},
    "in turn": {"loss": np.where(T % 2 == 0, 2.0, 2.6)},
    "flat while |g| grows": {"loss": 0.4 + noise(5, 0.001), "grad_norm": np.exp(T / 100)},
    "blows up": {"loss": np.where(T < 390, 1.0 + noise(6, 0.05), np.where(T < 399, 1.2 ** (T - 370), np.inf))},
}


def steep(p: jax.Array, t: Any) -> jax.Array:
    return 50.0 * p[0] ** 2 + 1e-4 * p[1] ** 2


def bowl(p: jax.Array, t: Any) -> jax.Array:
    return 0.5 * p[0] ** 2 + p[1] ** 2 + 1.0


def drawn(p: jax.Array, t: Any) -> jax.Array:
    x = jax.random.normal(jax.random.fold_in(jax.random.key(0), t), (2,))
    return 0.5 * jnp.sum((p - x) ** 2)


RUNS = {  # loss, rate, steps, verdict
    "bounce": (steep, 0.01999, 150, "oscillating"),
    "growth": (steep, 0.0207, 150, "diverging"),
    "descent": (bowl, 0.01, 150, "healthy"),
    "minimum": (bowl, 0.2, 100, "converged_minimum"),
    "crawl": (bowl, 1e-6, 150, "crawling"),
    "noise": (drawn, 0.2, 300, "noise_floor"),
    "no rate": (drawn, 0.0, 100, "not_moving"),
}


@functools.cache
@plain
def watched(name: str) -> Evidence:
    loss, rate, steps, _ = RUNS[name]
    tx = gradtx.watch(gradtx.sgd(rate))

    def step(carry: Any, t: jax.Array) -> Any:
        p, state = carry
        value, g = jax.value_and_grad(loss)(p, t)
        updates, state = tx.update(g, state, p, value=value)
        return (gradtx.apply_updates(p, updates), state), None

    p = jnp.array([1.0, 0.7], jnp.float32)
    return read(jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), jnp.arange(steps)))(p)[0][1])


def moved(run: Evidence, scale: float, shift: float) -> Evidence:
    """Return the run as it would be recorded of scale x loss + shift, with the rate divided by the scale."""
    powers = {"gg": 2, "gg_max": 2, "start": 1, "end": 1, "gu": 1}
    powers |= dict.fromkeys(("learning_rate", "rate_min", "rate_mean", "rate_max"), -1)

    def of(columns: Any) -> dict[str, Any]:
        out = {name: xs * scale ** powers.get(name, 0) for name, xs in columns.items()}
        for name in ("loss", "loss_max", "loss_min"):
            if name in out:
                out[name] = scale * out[name] + shift
        if "loss_sum" in out:
            out["loss_sum"] = scale * out["loss_sum"] + shift * out["losses"]
        return out

    return dataclasses.replace(
        run,
        rows=of(run.rows),
        early=of(run.early),
        history=of(run.history),
        losses=scale * run.losses + shift,
        early_losses=scale * run.early_losses + shift,
        groups={name: of(columns) for name, columns in run.groups.items()},
        group_peak={name: x * scale**2 for name, x in run.group_peak.items()},
    )


@pytest.mark.share(2)
@pytest.mark.parametrize("name", RUNS)
def test_the_runs_have_their_verdicts(name):
    assert judge(watched(name)).verdict == RUNS[name][3]


@pytest.mark.share(4)
@pytest.mark.parametrize("name", [*RUNS, *LOGS])
@laws
@hypothesis.given(st.floats(-6, 6), st.sampled_from([-1000.0, -100.0, -3.0, -1.0, 0.5, 10.0, 1000.0]))
def test_no_verdict_rests_on_the_zero_or_the_scale_of_the_loss(name, power, shift):
    run = watched(name) if name in RUNS else from_columns(LOGS[name])
    scale = 2.0 ** round(power)
    plainly, other = judge(run), judge(moved(run, scale, shift * scale))
    # the one rule that asks for the zero is left out: ln k is a number
    words = [[x.verdict for x in (r, *r.also) if x.verdict != "at_chance"] for r in (plainly, other)]
    assert words[0] == words[1]


def number(x: str) -> float:
    return float(x.replace(",", "").rstrip("."))


N = r"(-?[\d,.]+(?:e[+-]?\d+)?)"
SENTENCES: dict[str, Any] = {  # a sentence with its numbers, and what must hold of them
    rf"\) = {N}: consecutive gradients agree": lambda c: c > 0.3,
    rf"\) = {N}: consecutive gradients have little in common": lambda c: c <= 0.3,
    rf"cos\(g_t, g_t-1\) = {N}, .*: the gradient flips": lambda c: c < -0.3,
    rf"= {N}: climbs": lambda rho: rho < -1.05,
    rf"= {N}: lands at equal height": lambda rho: -1.05 <= rho <= -0.95 or -1.01 < rho < -0.9,
    rf"= {N}: lands beyond": lambda rho: -0.95 <= rho <= -0.05,
    rf"= {N}: lands on the minimum": lambda rho: abs(rho) <= 0.05,
    rf"= {N}: stops short": lambda rho: 0.05 <= rho <= 1,
    rf"= {N}: the slope steepens": lambda rho: rho >= 1,
    rf"loss fell from {N} to {N} ": lambda a, b: a > b,
    rf"loss rose from {N} to {N} ": lambda a, b: a < b,
    rf"wait about {N} steps": lambda n: 0 < n < 1e7,
    rf"{N} % ": lambda x: 0 <= x <= 100,
    rf"straightness of 64 steps = {N} \(64: straight, noise here: {N}\)": lambda d, _: d >= 0,
    rf"gives? about {N}: the steps are undone": lambda n: n > 0,
    rf"would gain {N} times what the last half": lambda n: n > 3,
    rf"the bounce holds {N} times": lambda n: n > 3,
    rf"{N} spreads of a single loss above the start": lambda n: n > 8,
    rf"gained {N} times what the first half did": lambda n: n > 1,
    rf"\|p\| is {N} times what it was at the start": lambda n: n > 1,
    rf"is {N} standard errors below 0: each step goes down": lambda n: n >= 3,
    rf"is {N} standard errors above 0: the gradient would make": lambda n: n >= 4,
    rf"is {N} standard errors above 0: the loss falls where": lambda n: n >= 4,
    rf"is {N} standard errors below 0: the loss falls because": lambda n: n >= 3,
}
LIMITS: dict[str, tuple[float, float]] = {
    "cos1": (-1, 1), "cos2": (-1, 1), "ucos": (-1, 1), "rho": (-3, 2), "clipped": (0, 1), "clip_median": (1e-4, 1),
    "lost": (0, 1), "frozen_share": (0, 1), "share": (-1, 1), "straight": (0, 64), "certainty": (-30, 30),
    "decay": (-0.1, 0.1), "g_growth": (-3, 3), "aligned": (-1, 1), "lost_again": (0, 1), "drift": (-1, 1),
    "turns": (-1, 1), "gain": (-1, 2), "downhill": (-30, 30), "outward": (-3, 3), "outward_sure": (-30, 30),
}  # fmt: skip
NAMES = [f.name for f in dataclasses.fields(Features) if f.type in ("float", float)]


@st.composite
def numbers(draw: Any) -> Features:
    """Draw features near those that fire one rule: some of its numbers, and any others, replaced."""
    values: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=12, unique=True)):
        low, high = LIMITS.get(name, (1e-6, 1e6))
        values[name] = draw(st.floats(low, high))
    loss = {name: draw(st.floats(-5, 5)) for name in ("loss_first", "loss_middle", "loss_last")}
    values |= {**loss, "gained": loss["loss_middle"] - loss["loss_last"]}
    values["one_loss"] = draw(st.sampled_from([True, False, None]))
    f = dataclasses.replace(firing(draw(st.sampled_from(sorted(FIRES)))), **values)
    return dataclasses.replace(f, g_most=max(f.g_first, f.g_last, f.g_most))


@hypothesis.settings(laws, max_examples=300)
@hypothesis.given(numbers())
def test_each_sentence_holds_for_the_number_in_it(f):
    for rule in RULES:
        finding = rule(f)
        if finding is None:
            continue
        lines = [finding.headline, *finding.evidence, finding.action, finding.doubt]
        assert not re.search(r"\b(nan|inf)\b", " ".join(lines)), lines
        for line in lines:
            for sentence, holds in SENTENCES.items():
                for found in re.finditer(sentence, line):
                    assert holds(*map(number, found.groups())), line
        factor = re.search(rf"learning rate x {N}(?: \(1 / median factor\))? to {N}", finding.action)
        if factor:
            times, rate = map(number, factor.groups())
            assert math.isclose(rate, f.learning_rate * times, rel_tol=2e-2), finding.action


def test_the_sentences_are_those_that_are_printed():
    some = [firing(name) for name in FIRES]
    slopes = [dataclasses.replace(firing("crawling"), rho=rho) for rho in (-0.4, 0.0, 0.5, 1.2)]
    slopes += [dataclasses.replace(firing("oscillating"), rho=rho, one_loss=True) for rho in (-2.0, -1.0)]
    slopes += [dataclasses.replace(firing("saddle_plateau"), decay=-1e-4)]
    slopes += [dataclasses.replace(firing("noise_floor"), cos1=0.5, loss_middle=0.4, gained=-0.1)]
    slopes += [dataclasses.replace(firing("noise_floor"), downhill=9.0)]
    slopes += [dataclasses.replace(firing("noise_floor"), decays=True, outward=1.0, outward_sure=9.0)]
    grown = {"decays": False, "gained": 0.1, "share": 0.2, "outward": 1.0, "outward_sure": 9.0}
    slopes += [dataclasses.replace(firing("noise_floor"), **grown)]
    slopes += [dataclasses.replace(firing("at_chance"), certainty=9.0, gained=0.01, outward_sure=-9.0)]
    found = [x for f in some + slopes for rule in RULES if (x := rule(f)) is not None]
    printed = "\n".join(line for x in found for line in (x.headline, *x.evidence, x.action))
    for sentence in SENTENCES:
        assert re.search(sentence, printed), sentence
