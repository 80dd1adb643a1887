"""Bounds by the root mean square of a leaf: Shazeer & Stern 2018, sections 6 and 8."""

from tests.registry.adafactor import clip_by_block_rms, scale_by_param_block_rms
from tests.registry.base import Mutant, reference_of, row
from tests.registry.lamb import moved, norm
from tests.registry.numbers import Hyper, Store, Tree, at, copy, elements, halving


def scale_by_param_block_norm(
    grads: list[Tree], params: Tree, *, min_scale: Hyper = 1e-3, store: Store = float
) -> list[Tree]:
    """U = g max(|w|, min_scale) for each layer."""
    p, updates = copy(params), []
    for t, g in enumerate(grads, start=1):
        u = copy(g)
        for name, i in elements(params):
            u[name][i] *= max(norm(p[name]), at(min_scale, t))
        updates.append({name: u[name].copy() for name in u})
        moved(p, u, store)
    return updates


ROWS = [
    row(
        "scale_by_param_block_norm",
        traits={"reference": scale_by_param_block_norm, "hyper": "min_scale", "power": 1, "optax": True},
    ),
    row(
        "clip_by_block_rms", traits={"reference": clip_by_block_rms, "hyper": "threshold", "optax": True}, threshold=1.0
    ),
    row(
        "scale_by_param_block_rms",
        traits={"reference": scale_by_param_block_rms, "hyper": "min_scale", "power": 1, "optax": True},
    ),
]
CASES = [
    row(
        "scale_by_param_block_norm", "large least scale", traits={"reference": scale_by_param_block_norm}, min_scale=2.0
    ),
    row("clip_by_block_rms", "schedules", traits={"reference": clip_by_block_rms}, threshold=halving),
    row("clip_by_block_rms", "never", traits={"power": 1}, threshold=float("inf")),
]

FILE = "limits/block_rms.py"
MUTANTS = [
    Mutant(
        "block rms: a norm",
        FILE,
        "math.sqrt(max(size_over(x, axis_name), 1))",
        "1.0",
        reference_of("clip_by_block_rms"),
    ),
    Mutant(
        "block rms: the size of one shard",
        FILE,
        "max(size_over(x, axis_name), 1)",
        "max(x.size, 1)",
        ("test_shards.py::test_shards_are_taken_together[scale_by_param_block_rms]",),
    ),
    Mutant(
        "block norm: of the gradient",
        FILE,
        "norm_of_leaf(p, axis_name), k.min_scale",
        "norm_of_leaf(g, axis_name), k.min_scale",
        reference_of("scale_by_param_block_norm"),
    ),
    Mutant(
        "block norm: the smaller factor",
        FILE,
        "jnp.maximum(norm_of_leaf(p, axis_name), k.min_scale)",
        "jnp.minimum(norm_of_leaf(p, axis_name), k.min_scale)",
        reference_of("scale_by_param_block_norm"),
    ),
    Mutant(
        "block rms: the smaller factor",
        FILE,
        "jnp.maximum(rms, k.min_scale)",
        "jnp.minimum(rms, k.min_scale)",
        reference_of("scale_by_param_block_rms"),
    ),
]
