"""The lifts that make a transform of a rule: `leafwise` u = m, `divide_by` u = g / sigma, `quotient` and `ratio`.

`quotient` takes a rule whose value is the pair (m, sigma), for methods whose two factors share slots; `ratio` puts any
direction over any scale, both fed the same gradient.
"""

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax

from gradtx._core.arguments.ranges import Event, check
from gradtx._core.arrays.numerics import divide, divide_by_positive
from gradtx._core.contract.errors import describe, message
from gradtx._core.contract.transform import Info, Transform
from gradtx._core.contract.writing import call
from gradtx._core.engine.lift import Leafwise
from gradtx._core.engine.rule import Rule, Slots


def check_rule(lift: str, rule: Any) -> None:
    """Raise unless `rule` is a Rule whose hyperparameters are in their ranges."""
    if not isinstance(rule, Rule):
        raise TypeError(
            f"{lift}: rule is {describe(rule)}, expected a Rule; a transform needs no lift, put it in a chain"
        )
    check(rule.name, rule.hyper, rule.ranges)


def of_rule(body: Leafwise) -> Transform:
    """Return the transform of a lifted rule, which prints as the rule's call."""
    hyper = body.rule.hyper
    return Transform.of(body, Info(hyper, call(body.name, hyper), frozenset(hyper)))


def with_value(rule: Rule, value: Callable[[jax.Array, Any], Any], **changes: Any) -> Rule:
    """Return the rule whose value is a function of the gradient and the value of `rule`."""

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[Any, Slots]:
        found, slots = rule.update(g, slots, p, k)
        return value(g, found), slots

    return dataclasses.replace(rule, update=update, made_of=(rule,), **changes)


def over(rule: Rule) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Return how m is divided by the sigma of a rule."""
    return divide_by_positive if rule.positive else divide


def leafwise(rule: Rule, *, mask: Any = None) -> Transform:
    """Lift a direction to trees: u = m.

    Args:
        rule: a rule whose value is the direction m, that is, the update.
        mask: tree of bools (or a function of the params that returns one), True where the rule applies; a leaf
            of it may stand for a whole subtree. The other leaves pass unchanged and get no slots. None is everywhere.

    Raises:
        ValueError: a hyperparameter of the rule is out of its range.
        TypeError: `rule` is no Rule.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> half = gradtx.leafwise(gradtx.Rule("half", lambda g, slots, p, k: (0.5 * g, {})))
        >>> updates, _ = half.update({"w": jnp.ones(2)}, half.init({"w": jnp.ones(2)}))
        >>> updates["w"].tolist()
        [0.5, 0.5]
    """
    check_rule("leafwise", rule)
    return of_rule(Leafwise(rule.name, rule, rule, mask=mask))


def divide_by(rule: Rule, *, mask: Any = None) -> Transform:
    """Lift a scale to trees: u = g / sigma, 0 where sigma is 0.

    Args:
        rule: a rule whose value is sigma, a magnitude per element.
        mask: where the rule applies, as in `leafwise`.

    Raises:
        ValueError: a hyperparameter of the rule is out of its range, or the rule has whole_tree or together.
        TypeError: `rule` is no Rule.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> sign = gradtx.divide_by(gradtx.Rule("magnitude", lambda g, slots, p, k: (abs(g), {})))
        >>> sign.update(jnp.array([-3.0, 0.0]), sign.init(jnp.zeros(2)))[0].tolist()
        [-1.0, 0.0]
    """
    check_rule("divide_by", rule)
    if rule.whole_tree is not None or rule.together is not None:
        got, fix = "has whole_tree or together", "lift it with leafwise"
        raise ValueError(message("divide_by", f"rule {rule.name}", got, "a rule for one array alone", fix))
    return of_rule(Leafwise(rule.name, with_value(rule, over(rule)), with_value(rule, lambda g, _: g), rule, mask))


def quotient(rule: Rule, *, mask: Any = None) -> Transform:
    """Lift a rule with two factors to trees: u_t = m_t / sigma_t, 0 where sigma_t is 0.

    Args:
        rule: a rule whose value is the pair (m, sigma), for a direction and a scale that share slots.
        mask: where the rule applies, as in `leafwise`.

    Raises:
        ValueError: a hyperparameter of the rule is out of its range, or the rule has together.
        TypeError: `rule` is no Rule.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> half_sign = lambda g, slots, p, k: ((g / 2, abs(g)), {})
        >>> tx = gradtx.quotient(gradtx.Rule("half_sign", half_sign))
        >>> tx.update(jnp.array([-3.0, 0.0]), tx.init(jnp.zeros(2)))[0].tolist()
        [-0.5, 0.0]
    """
    check_rule("quotient", rule)
    if rule.together is not None:
        got, fix = "has together", "lift it with leafwise"
        raise ValueError(message("quotient", f"rule {rule.name}", got, "a rule for one array alone", fix))
    factors = with_value(rule, lambda _, pair: pair[0]), with_value(rule, lambda _, pair: pair[1])
    return of_rule(Leafwise(rule.name, with_value(rule, lambda _, pair: over(rule)(*pair)), *factors, mask))


def ratio(direction: Transform | Rule, scale: Transform | Rule) -> Transform:
    """Put any direction over any scale, both fed the same gradient: u = m / sigma, 0 where sigma is 0.

    The slots are the direction's and the scale's together; a name that both use gets `sigma_` before it for
    the scale.

    Args:
        direction: a leafwise transform (`ema`, `trace`, ...) or a rule whose value is m.
        scale: a scale (`scale_by_rms`, `scale_by_adagrad`, ...) or a rule whose value is sigma.

    Raises:
        TypeError: `direction` has no rule for one array, or `scale` has no sigma.
        ValueError: `direction` or `scale` has a mask, an event schedule or looks at the whole tree.

    Examples:
        >>> import gradtx
        >>> gradtx.ratio(gradtx.ema(0.9), gradtx.scale_by_rms(0.999))
        ratio(ema(0.9), scale_by_rms(decay=0.999, eps=1e-08))
    """
    m = direction if isinstance(direction, Rule) else getattr(getattr(direction, "body", None), "rule", None)
    sigma = scale if isinstance(scale, Rule) else getattr(getattr(scale, "body", None), "sigma", None)
    if m is None:
        raise TypeError(f"ratio: direction is {direction!r}, expected a leafwise transform; give one such as ema(0.9)")
    if sigma is None:
        raise TypeError(
            f"ratio: scale is {scale!r}, expected a transform by divide_by; give one such as scale_by_rms()"
        )
    for part, given, rule in (("direction", direction, m), ("scale", scale, sigma)):
        lost = "a mask" if getattr(getattr(given, "body", None), "mask", None) is not None else None
        lost = "a look at all leaves at once" if rule.whole_tree or rule.together or rule.layout else lost
        lost = "an event schedule" if rule.event is not None and isinstance(rule.hyper[rule.event], Event) else lost
        if lost is not None:
            fix = "put it beside the ratio in a chain"
            raise ValueError(f"ratio: {part} has {lost}, expected a rule for one array alone; {fix}")
    settings = {"direction": direction, "scale": scale}
    text = f"ratio({', '.join(x.name if isinstance(x, Rule) else repr(x) for x in settings.values())})"
    return Transform.of(quotient(side_by_side(m, sigma)).body, Info(settings, text))


def side_by_side(m: Rule, sigma: Rule) -> Rule:
    """Return the rule whose value is the pair of the values of two rules."""
    below = {key: f"sigma_{key}" if key in m.slots else key for key in sigma.slots}
    hyper = {f"{part}.{name}": h for part, rule in (("m", m), ("sigma", sigma)) for name, h in rule.hyper.items()}

    def init(p: jax.Array) -> Slots:
        return {**m.init(p), **{below[key]: slot for key, slot in sigma.init(p).items()}}

    def scalars(k: SimpleNamespace, count: jax.Array) -> dict[str, Any]:
        def own(part: str, rule: Rule) -> dict[str, Any]:
            return rule.at(count, None, {name: getattr(k, f"{part}.{name}") for name in rule.hyper})

        return {"m": own("m", m), "sigma": own("sigma", sigma)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[Any, Slots]:
        k.m.turn = k.sigma.turn = getattr(k, "turn", None)
        above, m_slots = m.update(g, {key: slots[key] for key in m.slots}, p, k.m)
        under, new = sigma.update(g, {key: slots[name] for key, name in below.items()}, p, k.sigma)
        return (above, under), {**m_slots, **{below[key]: slot for key, slot in new.items()}}

    def check(x: jax.Array) -> None:
        m.check(x)
        sigma.check(x)

    return Rule(
        "ratio",
        update,
        init if m.slots or sigma.slots else Rule.init,
        (*m.slots, *below.values()),
        hyper,
        scalars=scalars,
        needs_params=m.needs_params or sigma.needs_params,
        check=check,
        elementwise=m.elementwise and sigma.elementwise,
        writes=m.writes or sigma.writes,
        reads_old=m.reads_old or sigma.reads_old,
        made_of=(m, sigma),
        positive=sigma.positive,
    )
