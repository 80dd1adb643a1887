"""A clipped step over a mean of the curvature, and what estimates that now and then: the body of `scale_by_sophia`."""

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from gradtx._core.arguments.reading import read
from gradtx._core.arrays.axes import size_over, summed_over
from gradtx._core.arrays.compat import manual_axes
from gradtx._core.arrays.tree import check_slots, flatten, has_gradient
from gradtx._core.contract.transform import Info, Part
from gradtx._core.engine.whole import choose
from gradtx.rules import LeafState, Rule, Slots, Transform, divide, leafwise, steps, unbias, zeros


class SophiaState(NamedTuple):
    """State of `scale_by_sophia`.

    Attributes:
        count: updates made, int32.
        mu: mean of g, like params, float32 or wider.
        nu: mean of the curvature, likewise, real.
        hessian_fn_state: of the transform that estimates it.
    """

    count: jax.Array  # type: ignore[assignment]  # optax's states hide tuple.count with the same field
    mu: Any
    nu: Any
    hessian_fn_state: Any


def clipped(b1: Any, eps: Any, gamma: Any, clip_threshold: Any, mu_dtype: DTypeLike | None) -> Transform:
    """Return the step without the estimate: a rule whose slot nu stays as it is."""

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p, mu_dtype), "nu": zeros(p, magnitude=True)}

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        return {"unbias": unbias(k.b1, steps(count))}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        mu = k.b1 * slots["mu"] + (1 - k.b1) * g
        u = divide(k.unbias * mu, jnp.maximum(k.gamma * slots["nu"], k.eps))
        if clip_threshold is not None and jnp.iscomplexobj(u):
            u = u * divide(jnp.minimum(jnp.abs(u), k.clip_threshold), jnp.abs(u))
        elif clip_threshold is not None:
            u = jnp.clip(u, -k.clip_threshold, k.clip_threshold)
        return u, {**slots, "mu": mu}

    hyper = {"b1": b1, "eps": eps, "gamma": gamma}
    hyper |= {} if clip_threshold is None else {"clip_threshold": clip_threshold}
    return leafwise(Rule("scale_by_sophia", update, init, ("mu", "nu"), hyper, scalars=scalars, role="direction"))


@dataclasses.dataclass(frozen=True, eq=False)
class Sophia:
    """A clipped step, and what estimates its curvature now and then: the body of `scale_by_sophia`.

    Attributes:
        scale: the step without the estimate.
        hessian: the transform that estimates the diagonal of the Hessian.
        b2: decay of the mean of its estimates.
        interval: updates from one estimate to the next.
        shown: updates from one printed win rate to the next, 0 for none.
        clip_threshold: the bound of the step.
    """

    scale: Transform
    hessian: Any
    b2: Any
    interval: int
    shown: int
    clip_threshold: Any
    name: str = "scale_by_sophia"
    info: Info | None = None
    role: str = "direction"

    def parts(self, state: Any) -> list[Part]:
        """Return the step and the estimate."""
        known = isinstance(state, SophiaState)
        scaled, estimate = (self.scaled(state), state.hessian_fn_state) if known else (None, None)
        return [Part(None, self.scale, scaled), Part(None, self.hessian, estimate)]

    def renamed(self, name: str) -> "Sophia":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True for a state of this form."""
        return type(state) is SophiaState

    def scaled(self, state: SophiaState) -> LeafState:
        """Return the state of the step."""
        return LeafState(state.count, {"mu": state.mu, "nu": state.nu})

    def init(self, params: Any) -> SophiaState:
        """Return zero means, and the state of the estimate."""
        own = self.scale.init(params)
        return SophiaState(own.count, own.mu, own.nu, self.hessian.init(params))

    def update(self, updates: Any, state: SophiaState, params: Any = None, **extra: Any) -> tuple[Any, SophiaState]:
        """Return the step, and the means with a new estimate where it is time."""
        check_slots(self.name, state, SophiaState)
        u, new = self.scale.update(updates, self.scaled(state), params)

        def estimated() -> tuple[Any, Any]:
            h, after = self.hessian.update(updates, state.hessian_fn_state, params=params, **extra)
            return self.mean(new.nu, h, state.count), after

        def kept() -> tuple[Any, Any]:
            return new.nu, state.hessian_fn_state

        nu, after = choose(state.count % self.interval == 0, estimated, kept)
        if self.shown and self.clip_threshold is not None:
            self.show(u, new.count)
        return u, SophiaState(new.count, new.mu, nu, after)

    def mean(self, nu: Any, h: Any, count: jax.Array) -> Any:
        """Return the mean of the curvature with a new estimate."""
        b2 = read(self.b2, count, None, f"{self.name}: b2")
        leaves, treedef = flatten(h)

        def moved(old: jax.Array, x: jax.Array) -> jax.Array:
            decay = jnp.asarray(b2, old.dtype)
            return decay * old + (1 - decay) * lax.convert_element_type(x.real, old.dtype)

        pairs = zip(treedef.flatten_up_to(nu), leaves, strict=True)
        return treedef.unflatten([moved(old, x) if has_gradient(x) else old for old, x in pairs])

    def show(self, updates: Any, count: jax.Array) -> None:
        """Print the share of the updates that are not clipped."""
        bound = read(self.clip_threshold, count - 1, None, f"{self.name}: clip_threshold")
        leaves = [u for u in jax.tree.leaves(updates) if has_gradient(u)]
        axes = tuple(
            sorted(set().union(*(manual_axes(u) for u in leaves)))
        )  # inside shard_map all shards count together
        inside = [jnp.sum(jnp.abs(u) < jnp.asarray(bound, u.real.dtype)) for u in leaves]
        kept = sum(summed_over(inside, leaves, axes), jnp.zeros((), int))
        rate = kept / max(sum(size_over(u, axes) for u in leaves), 1)
        choose(count % self.shown == 0, lambda: jax.debug.print(f"{self.name}: win rate {{}}", rate), lambda: None)
