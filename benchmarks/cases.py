"""What is timed: every shipped optimizer, the usual chains, and the sizes.

A case is made by name from either library, since gradtx and optax share names, argument orders and defaults.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Case:
    """An optimizer as either library makes it.

    Attributes:
        name: how the tables call it.
        make: `library -> transform`.
        torch: PyTorch's optimizer of the same method and its arguments, None where it has none.
        extra: extra arguments of `update`.
        examples: how many gradients of single examples it takes in each leaf; 0 is one gradient of them all.
    """

    name: str
    make: Callable[[Any], Any]
    torch: tuple[str, dict[str, Any]] | None = None
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    examples: int = 0

    def of_examples(self, grads: dict[str, Any]) -> dict[str, Any]:
        """Return the gradients, or their shapes, as it takes them."""
        if not self.examples:
            return grads
        if isinstance(next(iter(grads.values())), jax.ShapeDtypeStruct):
            return {key: jax.ShapeDtypeStruct((self.examples, *g.shape), g.dtype) for key, g in grads.items()}
        return {key: jnp.stack([g] * self.examples) for key, g in grads.items()}


@dataclasses.dataclass(frozen=True)
class Size:
    """A tree of parameters: `total` numbers in equal leaves, vectors unless `shape` says how a leaf is laid out."""

    name: str
    total: int
    leaves: int
    dtype: Any = jnp.float32
    shape: tuple[int, ...] | None = None

    def like(self, leaf: int | None = None) -> dict[str, jax.ShapeDtypeStruct]:
        """Return the shapes of the tree, or of one with so many numbers in a leaf."""
        shape = (leaf,) if leaf else self.shape or (self.total // self.leaves,)
        return {f"w{i:03d}": jax.ShapeDtypeStruct(shape, self.dtype) for i in range(self.leaves)}

    def tree(self, seed: int, leaf: int | None = None) -> dict[str, jax.Array]:
        """Return random numbers of unit variance, the same in each leaf; params are seed 0, gradients seed 1."""
        like = self.like(leaf)
        numbers = np.random.default_rng(seed).standard_normal(leaf or self.total // self.leaves, np.float32)
        return {key: jnp.array(numbers.reshape(x.shape), x.dtype) for key, x in like.items()}


def every_other(params: dict[str, Any]) -> dict[str, bool]:
    """Mask: decay every other leaf."""
    return {key: i % 2 == 0 for i, key in enumerate(params)}


def clipped(lib: Any) -> Any:
    """clip_by_global_norm + adamw."""
    return lib.chain(lib.clip_by_global_norm(1.0), lib.adamw(1e-3))


def scheduled(lib: Any) -> Any:
    """Adam with an added schedule."""
    schedule = lib.warmup_cosine_decay_schedule(0.1, 1.0, 100, 10_000)
    return lib.chain(lib.adam(1e-3), lib.scale_by_schedule(schedule))


CASES = [
    Case("sgd", lambda lib: lib.sgd(1e-3), ("SGD", {})),
    Case("sgd momentum", lambda lib: lib.sgd(1e-3, 0.9), ("SGD", {"momentum": 0.9})),
    Case("sgd nesterov", lambda lib: lib.sgd(1e-3, 0.9, True), ("SGD", {"momentum": 0.9, "nesterov": True})),
    Case("adagrad", lambda lib: lib.adagrad(1e-3), ("Adagrad", {})),
    Case("rmsprop", lambda lib: lib.rmsprop(1e-3), ("RMSprop", {})),
    Case(
        "rmsprop centered+momentum",
        lambda lib: lib.rmsprop(1e-3, centered=True, momentum=0.9),
        ("RMSprop", {"centered": True, "momentum": 0.9}),
    ),
    Case("adam", lambda lib: lib.adam(1e-3), ("Adam", {})),
    Case("adamw", lambda lib: lib.adamw(1e-3), ("AdamW", {"weight_decay": 1e-4})),
    Case("nadam", lambda lib: lib.nadam(1e-3), ("NAdam", {})),
    Case("nadamw", lambda lib: lib.nadamw(1e-3), ("NAdam", {"weight_decay": 1e-4, "decoupled_weight_decay": True})),
    Case("amsgrad", lambda lib: lib.amsgrad(1e-3), ("Adam", {"amsgrad": True})),
    Case("radam", lambda lib: lib.radam(1e-3), ("RAdam", {})),
    Case("clip + adamw", clipped),
    Case("adamw, mask", lambda lib: lib.adamw(1e-3, mask=every_other)),
    Case("adam, schedule", scheduled),
]
CASE = {case.name: case for case in CASES}

BIG = Size("16M in 16 leaves", 16_000_000, 16)
MANY = Size("1M in 500 leaves", 1_000_000, 500)
HALF = Size("16M bfloat16", 16_000_000, 16, jnp.bfloat16)
SCAN = Size("10 in a scan", 10, 1)
MATRICES = Size("16M in 16 matrices of 1000 x 1000", 16_000_000, 16, shape=(1000, 1000))
LAYERS = Size("64 matrices of 64 x 128", 64 * 64 * 128, 64, shape=(64, 128))
WATCHED = Size("8M in 16 leaves", 8_000_000, 16)
SOME = ["adamw", "clip + adamw"]  # what --quick times at 500 leaves and in bfloat16
