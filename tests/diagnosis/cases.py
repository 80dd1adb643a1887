"""Hand-made features: for each rule one that fires it, and the one number whose change stops it."""

import dataclasses
import math
from typing import Any

from gradtx.diagnosis.read.features import Features

QUIET = Features(  # no rule fires: whether the steps see one loss is not known, and the loss hardly falls
    steps=1000,
    rows=256,
    loss_first=1.0,
    loss_start=1.0,
    loss_middle=0.501,
    loss_last=0.5,
    loss_least=0.5,
    spread=0.01,
    quantum=1e-6,
    gained=0.001,
    certainty=2.0,
    share=0.002,
    pace=0.002,
    steady=0.2,
    rise=-50.0,
    rising=0.1,
    lost_again=0.0,
    peak_early=1.0,
    burst=0.1,
    peak_late=1.1,
    jump=0.0,
    drift=0.0,
    turns=-0.5,
    g_first=1.0,
    g_last=0.5,
    g_most=1.0,
    g_thrown=1.0,
    u_first=0.1,
    u_last=0.05,
    p_last=1.0,
    p_growth=1.0,
    g_growth=-0.1,
    rho=0.5,
    cos1=0.1,
    cos2=0.1,
    ucos=0.0,
    downhill=1.0,
    outward=0.0,
    outward_sure=0.0,
    straight=1.0,
    path=0.1,
    gain=0.5,
    error=1.0,
    fall=1e-4,
    decay=0.1,
    remaining=1.0,
    reach=0.1,
    bounce=100.0,
    clipped=0.0,
    clip_median=1.0,
    held=1.0,
    aligned=0.9,
    early_steps=1.0,
    scaled=True,
    rate_spread=2.0,
    rate_drop=1.0,
    learning_rate=0.1,
    lost=0.0,
    grown=1.0,
)

BOUNCE = {"cos1": -0.99, "cos2": 0.99, "rho": -0.99, "gain": 0.01, "reach": 50.0, "certainty": 10.0}
AWAY = {"loss_last": 50.0, "rise": 900.0, "lost_again": 1.0, "rising": 30.0, "certainty": -9.0, "gained": -9.0}
UNTOLD = dict.fromkeys(("loss_first", "loss_start", "loss_last", "gained", "certainty", "share", "pace"), math.nan)
GREW = {"g_growth": 9.0, "g_last": 1e4, "g_most": 1e4}
JUMP = {"jump": 80.0, "jumped_at": 500, "lost_again": 0.8, "gained": -0.3, "certainty": -20.0}

FIRES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # verdict: what fires it, what of it then stops it
    "not_moving": ({"rate_zero_since": 200, "u_last": 0.0}, {"rate_zero_since": -1}),
    "diverging": ({**AWAY, "g_last": 30.0, "g_growth": 1.0, "rho": -2.0}, {"rise": 2.0, "rising": 2.0}),
    "always_clipped": ({"clipped": 1.0, "clip_median": 0.001}, {"clip_median": 0.9}),
    "needs_warmup": ({"early_steps": 30.0, "peak_early": 90.0, "burst": 20.0}, {"early_steps": 1.0}),
    "vanishing_dead": ({"dead": ("encoder",)}, {"dead": ()}),
    "sigma_burst": ({"peak_late": 1000.0, "spikes": 20, "rate_drop": 5.0}, {"scaled": False}),
    "oscillating": (BOUNCE, {"cos1": 0.5}),
    "decay_bound": ({"cos1": 0.8, "cos2": 0.8, "one_loss": False}, {"straight": 45.0}),
    "collapsed": (JUMP, {"jump": 2.0}),
    "unbounded": (
        {"gained": 9.0, "certainty": 30.0, "pace": 3.0, "p_growth": 9.0, "g_first": 0.3, "u_first": 0.02},
        {"p_growth": 1.0},
    ),
    "healthy": ({"gained": 0.3, "share": 0.4, "certainty": 12.0}, {"certainty": 0.5}),
    "at_chance": ({"loss_start": 1.4, "loss_last": 1.3863, "one_loss": False}, {"loss_last": 1.45}),
    "saddle_plateau": ({"one_loss": True, "rho": 1.3, "decay": -0.01, "g_growth": 2.0, "fall": 1e-12}, {"rho": 0.5}),
    "crawling": ({"one_loss": True, "reach": 50.0, "certainty": 20.0, "straight": 64.0}, {"reach": 0.1}),
    "converged_minimum": ({"one_loss": True, "share": 1e-6, "reach": 0.1}, {"one_loss": None}),
    "noise_floor": ({"one_loss": False, "straight": 0.8}, {"straight": 40.0}),
    "goes_on": (
        {"one_loss": False, "straight": 0.8, "rise": -0.5, "downhill": 1.5, "outward_sure": 2.0, "outward": 0.05},
        {"outward_sure": -2.0},
    ),
    "learns_nothing": (
        {"one_loss": False, "straight": 0.8, "path": 0.2, "outward_sure": -5.0, "loss_start": 0.51},
        {"path": 0.8},
    ),
    "leaves_chance": (
        {"loss_start": 1.387, "loss_last": 1.3863, "one_loss": False, "downhill": 9.0, "g_growth": 2.0, "g_last": 2.0},
        {"downhill": 1.0},
    ),
    "grows_alone": ({**UNTOLD, **GREW, "rho": -0.8}, {"rho": 0.5}),
    "thrown_alone": ({**UNTOLD, "early_steps": 30.0, "g_thrown": 1e3}, {"early_steps": 1.0}),
    "opens_alone": ({**UNTOLD, **GREW, "downhill": 9.0}, {"downhill": 1.0}),
    "vanished_alone": ({**UNTOLD, "g_last": 1e-9}, {"g_last": 0.5}),
    "leads_alone": ({**UNTOLD, "downhill": 9.0, "path": 1.0}, {"downhill": 1.0}),
    "aimless_alone": ({**UNTOLD, "cos1": 0.01, "cos2": 0.01}, {"straight": 9.0}),
}
WORD = {  # of rules that are not called by their verdict
    "goes_on": "healthy",
    "learns_nothing": "at_chance",
    "leaves_chance": "saddle_plateau",
    "grows_alone": "diverging",
    "thrown_alone": "needs_warmup",
    "opens_alone": "saddle_plateau",
    "vanished_alone": "converged_minimum",
    "leads_alone": "healthy",
    "aimless_alone": "noise_floor",
}


def word(rule: str) -> str:
    """Return the verdict of a rule."""
    return WORD.get(rule, rule)


def firing(verdict: str) -> Features:
    """Return features that fire a rule."""
    return dataclasses.replace(QUIET, **FIRES[verdict][0])


def stopped(verdict: str) -> Features:
    """Return the same but for what stops it."""
    return dataclasses.replace(firing(verdict), **FIRES[verdict][1])
