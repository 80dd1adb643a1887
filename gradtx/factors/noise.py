"""Noise added to the gradient, less at each step: it leads out of shallow minima early and lets training settle."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arrays.random import key_of, normal_like
from gradtx.rules import Finite, NonNegative, Range, Rule, Slots, Transform, Tree, factory, leafwise, steps


@factory
def add_noise(eta: NonNegative, gamma: Finite, key: Any = None, *, seed: int | None = None) -> Transform:
    """Add normal noise whose variance falls as a power of the step.

    u_t = g_t + N(0, s_t^2), s_t^2 = eta / t^gamma, independent for each number.

    The numbers are those of `jax.random.normal` with the keys that optax uses: at each step the key is split in two,
    the first stays in the state, and the second is split into one key for each leaf. Half-precision gradients get
    float32 noise.

    Units: those of g; eta has the units of g^2.
    Equivalent to: optax's `add_noise` for float32 and float64.
    Differs from: optax's where no key is given, which warns and takes 0; here it is an error.

    Args:
        eta: the variance at the first step, >= 0; 0 adds nothing.
        gamma: the power, finite; 0 keeps the variance, the paper's is 0.55.
        key: an integer, a key of `jax.random.key`, or a raw one of `jax.random.PRNGKey`.
        seed: another name for key.

    State:
        key: the raw numbers of the next key, so that a resumed run draws the same noise.

    Raises:
        ValueError: eta < 0, gamma not finite, no key, both key and seed, or an array of keys.
        TypeError: key is neither an integer nor a key.

    Cost: no array; one pass.

    References:
        Neelakantan et al. 2015, section 3, https://arxiv.org/abs/1511.06807

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.add_noise(eta=0.01, gamma=0.55, key=0)
        >>> noise, state = tx.update(jnp.zeros(10_000), tx.init(jnp.zeros(10_000)))
        >>> noise, state = tx.update(jnp.zeros(10_000), state)
        >>> round(float(jnp.std(noise)), 3)
        0.083
    """
    first = key_of("add_noise", key, seed)
    kind = jax.random.key_impl(first)

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        stays, now = jax.random.split(jax.random.wrap_key_data(tree.memory["key"], impl=kind))
        keys = list(jax.random.key_data(jax.random.split(now, len(tree.grads)))) if tree.grads else []
        deviation = jnp.sqrt(k.eta * steps(tree.count) ** -k.gamma)
        return {"own_key": keys, "deviation": deviation}, {"key": jax.random.key_data(stays)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g + k.deviation * normal_like(jax.random.wrap_key_data(k.own_key, impl=kind), g), slots

    rule = Rule(
        "add_noise",
        update,
        hyper={"eta": eta, "gamma": gamma},
        ranges={"eta": Range("[0, inf)")},
        whole_tree=whole_tree,
        memory={"key": jax.random.key_data(first)},
        elementwise=False,
        role="direction",
    )
    return leafwise(rule)
