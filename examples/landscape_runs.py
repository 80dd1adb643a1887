"""Surfaces of two parameters, and a descent of every optimizer on each: everything that `landscapes.py` computes.

In float64, as `surfaces.py`, whose regression is the lecture's valley.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import surfaces
from jax import lax

import gradtx

RATES = [float(f"{base}e{power}") for power in range(-7, 2) for base in (1, 3)]  # 1e-7 to 30
UPDATES = 500
SETTLED = 10  # a height is the mean over the last tenth of a run

MATRICES = ("galore", "muon", "scion", "shampoo", "soap")  # here the two parameters are a matrix of one row
UNTUNED = ("cocob", "dadapt_adamw", "dog", "dowg", "lbfgs", "prodigy")  # they find the length of a step themselves
LEFT_OUT = {"dpsgd": "takes a gradient of each example, of which a surface has none"}
SETTINGS: dict[str, dict[str, Any]] = {"noisy_sgd": {"key": 0}, "galore": {"rank": 1}}


@dataclasses.dataclass(frozen=True)
class Surface:
    """A surface, and what is seen of it.

    Attributes:
        title: its name.
        height: of a point (x, y); 0 at the lowest.
        start: where each descent starts.
        lowest: the point of height 0.
        across, up: the ranges that are drawn.
        names: of the two parameters.
    """

    title: str
    height: Callable[[jax.Array], jax.Array]
    start: tuple[float, float]
    lowest: tuple[float, float]
    across: tuple[float, float]
    up: tuple[float, float]
    names: tuple[str, str] = ("x", "y")


def rosenbrock(p: jax.Array) -> jax.Array:
    """Return the curved valley of Rosenbrock 1960: its floor is found at once and leads nearly level to (1, 1)."""
    x, y = p
    return (1.0 - x) ** 2 + 100.0 * (y - x**2) ** 2


def rastrigin(p: jax.Array) -> jax.Array:
    """Return the bowl of Rastrigin 1974, with a pit at each pair of whole numbers."""
    return 20.0 + jnp.sum(p**2 - 10.0 * jnp.cos(2.0 * jnp.pi * p))


def beale(p: jax.Array) -> jax.Array:
    """Return the surface of Beale 1958: a plateau at y = 1, steep corners, and a minimum in a narrow valley."""
    x, y = p
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


BEST, _ = surfaces.optimum()
LEAST = float(surfaces.regression({name: jnp.asarray(value) for name, value in BEST.items()}))


def valley(p: jax.Array) -> jax.Array:
    """Return the lecture's regression above its least: steep along w, all but level along b."""
    return surfaces.regression({"b": p[0], "w": p[1]}) - LEAST


SURFACES = {
    "rosenbrock": Surface("Rosenbrock", rosenbrock, (-1.2, 1.0), (1.0, 1.0), (-1.8, 1.8), (-0.8, 2.2)),
    "rastrigin": Surface("Rastrigin", rastrigin, (2.6, -1.4), (0.0, 0.0), (-2.6, 3.4), (-3.0, 3.0)),
    "beale": Surface("Beale", beale, (1.0, 1.5), (3.0, 0.5), (-0.5, 4.5), (-1.5, 2.2)),
    "valley": Surface(
        "the lecture's valley",
        valley,
        (-120.0, -4.0),
        (BEST["b"], BEST["w"]),
        (-215.0, -100.0),
        (-8.0, 12.0),
        ("b", "w"),
    ),
}


@dataclasses.dataclass(frozen=True)
class Path:
    """The descent of an optimizer on a surface.

    Attributes:
        points: before every update and after the last, (updates + 1, 2).
        rate: its learning rate.
        height: the mean over the last tenth of the run.
    """

    points: np.ndarray
    rate: float
    height: float


def names() -> list[str]:
    """Return the whole optimizers of the catalogue: what makes a transform from a rate and goes round no other."""
    found = []
    for name in gradtx.__all__:
        make = getattr(gradtx, name)
        if not inspect.isfunction(make) or inspect.signature(make).return_annotation is not gradtx.Transform:
            continue
        if inspect.unwrap(make).__module__.startswith(("gradtx.methods.", "gradtx.wrappers.schedule_free_methods")):
            found += [name] if rate_of(name) and not name.startswith("scale_by_") else []
    return sorted(set(found) - LEFT_OUT.keys())


def rate_of(name: str) -> str | None:
    """Return what an optimizer calls its rate, None where it has none."""
    parameters = inspect.signature(getattr(gradtx, name)).parameters
    return next((x for x in parameters if x.endswith("learning_rate")), None)


def descents(name: str, updates: int = UPDATES) -> dict[str, Path]:
    """Return the descent of an optimizer on each surface, each at its best rate of the grid.

    All surfaces and rates run side by side in one compiled loop; the best is the one that is lowest in the mean over
    its last tenth, the smallest of those that come as low.
    """
    shape = (1, 2) if name in MATRICES else (2,)
    rates, heights = [1.0] if name in UNTUNED else RATES, [surface.height for surface in SURFACES.values()]

    def descend(which: jax.Array, rate: jax.Array, start: jax.Array) -> tuple[jax.Array, jax.Array]:
        def height(p: jax.Array) -> jax.Array:
            return lax.switch(which, heights, p.reshape(2))

        tx = getattr(gradtx, name)(**{rate_of(name): rate}, **SETTINGS.get(name, {}))

        def step(carry: tuple[jax.Array, Any], _: None) -> tuple[tuple[jax.Array, Any], Any]:
            p, state = carry
            value, grad = jax.value_and_grad(height)(p)
            # methods that ask for none of these ignore them
            asked = {"value": value, "grad": grad, "value_fn": height, "obj_fn": height}
            update, state = tx.update(grad, state, p, **asked)
            return (gradtx.apply_updates(p, update), state), (p, value)

        p = start.reshape(shape)
        (last, _), (points, values) = lax.scan(step, (p, tx.init(p)), length=updates)
        return jnp.concatenate([points, last[None]]).reshape(-1, 2), jnp.mean(values[-max(updates // SETTLED, 1) :])

    which = jnp.repeat(jnp.arange(len(heights)), len(rates))
    starts = jnp.repeat(jnp.asarray([surface.start for surface in SURFACES.values()]), len(rates), axis=0)
    points, ends = jax.device_get(jax.jit(jax.vmap(descend))(which, jnp.tile(jnp.asarray(rates), len(heights)), starts))
    found = {}
    for i, surface in enumerate(SURFACES):
        mine = slice(i * len(rates), (i + 1) * len(rates))
        end = np.where(np.isfinite(ends[mine]), ends[mine], np.inf)
        best = int(np.argmax(end <= 1.01 * end.min() + 1e-6))
        found[surface] = Path(points[mine][best], rates[best], float(end[best]))
    return found
