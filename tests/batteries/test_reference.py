"""Every row against float64 NumPy written from the paper, in four dtypes, and every optimizer against optax.

Half-precision gradients are accumulated in float32 and the update is rounded once, when it leaves the transform: the
reference is fed the same rounded gradients and rounds its parameters as `apply_updates` does.

A quick run tests float64, and of some rows float32 as most users have it, one half precision, and optax's numbers.
"""

import inspect
import re
import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import gradtx
from tests.batteries.mixes import DTYPES
from tests.registry import CASES, ROWS, Row
from tests.registry.base import ELEMENTS, LEAVES
from tests.registry.numbers import Tree

STEPS = 12
FEW = 4  # steps in dtypes other than float64: the recurrence is held to the reference there
MANY = 50  # steps against optax, where an error of one step would have grown
SHAPES = {"gain": (), "bias": (4,), "kernel": (3, 2), "large": (8, 16)}
AGAINST_OPTAX = 1e-9
SIZES = [1.0, 1e-3, 1.0, 1.0, 10.0, 1e-2, 1.0, 0.1]
WIDE = {"wide": (2, 4), "stack": (2, 2, 3)}  # for rows that take no vector
TOLERANCE = {"float64": 1e-10, "float32": 5e-5, "bfloat16": 2**-6, "float16": 2**-9}


def shapes_of(row: Row, *, whole: bool = True, large: bool = True) -> dict[str, tuple[int, ...]]:
    """Return the leaves that a row is tested on: of each kind that it takes, or one alone; a large one too or not."""
    shapes = {name: shape for name, shape in {**SHAPES, **WIDE}.items() if row.takes(shape)}
    shapes = {name: shape for name, shape in shapes.items() if name in SHAPES or "vector" not in row.shapes}
    if not large:
        shapes.pop("large", None)
    if whole or LEAVES not in row.laws:
        return shapes
    one = "bias" if "bias" in shapes else next(iter(shapes))
    return {one: shapes[one]}


def inputs(
    steps: int = STEPS, dtype: str = "float64", shapes: dict[str, tuple[int, ...]] = SHAPES
) -> tuple[list[Tree], Tree]:
    """Return gradients of sizes 1e-3 to 1e2 with zeros among them, one number that is always 0, and parameters."""
    rng = np.random.default_rng(7)
    grads = []
    for t in range(steps):
        g = {}
        for name, shape in shapes.items():
            size = 10.0 ** rng.uniform(-2, 1, shape) * SIZES[t % len(SIZES)]
            g[name] = np.asarray(rng.normal(size=shape) * size * (rng.uniform(size=shape) > 0.15))
        if "bias" in g:
            g["bias"][1] = 0.0
        grads.append({name: x.astype(dtype) for name, x in g.items()})
    return grads, {name: np.asarray(rng.normal(size=shape)).astype(dtype) for name, shape in shapes.items()}


def run(
    tx: Any, grads: list[Tree], params: Tree, *, jit: bool = True, row: Row | None = None, **extra: Any
) -> list[Any]:
    """Return the updates of all steps, the parameters moving on; without jit 4 times faster, operation by operation."""

    @jax.jit
    def step(g: Any, state: Any, theta: Any) -> Any:
        given = extra if row is None else {**row.given(g, theta), **extra}
        u, state = tx.update(g, state, theta, **given)
        return u, state, gradtx.apply_updates(theta, u)

    updates = []
    with jax.disable_jit(not jit):
        theta = jax.tree.map(jnp.asarray, params)
        state = tx.init(theta)
        for g in grads:
            u, state, theta = step(jax.tree.map(jnp.asarray, g), state, theta)
            updates.append(u)
    return updates


def compare(got: list[Any], wanted: list[Any], tolerance: float, row: Row) -> None:
    """Hold the updates of each step to the wanted ones; what mixes a leaf's elements rounds by the largest of them."""
    smallest = 1e-7 if tolerance > 1e-3 else 0.0  # float16 has fewer digits below 6e-5
    smallest = tolerance if row.position else smallest  # the parameters are near 1
    share = 0.0 if ELEMENTS in row.laws else tolerance / 10
    for t, (u, r) in enumerate(zip(got, wanted, strict=True), start=1):
        for name in r if t >= row.first else ():
            least = max(smallest, share * float(np.max(np.abs(np.asarray(r[name], np.float64)), initial=0.0)))
            np.testing.assert_allclose(
                np.asarray(u[name], np.float64), r[name], rtol=tolerance, atol=least, err_msg=f"step {t}, {name}"
            )


def refer(row: Row, grads: list[Tree], params: Tree, dtype: str = "float64") -> list[Tree]:
    """Run a row's reference on the gradients as they are in `dtype`, its parameters stored in that dtype."""
    assert row.reference is not None
    wide = [{name: np.asarray(x, np.float64) for name, x in g.items()} for g in grads]
    takes_store = "store" in inspect.signature(row.reference).parameters
    settings = {**row.settings, **({"store": np.dtype(dtype).type} if takes_store else {})}
    return row.reference(wide, {name: np.asarray(p, np.float64) for name, p in params.items()}, **settings)


def named(rows: list[Row]) -> Any:
    """Parametrize a test over rows, with their names as ids."""
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


def takes(row: Row, dtype: str) -> bool:
    """Return True if a row takes parameters of a dtype."""
    return not row.params or np.dtype(dtype) in [jnp.dtype(DTYPES[name]) for name in row.params]


def in_dtypes(rows: list[Row]) -> list[Any]:
    """Return (row, dtype) for all that a row takes; those that a quick run leaves out are marked."""
    cells = []
    for row in rows:
        taken = [dtype for dtype in TOLERANCE if takes(row, dtype)]
        halves = [dtype for dtype in taken if dtype.endswith("16")]
        chosen = [
            half for i, half in enumerate(halves) if row.stores or i == zlib.crc32(row.name.encode()) % len(halves)
        ]
        for dtype in taken:
            share = () if dtype == "float64" else (pytest.mark.share(8),)
            marks = share if dtype in ("float64", *chosen) else (pytest.mark.exhaustive,)
            cells.append(pytest.param(row, dtype, id=f"{row.name}-{dtype}", marks=marks))
    return cells


@pytest.mark.parametrize(("row", "dtype"), in_dtypes(ROWS))
def test_row(row: Row, dtype: str, exhaustive: bool) -> None:
    """In float64 on leaves of every shape; in other dtypes on one and for few steps, unless the run is exhaustive."""
    precise = dtype == "float64"
    steps = STEPS if precise else 2 * FEW if exhaustive else FEW
    grads, params = inputs(steps, dtype, shapes_of(row, whole=exhaustive or precise, large=precise))
    got = run(row.make(), grads, params, jit=precise, row=row)
    compare(got, refer(row, grads, params, dtype), TOLERANCE[dtype], row)


@pytest.mark.share(4)
@named(ROWS)
def test_row_without_x64(row: Row, exhaustive: bool) -> None:
    """Most users run without float64: then the scalars of a step are float32 too."""
    grads, params = inputs(2 * FEW if exhaustive else FEW, "float32", shapes_of(row, whole=exhaustive, large=False))
    with jax.enable_x64(False):
        got = run(row.make(), grads, params, jit=False, row=row)
    compare(got, refer(row, grads, params, "float32"), TOLERANCE["float32"], row)


@pytest.mark.share(3)
@named([row for row in CASES if row.reference])
def test_case(row: Row) -> None:
    """Settings that no row has, schedules among them."""
    grads, params = inputs(shapes=shapes_of(row))
    got = run(row.make(), grads, params, jit=False, row=row)
    compare(got, refer(row, grads, params), TOLERANCE["float64"], row)


@pytest.mark.share(4)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # optax's, of what it means to take away
@named([row for row in [*ROWS, *CASES] if row.optax])
def test_optax(row: Row, exhaustive: bool) -> None:
    """The same call in optax; in an exhaustive run under jit, for so many steps that a difference would grow."""
    grads, params = inputs(MANY if exhaustive else STEPS, shapes=shapes_of(row))
    with jax.numpy_dtype_promotion("standard"):  # optax relies on implicit promotion
        wanted = run(row.make(optax), grads, params, jit=exhaustive, row=row)
    compare(run(row.make(), grads, params, jit=exhaustive, row=row), wanted, AGAINST_OPTAX, row)


def test_every_method_of_optax_is_compared_with_it() -> None:
    """By a row, or by a test that calls optax's own or a `library`'s; a whole method stands for its `scale_by_`."""
    folder = Path(__file__).parents[1]
    sources = [path.read_text() for path in folder.rglob("*.py") if path.parent.name != "registry"]
    called = {name for text in sources for name in re.findall(r"(?:optax(?:\.contrib)?|library)\.(\w+)\(", text)}
    compared = {row.public for row in [*ROWS, *CASES] if row.optax} | called
    compared |= {f"scale_by_{name}" for name in compared}
    shared = {row.public for row in ROWS if row.public in {*dir(optax), *dir(optax.contrib)}}
    assert "adam" in shared
    assert not sorted(shared - compared)
