"""Every row against float64 NumPy written from the paper, in four dtypes, and every optimizer against optax.

Half-precision gradients are accumulated in float32, so their tolerance is float32's: the reference is fed the same
rounded gradients and rounds its parameters as `apply_updates` does.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

import gradtx
from tests import registry
from tests.reference import adagrad as sums
from tests.reference import adam, amsgrad, clip, composed, ema, momentum, multiply, optimizers, radam, rms
from tests.reference.tree import Tree
from tests.reference.weight_decay import add_decayed_weights
from tests.registry import ROWS, Row

STEPS = 8
SHAPES = {"gain": (), "bias": (4,), "kernel": (3, 2)}
# an update of half-precision gradients and params is rounded once, when it leaves the transform
TOLERANCE = {"float64": 1e-10, "float32": 5e-5, "bfloat16": 2**-6, "float16": 2**-9}


class Reference(NamedTuple):
    """What a row is compared with.

    Attributes:
        run: `(grads, params) -> updates`, all steps at once.
        first: the first step compared. A debiased variance is exactly 0 at step 1, so that update is rounding only.
    """

    run: Callable[..., list[Tree]]
    first: int = 1


def bfloat16(x: float) -> float:
    return float(ml_dtypes.bfloat16(x))


def number(count: Any) -> Any:
    """Return the count as a float, a Python number for a Python number."""
    return float(count) if isinstance(count, int) else count.astype(jnp.result_type(float))


def halving(count: Any) -> Any:
    return 0.5 / (1.0 + number(count))


def rising(count: Any) -> Any:
    return 0.9 - 0.5 / (2.0 + number(count))


def from_zero(count: Any) -> Any:
    return 0.1 * number(count)


def threshold(count: Any) -> Any:
    return 4.0 + 0.1 * number(count)


REFERENCES: dict[str, Reference] = {
    "identity": Reference(multiply.identity),
    "scale": Reference(partial(multiply.scale, step_size=-0.5)),
    "scale_by_learning_rate": Reference(partial(multiply.scale_by_learning_rate, learning_rate=0.1)),
    "scale_by_learning_rate[ascent]": Reference(
        partial(multiply.scale_by_learning_rate, learning_rate=0.1, flip_sign=False)
    ),
    "scale_by_schedule": Reference(partial(multiply.scale, step_size=registry.halving)),
    "add_decayed_weights": Reference(partial(add_decayed_weights, weight_decay=0.1)),
    "clip_by_global_norm": Reference(partial(clip.clip_by_global_norm, max_norm=1.0)),
    "trace": Reference(partial(momentum.trace, decay=0.9)),
    "trace[nesterov]": Reference(partial(momentum.trace, decay=0.9, nesterov=True)),
    "ema": Reference(partial(ema.ema, decay=0.9)),
    "ema[biased]": Reference(partial(ema.ema, decay=0.9, debias=False)),
    "ema[nesterov]": Reference(partial(ema.ema, decay=0.9, nesterov=True)),
    "scale_by_adagrad": Reference(sums.scale_by_adagrad),
    "scale_by_adagrad[mean]": Reference(
        partial(sums.scale_by_adagrad, initial_accumulator_value=0.0, eps=0.0, mean=True)
    ),
    "scale_by_rss": Reference(sums.scale_by_adagrad),
    "scale_by_rms": Reference(rms.scale_by_rms),
    "scale_by_rms[eps outside]": Reference(partial(rms.scale_by_rms, eps_in_sqrt=False, initial_scale=0.5)),
    "scale_by_rms[corrected]": Reference(partial(rms.scale_by_rms, bias_correction=True)),
    "scale_by_rms[first gradient]": Reference(partial(rms.scale_by_rms, first_gradient=True)),
    "scale_by_stddev": Reference(rms.scale_by_stddev),
    "scale_by_stddev[corrected]": Reference(
        partial(rms.scale_by_stddev, bias_correction=True, eps_in_sqrt=False, initial_scale=1000.0)
    ),
    "scale_by_adam": Reference(adam.scale_by_adam),
    "scale_by_adam[nesterov]": Reference(partial(adam.scale_by_adam, nesterov=True)),
    "scale_by_adam[bfloat16 mu]": Reference(partial(adam.scale_by_adam, store_mu=bfloat16)),
    "scale_by_amsgrad": Reference(amsgrad.scale_by_amsgrad),
    "scale_by_amsgrad[paper]": Reference(
        partial(amsgrad.scale_by_amsgrad, bias_correction_mu=False, bias_correction_nu=False)
    ),
    "scale_by_radam": Reference(radam.scale_by_radam),
    "scale_by_radam[soon trusted]": Reference(partial(radam.scale_by_radam, b2=0.9, nesterov=True)),
    "sgd": Reference(partial(optimizers.sgd, learning_rate=0.1)),
    "sgd[nesterov]": Reference(partial(optimizers.sgd, learning_rate=0.1, momentum=0.9, nesterov=True)),
    "adagrad": Reference(partial(optimizers.adagrad, learning_rate=0.1)),
    "rmsprop": Reference(partial(optimizers.rmsprop, learning_rate=0.1)),
    "rmsprop[centered with momentum]": Reference(
        partial(optimizers.rmsprop, learning_rate=0.1, centered=True, momentum=0.9, nesterov=True)
    ),
    "adam": Reference(partial(adam.adam, learning_rate=0.1)),
    "adamw": Reference(partial(adam.adamw, learning_rate=0.1, weight_decay=0.01)),
    "nadam": Reference(partial(adam.adam, learning_rate=0.1, nesterov=True)),
    "nadamw": Reference(partial(adam.adamw, learning_rate=0.1, weight_decay=0.01, nesterov=True)),
    "amsgrad": Reference(partial(optimizers.amsgrad, learning_rate=0.1)),
    "radam": Reference(partial(optimizers.radam, learning_rate=0.1, b2=0.9)),
    "chain": Reference(composed.clipped_adamw),
    "named_chain": Reference(composed.summed_and_scaled),
    "leafwise": Reference(partial(multiply.scale, step_size=0.5)),
    "divide_by": Reference(composed.over_magnitude),
    "ratio": Reference(composed.trace_over_stddev),
    "watch": Reference(partial(adam.adamw, learning_rate=0.1, weight_decay=0.01)),
}


def inputs(steps: int = STEPS, dtype: str = "float64") -> tuple[list[Tree], Tree]:
    """Return gradients of sizes 1e-3 to 1e2 with zeros among them, one number that is always 0, and parameters."""
    rng = np.random.default_rng(7)
    of_step = [1.0, 1e-3, 1.0, 1.0, 10.0, 1e-2, 1.0, 0.1]
    grads = []
    for t in range(steps):
        g = {}
        for name, shape in SHAPES.items():
            size = 10.0 ** rng.uniform(-2, 1, shape) * of_step[t % STEPS]
            g[name] = np.asarray(rng.normal(size=shape) * size * (rng.uniform(size=shape) > 0.15))
        g["bias"][1] = 0.0
        grads.append({name: x.astype(dtype) for name, x in g.items()})
    return grads, {name: np.asarray(rng.normal(size=shape)).astype(dtype) for name, shape in SHAPES.items()}


def run(tx: Any, grads: list[Tree], params: Tree, *, jit: bool = True, **extra: Any) -> list[Any]:
    """Return the updates of all steps, the parameters moving on; without jit 4 times faster, operation by operation."""

    @jax.jit
    def step(g: Any, state: Any, theta: Any) -> Any:
        u, state = tx.update(g, state, theta, **extra)
        return u, state, gradtx.apply_updates(theta, u)

    updates = []
    with jax.disable_jit(not jit):
        theta = jax.tree.map(jnp.asarray, params)
        state = tx.init(theta)
        for g in grads:
            u, state, theta = step(jax.tree.map(jnp.asarray, g), state, theta)
            updates.append(u)
    return updates


def compare(got: list[Any], wanted: list[Any], tolerance: float, first: int = 1) -> None:
    """Hold the updates of each step to the wanted ones."""
    smallest = 1e-7 if tolerance > 1e-3 else 0.0  # float16 has fewer digits below 6e-5
    for t, (u, r) in enumerate(zip(got, wanted, strict=True), start=1):
        for name in SHAPES if t >= first else ():
            np.testing.assert_allclose(
                np.asarray(u[name], np.float64), r[name], rtol=tolerance, atol=smallest, err_msg=f"step {t}, {name}"
            )


def refer(reference: Reference, grads: list[Tree], params: Tree, dtype: str = "float64") -> list[Tree]:
    """Run a reference on the gradients as they are in `dtype`, its parameters stored in that dtype."""
    wide = [{name: np.asarray(x, np.float64) for name, x in g.items()} for g in grads]
    store = {"store": np.dtype(dtype).type} if "store" in inspect.signature(reference.run).parameters else {}
    return reference.run(wide, {name: np.asarray(p, np.float64) for name, p in params.items()}, **store)


def test_every_row_has_a_reference() -> None:
    assert sorted(REFERENCES) == sorted(row.name for row in ROWS)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row, dtype: str) -> None:
    grads, params = inputs(dtype=dtype)
    reference = REFERENCES[row.name]
    wanted = refer(reference, grads, params, dtype)
    got = run(row.make(), grads, params, jit=dtype == "float64", **row.extra)
    compare(got, wanted, TOLERANCE[dtype], reference.first)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_without_x64(row: Row) -> None:
    """Most users run without float64: then the scalars of a step are float32 too."""
    grads, params = inputs(dtype="float32")
    reference = REFERENCES[row.name]
    with jax.enable_x64(False):
        got = run(row.make(), grads, params, jit=False, **row.extra)
    compare(got, refer(reference, grads, params, "float32"), TOLERANCE["float32"], reference.first)


SCHEDULED: list[tuple[gradtx.Transform, Reference]] = [
    (
        gradtx.adam(halving, b1=rising, b2=rising, eps=halving),
        Reference(partial(adam.adam, learning_rate=halving, b1=rising, b2=rising, eps=halving)),
    ),
    (
        gradtx.nadamw(from_zero, b1=from_zero, weight_decay=halving),
        Reference(partial(adam.adamw, learning_rate=from_zero, b1=from_zero, weight_decay=halving, nesterov=True)),
    ),
    (
        gradtx.amsgrad(halving, b2=rising, eps_root=halving),
        Reference(partial(optimizers.amsgrad, learning_rate=halving, b2=rising, eps_root=halving)),
    ),
    (
        gradtx.radam(halving, b2=rising, threshold=threshold),
        Reference(partial(optimizers.radam, learning_rate=halving, b2=rising, threshold=threshold)),
    ),
    (
        gradtx.rmsprop(halving, decay=rising, eps=halving, momentum=rising, bias_correction=True),
        Reference(
            partial(
                optimizers.rmsprop,
                learning_rate=halving,
                decay=rising,
                eps=halving,
                momentum=rising,
                bias_correction=True,
            )
        ),
    ),
    (gradtx.adagrad(halving, eps=halving), Reference(partial(optimizers.adagrad, learning_rate=halving, eps=halving))),
    (gradtx.clip_by_global_norm(halving), Reference(partial(clip.clip_by_global_norm, max_norm=halving))),
    (gradtx.scale(rising), Reference(partial(multiply.scale, step_size=rising))),
    (
        gradtx.scale_by_rms(rising, first_gradient=True),
        Reference(partial(rms.scale_by_rms, decay=rising, first_gradient=True)),
    ),
]


@pytest.mark.parametrize(("tx", "reference"), SCHEDULED, ids=[tx.name for tx, _ in SCHEDULED])
def test_schedule_as_hyperparameter(tx: gradtx.Transform, reference: Reference) -> None:
    grads, params = inputs()
    compare(run(tx, grads, params, jit=False), refer(reference, grads, params), TOLERANCE["float64"])


EDGES: list[tuple[gradtx.Transform, Reference]] = [
    (
        gradtx.scale_by_adam(b1=0.0, b2=0.0, eps_root=1e-3),
        Reference(partial(adam.scale_by_adam, b1=0.0, b2=0.0, eps_root=1e-3)),
    ),
    (
        gradtx.scale_by_adam(b1=0.0, b2=0.0, eps=0.0),
        Reference(partial(adam.scale_by_adam, b1=0.0, b2=0.0, eps=0.0)),
    ),
    (
        gradtx.scale_by_amsgrad(b2=0.5, eps=0.0, bias_correction_mu=False),
        Reference(partial(amsgrad.scale_by_amsgrad, b2=0.5, eps=0.0, bias_correction_mu=False)),
    ),
    (
        gradtx.scale_by_radam(b2=0.95, eps_root=1e-3, threshold=4.0),
        Reference(partial(radam.scale_by_radam, b2=0.95, eps_root=1e-3, threshold=4.0)),
    ),
    (gradtx.scale_by_radam(b2=0.6), Reference(partial(radam.scale_by_radam, b2=0.6))),
    (
        gradtx.scale_by_rms(0.99, 1e-3, 0.5, False, True),
        Reference(
            partial(rms.scale_by_rms, decay=0.99, eps=1e-3, initial_scale=0.5, eps_in_sqrt=False, bias_correction=True)
        ),
    ),
    (
        gradtx.scale_by_stddev(0.5, 1e-3, 2.0, False),
        Reference(partial(rms.scale_by_stddev, decay=0.5, eps=1e-3, initial_scale=2.0, eps_in_sqrt=False)),
    ),
    (
        gradtx.scale_by_stddev(bias_correction=True),
        Reference(partial(rms.scale_by_stddev, bias_correction=True), first=2),
    ),
    (
        gradtx.scale_by_adagrad(0.0, 0.0),
        Reference(partial(sums.scale_by_adagrad, initial_accumulator_value=0.0, eps=0.0)),
    ),
    (
        gradtx.ema(0.9, debias=False, nesterov=True),
        Reference(partial(ema.ema, decay=0.9, debias=False, nesterov=True)),
    ),
    (gradtx.clip_by_global_norm(0.3), Reference(partial(clip.clip_by_global_norm, max_norm=0.3))),
]


@pytest.mark.parametrize(("tx", "reference"), EDGES, ids=[tx.text for tx, _ in EDGES])
def test_settings_that_no_row_has(tx: gradtx.Transform, reference: Reference) -> None:
    grads, params = inputs()
    wanted = refer(reference, grads, params)
    compare(run(tx, grads, params, jit=False), wanted, TOLERANCE["float64"], reference.first)


OPTAX = [
    ("sgd", {}),
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("adagrad", {}),
    ("rmsprop", {}),
    ("rmsprop", {"centered": True, "momentum": 0.9, "eps_in_sqrt": False, "initial_scale": 1.0}),
    ("rmsprop", {"momentum": 0.9, "nesterov": True, "bias_correction": True}),
    ("adam", {}),
    ("adam", {"b1": 0.5, "b2": 0.9, "eps": 1e-3, "eps_root": 1e-4, "nesterov": True}),
    ("adamw", {"weight_decay": 0.1, "mask": {"gain": False, "bias": True, "kernel": False}}),
    ("nadam", {}),
    ("nadamw", {}),
    ("amsgrad", {"b2": 0.5}),
    ("amsgrad", {"bias_correction_mu": False, "bias_correction_nu": False}),
    ("radam", {}),
    ("radam", {"b2": 0.9, "threshold": 4.0, "nesterov": True}),
]


@pytest.mark.parametrize(("name", "settings"), OPTAX, ids=[", ".join([name, *settings]) for name, settings in OPTAX])
def test_optax(name: str, settings: dict[str, Any]) -> None:
    grads, params = inputs(steps=12)
    with jax.numpy_dtype_promotion("standard"):  # optax relies on implicit promotion
        wanted = run(getattr(optax, name)(0.1, **settings), grads, params, jit=False)
    compare(run(getattr(gradtx, name)(0.1, **settings), grads, params, jit=False), wanted, TOLERANCE["float64"])
