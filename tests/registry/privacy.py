"""Differential privacy: Abadi et al. 2016, Algorithm 1, its normal numbers drawn as `threefry` says, in NumPy.

A row gives the gradients g of a step as those of four examples, each a multiple of g by a power of two.
"""

import math
from typing import Any

import numpy as np

from tests.registry.base import Mutant, optax_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, elements, halving, rising
from tests.registry.scale import scale_by_learning_rate
from tests.registry.threefry import key_of, normal, split
from tests.registry.trace import trace

EXAMPLES = (1.0, -0.5, 4.0, 0.25)


def differentially_private_aggregate(
    grads: list[Tree],
    params: Tree,
    *,
    l2_norm_clip: Hyper,
    noise_multiplier: Hyper,
    key: int,
    store: Store = np.float64,
) -> list[Tree]:
    """g_t = (sum over i of g_t(x_i) / max(1, |g_t(x_i)| / C) + N(0, sigma^2 C^2)) / L."""
    state, dtype = key_of(int(key)), np.float64 if store is np.float64 else np.float32
    updates = []
    for t, g in enumerate(grads, start=1):
        bound, names = at(l2_norm_clip, t), sorted(params)
        state, *keys = split(state, len(names) + 1)
        norm = math.sqrt(math.fsum(g[name][i] ** 2 for name, i in elements(params)))
        weight = math.fsum(c / max(1.0, abs(c) * norm / bound) for c in EXAMPLES)
        noise = {name: normal(own, np.shape(params[name]), dtype) for name, own in zip(names, keys, strict=True)}
        deviation = bound * at(noise_multiplier, t)
        updates.append({n: (weight * g[n] + deviation * noise[n]) / len(EXAMPLES) for n in names})
    return updates


def dpsgd(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    momentum: Hyper | None = None,
    nesterov: bool = False,
    store: Store = np.float64,
    **settings: Any,
) -> list[Tree]:
    """theta_{t+1} = theta_t - eta_t g_t, or along a decaying sum of g."""
    u = differentially_private_aggregate(grads, params, store=store, **settings)
    if momentum is not None:
        u = trace(u, params, decay=momentum, nesterov=nesterov)
    return scale_by_learning_rate(u, params, learning_rate=learning_rate)


def of_examples(name: str) -> Any:
    """Return the maker of a transform that is given the gradients of the examples of g when it is given g."""

    def make(library: Any, **settings: Any) -> Any:
        import jax
        import jax.numpy as jnp

        named = library if name in vars(library) else library.contrib
        tx = getattr(named, name)(**settings)

        def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> Any:
            examples = jax.tree.map(lambda g: jnp.stack([c * g for c in EXAMPLES]), grads)
            more = extra if hasattr(library, "Transform") else {}
            return tx.update(examples, state, params, **more)

        if hasattr(library, "Transform"):
            return library.Transform(tx.init, update, name, settings)
        return library.GradientTransformation(tx.init, update)

    return make


# the norm is that of all leaves, and the noise that of the place of a leaf in the tree
RANDOM = {"laws": (), "random": True, "numbers_only": ("key",)}
AGGREGATE = {
    **RANDOM,
    "reference": differentially_private_aggregate,
    "maker": of_examples("differentially_private_aggregate"),
}
OPTIMIZER = {**RANDOM, "reference": dpsgd, "maker": of_examples("dpsgd"), "kind": "optimizer"}
PRIVATE = {"l2_norm_clip": 4.0, "noise_multiplier": 0.5, "key": 3}
ROWS = [
    row(
        "differentially_private_aggregate",
        traits={**AGGREGATE, "hyper": "noise_multiplier", "optax": True},
        **PRIVATE,
    ),
    row("dpsgd", traits={**OPTIMIZER, "hyper": "learning_rate"}, learning_rate=0.1, momentum=0.9, **PRIVATE),
]
CASES = [
    row(
        "differentially_private_aggregate",
        "no noise",
        traits={**AGGREGATE, "optax": True},
        l2_norm_clip=0.5,
        noise_multiplier=0.0,
        key=0,
    ),
    row(
        "dpsgd",
        "schedules",
        traits=OPTIMIZER,
        learning_rate=halving,
        l2_norm_clip=rising,
        noise_multiplier=halving,
        key=1,
        momentum=rising,
        nesterov=True,
    ),
]

FILE = "limits/privacy.py"
NAME = "differentially_private_aggregate"
MUTANTS = [
    Mutant(
        "privacy: scales small gradients up", FILE, "1.0 / jnp.maximum(excess, 1.0)", "1.0 / excess", reference_of(NAME)
    ),
    Mutant("privacy: noise in the sum of each example", FILE, "* (1.0 / g.shape[0])", "", reference_of(NAME)),
    Mutant("privacy: noise that ignores the bound", FILE, "bound * multiplier", "multiplier", optax_of(NAME)),
    Mutant(
        "privacy: a norm for each leaf",
        FILE,
        "sum(sums[1:], sums[0])",
        "sums[0]",
        optax_of(f"{NAME}[no noise]"),
    ),
    Mutant(
        "privacy: trusts squares that overflow",
        FILE,
        "jnp.all(plain < jnp.inf) & (bound > SHRINK)",
        "jnp.all(plain >= 0.0)",
        ("test_privacy.py::test_clipping_is_right_where_squares_leave_float32",),
    ),
    Mutant(
        "privacy: the same noise at every step",
        FILE,
        "return out, jax.random.key_data(keys[0])",
        "return out, key",
        reference_of(NAME),
    ),
    Mutant(
        "privacy: all leaves at once",
        FILE,
        "next_turn(total) if waits else turn",
        "turn",
        ("batteries/test_wrapper_speed.py::test_a_step_that_is_given_more_writes_what_it_must[dpsgd]",),
    ),
]
