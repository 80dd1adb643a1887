"""Lift a rule for one array to a transform of whole trees.

`leafwise` lifts a direction to u = m, `divide_by` a scale to u = g / sigma, and `ratio` feeds both the same
gradient: u = m / sigma. The lift owns what rules must not repeat: flattening, None leaves, the one count, dtypes,
masks and errors with paths.
"""

import dataclasses
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.hyperparams import Event, check
from gradtx._core.arrays.numerics import divide
from gradtx._core.arrays.tree import as_float_array, flatten, resolve_mask
from gradtx._core.contract.errors import describe, message
from gradtx._core.contract.transform import Transform
from gradtx._core.engine.rule import LeafState, Rule, Slots
from gradtx._core.engine.segment import Segment


@dataclasses.dataclass(frozen=True, eq=False)
class Leafwise:
    """A rule lifted to trees: the body of a `Transform`.

    Attributes:
        name: name in errors.
        rule: its value is the update.
        sigma: for a scale, the rule whose value is sigma, so that `ratio` can put another direction over it.
        mask: leaves the rule applies to, the others pass unchanged; None is all of them.
    """

    name: str
    rule: Rule
    sigma: Rule | None = None
    mask: Any = None

    def init(self, params: Any) -> LeafState:
        """Return a zero count and the rule's slots, sharded like the params."""
        leaves, treedef = flatten(params)
        resolve_mask(self.name, self.mask, params, "params")
        arrays = [p if p is None else as_float_array(self.name, "params", params, i, p) for i, p in enumerate(leaves)]
        slots = [None if p is None else self.rule.init(p) for p in arrays]
        trees = {key: treedef.unflatten([s and s[key] for s in slots]) for key in self.slot_shapes(())}
        event = None if self.rule.event is None else jnp.full((), -1, jnp.int32)
        return LeafState(jnp.zeros((), jnp.int32), trees, event)

    def update(self, grads: Any, state: LeafState, params: Any = None, **extra: Any) -> tuple[Any, LeafState]:
        """Return the updates and the next state."""
        updates, (state,) = self.segment.update(grads, [state], params, extra)
        return updates, state

    @cached_property
    def segment(self) -> Segment:
        """The compiled form, made once per transform so that its traces are kept."""
        return Segment([self])

    @cached_property
    def _shapes(self) -> dict[tuple[int, ...], dict[str, tuple[int, ...]]]:
        return {}

    def slot_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Return the shape of each slot for a parameter of this shape."""
        if shape not in self._shapes:
            slots = jax.eval_shape(self.rule.init, jax.ShapeDtypeStruct(shape, jnp.float32))
            self._shapes[shape] = {key: slot.shape for key, slot in slots.items()}
        return self._shapes[shape]


def check_rule(lift: str, rule: Any) -> None:
    """Raise unless `rule` is a Rule whose hyperparameters are in their ranges."""
    if not isinstance(rule, Rule):
        raise TypeError(
            f"{lift}: rule is {describe(rule)}, expected a Rule; a transform needs no lift, put it in a chain"
        )
    check(rule.name, rule.hyper, rule.event)


def leafwise(rule: Rule, *, mask: Any = None) -> Transform:
    """Lift a direction to trees: u = m.

    Args:
        rule: a rule whose value is the direction m, that is, the update.
        mask: tree of bools (or a function of the params that returns one), True where the rule applies; a leaf
            of it may stand for a whole subtree. The other leaves pass unchanged. None is everywhere.

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
    return Transform.of(Leafwise(rule.name, rule, mask=mask), rule.hyper)


def divide_by(rule: Rule) -> Transform:
    """Lift a scale to trees: u = g / sigma, 0 where sigma is 0.

    Args:
        rule: a rule whose value is sigma, a magnitude per element.

    Raises:
        ValueError: a hyperparameter of the rule is out of its range, or the rule has global_scalars.
        TypeError: `rule` is no Rule.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> sign = gradtx.divide_by(gradtx.Rule("magnitude", lambda g, slots, p, k: (abs(g), {})))
        >>> sign.update(jnp.array([-3.0, 0.0]), sign.init(jnp.zeros(2)))[0].tolist()
        [-1.0, 0.0]
    """
    check_rule("divide_by", rule)
    if rule.global_scalars is not None:
        got, fix = "has global_scalars", "lift it with leafwise, its value being the update"
        raise ValueError(message("divide_by", f"rule {rule.name}", got, "a rule for one array alone", fix))

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        sigma, slots = rule.update(g, slots, p, k)
        return divide(g, sigma), slots

    return Transform.of(Leafwise(rule.name, dataclasses.replace(rule, update=update), sigma=rule), rule.hyper)


def ratio(direction: Transform | Rule, scale: Transform | Rule) -> Transform:
    """Put any direction over any scale, both fed the same gradient: u = m / sigma, 0 where sigma is 0.

    The slots are the direction's and the scale's together; a name that both use gets `sigma_` before it for
    the scale.

    Args:
        direction: a leafwise transform (`ema`, `trace`, ...) or a rule whose value is m.
        scale: a scale (`scale_by_rms`, `scale_by_adagrad`, ...) or a rule whose value is sigma.

    Raises:
        TypeError: `direction` has no rule for one array, or `scale` has no sigma.
        ValueError: `direction` has a mask, an event schedule or a global scalar, which need a transform of their own.

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
    lost = "a mask" if getattr(getattr(direction, "body", None), "mask", None) is not None else None
    lost = "a look at all leaves at once" if m.global_scalars is not None or sigma.global_scalars is not None else lost
    lost = "an event schedule" if m.event is not None and isinstance(m.hyper[m.event], Event) else lost
    if lost is not None:
        raise ValueError(
            f"ratio: direction has {lost}, expected a rule for one array alone; put it beside the ratio in a chain"
        )
    under = beside(sigma, m)

    def init(p: jax.Array) -> Slots:
        return {**m.init(p), **under.init(p)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> dict[str, Any]:
        del k
        return {"m": m.at(count), "sigma": under.at(count)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        above, m_slots = m.update(g, slots, p, k.m)
        below, sigma_slots = under.update(g, slots, p, k.sigma)
        return divide(above, below), {**m_slots, **sigma_slots}

    rule = Rule("ratio", update, init, scalars=scalars, needs_params=m.needs_params or sigma.needs_params)
    settings = {"direction": direction, "scale": scale}
    text = f"ratio({', '.join(x.name if isinstance(x, Rule) else repr(x) for x in settings.values())})"
    return Transform.of(Leafwise("ratio", rule, sigma=under), settings, text)


def beside(sigma: Rule, m: Rule) -> Rule:
    """Return `sigma` with `sigma_` before each of its slot names that `m` uses too."""
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    taken = jax.eval_shape(m.init, shape)
    names = {key: f"sigma_{key}" if key in taken else key for key in jax.eval_shape(sigma.init, shape)}

    def init(p: jax.Array) -> Slots:
        return {names[key]: slot for key, slot in sigma.init(p).items()}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        value, new = sigma.update(g, {key: slots[name] for key, name in names.items()}, p, k)
        return value, {names[key]: slot for key, slot in new.items()}

    return dataclasses.replace(sigma, init=init, update=update)
