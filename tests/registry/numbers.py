"""What the references share: trees as dicts of arrays, and hyperparameters that may be schedules."""

from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np

Tree = dict[str, np.ndarray]
Hyper = float | Callable[[int], float]
Store = Callable[[float], float]


def at(hyper: Hyper, t: int) -> float:
    """Return the hyperparameter at step t, counted from 1; a schedule sees t - 1."""
    return float(hyper(t - 1)) if callable(hyper) else float(hyper)


def like(tree: Tree, value: float = 0.0) -> Tree:
    """Return a tree of the same shapes filled with one value."""
    return {name: np.full(np.shape(x), value, np.float64) for name, x in tree.items()}


def copy(tree: Tree) -> Tree:
    """Return the tree in float64."""
    return {name: np.array(x, np.float64) for name, x in tree.items()}


def elements(tree: Tree) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Return the name and index of each number of the tree."""
    for name, x in tree.items():
        for i in np.ndindex(np.shape(x)):
            yield name, i


def ratio(m: float, sigma: float) -> float:
    """Return m / sigma, 0 where no gradient was seen yet."""
    return m / sigma if sigma != 0.0 else 0.0


def number(count: Any) -> Any:
    """Return the count as a float, for a Python number as a Python number."""
    return float(count) if isinstance(count, int) else count.astype(float)


def halving(count: Any) -> Any:
    """Return a schedule as a user would write one, which both the library and a reference can call."""
    return 0.5 / (1.0 + number(count))


def rising(count: Any) -> Any:
    """Return a decay that rises from 0.65 towards 0.9."""
    return 0.9 - 0.5 / (2.0 + number(count))


def from_zero(count: Any) -> Any:
    """Return a schedule whose first value is 0, below 1 for ever."""
    return number(count) / (10.0 + number(count))


def rounded(dtype: str | None) -> Store:
    """Return what rounds a number to a dtype; None is float64."""
    kind = np.float64 if dtype is None else np.dtype(getattr(ml_dtypes, dtype, dtype))
    return lambda x: float(np.asarray(x).astype(kind))
