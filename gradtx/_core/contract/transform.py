"""`Transform`: optax's (init, update) pair that also knows its name, its settings and its members.

Because it is an `optax.GradientTransformationExtraArgs`, it works unchanged in `optax.chain`, in flax and in
every training loop written for optax.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import jax
import optax

from gradtx._core.arguments.hyperparams import check
from gradtx._core.contract.errors import describe

P = ParamSpec("P")
MOST_WRITTEN = 8  # leaves of a container that is written out


class Transform(optax.GradientTransformationExtraArgs):
    """A pure pair of functions on whole trees, with a name that errors and `print` use.

    Attributes:
        init: `params -> state`.
        update: `(grads, state, params=None, **extra) -> (updates, state)`; updates are ADDED to params.
        name: what it is called in errors and in `hyperparams`.
        settings: the arguments it was made with, by name.
        text: what `print` shows, the call that makes it.
        body: the frozen dataclass that holds init and update (`Leafwise`, `Chain`), or None for plain functions.
    """

    name: str
    settings: Mapping[str, Any]
    text: str
    body: Any

    def __new__(
        cls,
        init: Callable[..., Any],
        update: Callable[..., Any],
        name: str = "transform",
        settings: Mapping[str, Any] | None = None,
        text: str | None = None,
        body: Any = None,
    ) -> "Transform":
        """Make the pair; only `init` and `update` are part of the tuple."""
        self = super().__new__(cls, init, update)
        self.name, self.settings, self.body = name, dict(settings or {}), body
        self.text = call(name, self.settings) if text is None else text
        return self

    @classmethod
    def of(cls, body: Any, settings: Mapping[str, Any] | None = None, text: str | None = None) -> "Transform":
        """Make the transform of a body that has `init`, `update` and `name`."""
        return cls(body.init, body.update, body.name, settings, text, body)

    def __repr__(self) -> str:
        """Print as the call that makes it."""
        return self.text


def call(name: str, settings: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> str:
    """Write the call that makes a thing: `adam(b1=0.9, eps=1e-08)`; a lone first setting needs no name.

    Switches (None, False, True, 0) left at their default are not written.
    """
    defaults = {k: v for k, v in (defaults or {}).items() if not v or v is True}
    off = {k for k, v in settings.items() if k in defaults and type(v) is type(defaults[k]) and v == defaults[k]}
    shown = {k: v for k, v in settings.items() if k not in off}
    if len(shown) == 1 and next(iter(shown)) == next(iter(settings)):
        return f"{name}({written(*shown.values())})"
    return f"{name}({', '.join(f'{k}={written(v)}' for k, v in shown.items())})"


class Written:
    """A leaf that prints as `written` does, inside a container."""

    def __init__(self, value: Any) -> None:
        """Hold the leaf."""
        self.value = value

    def __repr__(self) -> str:
        """Print as `written`."""
        return written(self.value)


def plain_signature(name: str, signature: inspect.Signature) -> str:
    """Write a signature with names and defaults only."""
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return f"{name}{signature.replace(parameters=bare, return_annotation=signature.empty)}"


def written(value: Any) -> str:
    """Write one setting as a person would: numbers and schedules plainly, arrays never in full."""
    if isinstance(value, jax.core.Tracer):
        return "<traced>"
    if isinstance(value, type) or inspect.isfunction(value):
        return value.__name__
    if isinstance(value, (dict, list, tuple)):
        return describe(value) if len(jax.tree.leaves(value)) > MOST_WRITTEN else repr(jax.tree.map(Written, value))
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.item():g}" if value.shape == () else f"<{value.dtype} of shape {tuple(value.shape)}>"
    return repr(value)


def factory(make: Callable[P, Transform]) -> Callable[P, Transform]:
    """Decorate a function that makes a transform: check its arguments by name, name the result after it.

    The function's name is the name in every error; its arguments become `settings`. Ranges come from the one
    table in `hyperparams.py`, since an argument's name means the same everywhere.
    """
    signature = inspect.signature(make)
    name = make.__name__
    defaults = {k: p.default for k, p in signature.parameters.items() if p.default is not p.empty}

    optional = {k for k, v in defaults.items() if v is None}

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Transform:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}: {error}; it takes {plain_signature(name, signature)}") from None
        bound.apply_defaults()
        check(name, bound.arguments, optional=optional)
        tx = make(*args, **kwargs)
        if tx.body is None:
            return Transform(tx.init, tx.update, name, bound.arguments, call(name, bound.arguments, defaults))
        text = tx.text if hasattr(tx.body, "members") else call(name, bound.arguments, defaults)
        renamed = {"name": name}
        if hasattr(tx.body, "rule"):
            renamed["rule"] = dataclasses.replace(tx.body.rule, name=name)
        return Transform.of(dataclasses.replace(tx.body, **renamed), bound.arguments, text)

    return made
