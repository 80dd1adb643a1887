"""Guards: a step that is not finite, or far out, is no step; loss scaling: Micikevicius et al. 2017, section 3.2."""

import math
from typing import Any

import numpy as np

from tests.registry.adam import adam, adamw
from tests.registry.base import FUSED, Row
from tests.registry.numbers import Tree
from tests.registry.sgd import sgd

RATE, DECAY = 0.1, 0.3
FACTOR, WINDOW = 1.01, 2


def norm(g: Tree) -> float:
    """Return the global norm."""
    return math.sqrt(sum(float(np.sum(np.square(x, dtype=np.float64))) for x in g.values()))


def spikes_of(sizes: list[float], factor: float, window: int) -> list[bool]:
    """Return for each norm whether it is far above m, the mean of the logarithms, given s, their mean deviation."""
    mean, spread, out = 0.0, 0.0, []
    for t, n in enumerate(sizes, start=1):
        off, far = math.log(n) - mean, math.log(factor) + 2 * spread
        ready = t > min(20, window)
        out.append(ready and off > far)
        off = min(off, far) if ready else off
        weight = 1 / min(t, window)
        mean, spread = mean + weight * off, spread + weight * ((0.0 if t == 1 else abs(off)) - spread)
    return out


def without(grads: list[Tree], params: Tree, method: Any, left_out: list[bool], **settings: Any) -> list[Tree]:
    """Return the method's updates for the other steps, and zeros for those that are left out."""
    steps = iter(method([g for g, out in zip(grads, left_out, strict=True) if not out], params, **settings))
    zero = {name: np.zeros(np.shape(p)) for name, p in params.items()}
    return [zero if out else next(steps) for out in left_out]


def guarded_adamw(grads: list[Tree], params: Tree) -> list[Tree]:
    """AdamW: all steps are finite."""
    return adamw(grads, params, learning_rate=RATE, weight_decay=DECAY)


def guarded_adam(grads: list[Tree], params: Tree) -> list[Tree]:
    """Adam: all steps are finite."""
    return adam(grads, params, learning_rate=RATE)


def guarded_momentum(grads: list[Tree], params: Tree) -> list[Tree]:
    """Momentum without the spikes."""
    left_out = spikes_of([norm(g) for g in grads], FACTOR, WINDOW)
    return without(grads, params, sgd, left_out, learning_rate=RATE, momentum=0.9)


def scaled_adam(grads: list[Tree], params: Tree) -> list[Tree]:
    """Adam of g / c; c doubles after every second step."""
    scaled = [{name: x * 2.0 ** -(3 + t // 2) for name, x in g.items()} for t, g in enumerate(grads)]
    return adam(scaled, params, learning_rate=RATE, eps=1.0)


def around_adamw(library: Any) -> Any:
    """Return AdamW, guarded."""
    return library.guard(library.adamw(RATE, weight_decay=DECAY))


def around_momentum(library: Any) -> Any:
    """Return momentum whose spikes are left out."""
    return library.guard(library.sgd(RATE, 0.9), spikes=FACTOR, window=WINDOW)


def around_adam(library: Any) -> Any:
    """Return Adam that makes finite steps."""
    return library.apply_if_finite(library.adam(RATE), 2)


def around_scaled(library: Any) -> Any:
    """Return Adam behind a scale."""
    return library.loss_scale(library.adam(RATE, eps=1.0), init_scale=8.0, growth_interval=2)


ROWS = [
    Row(
        "guard",
        maker=around_adamw,
        reference=guarded_adamw,
        kind="wrapper",
        fused=FUSED,
        numbers_only=("window",),
        around=lambda library, tx: library.guard(tx),
    ),
    Row(
        "apply_if_finite",
        maker=around_adam,
        reference=guarded_adam,
        kind="wrapper",
        optax=True,
        fused=FUSED,
        numbers_only=("max_consecutive_errors",),
        around=lambda library, tx: library.apply_if_finite(tx, 5),
    ),
    Row(
        "loss_scale",
        maker=around_scaled,
        reference=scaled_adam,
        kind="wrapper",
        fused=FUSED,
        numbers_only=("init_scale", "growth_interval", "min_scale", "max_scale"),
        around=lambda library, tx: library.loss_scale(tx, init_scale=1.0),
    ),
]
CASES = [Row("guard", "spikes", maker=around_momentum, reference=guarded_momentum, kind="wrapper")]

FILE, SHARED = "wrappers/guard.py", "_core/engine/guarded.py"
