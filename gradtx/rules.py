"""The toolbox to write a method of one's own: everything that the methods of gradtx are written with.

A method is a `Rule` for one array. `leafwise` lifts it to u = m, `divide_by` to u = g / sigma, `quotient` to
u = m / sigma where both share slots, and `ratio` puts any direction over any scale. `factory` decorates the function
that makes it.
"""

from gradtx._core.arguments.factory import factory
from gradtx._core.arguments.ranges import (
    Decay,
    Factor,
    Finite,
    Hyper,
    LearningRate,
    Momentum,
    NonNegative,
    Positive,
    Range,
)
from gradtx._core.arrays.numerics import (
    abs_sq,
    divide,
    full,
    held,
    is_above_0,
    one_number,
    own_copy,
    root,
    scalar_dtype,
    steps,
    unbias,
    zeros,
)
from gradtx._core.arrays.turns import behind, in_turn
from gradtx._core.contract.errors import LeafError
from gradtx._core.contract.state import LeafState
from gradtx._core.contract.transform import Transform
from gradtx._core.engine.chain import chain, named_chain
from gradtx._core.engine.identity import identity
from gradtx._core.engine.lifts import divide_by, leafwise, quotient, ratio
from gradtx._core.engine.rule import Rule, Slots, Tree

__all__ = [  # noqa: RUF022  # grouped by what they are for
    # a rule and its lifts
    "Rule",
    "Slots",
    "Tree",
    "leafwise",
    "divide_by",
    "quotient",
    "ratio",
    # the function that makes it
    "factory",
    "Transform",
    "LeafState",
    "LeafError",
    "chain",
    "identity",
    "named_chain",
    # hyperparameters
    "Hyper",
    "Range",
    "Decay",
    "Momentum",
    "NonNegative",
    "Positive",
    "Finite",
    "Factor",
    "LearningRate",
    # arithmetic on one array
    "abs_sq",
    "behind",
    "divide",
    "full",
    "held",
    "in_turn",
    "one_number",
    "own_copy",
    "root",
    "scalar_dtype",
    "steps",
    "unbias",
    "is_above_0",
    "zeros",
]
