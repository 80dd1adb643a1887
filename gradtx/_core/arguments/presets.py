"""The numerics of another library under one keyword: `like="torch"`."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

from gradtx._core.contract.errors import message

P = ParamSpec("P")
R = TypeVar("R")


class Preset(NamedTuple):
    """What another library's function of that name does.

    Attributes:
        fixed: arguments that it does not have, and what it does; another value contradicts it.
        usual: its defaults where they are others than ours.
    """

    fixed: Mapping[str, Any]
    usual: Mapping[str, Any]


def presets(**known: Preset) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function that takes `like`, the name of a preset or None, to set the arguments that are not given."""

    def decorate(make: Callable[P, R]) -> Callable[P, R]:
        signature, name = inspect.signature(make), make.__name__

        @functools.wraps(make)
        def made(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs).arguments
            chosen = given.get("like")
            if chosen is None:
                return make(*args, **kwargs)
            if not isinstance(chosen, str) or chosen not in known:
                got, expected = f"= {chosen!r}", f"None or one of {sorted(known)}"
                raise ValueError(message(name, "like", got, expected, "leave it out for optax's numerics"))
            preset = known[chosen]
            for argument, value in preset.fixed.items():
                own = given.get(argument, value)
                if not isinstance(own, (bool, int, float)) or own != value:
                    got, expected = f"{argument} = {own!r} contradicts like={chosen!r}", f"{value!r}"
                    raise ValueError(f"{name}: {got}, expected {expected}; leave out one of the two")
            settings: dict[str, Any] = {**preset.usual, **given, **preset.fixed}
            return make(**settings)  # type: ignore[call-arg]

        return made

    return decorate
