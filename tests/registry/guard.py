"""Guards: a step that is not finite, or far out, is no step; loss scaling: Micikevicius et al. 2017, section 3.2."""

import math
from typing import Any

import numpy as np

from tests.registry.adam import adam, adamw
from tests.registry.base import FUSED, Mutant, Row, case_of, reference_of
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

FILE, SHARED, FINITE = "wrappers/guard.py", "_core/engine/guarded.py", "_core/engine/finite.py"
SCALE, GATE = "wrappers/loss_scale.py", "_core/engine/gate.py"


def guards(name: str) -> tuple[str, ...]:
    """Return this test of the guards."""
    return (f"test_guard.py::test_{name}",)


SPIKES = guards("spikes_are_those_of_the_recurrence")
TRACE = guards("a_bad_gradient_leaves_no_trace[adamw-jit]")
RESULT = "a_result_that_is_not_finite_is_no_step"
MUTANTS = [
    Mutant("guard: no log of the factor", FILE, "math.log(factor)", "factor", SPIKES),
    Mutant("guard: one deviation", FILE, "DEVIATIONS = 2.0", "DEVIATIONS = 1.0", case_of("guard[spikes]")),
    Mutant(
        "guard: spikes are not bounded",
        FILE,
        "jnp.minimum(off, margin",
        "jnp.maximum(off, margin",
        SPIKES,
    ),
    Mutant("guard: a plain mean for good", FILE, "jnp.minimum(seen, window)", "seen", SPIKES),
    Mutant(
        "guard: spikes in the warm-up",
        FILE,
        "~(ready & far)",
        "~far",
        guards("the_warm_up_skips_nothing_and_nan_is_no_number"),
    ),
    Mutant(
        "guard: NaN in the statistics",
        FILE,
        "jnp.where(jnp.isfinite(x), a, b)",
        "jnp.where(jnp.isfinite(x) | True, a, b)",
        guards("the_warm_up_skips_nothing_and_nan_is_no_number"),
    ),
    Mutant(
        "guard: a loss below 0 has no level",
        FILE,
        "(factor - 1.0) * jnp.abs(level.mean)",
        "(factor - 1.0) * level.mean",
        guards("the_loss_stands_for_the_norm_where_it_is_given"),
    ),
    Mutant(
        "guard: only the updates are left out",
        GATE,
        "known[var] = x if done or var not in before",
        "known[var] = x if True",
        TRACE,
    ),
    Mutant("guard: only the state is left out", GATE, "choose(keep, x, jnp.zeros_like(x)) for", "x for", TRACE),
    Mutant(
        "guard: what no equation makes is not chosen",
        GATE,
        "var in before and before[var] is was",
        "var in before",
        guards("an_array_that_stands_in_the_state_twice_keeps_both_its_pasts"),
    ),
    Mutant(
        "guard: skips in a row are all",
        SHARED,
        "increment(skips.in_row), jnp.zeros_like(skips.in_row)",
        "increment(skips.in_row), skips.in_row",
        TRACE,
    ),
    Mutant(
        "guard: the last step is the first",
        SHARED,
        "jnp.where(skipped, t, skips.last)",
        "jnp.where(skipped & (skips.last < 0), t, skips.last)",
        TRACE,
    ),
    Mutant(
        "guard: the state is not looked at",
        SHARED,
        "bad | found_bad(made[1], axis_name)[0]",
        "bad",
        guards(f"{RESULT}[the state-jit]"),
    ),
    Mutant(
        "guard: schedules are not looked at",
        SHARED,
        "keep & ~ordinary(self.inner, state)",
        "jnp.zeros((), bool)",
        guards(f"{RESULT}[the update, of a schedule-jit]"),
    ),
    Mutant(
        "guard: float16 is taken to be wide",
        FINITE,
        "x.dtype == jnp.float16",
        "x.dtype == jnp.bool_",
        guards("who_is_said_to_stay_finite"),
    ),
    Mutant(
        "guard: each shard by itself",
        SHARED,
        '"grads", grads, self.axis_name',
        '"grads", grads, ()',
        guards("shards_skip_together"),
    ),
    Mutant(
        "loss_scale: gradients keep the scale",
        SCALE,
        "wide * lax.convert_element_type(per, wide.dtype)",
        "wide",
        reference_of("loss_scale"),
    ),
    Mutant(
        "loss_scale: grows a step late",
        SCALE,
        "good >= self.growth_interval",
        "good > self.growth_interval",
        reference_of("loss_scale"),
    ),
    Mutant(
        "loss_scale: never halves",
        SCALE,
        "own.scale / FACTOR",
        "own.scale",
        guards("a_scale_grows_halves_and_keeps_its_bounds"),
    ),
    Mutant(
        "loss_scale: no upper bound",
        SCALE,
        "jnp.minimum(own.scale * FACTOR, self.max_scale)",
        "own.scale * FACTOR",
        guards("a_scale_grows_halves_and_keeps_its_bounds"),
    ),
    Mutant(
        "loss_scale: float16 losses overflow",
        SCALE,
        "accumulator(loss.dtype) if",
        "loss.dtype if",
        guards("float16_gradients_that_vanish_without_a_scale_and_overflow_with_one"),
    ),
]
