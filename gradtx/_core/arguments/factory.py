"""The one decorator of functions that make transforms: arguments checked, the result named, shared words filled in."""

import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, ParamSpec

import numpy as np

from gradtx._core.arguments.ranges import Range, check, check_dtype
from gradtx._core.contract.transform import Info, Transform
from gradtx._core.contract.writing import call, plain_signature

P = ParamSpec("P")

# What an argument means wherever it stands: a line `{name}` of a docstring's Args becomes `name: ` and these words.
WORDS = {
    "learning_rate": "eta, >= 0; number, array, schedule or event schedule.",
    "b1": "decay of the mean of g, in [0, 1).",
    "b2": "decay of the mean of g^2, in [0, 1).",
    "eps": "added outside the root, >= 0.",
    "eps_root": "added inside the root, >= 0.",
    "mu_dtype": "dtype the mean of g is stored in; None is the parameter's, float32 or wider.",
    "accumulator_dtype": "dtype the momentum is stored in; None is the parameter's, float32 or wider.",
    "nesterov": "whether momentum looks one step ahead.",
    "weight_decay": "decoupled decay, finite; each step takes eta weight_decay p off p.",
    "mask": "tree of bools like the params or a prefix of them, or a function of the params that returns one, True "
    "where p decays; None is everywhere.",
    "layers": "mesh axis, or tuple of axes, over which a stack of matrices is split along its first batch axis while "
    "they are computed; an array without one stays as it lies. None leaves it to XLA.",
}


def hints_of(make: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function, with what was said beside them.

    Only those that are text are evaluated (`from __future__ import annotations`): a look at the 150 functions of this
    package would otherwise take a fifth of its import.
    """
    hints = dict(make.__annotations__)
    text = any(isinstance(hint, str) for hint in hints.values())
    return typing.get_type_hints(make, include_extras=True) if text else hints


def ranges_of(make: Callable[..., Any]) -> dict[str, Range]:
    """Return the ranges that stand at a function's annotations, by argument."""
    found = {}
    for name, hint in hints_of(make).items():
        options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        for option in options:
            for extra in getattr(option, "__metadata__", ()):
                if isinstance(extra, Range):
                    found[name] = extra
    return found


def may_be_none(make: Callable[..., Any]) -> set[str]:
    """Return the arguments of a function that may be None: by their default, or by an annotation `... | None`."""
    hints = {name: typing.get_args(x)[0] if hasattr(x, "__metadata__") else x for name, x in hints_of(make).items()}
    defaults = {name for name, p in inspect.signature(make).parameters.items() if p.default is None}
    return defaults | {name for name, hint in hints.items() if type(None) in typing.get_args(hint)}


def fill_in(doc: str | None) -> str | None:
    """Return a docstring with each line `{name}` written as `name: ` and what that argument means everywhere."""
    return doc and re.sub(r"(?m)^( +)\{(\w+)\}$", lambda found: f"{found[1]}{found[2]}: {WORDS[found[2]]}", doc)


class Written:
    """An annotation that is written in short: what a hyperparameter may be, and its range."""

    def __init__(self, text: str) -> None:
        """Hold the text."""
        self.text = text

    def __repr__(self) -> str:
        """Print the text without quotes."""
        return self.text


def readable(signature: inspect.Signature) -> inspect.Signature:
    """Return a signature for `help()`, in which a hyperparameter's long union of types is written in short."""
    short = []
    for parameter in signature.parameters.values():
        hint = parameter.annotation
        union = typing.get_origin(hint) in (typing.Union, types.UnionType)
        options = typing.get_args(hint) if union else (hint,)
        texts = [extra.text for x in options for extra in getattr(x, "__metadata__", ()) if isinstance(extra, Range)]
        none = " or None" if type(None) in options else ""
        written = Written(f"float | Array | schedule in {texts[0]}{none}") if texts else hint
        if np.dtype in options:  # jax's DTypeLike
            written = Written(f"dtype{none}")
        short.append(parameter.replace(annotation=written))
    return signature.replace(parameters=short)


def factory(make: Callable[P, Transform]) -> Callable[P, Transform]:
    """Decorate a function that makes a transform: check its arguments, name the result after it.

    The function's name is the name in every error; its arguments become `settings`. An argument annotated with a range
    (`b1: Decay`, `eps: Annotated[Hyper, Range("[0, inf)")]`) is a hyperparameter and is checked against it; one whose
    default is None, or whose annotation says so, may be None; one named `..._dtype` or `dtype_...` must be a floating
    dtype.
    """
    name = make.__name__

    @functools.cache  # read at the first call: reading all 146 would be a tenth of the package's import
    def facts() -> tuple[inspect.Signature, dict[str, Range], set[str], dict[str, Any]]:
        signature = inspect.signature(make)
        defaults = {k: p.default for k, p in signature.parameters.items() if p.default is not p.empty}
        return signature, ranges_of(make), may_be_none(make), defaults

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Transform:
        signature, ranges, optional, defaults = facts()
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}: {error}; it takes {plain_signature(name, signature)}") from None
        bound.apply_defaults()
        given = {k: bound.arguments[k] for k in ranges}
        unset = {k for k, v in given.items() if v is None and k in optional}
        check(name, {k: v for k, v in given.items() if k not in unset}, ranges)
        for argument, value in bound.arguments.items():
            if "dtype" in argument.split("_"):
                check_dtype(name, argument, value)
        tx = make(*args, **kwargs)
        text = tx.text if tx.role in ("container", "measure") else call(name, bound.arguments, defaults)
        return Transform.of(tx.body.renamed(name), Info(dict(bound.arguments), text, frozenset(ranges)))

    made.__doc__ = fill_in(make.__doc__)
    if sys.version_info >= (3, 12):  # where a signature may be made when it is asked for
        made.__signature__ = lambda: readable(facts()[0])  # type: ignore[attr-defined]
    return made
