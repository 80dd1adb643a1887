"""Line searches: Nocedal & Wright 2006, Algorithms 3.1, 3.5 and 3.6, with Hager & Zhang's approximate decrease.

The objective of the rows is a bowl whose gradient at the parameters is the one that the step is given.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.registry.base import ELEMENTS, FUSED, row
from tests.registry.numbers import Hyper, Tree, at

Line = Callable[[float], tuple[float, float]]  # the value and the slope at a step size
START = 1.0  # what the bowl is at the parameters


def bowl(curvature: float, sign: float = -1.0) -> Callable[[Any, Any], dict[str, Any]]:
    """Return f(x) = 1 + sign <g, x - p> + curvature / 2 |x - p|^2 as the extra arguments of a step."""

    def given(grads: Any, params: Any) -> dict[str, Any]:
        import jax
        import jax.numpy as jnp

        wide = jax.dtypes.canonicalize_dtype(np.float64)
        leaves, treedef = jax.tree.flatten(grads, is_leaf=lambda x: x is None)

        def value_fn(xs: Any) -> Any:
            total = jnp.asarray(START, wide)
            for g, p, x in zip(leaves, treedef.flatten_up_to(params), treedef.flatten_up_to(xs), strict=True):
                if g is not None:
                    way = x.astype(wide) - jnp.asarray(p).astype(wide)
                    total += jnp.sum(sign * jnp.asarray(g).astype(wide) * way + curvature / 2 * way * way)
            return total

        return {"value": START, "grad": jax.tree.map(lambda g: sign * g, grads), "value_fn": value_fn}

    return given


def along(slope: float, square: float, curvature: float) -> Line:
    """Return the bowl along a direction of this slope and squared length."""
    return lambda eta: (START + eta * slope + curvature / 2 * eta**2 * square, slope + curvature * eta * square)


def backtrack(line: Line, guess: float, *, steps: int, c1: float, shrink: float, atol: float, rtol: float) -> float:
    """Algorithm 3.1: shrink a until phi(a) <= (1 + rtol) phi(0) + c1 a phi'(0) + atol."""
    value, slope = line(0.0)
    a = guess
    for _ in range(steps + 1):
        if line(a)[0] <= (1 + rtol) * value + c1 * a * slope + atol:
            return a
        a *= shrink
    return 0.0


def zoom(
    line: Line,
    guess: float,
    *,
    steps: int,
    largest: float | None = None,
    tol: float = 0.0,
    grow: float = 2.0,
    c1: float = 1e-4,
    c2: float = 0.9,
    c3: float | None = 1e-6,
    precision: float = 1e-5,
) -> tuple[float, int]:
    """Algorithm 3.5, and 3.6 once an interval is known; return the step size and the number of evaluations."""
    value, slope = line(0.0)
    if not slope <= 0 or not math.isfinite(value):
        return 0.0, 0
    best = (0.0, value)

    def decreases(a: float, f: float, df: float) -> bool:
        if not math.isfinite(f) or not math.isfinite(df):
            return False
        if f <= value + c1 * a * slope + tol:
            return True
        return c3 is not None and f <= value + c3 * abs(value) + tol and df <= (2 * c1 - 1) * slope + tol

    low, high, third = (0.0, value, slope), None, None
    a = guess if largest is None else min(guess, largest)
    for n in range(1, steps + 1):
        f, df = line(a)
        if decreases(a, f, df):
            if abs(df) <= c2 * abs(slope) + tol:
                return a, n
            if f < best[1]:
                best = (a, f)
        if high is None:  # Algorithm 3.5
            if not decreases(a, f, df) or (n > 1 and f >= low[1]):
                high = (a, f)
            elif df >= 0:
                low, high = (a, f, df), low[:2]
            elif largest is not None and a >= largest:
                break
            else:
                low = (a, f, df)
                a = grow * a if largest is None else min(grow * a, largest)
                continue
        elif not decreases(a, f, df) or f >= low[1]:  # Algorithm 3.6
            third, high = high, (a, f)
        elif df * (high[0] - low[0]) >= 0:
            third, low, high = high, (a, f, df), low[:2]
        else:
            third, low = low[:2], (a, f, df)
        if abs(high[0] - low[0]) <= precision and best[0] > 0:
            break
        a = between(low, high, third)
    return best[0], n


def between(low: tuple[float, float, float], high: tuple[float, float], third: tuple[float, float] | None) -> float:
    """Interpolate by the cubic of four conditions, else by the parabola of three, else halve."""
    left, right = sorted((low[0], high[0]))
    (x, f, df), (b, fb) = low, high
    with np.errstate(all="ignore"):
        b, fb = np.float64(b) - x, np.float64(fb)
        if third is not None:  # f + df z + B z^2 + A z^3
            c, fc = np.float64(third[0]) - x, third[1]
            equations = np.array([[b**3, b**2], [c**3, c**2]])
            known = np.array([fb - f - df * b, fc - f - df * c])
            if np.all(np.isfinite(known)) and np.linalg.det(equations) != 0:
                cubic, square = np.linalg.solve(equations, known)
                z = x + (-square + np.sqrt(square**2 - 3 * cubic * df)) / (3 * cubic)
                if left + 0.2 * (right - left) < z < right - 0.2 * (right - left):
                    return float(z)
        z = x - df * b**2 / (2 * (fb - f - df * b))
    return float(z) if left + 0.1 * (right - left) < z < right - 0.1 * (right - left) else (left + right) / 2


def searched(
    directions: list[Tree], slopes: list[float], curvature: float, search: Callable[[Line, float, int], float]
) -> list[Tree]:
    """Return each direction times the step size that a search finds along it, from the last one."""
    eta, updates = 1.0, []
    for t, (d, slope) in enumerate(zip(directions, slopes, strict=True), start=1):
        square = sum(float(np.sum(x * x)) for x in d.values())
        eta = search(along(slope, square, curvature), eta, t)
        updates.append({name: eta * x for name, x in d.items()})
    return updates


def uphill(grads: list[Tree]) -> list[float]:
    """Return the slope along g of a bowl that falls along it."""
    return [-sum(float(np.sum(x * x)) for x in g.values()) for g in grads]


def backtracking(curvature: float) -> Callable[..., list[Tree]]:
    """Return the reference of `scale_by_backtracking_linesearch` in a bowl."""

    def reference(
        grads: list[Tree],
        params: Tree,
        *,
        max_backtracking_steps: int,
        slope_rtol: Hyper = 1e-4,
        decrease_factor: Hyper = 0.8,
        increase_factor: Hyper = 1.5,
        max_learning_rate: Hyper = 1.0,
        atol: Hyper = 0.0,
        rtol: Hyper = 0.0,
        store_grad: bool = False,
    ) -> list[Tree]:
        del params, store_grad

        def search(line: Line, last: float, t: int) -> float:
            guess = min(at(increase_factor, t) * last, at(max_learning_rate, t))
            c1, shrink = at(slope_rtol, t), at(decrease_factor, t)
            settings = {"c1": c1, "shrink": shrink, "atol": at(atol, t), "rtol": at(rtol, t)}
            return backtrack(line, guess, steps=max_backtracking_steps, **settings)

        return searched(grads, uphill(grads), curvature, search)

    return reference


def zooming(curvature: float) -> Callable[..., list[Tree]]:
    """Return the reference of `scale_by_zoom_linesearch` in a bowl."""

    def reference(
        grads: list[Tree],
        params: Tree,
        *,
        max_linesearch_steps: int,
        max_learning_rate: Hyper | None = None,
        tol: Hyper = 0.0,
        increase_factor: Hyper = 2.0,
        slope_rtol: Hyper = 1e-4,
        curv_rtol: Hyper = 0.9,
        approx_dec_rtol: Hyper | None = 1e-6,
        stepsize_precision: Hyper = 1e-5,
        initial_guess_strategy: str = "keep",
    ) -> list[Tree]:
        del params

        def search(line: Line, last: float, t: int) -> float:
            return zoom(
                line,
                last if initial_guess_strategy == "keep" else 1.0,
                steps=max_linesearch_steps,
                largest=None if max_learning_rate is None else at(max_learning_rate, t),
                tol=at(tol, t),
                grow=at(increase_factor, t),
                c1=at(slope_rtol, t),
                c2=at(curv_rtol, t),
                c3=None if approx_dec_rtol is None else at(approx_dec_rtol, t),
                precision=at(stepsize_precision, t),
            )[0]

        return searched(grads, uphill(grads), curvature, search)

    return reference


SEARCH = {
    "laws": (ELEMENTS,),  # the step size is that of the whole tree
    "differentiable": False,  # the step size counts as constant
    "fused": FUSED,
}
BACKTRACK = {**SEARCH, "numbers_only": ("max_backtracking_steps",)}
ZOOM = {**SEARCH, "numbers_only": ("max_linesearch_steps",)}


def deep(traits: dict[str, Any], reference: Callable[..., Any], curvature: float, **more: Any) -> dict[str, Any]:
    """Return the traits of a row whose objective is a bowl of this curvature."""
    return {**traits, "reference": reference(curvature), "objective": bowl(curvature), **more}


ROWS = [
    row(
        "scale_by_backtracking_linesearch",
        traits=deep(BACKTRACK, backtracking, 4.4, hyper="slope_rtol", optax=True),
        max_backtracking_steps=20,
        store_grad=True,
    ),
    row(
        "scale_by_zoom_linesearch",
        traits=deep(ZOOM, zooming, 3.0, hyper="curv_rtol", optax=True),
        max_linesearch_steps=20,
    ),
]
CASES = [
    row(
        "scale_by_backtracking_linesearch",
        "settings",
        traits=deep(BACKTRACK, backtracking, 0.8, optax=True),
        max_backtracking_steps=30,
        slope_rtol=0.3,
        decrease_factor=0.7,
        increase_factor=math.inf,
        max_learning_rate=3.0,
        atol=0.01,
        rtol=0.1,
    ),
    row(
        "scale_by_backtracking_linesearch",
        "schedules",
        traits=deep(BACKTRACK, backtracking, 4.4),
        max_backtracking_steps=20,
        slope_rtol=lambda count: 0.5 / (count + 2),
        max_learning_rate=lambda count: 1.0 / (count + 1),
    ),
    row(
        "scale_by_backtracking_linesearch",
        "fails",
        traits=deep(BACKTRACK, backtracking, 300.0),
        max_backtracking_steps=2,
        increase_factor=1.0,
    ),
    row(
        "scale_by_zoom_linesearch",
        "grows",
        traits=deep(ZOOM, zooming, 0.06, optax=True),
        max_linesearch_steps=20,
    ),
    row(
        "scale_by_zoom_linesearch",
        "grows, then narrows",
        traits=deep(ZOOM, zooming, 0.3, optax=True),
        max_linesearch_steps=20,
        increase_factor=3.0,
        curv_rtol=0.1,
        slope_rtol=0.01,
        approx_dec_rtol=None,
        initial_guess_strategy="one",
    ),
    row(
        "scale_by_zoom_linesearch",
        "bounded",
        traits=deep(ZOOM, zooming, 0.06, optax=True),
        max_linesearch_steps=20,
        max_learning_rate=1.5,
    ),
    row(
        "scale_by_zoom_linesearch",
        "few steps",
        traits=deep(ZOOM, zooming, 1e-3),
        max_linesearch_steps=3,
        initial_guess_strategy="one",
    ),
    row(
        "scale_by_zoom_linesearch",
        "schedules",
        traits=deep(ZOOM, zooming, 0.3),
        max_linesearch_steps=20,
        curv_rtol=lambda count: 0.5 / (count + 1),
        increase_factor=lambda count: 2.0 + count,
        initial_guess_strategy="one",
    ),
]
