"""The lecture's error surfaces, and descents on them: everything that `lecture.py` computes.

In float64: at b = -120 the spacing of float32 numbers, 7.6e-6, is a fifth of the mean step that the crawl takes.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import gradtx

jax.config.update("jax_enable_x64", True)

X = np.array([338, 333, 328, 207, 226, 25, 179, 60, 208, 606], np.float64)
Y = np.array([640, 633, 619, 393, 428, 27, 193, 66, 226, 1591], np.float64)
START = {"b": -120.0, "w": -4.0}
UPDATES = 100_000
SETTLED = 1_000  # the table's swings are measured after this update
BURSTS = "Adagrad, mean form, eta = 1"
CALM = "Adagrad, mean form, eta = 1/sqrt(t+1)"
Params = dict[str, jax.Array]


def regression(p: Params) -> jax.Array:
    """Return the sum of squared errors of y = b + w x on the ten points: convex, condition number 313,000."""
    return jnp.sum((p["b"] + p["w"] * X - Y) ** 2)


def ellipse(p: Params) -> jax.Array:
    """Return a bowl that is flatter along w1 than along w2."""
    return 0.24 * p["w1"] ** 2 + 0.79 * (p["w2"] - 0.3) ** 2


def new_moon(p: Params) -> jax.Array:
    """Return Rosenbrock's curved valley: along w1 it is steep at the top of the moon and flat at its foot."""
    return (1.0 - p["w1"]) ** 2 + 100.0 * (p["w2"] - p["w1"] ** 2) ** 2


def slope(p: Params) -> jax.Array:
    """Return a profile that is flat, steep round x = 5, and flat again."""
    return 1.0 - 0.1 * p["x"] - 2.0 * jnp.tanh(p["x"] - 5.0)


def narrowing(p: Params) -> jax.Array:
    """Return a valley along y whose walls, straight away from its bottom, get steeper with y."""
    return 2.0 + jnp.exp(0.08 * p["y"]) * (jnp.sqrt(p["x"] ** 2 + 0.01) - 0.1) - 0.1 * p["y"]


@dataclasses.dataclass(frozen=True)
class Descent:
    """What a descent went through.

    Attributes:
        at: each parameter before every update and after the last.
        loss: before every update.
        gradient: each parameter's, at every update.
        rate: each parameter's eta / sigma, its update over its gradient, at every update.
    """

    at: Mapping[str, np.ndarray]
    loss: np.ndarray
    gradient: Mapping[str, np.ndarray]
    rate: Mapping[str, np.ndarray]

    @property
    def gradient_norm(self) -> np.ndarray:
        """The norm of the gradient at every update."""
        return np.sqrt(sum(g**2 for g in self.gradient.values()))


def descend(
    tx: gradtx.Transform, loss: Callable[[Params], jax.Array], start: Mapping[str, Any], updates: int
) -> Descent:
    """Descend from `start` in one compiled loop."""

    def step(carry: tuple[Params, Any], _: None) -> tuple[tuple[Params, Any], Any]:
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        change, state = tx.update(grads, state, params)
        rate = jax.tree.map(lambda u, g: -u / g, change, grads)
        return (gradtx.apply_updates(params, change), state), (params, value, grads, rate)

    @jax.jit
    def run(params: Params) -> Any:
        (last, _), record = lax.scan(step, (params, tx.init(params)), length=updates)
        return last, record

    last, (at, value, grads, rate) = jax.device_get(run({k: jnp.asarray(v, jnp.float64) for k, v in start.items()}))
    return Descent({k: np.concatenate([at[k], last[k][None]]) for k in at}, value, grads, rate)


def descend_summing_by_hand(tx: gradtx.Transform, start: Mapping[str, float], updates: int) -> Descent:
    """Descend on the regression, one compiled update at a time, with a gradient that NumPy sums.

    For a run whose bursts amplify rounding: XLA fuses and orders the gradient's sums as it likes, so that the last
    digits would change with its version; NumPy's order is fixed.
    """

    @jax.jit
    def step(params: Params, state: Any, grads: Params) -> tuple[Params, Any]:
        change, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, change), state

    params: Any = {k: np.float64(v) for k, v in start.items()}
    state = tx.init({k: jnp.asarray(v) for k, v in params.items()})
    at, gradient = [params], []
    for _ in range(updates):
        miss = Y - params["b"] - params["w"] * X
        gradient.append({"b": -2 * miss.sum(), "w": -2 * (miss * X).sum()})
        params, state = step(params, state, gradient[-1])
        params = {k: np.float64(v) for k, v in params.items()}
        at.append(params)
    path, slopes = ({k: np.array([row[k] for row in rows]) for k in start} for rows in (at, gradient))
    misses = path["b"][:-1, None] + path["w"][:-1, None] * X - Y
    return Descent(path, np.sum(misses**2, 1), slopes, {k: -np.diff(path[k]) / slopes[k] for k in start})


def diagnosis(tx: gradtx.Transform, run: Descent) -> gradtx.Report:
    """Say why a descent of `tx` is stuck: its very steps pass once more, under watch, in one compiled loop."""
    tx = gradtx.watch(tx)
    params = {k: jnp.asarray(at[:-1]) for k, at in run.at.items()}
    grads = {k: jnp.asarray(run.gradient[k]) for k in params}

    def step(state: Any, seen: tuple[Params, Params, jax.Array]) -> tuple[Any, None]:
        params, grads, loss = seen
        return tx.update(grads, state, params, value=loss)[1], None

    @jax.jit
    def replay(*steps: Any) -> Any:
        return lax.scan(step, tx.init({k: at[0] for k, at in params.items()}), steps)[0]

    return gradtx.diagnose(replay(params, grads, jnp.asarray(run.loss)))


def adagrad_mean(eta: Any) -> gradtx.Transform:
    """Return the lecture's Adagrad, with the root MEAN square."""
    sigma = gradtx.scale_by_adagrad(initial_accumulator_value=0.0, eps=0.0, mean=True)
    return gradtx.chain(sigma, gradtx.scale_by_learning_rate(eta))


def rmsprop(eta: float, decay: float) -> gradtx.Transform:
    """Return the lecture's RMSProp, whose sigma starts at the first gradient."""
    sigma = gradtx.scale_by_rms(decay, eps=0.0, first_gradient=True)
    return gradtx.chain(sigma, gradtx.scale_by_learning_rate(eta))


RUNS = {
    "GD, eta = 1e-7": gradtx.sgd(1e-7),
    "GD, eta = 8e-7": gradtx.sgd(8e-7),
    "GD, eta = 1.145e-6": gradtx.sgd(1.145e-6),
    BURSTS: adagrad_mean(1.0),
    CALM: adagrad_mean(gradtx.schedules.inverse_sqrt(d_model=1, warmup_steps=0)),
    "Adagrad, mean form, eta = 0.1": adagrad_mean(0.1),
}


@cache
def regression_run(name: str) -> Descent:
    """Return the run of this name on the regression surface."""
    if name == BURSTS:
        return descend_summing_by_hand(RUNS[name], START, UPDATES)
    return descend(RUNS[name], regression, START, UPDATES)


@cache
def regression_verdict(name: str) -> str:
    """Return the verdict on the run of this name on the regression surface."""
    return diagnosis(RUNS[name], regression_run(name)).verdict


def optimum() -> tuple[dict[str, float], np.ndarray]:
    """Return the best (b, w) and the eigenvalues of the Hessian, which is the same everywhere."""
    zero = {"b": jnp.zeros((), jnp.float64), "w": jnp.zeros((), jnp.float64)}
    pairs = jax.hessian(regression)(zero)
    hessian = np.array([[pairs[i][j] for j in zero] for i in zero])
    slopes = jax.grad(regression)(zero)
    best = np.linalg.solve(hessian, [-float(slopes[i]) for i in zero])
    return dict(zip(zero, best.tolist(), strict=True)), np.linalg.eigvalsh(hessian)


def nudged(name: str, nudge: float = 1e-12, starts: int = 8) -> np.ndarray:
    """Return w of the run of this name from starts a little apart in w: (updates + 1, starts).

    The runs go side by side as arrays: the method is elementwise, and the sum of the losses parts into theirs.
    """
    start = {"b": np.full(starts, START["b"]), "w": START["w"] + nudge * np.arange(starts)}
    return descend(RUNS[name], lambda p: jnp.sum(jax.vmap(regression)(p)), start, UPDATES).at["w"]


def table() -> dict[str, dict[str, float]]:
    """Return, per run, where it ends, how far w swings after update 1,000, and the part of b's way that is left."""
    best, _ = optimum()
    rows = {}
    for name in RUNS:
        b, w = (regression_run(name).at[key] for key in "bw")
        low, high = w[SETTLED:].min(), w[SETTLED:].max()
        rows[name] = {
            "b": b[-1],
            "w": w[-1],
            "low": low,
            "high": high,
            "left": abs((b[-1] - best["b"]) / (b[0] - best["b"])),
        }
    return rows


def print_table() -> None:
    """Print what the runs on the regression surface measured."""
    best, eigenvalues = optimum()
    print(f"optimum              b = {best['b']:.4f}, w = {best['w']:.5f}")
    low, high = eigenvalues
    print(f"Hessian eigenvalues  {low:.3f} and {high:,.0f}, condition number {high / low:,.0f}")
    print(f"stable edge of GD    eta = 2 / {high:,.0f} = {2 / high:.3e}\n")
    print(f"{f'run, {UPDATES:,} updates':<40}{'ends at (b, w)':<26}{'w after update 1,000':<32}b's way left")
    for name, row in table().items():
        digits = 4 if abs(row["w"]) < 100 else 0
        end = f"({row['b']:.3f}, {row['w']:.{digits}f})"
        swing = f"{row['low']:.{digits}f} to {row['high']:.{digits}f}"
        print(f"{name:<40}{end:<26}{swing:<32}{row['left']:.1%}")
    w = nudged(BURSTS)
    low, high = w[SETTLED:].min(axis=0), w[SETTLED:].max(axis=0)
    print(f"\n{BURSTS}: a burst amplifies rounding. From {w.shape[1]} starts 1e-12 apart w ends between")
    print(f"{w[-1].min():.3f} and {w[-1].max():.3f}, having swung as low as {low.min():.2f} to {low.max():.2f}", end="")
    print(f" and as high as {high.min():.2f} to {high.max():.2f}.")
