"""The trust ratio and LAMB: You et al. 2017, equation 6, and You et al. 2020, Algorithm 2."""

import math

import numpy as np

from tests.registry.adam import scale_by_adam
from tests.registry.base import Mutant, Speed, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving, rising


def norm(x: np.ndarray) -> float:
    """Return the Euclidean norm of one array."""
    return math.sqrt(math.fsum(float(y) ** 2 for y in np.reshape(x, -1)))


def trusted(
    u: Tree, p: Tree, min_norm: float = 0.0, coefficient: float = 1.0, eps: float = 0.0, names: object = None
) -> Tree:
    """Local rate = coefficient |w| / (|u| + eps) for each layer, 1 where one of the norms is 0."""
    out = copy(u)
    for name in u if names is None else names:
        size_p, size_u = max(norm(p[name]), min_norm), max(norm(u[name]), min_norm)
        ratio = 1.0 if size_p == 0 or size_u == 0 else coefficient * size_p / (size_u + eps)
        for i in np.ndindex(np.shape(u[name])):
            out[name][i] = ratio * u[name][i]
    return out


def moved(p: Tree, u: Tree, store: Store) -> None:
    """Move the parameters, which are stored in a dtype."""
    for name, i in elements(p):
        p[name][i] = store(p[name][i] + store(u[name][i]))


def scale_by_trust_ratio(
    grads: list[Tree],
    params: Tree,
    *,
    min_norm: Hyper = 0.0,
    trust_coefficient: Hyper = 1.0,
    eps: Hyper = 0.0,
    store: Store = float,
) -> list[Tree]:
    """U = g times the local rate."""
    p, updates = copy(params), []
    for t, g in enumerate(grads, start=1):
        updates.append(trusted(g, p, at(min_norm, t), at(trust_coefficient, t), at(eps, t)))
        moved(p, updates[-1], store)
    return updates


def lamb(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    weight_decay: Hyper = 0.0,
    mask: dict[str, bool] | None = None,
    store: Store = float,
    **adam: Hyper,
) -> list[Tree]:
    """r_t = m_hat / (sqrt(v_hat) + eps), x -= eta |x| / |r + lambda x| (r + lambda x)."""
    ratios = scale_by_adam(grads, params, **{"eps": 1e-6, **adam})
    p, updates = copy(params), []
    for t, r in enumerate(ratios, start=1):
        u = copy(r)
        for name, i in elements(params):
            decays = mask is None or mask[name]
            u[name][i] = r[name][i] + (at(weight_decay, t) * p[name][i] if decays else 0.0)
        u = trusted(u, p)
        for name, i in elements(params):
            u[name][i] *= -at(learning_rate, t)
        updates.append(u)
        moved(p, u, store)
    return updates


TRUST = {"reference": scale_by_trust_ratio}
LAMB = {"reference": lamb, "kind": "optimizer"}
# r is written out once, one leaf after another, since its norm comes before its use (optax: two arrays a leaf); XLA
# counts also the branch that is not taken, that of norms beyond the range of float32
A_NORM_OF_LEAVES = Speed(4_006_000, 21 / 7, fused=None)
MASK = {"gain": True, "bias": False, "kernel": True, "large": True}
ROWS = [
    row("scale_by_trust_ratio", traits={**TRUST, "hyper": "min_norm", "power": 0}),
    row(
        "lamb",
        traits={**LAMB, "hyper": "learning_rate", "optax": True, "speed": A_NORM_OF_LEAVES},
        learning_rate=0.1,
        weight_decay=0.01,
    ),
]
CASES = [
    # at a coefficient of 1 the step of a scalar is its own size, and may end at 0 or at a rounding error
    row("scale_by_trust_ratio", "coefficient", traits={**TRUST, "optax": True}, trust_coefficient=0.3),
    row(
        "scale_by_trust_ratio",
        "all settings",
        traits={**TRUST, "optax": True},
        min_norm=0.5,
        trust_coefficient=0.3,
        eps=0.1,
    ),
    row(
        "scale_by_trust_ratio",
        "schedules",
        traits=TRUST,
        min_norm=halving,
        trust_coefficient=rising,
        eps=halving,
    ),
    row(
        "lamb",
        "schedules",
        traits=LAMB,
        learning_rate=halving,
        b1=rising,
        b2=rising,
        eps=halving,
        eps_root=halving,
        weight_decay=rising,
    ),
    row("lamb", "masked", traits={**LAMB, "optax": True}, learning_rate=0.1, weight_decay=0.3, mask=MASK),
    row("lamb", "no decay", traits={**LAMB, "optax": True}, learning_rate=0.1, b1=0.5, b2=0.9, eps=1e-3, eps_root=1e-4),
]


def held_by(name: str) -> tuple[str, ...]:
    """Return this test of norms at the ends of their range."""
    return (f"test_layer_norms.py::test_{name}",)


FILE, NORM = "limits/trust_ratio.py", "_core/arrays/norm.py"
MUTANTS = [
    Mutant(
        "trust ratio: an infinite quotient",
        FILE,
        "(u * inverse) * jnp.where(zero, 1.0, coefficient * size_p)",
        "u * (inverse * jnp.where(zero, 1.0, coefficient * size_p))",
        held_by("a_trusted_update_has_the_size_of_its_parameter"),
    ),
    Mutant(
        "trust ratio: the coefficient where a norm is 0",
        FILE,
        "jnp.where(zero, 1.0, coefficient * size_p)",
        "coefficient * jnp.where(zero, 1.0, size_p)",
        held_by("where_a_norm_is_zero_the_update_stays_as_it_is"),
    ),
    Mutant(
        "trust ratio: eps beside the least norm",
        FILE,
        "size_u + eps",
        "size_u",
        case_of("scale_by_trust_ratio[all settings]"),
    ),
    Mutant(
        "trust ratio: a part of what is not finite",
        FILE,
        "jnp.where(jnp.isfinite(size_u), inverse, jnp.nan)",
        "inverse",
        held_by("no_part_of_an_array_that_is_not_finite_is_applied"),
    ),
    Mutant(
        "lamb: the decay outside the ratio",
        "methods/lamb.py",
        "add_decayed_weights(weight_decay, mask),\n        scale_by_trust_ratio(axis_name=axis_name),",
        "scale_by_trust_ratio(axis_name=axis_name),\n        add_decayed_weights(weight_decay, mask),",
        reference_of("lamb"),
    ),
    Mutant(
        "norm: over no power of two",
        NORM,
        "exponent = lax.bitcast_convert_type(near, integer) & infinity",
        "exponent = lax.bitcast_convert_type(jnp.ones_like(near), integer)",
        held_by("a_norm_is_right_in_the_whole_range"),
    ),
    Mutant(
        "norm: a leaf that is the same on all shards counts for each",
        "_core/arrays/axes.py",
        "if a not in told or a in manual_axes(x)",
        "if True",
        ("test_shards.py::test_a_norm_of_shards",),
    ),
]
