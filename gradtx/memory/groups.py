"""Which transforms act on which leaf, by the one walk through transforms, and which leaves are treated alike."""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._core.arguments.ranges import is_number
from gradtx._core.arguments.reading import read
from gradtx._core.arrays.tree import flatten, is_trainable
from gradtx._core.contract.transform import Transform
from gradtx._core.contract.writing import shown, written
from gradtx._core.engine.leaves import acted_on
from gradtx._core.engine.lift import Leafwise
from gradtx._core.engine.parts import Link, parts, walk

MOST_NAMES = 4  # patterns of paths in the title of a group


class Setting(NamedTuple):
    """A hyperparameter that multiplies: a rate or a weight decay.

    Attributes:
        text: as it was given, such as a schedule's call.
        value: what it is at the first update, None where the update itself finds it.
    """

    text: str
    value: float | None

    def __str__(self) -> str:
        """Print the value, and the schedule that it is of."""
        if self.value is None:
            return "known at the update only"
        plain = f"{self.value:.4g}"
        return plain if is_plain(self.text) else f"{plain} at the first update, {self.text}"


class Treatment(NamedTuple):
    """What happens to a leaf.

    Attributes:
        links: the numbers of the transforms that act on it, in the order in which they run.
        frozen: whether its update is 0 by what a transform is told.
    """

    links: tuple[int, ...]
    frozen: bool


def is_plain(text: str) -> bool:
    """Return True if a text is a number."""
    return re.fullmatch(r"[-+.\de]+", text) is not None


def treatments(links: list[Link], params: Any) -> list[Treatment | None]:
    """Return what happens to each leaf of the params, None for one that has no gradient."""
    leaves, _ = flatten(params)
    acts: list[list[int]] = [[] for _ in leaves]
    still = [False] * len(leaves)
    for number, link in enumerate(links):
        mine, held = acted_on(link, params)
        stops = getattr(getattr(getattr(link.tx, "body", None), "rule", None), "still", False)
        for i, (own, stands) in enumerate(zip(mine, held, strict=True)):
            still[i] = still[i] or stands or (own and stops)
            if own:
                acts[i].append(number)
    return [
        Treatment(tuple(own), frozen) if x is not None and is_trainable(x) else None
        for x, own, frozen in zip(leaves, acts, still, strict=True)
    ]


def rate_of(tx: Any) -> Setting | None:
    """Return what a transform multiplies every update by, None where it is no rate."""
    if getattr(tx, "role", "") != "rate":
        return None
    body = getattr(tx, "body", None)
    name = body.rule.event if isinstance(body, Leafwise) and "scale" not in body.rule.memory else None
    found = at_first(tx, name)
    return found if found.value is None else found._replace(value=abs(found.value))


def decay_of(tx: Any) -> Setting | None:
    """Return the weight decay of a transform, None where it is none."""
    body = getattr(tx, "body", None)
    if getattr(tx, "role", "") != "decay" or not isinstance(body, Leafwise):
        return None
    return at_first(tx, next((name for name in body.rule.hyper if "decay" in name), None))


def at_first(tx: Any, name: str | None) -> Setting:
    """Return a hyperparameter of a lifted rule at the first update, without a value where shapes do not tell it."""
    hyper = None if name is None else tx.body.rule.hyper[name]
    if name is None or hyper is None or isinstance(hyper, (jax.ShapeDtypeStruct, jax.core.Tracer)):
        return Setting(shown(tx), None)
    value = read(hyper, jnp.zeros((), jnp.int32), jnp.full((), -1, jnp.int32), f"describe: {name}")
    return Setting(as_given(hyper), float(value))


def as_given(hyper: Any) -> str:
    """Return a hyperparameter as text; one that is tuned or set from outside is a number all the same."""
    return f"{float(hyper):g}" if is_number(hyper) else written(hyper)


def product(found: list[Setting | None]) -> Setting | None:
    """Return several rates as one, None where there is none."""
    rates = [rate for rate in found if rate is not None]
    if not rates:
        return None
    value: float | None = 1.0
    for rate in rates:
        value = None if value is None or rate.value is None else value * rate.value
    changing = [rate.text for rate in rates if not is_plain(rate.text)]
    return Setting(" * ".join(changing) if changing else "1", value)


def title(names: list[str]) -> str:
    """Return the paths of leaves in a few words: a number in a path stands for all of its kind."""
    patterns = list(dict.fromkeys(re.sub(r"(?<![^/])\d+(?![^/])", "*", name) or "the array" for name in names))
    more = f" and {len(patterns) - MOST_NAMES} more" if len(patterns) > MOST_NAMES else ""
    return ", ".join(patterns[:MOST_NAMES]) + more


def links_of(tx: Any, state: Any) -> list[Link]:
    """Return the transforms that hold no other, in the order in which they run."""
    return list(walk(tx, state))


def unseen(tx: Any, state: Any) -> list[str]:
    """Return what of a transform is optax's, or plain functions, so that only its state is known."""
    found: list[str] = []

    def look(tx: Any, state: Any) -> None:
        held = parts(tx, state)
        if not isinstance(tx, Transform):
            inside = ", ".join(part.tx.name for part in held)
            found.append(shown(tx) + (f" (but for {inside} within it)" if held else ""))
        for part in held:
            look(part.tx, part.state)

    look(tx, state)
    return list(dict.fromkeys(found))
