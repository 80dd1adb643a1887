"""AdamC: AdamW whose weight decay follows the learning rate once more, so that gradients do not grow at the end."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
from jax.typing import DTypeLike

from gradtx._core.arguments.ranges import Event
from gradtx.methods.adam import scale_by_adam
from gradtx.rules import (
    Decay,
    Finite,
    LearningRate,
    NonNegative,
    Positive,
    Range,
    Rule,
    Slots,
    Transform,
    chain,
    factory,
    leafwise,
)
from gradtx.schedules.apply import scale_by_learning_rate

RANGES = {"learning_rate": Range("[0, inf)", event=True), "max_learning_rate": Range("(0, inf)")}


def corrected_decay(weight_decay: Any, learning_rate: Any, most: Any, mask: Any) -> Transform:
    """Return u_t = g_t + weight_decay (eta_t / eta_max) p_t; with eta_max None eta is constant."""

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del count
        return {"share": k.weight_decay if most is None else k.weight_decay * k.learning_rate / k.max_learning_rate}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        return g + k.share * p, slots

    hyper = {"weight_decay": weight_decay, "learning_rate": learning_rate}
    hyper |= {} if most is None else {"max_learning_rate": most}
    rule = Rule(
        "add_corrected_weight_decay",
        update,
        hyper=hyper,
        ranges={name: RANGES[name] for name in hyper if name in RANGES},
        scalars=scalars,
        needs_params=True,
        event="learning_rate",
        role="decay",
    )
    return leafwise(rule, mask=mask)


@factory
def adamc(
    learning_rate: LearningRate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    eps_root: NonNegative = 0.0,
    mu_dtype: DTypeLike | None = None,
    weight_decay: Finite = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = False,
    max_learning_rate: Positive | None = None,
) -> Transform:
    """Descend as AdamW does, with a weight decay that is corrected for the schedule.

    u_t = -eta_t (s_t + weight_decay (eta_t / max_learning_rate) p_t), s_t as in `scale_by_adam`. With AdamW's decay the
    gradients of layers before a normalisation grow as eta falls to 0, since their weights' norm tends to a multiple of
    sqrt(weight_decay / eta); here it stays.

    Units: eta has the units of p; eps those of g; weight_decay is per unit of p.
    Equivalent to: the paper's AdamC; it leaves the decay of layers without a normalisation behind them uncorrected:
    give those `adamw`. At a constant eta this is `adamw`.

    Args:
        {learning_rate}
        {b1}
        {b2}
        {eps}
        {eps_root}
        {mu_dtype}
        weight_decay: decoupled decay, finite, as at the largest eta.
        {mask}
        {nesterov}
        max_learning_rate: the largest eta of the schedule, > 0; None is eta itself where that is constant.

    State:
        a tuple: of `scale_by_adam` (mu, nu, like params), of the decay, of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, or the mask does not fit the params; learning_rate is a
            schedule and max_learning_rate is missing.

    Cost: 2 arrays per parameter; one pass.

    References:
        Defazio 2025, Algorithm 1, https://arxiv.org/abs/2506.02285

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.adamc(lambda count: 0.5, weight_decay=0.1, max_learning_rate=1.0)
        >>> params = jnp.array(2.0)
        >>> u, state = tx.update(jnp.array(3.0), tx.init(params), params)
        >>> round(float(u), 4)
        -0.55
    """
    if max_learning_rate is None and (callable(learning_rate) or isinstance(learning_rate, Event)):
        raise ValueError(
            "adamc: max_learning_rate is missing for a schedule, expected the largest learning rate; give the peak of "
            "the schedule"
        )
    scaled = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)
    decay = corrected_decay(weight_decay, learning_rate, max_learning_rate, mask)
    return chain(scaled, decay, scale_by_learning_rate(learning_rate))
