"""Write a transform and its settings as the call that makes them."""

import inspect
from collections.abc import Mapping
from typing import Any

import jax

from gradtx._core.contract.errors import describe

MOST_WRITTEN = 8  # leaves of a container that is written out


def call(name: str, settings: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> str:
    """Return the call that makes a thing: `adam(b1=0.9, eps=1e-08)`; a lone first setting needs no name.

    Switches (None, False, True, 0) and functions left at their default are not written.
    """
    defaults = {k: v for k, v in (defaults or {}).items() if not v or v is True or inspect.isfunction(v)}
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
    """Return a signature with names and defaults only."""
    bare = [
        p.replace(annotation=p.empty, default=Written(p.default) if inspect.isfunction(p.default) else p.default)
        for p in signature.parameters.values()
    ]
    return f"{name}{signature.replace(parameters=bare, return_annotation=signature.empty)}"


def written(value: Any) -> str:
    """Return one setting as a person would write it: numbers and schedules plainly, arrays never in full."""
    if isinstance(value, jax.core.Tracer):
        return "<traced>"
    if isinstance(value, type) or inspect.isfunction(value):
        return value.__name__
    if callable(getattr(value, "init", None)) and callable(getattr(value, "update", None)):
        return shown(value)
    if isinstance(value, (dict, list, tuple)):
        return describe(value) if len(jax.tree.leaves(value)) > MOST_WRITTEN else repr(jax.tree.map(Written, value))
    if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        return "<key>"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.item():g}" if value.shape == () else f"<{value.dtype} of shape {tuple(value.shape)}>"
    return repr(value)


def shown(tx: Any) -> str:
    """Return the text of any transform: ours as its call, optax's or a user's by the function that made it."""
    text = getattr(tx, "text", None)
    if isinstance(text, str):
        return text
    made_by = getattr(tx.update, "__qualname__", "").split(".")[0]
    home = (getattr(tx.update, "__module__", None) or "").split(".")[0]
    return f"optax.{made_by}" if home == "optax" else made_by if made_by.isidentifier() else "a pair (init, update)"


def wrapped(name: str, settings: Mapping[str, Any]) -> str:
    """Return the call that makes a wrapper: the first setting without its name."""
    texts = [written(value) for value in settings.values()]
    named = [f"{key}={text}" for key, text in zip(settings, texts, strict=True)]
    return f"{name}({', '.join([texts[0], *named[1:]])})"
