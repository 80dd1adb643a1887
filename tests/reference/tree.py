"""What the references share: trees as dicts of arrays, and hyperparameters that may be schedules."""

from collections.abc import Callable, Iterator

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
