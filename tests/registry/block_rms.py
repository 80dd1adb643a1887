"""Bounds by the root mean square of a leaf: Shazeer & Stern 2018, sections 6 and 8."""

from tests.registry.adafactor import clip_by_block_rms, scale_by_param_block_rms
from tests.registry.base import Mutant, reference_of, row
from tests.registry.numbers import halving

ROWS = [
    row("clip_by_block_rms", traits={"reference": clip_by_block_rms, "hyper": "threshold"}, threshold=1.0),
    row("scale_by_param_block_rms", traits={"reference": scale_by_param_block_rms, "hyper": "min_scale", "power": 1}),
]
CASES = [
    row("clip_by_block_rms", "schedules", traits={"reference": clip_by_block_rms}, threshold=halving),
    row("clip_by_block_rms", "never", traits={"power": 1}, threshold=float("inf")),
]

FILE = "limits/block_rms.py"
MUTANTS = [
    Mutant("block rms: a norm", FILE, "math.sqrt(max(x.size, 1))", "1.0", reference_of("clip_by_block_rms")),
    Mutant(
        "block rms: the smaller factor",
        FILE,
        "jnp.maximum(rms, k.min_scale)",
        "jnp.minimum(rms, k.min_scale)",
        reference_of("scale_by_param_block_rms"),
    ),
]
