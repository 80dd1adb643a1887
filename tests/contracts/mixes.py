"""The 16 mixes of gradient and parameter dtype, trees that hold them all, and the record of one cell of the table."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from tests.registry import Row

DTYPES = {"f16": jnp.float16, "bf16": jnp.bfloat16, "f32": jnp.float32, "f64": jnp.float64}
MIXES = {f"{g}_{p}": (DTYPES[g], DTYPES[p]) for g in DTYPES for p in DTYPES}  # gradient_parameter
PRECISE = "f64_f64"

# Every number is exact in every dtype; the first needs float32 once it is squared.
PARAMS = np.array([1.0, -0.5, 2.0])
GRADS = np.array([[300.0, 0.5, -2.0], [40.0, -1.5, 3.0], [-160.0, 0.25, 1.0]])


def params_of_all() -> dict[str, jax.Array]:
    """Return one tree with a parameter for every mix, each in its own buffer."""
    return {mix: jnp.array(PARAMS, p) for mix, (_, p) in MIXES.items()}


def grads_of_all(step: int, factor: float = 1.0) -> dict[str, jax.Array]:
    """Return the gradients of this step for every mix."""
    return {mix: jnp.asarray(GRADS[step] * factor, g) for mix, (g, _) in MIXES.items()}


def tree_of(dtype: Any) -> dict[str, Any]:
    """Return a small nested tree of shapes in one dtype."""
    like = jax.ShapeDtypeStruct
    return {"layer": [like((3, 2), dtype)], "temperature": like((), dtype)}


def structs(mix: str) -> tuple[Any, Any]:
    """Return the shapes of the gradients and the params of one mix."""
    g, p = MIXES[mix]
    return tree_of(g), tree_of(p)


@functools.cache
def made(make: Any) -> gradtx.Transform:
    """Return the row's transform, made once so that its traces are kept between the contracts."""
    return make()


def transform(row: Row) -> gradtx.Transform:
    """Return the transform of a row with its own settings."""
    return made(row.make)


def mix_of(path: tuple[Any, ...]) -> str | None:
    """Return the mix that a leaf of the state belongs to, by the last dict key of its path."""
    keys = [key.key for key in path if isinstance(key, jax.tree_util.DictKey) and key.key in MIXES]
    return keys[-1] if keys else None


def state_leaves(state: Any, mix: str) -> list[tuple[str, Any]]:
    """Return (path, leaf) of the state's leaves that belong to a mix."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves if mix_of(path) == mix]


def is_half(dtype: Any) -> bool:
    """Say whether a dtype is a floating one of 16 bits."""
    return bool(jnp.issubdtype(dtype, jnp.floating)) and jnp.finfo(dtype).bits == jnp.finfo(jnp.float16).bits


def tolerance(state: Any, mix: str, exact: float = 1e-5) -> float:
    """Return the relative tolerance for a mix: wide where a slot, or the update that leaves, is of half precision."""
    if any(is_half(leaf.dtype) for _, leaf in state_leaves(state, mix)):
        return 3e-2
    return max(exact, float(jnp.finfo(update_dtype(mix)).eps) if is_half(update_dtype(mix)) else 0.0)


def update_dtype(mix: str) -> Any:
    """Return the dtype of an update: the wider of gradient and parameter, as optax's."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(*MIXES[mix])


@dataclasses.dataclass
class Cell:
    """What one contract found for one row.

    Attributes:
        row: name of the row.
        contract: number of the contract.
        failures: what went wrong, by mix.
        checked: mixes that were looked at.
    """

    row: str
    contract: int
    failures: dict[str, Exception] = dataclasses.field(default_factory=dict)
    checked: set[str] = dataclasses.field(default_factory=set)

    @contextlib.contextmanager
    def mix(self, mix: str) -> Iterator[None]:
        """Count a mix as checked, and note what fails in it."""
        self.checked.add(mix)
        try:
            yield
        except Exception as error:
            error.add_note(f"{self.row}, contract {self.contract}, gradient_parameter {mix}")
            self.failures.setdefault(mix, error)

    @contextlib.contextmanager
    def all_mixes(self) -> Iterator[None]:
        """Count every mix as checked; a failure inside is one of all of them."""
        self.checked |= MIXES.keys()
        try:
            yield
        except Exception as error:
            error.add_note(f"{self.row}, contract {self.contract}, every gradient_parameter")
            for mix in MIXES:
                self.failures.setdefault(mix, error)

    @property
    def passed(self) -> int:
        """Number of mixes that hold."""
        return len(self.checked - self.failures.keys())
