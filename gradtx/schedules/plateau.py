"""A rate that falls when the loss does: smaller each time no new best was seen for a while."""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.reading import measured
from gradtx.rules import Hyper, NonNegative, Range, Rule, Slots, Transform, Tree, factory, leafwise

RANGES = {
    "factor": Range("(0, 1)"),
    "patience": Range("[1, inf)"),
    "rtol": Range("[0, 1]"),
    "atol": Range("[0, inf)"),
    "cooldown": Range("[0, inf)"),
    "accumulation_size": Range("[1, inf)"),
    "min_scale": Range("[0, inf)"),
}
START = {
    "scale": 1.0,
    "best_value": math.inf,
    "avg_value": 0.0,
    "values_seen": 0.0,
    "plateau_count": 0.0,
    "cooldown_count": 0.0,
}


def judged(k: SimpleNamespace, mean: jax.Array, old: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """Return the next memory after a mean of values that is complete."""
    best = old["best_value"]
    seen = best < jnp.inf
    known = jnp.where(seen, best, 0.0)  # before the arithmetic: inf - inf is NaN, which a check for NaN would find
    bar = jnp.where(seen, known - k.rtol * jnp.abs(known) - k.atol, jnp.inf)
    better, resting = mean < bar, old["cooldown_count"] > 0
    waited = jnp.where(better, 0.0, old["plateau_count"] + 1.0)
    falls = ~resting & (waited >= k.patience)
    scale = jnp.maximum(jnp.where(falls, old["scale"] * k.factor, old["scale"]), k.min_scale)
    return {
        "scale": jnp.where(resting, old["scale"], scale),
        "best_value": jnp.where(better, mean, best),
        "avg_value": jnp.zeros_like(mean),
        "values_seen": jnp.zeros_like(mean),
        "plateau_count": jnp.where(resting | falls, 0.0, waited),
        "cooldown_count": jnp.where(resting, old["cooldown_count"] - 1.0, jnp.where(falls, k.cooldown, 0.0)),
    }


@factory
def reduce_on_plateau(
    factor: Annotated[Hyper, Range("(0, 1)")] = 0.1,
    patience: Annotated[Hyper, Range("[1, inf)")] = 10,
    rtol: Annotated[Hyper, Range("[0, 1]")] = 1e-4,
    atol: NonNegative = 0.0,
    cooldown: NonNegative = 0,
    accumulation_size: Annotated[Hyper, Range("[1, inf)")] = 1,
    min_scale: NonNegative = 0.0,
) -> Transform:
    """Multiply by a scale that falls each time the loss has not improved for a while.

    u_t = s_t g_t, s_0 = 1. a is the mean of the last `accumulation_size` values of the loss. Whenever it is complete:
    where a < b - rtol |b| - atol it is better, b = a and n = 0, else n = n + 1; b = infinity and n = 0 at first. At
    n = patience s = max(factor s, min_scale) and n = 0, and for the next `cooldown` means n stays 0.

    The value is given at each update: `update(grads, state, params, value=loss)`. It stands anywhere after the scales
    of a chain, such as last.

    Units: s is dimensionless; atol has the units of the loss.
    Equivalent to: optax's `reduce_on_plateau` for values >= 0; PyTorch's ReduceLROnPlateau with rtol or atol 0.
    Differs from: optax's for negative values, where its bar (1 - rtol) b lies above b, so that a little worse is
    better; there rtol = atol = 0 is an error, here any smaller value is then better.

    Args:
        factor: what the scale is multiplied by, in (0, 1).
        patience: the means without a better one after which it falls, >= 1.
        rtol: how much better a mean must be, as a share of the best one, in [0, 1].
        atol: how much better it must be, >= 0.
        cooldown: the means after a fall that are not counted, >= 0.
        accumulation_size: the values that are averaged into one mean, >= 1.
        min_scale: the smallest scale, >= 0.

    State:
        scale, best_value, avg_value, values_seen, plateau_count, cooldown_count: scalars of the whole tree, s, b, the
        mean so far and of how many values, n, and the means to come that are not counted; no slots.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, value missing or no scalar.
        TypeError: at update, value is no real number.

    Cost: no array; one pass.

    References:
        PyTorch's ReduceLROnPlateau, https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.reduce_on_plateau(factor=0.5, patience=2)
        >>> state, scales = tx.init(jnp.array(0.0)), []
        >>> for loss in (3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0):
        ...     u, state = tx.update(jnp.array(1.0), state, value=loss)
        ...     scales.append(float(u))
        >>> scales
        [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    """

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        value = measured("reduce_on_plateau", "value", tree.extra["value"])
        seen = tree.memory["values_seen"] + 1.0
        mean = (tree.memory["values_seen"] * tree.memory["avg_value"] + value) / seen
        waiting = {**tree.memory, "avg_value": mean, "values_seen": seen}
        judgement = judged(k, mean, tree.memory)
        new = {name: jnp.where(seen >= k.accumulation_size, judgement[name], waiting[name]) for name in START}
        return {"scale": new["scale"]}, new

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g * k.scale, slots

    hyper = {
        "factor": factor,
        "patience": patience,
        "rtol": rtol,
        "atol": atol,
        "cooldown": cooldown,
        "accumulation_size": accumulation_size,
        "min_scale": min_scale,
    }
    rule = Rule(
        "reduce_on_plateau",
        update,
        hyper=hyper,
        ranges=RANGES,
        whole_tree=whole_tree,
        memory=START,
        extra=("value",),
        role="rate",
    )
    return leafwise(rule)
