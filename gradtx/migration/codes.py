"""A flat state whose slots are kept in few bits where they are taken from, or where they go to, or both."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradtx._core.arrays.codes import KINDS, Coded

SCALE = "/scale"


def coded_in(flat: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of the slots of a flat dict that are kept in few bits, with their kinds."""
    pairs = [key.rpartition("/") for key in flat]
    return {base: kind for base, _, kind in pairs if kind in KINDS and base + SCALE in flat}


def in_form(flat: Mapping[str, Any], fresh: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a flat state with its slots in the form in which they stand in a fresh one.

    A slot of one form is decoded, and encoded in the other; one of the same form is taken bit for bit.
    """
    had, wanted = coded_in(flat), coded_in(fresh)
    if had == wanted:
        return flat
    new = dict(flat)
    for base, kind in had.items():
        if wanted.get(base) != kind:
            parts = (jnp.asarray(new.pop(key)) for key in (f"{base}/{kind}", base + SCALE))
            new[base] = Coded(kind, *parts).decoded()
    for base, kind in wanted.items():
        like = Coded(kind, fresh[f"{base}/{kind}"], fresh[base + SCALE])
        if base in new and np.shape(new[base]) == like.shape:
            coded = like.encoded(jnp.asarray(new.pop(base)))
            new[f"{base}/{kind}"], new[base + SCALE] = coded.code, coded.scale
    return new
