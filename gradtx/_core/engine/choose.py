"""Choose between two ways to go on: by `lax.cond` where the condition is traced, by `if` where it is known."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from gradtx._core.contract.errors import none_is_leaf


def either(condition: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
    """Return what one of two functions gives, which give trees of the same shapes and dtypes.

    Outside jit `lax.cond` would compile both anew at every step, since they close over arrays.
    """
    if isinstance(condition, jax.core.Tracer):
        return lax.cond(condition, yes, no)
    return yes() if condition else no()


def alike(new: Any, old: Any) -> Any:
    """Return a tree in the form of another one, so that either may be chosen.

    A leaf has the dtype of the old one, and is the old one where there is no new one, as of a parameter frozen since.
    """

    def one(x: Any, y: Any) -> Any:
        return y if x is None or y is None else x if x.dtype == y.dtype else lax.convert_element_type(x, y.dtype)

    return jax.tree.map(one, new, old, is_leaf=none_is_leaf)
