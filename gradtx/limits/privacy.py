"""Differential privacy: bound what each example can add to a step, and hide what it adds under noise."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.reading import read
from gradtx._core.arrays.compat import manual_axes
from gradtx._core.arrays.norm import SHRINK, times
from gradtx._core.arrays.numerics import abs_sq, accumulator, increment, root, scalar_dtype
from gradtx._core.arrays.random import key_of, normal_like
from gradtx._core.arrays.tree import align, check_slots, float_leaves, has_gradient, leaf_error, promoted, shape_of
from gradtx._core.arrays.turns import first_turn, in_turn, next_turn, takes_turns
from gradtx._core.contract.state import LeafState
from gradtx._core.contract.transform import Info, Part, Transform
from gradtx.rules import NonNegative, Positive, factory

PER_EXAMPLE = "give the gradients of single examples, as jax.vmap(jax.grad(loss), (None, 0)) does"


def squares(leaves: list[jax.Array], shrink: jax.Array | None = None) -> jax.Array:
    """Return the squared norm of each example, of the leaves times a number."""
    small = leaves if shrink is None else [times(x, shrink) for x in leaves]
    sums = [lax.convert_element_type(jnp.sum(abs_sq(x), range(1, x.ndim)), scalar_dtype()) for x in small]
    return sum(sums[1:], sums[0])


def factors(leaves: list[jax.Array], bound: jax.Array) -> jax.Array:
    """Return what each example is multiplied by: 1 within the bound, NaN where its norm is not finite.

    The plain squares are taken where they do not overflow, since XLA:CPU writes out the shrunk leaves.
    """
    plain = squares(leaves)
    exact = jnp.all(plain < jnp.inf) & (bound > SHRINK)

    def shrunk(leaves: list[jax.Array]) -> jax.Array:
        return root(squares(leaves, SHRINK / bound)) / SHRINK

    excess = lax.cond(exact, lambda _: root(plain) / bound, shrunk, leaves)
    return jnp.where(jnp.isfinite(excess), 1.0 / jnp.maximum(excess, 1.0), jnp.nan)


@functools.partial(jax.jit, static_argnums=(4, 5))
def aggregate(
    grads: list[jax.Array], key: jax.Array, bound: jax.Array, multiplier: jax.Array, kind: str, dtypes: tuple[Any, ...]
) -> tuple[list[jax.Array], jax.Array]:
    """Return the noisy mean of the clipped gradients of all examples, and the next key."""
    keys = jax.random.split(jax.random.wrap_key_data(key, impl=kind), len(grads) + 1)
    if not grads:
        return [], jax.random.key_data(keys[0])
    wide = [lax.convert_element_type(g, accumulator(g.dtype)) for g in grads]
    kept, deviation, turn, out = factors(wide, bound), bound * multiplier, first_turn(), []
    for own, g, dtype in zip(keys[1:], wide, dtypes, strict=True):
        share = lax.convert_element_type(kept, g.dtype)
        waits = takes_turns(g)  # XLA writes the sum over the examples, which is as large as the parameter
        total = jnp.tensordot(in_turn(share, turn if waits else None), g, 1, precision=lax.Precision.HIGHEST)
        noise = normal_like(own, total) * lax.convert_element_type(deviation, total.real.dtype)
        out.append(lax.convert_element_type((total + noise) * (1.0 / g.shape[0]), dtype))
        turn = next_turn(total) if waits else turn  # not the update, of whose noise XLA would write parts
    return out, jax.random.key_data(keys[0])


@dataclasses.dataclass(frozen=True, eq=False)
class PrivateAggregate:
    """The noisy mean of clipped gradients of single examples: the body of `differentially_private_aggregate`."""

    name: str
    l2_norm_clip: Any
    noise_multiplier: Any
    key: jax.Array
    info: Info | None = None
    role: str = ""

    def init(self, params: Any) -> LeafState:
        """Return a zero count and the key."""
        del params
        return LeafState(jnp.zeros((), jnp.int32), {}, None, {"key": jnp.array(jax.random.key_data(self.key))})

    def update(self, updates: Any, state: LeafState, params: Any = None, **extra: Any) -> tuple[Any, LeafState]:
        """Return one gradient of the whole batch and the next state."""
        del extra
        check_slots(self.name, state, LeafState, ())
        leaves, treedef, _ = float_leaves(self.name, updates)
        p_leaves = [None] * len(leaves)
        if params is not None:
            p_leaves = align(self.name, "grads", updates, treedef, "params", params)
        self.check(updates, leaves, p_leaves)
        places = [i for i, g in enumerate(leaves) if has_gradient(g)]
        dtypes = tuple(promoted(leaves[i], p_leaves[i]) for i in places)
        bound, multiplier = (
            jnp.asarray(read(getattr(self, name), state.count, None, f"{self.name}: {name}"), scalar_dtype())
            for name in ("l2_norm_clip", "noise_multiplier")
        )
        kind = jax.random.key_impl(self.key)
        new, key = aggregate([leaves[i] for i in places], state.memory["key"], bound, multiplier, kind, dtypes)
        for i, u in zip(places, new, strict=True):
            leaves[i] = u
        return treedef.unflatten(leaves), LeafState(increment(state.count), {}, None, {"key": key})

    def check(self, grads: Any, leaves: list[Any], p_leaves: list[Any]) -> None:
        """Raise ValueError for a leaf that is no batch of gradients of its parameter, as large as the first one."""
        size = next((g.shape[0] for g in leaves if has_gradient(g) and g.ndim), 1)
        for i, (g, p) in enumerate(zip(leaves, p_leaves, strict=True)):
            if not has_gradient(g):
                continue
            axes, expected = sorted(manual_axes(g)), f"a batch of {size} examples along its first axis"
            if axes:
                got, fix = f"varies over the mesh axis {axes[0]!r}", "aggregate outside shard_map"
                raise ValueError(leaf_error(self.name, "grads", grads, i, got, "the whole batch on each device", fix))
            inner = g.shape[1:] if p is None else shape_of(p)
            if g.shape != (size, *(inner or ())) or not size:
                expected += "" if p is None else f", shape {(size, *(inner or ()))}"
                raise ValueError(
                    leaf_error(self.name, "grads", grads, i, f"has shape {g.shape}", expected, PER_EXAMPLE)
                )

    def parts(self, state: Any) -> list[Part]:
        """Return nothing: it holds no transform."""
        del state
        return []

    def renamed(self, name: str) -> "PrivateAggregate":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True if `state` holds a key and no slots."""
        return type(state) is LeafState and not state.slots and set(state.memory) == {"key"}


@factory
def differentially_private_aggregate(
    l2_norm_clip: Positive, noise_multiplier: NonNegative, key: Any = None, *, seed: int | None = None
) -> Transform:
    """Average the gradients of single examples, each clipped, and add noise.

    with B gradients g_t^1 to g_t^B, |g^i| the norm over all leaves and C = l2_norm_clip: u_t = (sum over i of
    g_t^i min(1, C / |g_t^i|) + N(0, (noise_multiplier C)^2)) / B.

    The gradients have one axis more than the parameters, in front: the examples. It stands first in a chain. The noise
    is that of `jax.random.normal` with the keys that optax uses; half-precision gradients get float32 noise.

    Units: those of g; l2_norm_clip has the units of g.
    Equivalent to: optax's `differentially_private_aggregate` for float32 and float64.
    Differs from: optax's where no key is given, which warns and takes 0; here it is an error.

    Args:
        l2_norm_clip: the largest norm of the gradient of one example, > 0.
        noise_multiplier: the deviation of the noise over l2_norm_clip, >= 0.
        key: an integer, a key of `jax.random.key`, or a raw one of `jax.random.PRNGKey`.
        seed: another name for key.

    State:
        key: the raw numbers of the next key, so that a resumed run draws the same noise; no slots.

    Raises:
        ValueError: a hyperparameter is out of its range, no key, both key and seed; at update, a leaf that is no batch
            of gradients of its parameter.
        TypeError: key is neither an integer nor a key.

    Cost: no array; one pass for the norms and one for the sum.

    References:
        Abadi et al. 2016, Algorithm 1, https://arxiv.org/abs/1607.00133

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.differentially_private_aggregate(5.0, noise_multiplier=0.0, key=0)
        >>> examples = jnp.array([[6.0, 8.0], [0.0, 1.0]])
        >>> tx.update(examples, tx.init(jnp.zeros(2)))[0].tolist()
        [1.5, 2.5]
    """
    body = PrivateAggregate(
        "differentially_private_aggregate",
        l2_norm_clip,
        noise_multiplier,
        key_of("differentially_private_aggregate", key, seed),
    )
    return Transform.of(body)
