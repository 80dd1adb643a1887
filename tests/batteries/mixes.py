"""The 16 mixes of gradient and parameter dtype, trees that hold some of them, and the record of one cell of the table.

A run tests 4 or 5 mixes a row: one permutation of the dtypes, so that each stands once on either side, and float64 for
both. The name of the row chooses the permutation, so that the rows together see all mixes. Programs that take long to
compile are compiled for two of these mixes. `--exhaustive` gives every row all 16, and compiles all.
"""

import contextlib
import dataclasses
import functools
import itertools
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from gradtx._core.arrays.numerics import accumulator
from tests.registry import Row
from tests.registry.base import LEAVES, SHAPES

DTYPES = {"f16": jnp.float16, "bf16": jnp.bfloat16, "f32": jnp.float32, "f64": jnp.float64}
MIXES = {f"{g}_{p}": (DTYPES[g], DTYPES[p]) for g in DTYPES for p in DTYPES}  # gradient_parameter
PRECISE = "f64_f64"

# Every number is exact in every dtype; the first needs float32 once it is squared. A leaf takes as many as it holds.
PARAMS = np.array([1.0, -0.5, 2.0, -1.5, 0.25, 3.0, -4.0, 0.75, 1.25, -2.5, 5.0, -0.125])
GRADS = np.array(
    [
        [300.0, 0.5, -2.0, 1.25, -0.75, 6.0, -3.0, 0.125, 8.0, -5.0, 1.5, -0.25],
        [40.0, -1.5, 3.0, -0.5, 2.5, -4.0, 0.75, 1.0, -2.0, 7.0, -0.375, 12.0],
        [-160.0, 0.25, 1.0, 2.0, -6.0, 0.5, 1.75, -9.0, 0.625, 3.5, -8.0, 1.125],
    ]
)


def mixes_of(row: Row, *, exhaustive: bool) -> tuple[str, ...]:
    """Return the mixes that a run tests a row in."""
    taken = row.params or tuple(DTYPES)
    if exhaustive:
        return tuple(mix for mix in MIXES if mix.split("_")[1] in taken)
    orders = list(itertools.permutations(DTYPES))
    order = [p if p in taken else taken[0] for p in orders[zlib.crc32(row.name.encode()) % len(orders)]]
    return tuple(dict.fromkeys([*(f"{g}_{p}" for g, p in zip(DTYPES, order, strict=True)), PRECISE]))


def few_of(row: Row, mixes: tuple[str, ...], *, exhaustive: bool) -> tuple[str, ...]:
    """Return the mixes in which what takes long to compile is compiled: float64, and another that the name chooses.

    Where a leaf's update depends on the other leaves, or on its place among them, all mixes stay together.
    """
    if exhaustive or row.random or LEAVES not in row.laws:
        return mixes
    others = [mix for mix in mixes if mix != PRECISE]
    return (others[zlib.crc32(row.name.encode()) % len(others)], PRECISE)


def leaf(numbers: np.ndarray, row: Row) -> np.ndarray:
    """Return numbers in the shape of leaf that a row takes."""
    shape = SHAPES[row.shapes[0]]
    return numbers[: int(np.prod(shape))].reshape(shape)


def params_of(row: Row, mixes: Any) -> dict[str, jax.Array]:
    """Return one tree with a parameter for every mix, each in its own buffer."""
    return {mix: jnp.array(leaf(PARAMS, row), MIXES[mix][1]) for mix in mixes}


def grads_of(row: Row, mixes: Any, step: int, factor: float = 1.0) -> dict[str, jax.Array]:
    """Return the gradients of this step for every mix."""
    return {mix: jnp.asarray(leaf(GRADS[step] * factor, row), MIXES[mix][0]) for mix in mixes}


def tree_of(row: Row, dtype: Any) -> dict[str, Any]:
    """Return a small nested tree of shapes in one dtype, of two of the kinds of leaf that the row takes."""
    first, last = (jax.ShapeDtypeStruct(SHAPES[kind], dtype) for kind in (row.shapes[0], row.shapes[-1]))
    return {"layer": [first], "temperature": last}


def structs(row: Row, mixes: tuple[str, ...]) -> tuple[Any, Any]:
    """Return the shapes of the gradients and of the params, a small tree for each mix."""
    grads, params = ({mix: tree_of(row, MIXES[mix][side]) for mix in mixes} for side in (0, 1))
    return grads, params


@functools.cache
def transform(row: Row) -> gradtx.Transform:
    """Return the transform of a row, made once so that its traces are kept between the contracts."""
    return row.make()


def bound(row: Row, tx: gradtx.Transform, **more: Any) -> Callable[..., Any]:
    """Return `update` with the extra arguments that the row declares, and more."""
    return lambda grads, state, params: tx.update(grads, state, params, **{**row.given(grads, params), **more})


def stepping(row: Row, tx: gradtx.Transform) -> Callable[..., Any]:
    """Return the step that everybody writes, its updates shown; jitted it overwrites params and state."""
    update = bound(row, tx)

    def step(params: Any, state: Any, grads: Any) -> tuple[Any, Any, Any]:
        updates, state = update(grads, state, params)
        return gradtx.apply_updates(params, updates), state, updates

    return step


@functools.cache
def jitted(row: Row) -> Any:
    """Return the jitted step of a row, compiled once for all contracts that run it."""
    return jax.jit(stepping(row, transform(row)), donate_argnums=(0, 1))


def mix_of(path: tuple[Any, ...]) -> str | None:
    """Return the mix that a leaf of the state belongs to, by the last dict key of its path."""
    keys = [key.key for key in path if isinstance(key, jax.tree_util.DictKey) and key.key in MIXES]
    return keys[-1] if keys else None


def state_leaves(state: Any, mix: str) -> list[tuple[str, Any]]:
    """Return (path, leaf) of the state's leaves that belong to a mix."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves if mix_of(path) == mix]


def is_half(dtype: Any) -> bool:
    """Return True if a dtype is a floating one of 16 bits."""
    return bool(jnp.issubdtype(dtype, jnp.floating)) and jnp.finfo(dtype).bits == jnp.finfo(jnp.float16).bits


def update_dtype(row: Row, g: Any, p: Any) -> np.dtype:
    """Return the dtype in which a row's update leaves: the wider of gradient and parameter, as in optax."""
    with jax.numpy_dtype_promotion("standard"):
        wider = jnp.dtype(g if row.keeps_dtype else jnp.promote_types(g, p))
    return accumulator(wider) if row.stores else wider


def rounding(dtype: Any) -> float:
    """Return the relative tolerance that rounding to a dtype asks for, 0 for one of 32 bits or more."""
    return 2 * float(jnp.finfo(dtype).eps) if is_half(dtype) else 0.0


def tolerance(state: Any, mix: str, updates: Any, exact: float = 1e-5) -> float:
    """Return the relative tolerance for a mix: wide where a slot or the update is in half precision."""
    slots = 3e-2 if any(is_half(leaf.dtype) for _, leaf in state_leaves(state, mix)) else exact
    return max(slots, rounding(updates[mix].dtype))


@dataclasses.dataclass
class Cell:
    """What one contract found for one row.

    Attributes:
        row: name of the row.
        contract: number of the contract.
        mixes: mixes to look at.
        exhaustive: whether to leave nothing out.
        failures: what went wrong, by mix.
        checked: mixes that were looked at.
    """

    row: str
    contract: int
    mixes: tuple[str, ...]
    exhaustive: bool = False
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
        self.checked |= set(self.mixes)
        try:
            yield
        except Exception as error:
            error.add_note(f"{self.row}, contract {self.contract}, every gradient_parameter")
            for mix in self.mixes:
                self.failures.setdefault(mix, error)

    def together(self, check: Callable[[tuple[str, ...]], None], mixes: tuple[str, ...] | None = None) -> None:
        """Check all mixes in one tree, which traces a program once for all; where that fails, find out which fail."""
        mixes = self.mixes if mixes is None else mixes
        self.checked |= set(mixes)
        try:
            check(mixes)
        except Exception:
            before = len(self.failures)
            for mix in mixes:
                with self.mix(mix):
                    check((mix,))
            if len(self.failures) == before:  # they fail together only
                with self.all_mixes():
                    raise

    @property
    def passed(self) -> int:
        """Number of mixes that hold."""
        return len(self.checked - self.failures.keys())
