"""Hand-made features: for each rule one that fires it, and the one number whose change stops it."""

import dataclasses
from typing import Any

from gradtx.diagnosis.read.features import Features

QUIET = Features(  # no rule fires: whether the steps see one loss is not known, and the loss hardly falls
    steps=1000,
    rows=256,
    loss_first=1.0,
    loss_middle=0.51,
    loss_last=0.5,
    loss_least=0.5,
    progress=0.02,
    certainty=5.0,
    recent=0.01,
    rising=1.0,
    peak_early=1.0,
    peak_late=1.1,
    g_first=1.0,
    g_last=0.5,
    g_most=1.0,
    g_growth=-0.1,
    rho=0.5,
    cos1=0.1,
    cos2=0.1,
    ucos=0.0,
    straight=1.0,
    gain=0.5,
    error=1.0,
    fall=1e-4,
    decay=0.1,
    remaining=1e-3,
    bounce=1e-4,
    clipped=0.0,
    clip_median=1.0,
    early_steps=1.0,
    scaled=True,
    rate_spread=2.0,
    rate_drop=1.0,
    learning_rate=0.1,
    grown=1.0,
)

FIRES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # verdict: what fires it, what of it then stops it
    "diverging": ({"loss_last": 50.0, "rising": 3.0, "g_growth": 1.0, "rho": -2.0}, {"loss_last": 1.1}),
    "always_clipped": ({"clipped": 1.0, "clip_median": 0.001}, {"clip_median": 0.9}),
    "needs_warmup": ({"early_steps": 30.0, "peak_early": 20.0}, {"early_steps": 1.0}),
    "vanishing_dead": ({"dead": ("encoder",)}, {"dead": ()}),
    "sigma_burst": ({"peak_late": 1000.0, "spikes": 20, "rate_drop": 5.0}, {"scaled": False}),
    "oscillating": ({"cos1": -0.99, "cos2": 0.99, "rho": -0.99, "gain": 0.01, "bounce": 0.5}, {"cos1": 0.5}),
    "healthy": ({"progress": 0.8}, {"certainty": 0.5}),
    "saddle_plateau": ({"one_loss": True, "rho": 1.3, "decay": -0.01, "g_growth": 2.0, "fall": 1e-12}, {"rho": 0.5}),
    "crawling": ({"one_loss": True, "remaining": 0.5}, {"remaining": 1e-4}),
    "converged_minimum": ({"one_loss": True, "remaining": 1e-6}, {"one_loss": None}),
    "noise_floor": ({"one_loss": False, "straight": 0.8}, {"straight": 40.0}),
}


def firing(verdict: str) -> Features:
    """Return features that fire a rule."""
    return dataclasses.replace(QUIET, **FIRES[verdict][0])


def stopped(verdict: str) -> Features:
    """Return the same but for what stops it."""
    return dataclasses.replace(firing(verdict), **FIRES[verdict][1])
