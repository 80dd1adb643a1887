"""Gradient noise: Neelakantan et al. 2015, section 3, its normal numbers drawn as `threefry` says, in NumPy."""

import math

import numpy as np

from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, halving, rising
from tests.registry.scale import scale_by_learning_rate
from tests.registry.threefry import key_of, normal, split


def add_noise(
    grads: list[Tree],
    params: Tree,
    *,
    eta: Hyper = 0.01,
    gamma: Hyper = 0.55,
    key: int | None = None,
    seed: int | None = None,
    store: Store = np.float64,
) -> list[Tree]:
    """g_t + N(0, eta / t^gamma), the first step being 1; half precision gets float32 noise."""
    del params
    state = key_of(int(seed if key is None else key))
    dtype, updates = np.float64 if store is np.float64 else np.float32, []
    for t, g in enumerate(grads, start=1):
        state, now = split(state, 2)
        deviation = math.sqrt(at(eta, t) / t ** at(gamma, t))
        keys = split(now, len(g))
        updates.append({n: g[n] + deviation * normal(keys[i], g[n].shape, dtype) for i, n in enumerate(sorted(g))})
    return updates


def noisy_sgd(
    grads: list[Tree], params: Tree, *, learning_rate: Hyper, store: Store = np.float64, **settings: float
) -> list[Tree]:
    """theta_t = theta_{t-1} - learning_rate_t (g_t + noise)."""
    noisy = add_noise(grads, params, store=store, **settings)
    return scale_by_learning_rate(noisy, params, learning_rate=learning_rate)


# the noise of a leaf depends on its place in the tree, that of an element on its place in the leaf
RANDOM = {"laws": (), "random": True, "numbers_only": ("key", "seed")}
OPTIMIZER = {**RANDOM, "reference": noisy_sgd, "kind": "optimizer"}
DRAWN = Speed(1_500, 1.0, fused=None)  # keys and scalars: the noise is drawn in the loop that adds it
ROWS = [
    row("add_noise", traits={**RANDOM, "reference": add_noise, "hyper": "eta"}, eta=0.5, gamma=0.55, seed=5),
    row(
        "noisy_sgd",
        traits={**OPTIMIZER, "hyper": "learning_rate", "optax": True, "speed": DRAWN},
        learning_rate=0.1,
        key=0,
    ),
]
CASES = [
    row("add_noise", "as optax", traits={**RANDOM, "optax": True}, eta=2.0, gamma=1.5, key=11),
    row("noisy_sgd", "schedules", traits=OPTIMIZER, learning_rate=halving, eta=halving, gamma=rising, key=4),
    row("noisy_sgd", "none", traits={**OPTIMIZER, "power": 1}, learning_rate=0.1, eta=0.0, key=4),
]

FILE = "factors/noise.py"
MUTANTS = [
    Mutant(
        "noise: a rotation too far",
        "_core/arrays/random.py",
        "(13, 15, 26, 6)",
        "(13, 15, 26, 7)",
        ("test_noise.py::test_the_numbers_are_those_of_jax",),
    ),
    Mutant("noise: the same at every step", FILE, "stays, now =", "now, stays =", reference_of("add_noise")),
    Mutant(
        "noise: one key for all leaves",
        FILE,
        "split(now, len(tree.grads))",
        "split(now, 1).repeat(len(tree.grads))",
        reference_of("add_noise"),
    ),
    Mutant(
        "noise: the variance for the deviation",
        FILE,
        "jnp.sqrt(k.eta * steps(tree.count) ** -k.gamma)",
        "k.eta * steps(tree.count) ** -k.gamma",
        reference_of("add_noise"),
    ),
    Mutant(
        "noise: the first entry of a list for every leaf",
        "_core/engine/kernel.py",
        "value[place] if isinstance",
        "value[0] if isinstance",
        reference_of("add_noise"),
    ),
    Mutant("noise: grows", FILE, "** -k.gamma", "** k.gamma", case_of("noisy_sgd[schedules]")),
]
