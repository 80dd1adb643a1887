"""Line searches: Nocedal & Wright 2006, Algorithms 3.1, 3.5 and 3.6, with Hager & Zhang's approximate decrease.

The objective of the rows is a bowl whose slope at the parameters is that of the gradients that the step is given. It is
seen at parameters that are rounded, as a step in half precision rounds them.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.registry.base import ELEMENTS, FUSED, Mutant, case_of, reference_of, row
from tests.registry.numbers import Hyper, Store, Tree, at

Line = Callable[[float], tuple[float, float]]  # the value and the slope at a step size


def bowl(curvature: float, sign: float = -1.0, start: float = 0.0) -> Callable[[Any, Any], dict[str, Any]]:
    """Return f(x) = start + sign <g, x - p> + curvature / 2 |x - p|^2 as the extra arguments of a step."""

    def given(grads: Any, params: Any) -> dict[str, Any]:
        import jax
        import jax.numpy as jnp

        wide = jax.dtypes.canonicalize_dtype(np.float64)
        leaves, treedef = jax.tree.flatten(grads, is_leaf=lambda x: x is None)

        def value_fn(xs: Any) -> Any:
            total = jnp.asarray(start, wide)
            for g, p, x in zip(leaves, treedef.flatten_up_to(params), treedef.flatten_up_to(xs), strict=True):
                if g is not None:
                    way = x.astype(wide) - jnp.asarray(p).astype(wide)
                    total += jnp.sum(sign * jnp.asarray(g).astype(wide) * way + curvature / 2 * way * way)
            return total

        return {"value": start, "grad": jax.tree.map(lambda g: sign * g, grads), "value_fn": value_fn}

    return given


class Bowl:
    """The bowl of `bowl`, seen at parameters that are stored in a dtype."""

    def __init__(self, curvature: float, sign: float = -1.0, start: float = 0.0, store: Store = float) -> None:
        """Hold what it is made of."""
        self.curvature, self.sign, self.start = curvature, sign, start
        self.rounded = np.vectorize(lambda x: float(store(x)), otypes=[np.float64])

    def moved(self, p: np.ndarray, d: np.ndarray, eta: float) -> np.ndarray:
        """Return the parameters that a step gives."""
        return self.rounded(p + self.rounded(eta * d))

    def along(self, p: np.ndarray, g: np.ndarray, d: np.ndarray) -> Line:
        """Return the bowl at p + eta d."""

        def line(eta: float) -> tuple[float, float]:
            way = self.moved(p, d, eta) - p
            slope = self.rounded(self.sign * g + self.curvature * way) @ d
            return self.start + self.sign * (g @ way) + self.curvature / 2 * (way @ way), slope

        return line


def flat(tree: Tree) -> np.ndarray:
    """Return a tree as one vector."""
    return np.concatenate([np.asarray(x, np.float64).reshape(-1) for x in tree.values()])


def shaped(vector: np.ndarray, tree: Tree) -> Tree:
    """Return a vector as a tree like another."""
    ends = np.cumsum([np.size(x) for x in tree.values()])[:-1]
    parts = zip(tree.items(), np.split(vector, ends), strict=True)
    return {name: part.reshape(np.shape(x)) for (name, x), part in parts}


class Found(NamedTuple):
    """The step size that a search takes, 0 for none, and the one that the next search goes on from."""

    eta: float
    again: float


def backtrack(line: Line, guess: float, *, steps: int, c1: float, shrink: float, atol: float, rtol: float) -> Found:
    """Algorithm 3.1: shrink a until phi(a) <= (1 + rtol) phi(0) + c1 a phi'(0) + atol."""
    value, slope = line(0.0)
    for n in range(steps + 1):
        a = guess * shrink**n
        if line(a)[0] <= (1 + rtol) * value + c1 * a * slope + atol:
            return Found(a, a)
    return Found(0.0, a)


class Point(NamedTuple):
    """A step size with the value and the slope there."""

    at: float
    value: float
    slope: float


class Wolfe(NamedTuple):
    """What a step size has to fulfil."""

    start: Point
    tol: float
    c1: float
    c2: float
    c3: float | None

    def decreases(self, p: Point) -> bool:
        """Return whether the value falls enough, by Armijo or by Hager & Zhang's (4.1) with (4.3)."""
        if not math.isfinite(p.value) or not math.isfinite(p.slope):
            return False
        if p.value <= self.start.value + self.c1 * p.at * self.start.slope + self.tol:
            return True
        flat = self.c3 is not None and p.value <= self.start.value + self.c3 * abs(self.start.value) + self.tol
        return flat and p.slope <= (2 * self.c1 - 1) * self.start.slope + self.tol

    def holds(self, p: Point) -> bool:
        """Return whether the slope is small enough too."""
        return self.decreases(p) and abs(p.slope) <= self.c2 * abs(self.start.slope) + self.tol


class Interval:
    """The ends of the interval of Algorithms 3.5 and 3.6: `high` is None until there is one."""

    def __init__(self, wolfe: Wolfe) -> None:
        """Begin at 0."""
        self.wolfe, self.low = wolfe, wolfe.start
        self.high: Point | None = None
        self.third: Point | None = None

    def take(self, p: Point, *, is_first: bool) -> None:
        """Choose the ends after the evaluation of a point."""
        too_high = not self.wolfe.decreases(p) or (p.value >= self.low.value and not is_first)
        if self.high is None:  # Algorithm 3.5
            if too_high:
                self.high = p
            elif p.slope >= 0:
                self.low, self.high = p, self.low
            else:
                self.low = p
        elif too_high:  # Algorithm 3.6
            self.third, self.high = self.high, p
        elif p.slope * (self.high.at - self.low.at) >= 0:
            self.third, self.high, self.low = self.high, self.low, p
        else:
            self.third, self.low = self.low, p

    def next(self) -> float:
        """Interpolate by the cubic of four conditions, else by the parabola of three, else halve."""
        assert self.high is not None
        x, f, df = self.low
        b, fb = self.high.at - x, self.high.value
        left, right = sorted((x, self.high.at))
        margin = right - left
        with np.errstate(all="ignore"):
            if self.third is not None:  # f + df z + square z^2 + cubic z^3
                c, fc = self.third.at - x, self.third.value
                inverse = np.array([[c**2, -(b**2)], [-(c**3), b**3]]) / np.float64(b**2 * c**2 * (b - c))
                cubic, square = inverse @ np.array([fb - f - df * b, fc - f - df * c])
                z = x - df / (square + np.sqrt(square**2 - 3 * cubic * df))
                if left + 0.2 * margin < z < right - 0.2 * margin:
                    return float(z)
            z = x - df * b**2 / np.float64(2 * (fb - f - df * b))
        inside = left + 0.1 * margin < z < right - 0.1 * margin
        return float(z) if inside else (left + right) / 2


def zoom(
    line: Line,
    guess: float,
    *,
    steps: int,
    largest: float = math.inf,
    tol: float = 0.0,
    grow: float = 2.0,
    c1: float = 1e-4,
    c2: float = 0.9,
    c3: float | None = 1e-6,
    precision: float = 1e-5,
) -> Found:
    """Algorithm 3.5, and 3.6 once an interval is known."""
    best = start = Point(0.0, *line(0.0))
    a = min(guess, largest)
    if not start.slope <= 0 or not math.isfinite(start.value):
        return Found(0.0, a)
    wolfe = Wolfe(start, tol, c1, c2, c3)
    interval = Interval(wolfe)
    for n in range(steps):
        p = Point(a, *line(a))
        if wolfe.holds(p):
            return Found(a, a)
        if wolfe.decreases(p) and p.value < best.value:
            best = p
        interval.take(p, is_first=n == 0)
        if interval.high is None and a >= largest:
            break
        if interval.high is not None and abs(interval.high.at - interval.low.at) <= precision and best.at > 0:
            break
        a = min(grow * a, largest) if interval.high is None else interval.next()
    return Found(best.at, best.at or a)


def searched(grads: list[Tree], params: Tree, place: Bowl, search: Callable[[Line, float, int], Found]) -> list[Tree]:
    """Return each gradient times the step size that a search finds along it, from the last one."""
    p, last, updates = flat(params), 1.0, []
    for t, g in enumerate(map(flat, grads), start=1):
        eta, last = search(place.along(p, g, g), last, t)
        updates.append(shaped(eta * g, params))
        p = place.moved(p, g, eta)
    return updates


def backtracking(curvature: float, start: float = 0.0) -> Callable[..., list[Tree]]:
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
        store: Store = float,
    ) -> list[Tree]:
        del store_grad

        def search(line: Line, last: float, t: int) -> Found:
            guess = min(at(increase_factor, t) * last, at(max_learning_rate, t))
            c1, shrink = at(slope_rtol, t), at(decrease_factor, t)
            settings = {"c1": c1, "shrink": shrink, "atol": at(atol, t), "rtol": at(rtol, t)}
            return backtrack(line, guess, steps=max_backtracking_steps, **settings)

        return searched(grads, params, Bowl(curvature, start=start, store=store), search)

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
        store: Store = float,
    ) -> list[Tree]:
        def search(line: Line, last: float, t: int) -> Found:
            return zoom(
                line,
                last if initial_guess_strategy == "keep" else 1.0,
                steps=max_linesearch_steps,
                largest=math.inf if max_learning_rate is None else at(max_learning_rate, t),
                tol=at(tol, t),
                grow=at(increase_factor, t),
                c1=at(slope_rtol, t),
                c2=at(curv_rtol, t),
                c3=None if approx_dec_rtol is None else at(approx_dec_rtol, t),
                precision=at(stepsize_precision, t),
            )

        return searched(grads, params, Bowl(curvature, store=store), search)

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
        traits={**BACKTRACK, "reference": backtracking(0.8, 1.0), "objective": bowl(0.8, start=1.0), "optax": True},
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
        traits=deep(ZOOM, zooming, 0.3),
        max_linesearch_steps=20,
        increase_factor=3.0,
        curv_rtol=0.08,
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


def search_test(name: str) -> tuple[str, ...]:
    """Return this test of line searches."""
    return (f"test_linesearch.py::test_{name}",)


FILE, ZOOM_FILE = "searches/backtracking.py", "searches/zoom.py"
MUTANTS = [
    Mutant(
        "backtracking: no growth allowed",
        FILE,
        "(1.0 + k.rtol) * value",
        "value",
        case_of("scale_by_backtracking_linesearch[settings]"),
    ),
    Mutant(
        "backtracking: starts at the last",
        FILE,
        "k.increase_factor * state.learning_rate",
        "state.learning_rate",
        reference_of("scale_by_backtracking_linesearch"),
    ),
    Mutant(
        "backtracking: moves where it fails",
        FILE,
        "jnp.where(good, last.eta, 0.0)",
        "last.eta",
        case_of("scale_by_backtracking_linesearch[fails]"),
    ),
    Mutant(
        "backtracking: the slope times nothing",
        FILE,
        "eta * (k.slope_rtol * slope)",
        "k.slope_rtol * slope",
        case_of("scale_by_backtracking_linesearch[settings]"),
    ),
    Mutant(
        "zoom: the slope has a sign",
        ZOOM_FILE,
        "jnp.abs(new.slope) - k",
        "new.slope - k",
        case_of("scale_by_zoom_linesearch[grows, then narrows]"),
    ),
    Mutant(
        "zoom: the third point is the other end",
        ZOOM_FILE,
        "either(is_high | rises, high, low)",
        "either(is_high, high, low)",
        search_test("zoom_is_the_books"),
    ),
    Mutant(
        "zoom: the cubic may end at the ends", ZOOM_FILE, "= 0.2, 0.1", "= 0.0, 0.1", search_test("zoom_is_the_books")
    ),
    Mutant(
        "zoom: the best is the last",
        ZOOM_FILE,
        "(enough & (new.value < search.best.value))",
        "enough",
        search_test("zoom_is_the_books"),
    ),
    Mutant(
        "zoom: an exact decrease alone",
        ZOOM_FILE,
        "decrease = jnp.minimum(decrease,",
        "decrease = jnp.maximum(decrease,",
        search_test("zoom_is_the_books"),
    ),
]
