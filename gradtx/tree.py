"""optax.tree's names: what finds, replaces and maps parts of a state is gradtx's, the arithmetic of trees optax's."""

import types
from typing import TYPE_CHECKING, Any

import optax

from gradtx._core.engine.named import tree_get as get
from gradtx._core.engine.named import tree_get_all_with_path as get_all_with_path
from gradtx._core.engine.named import tree_set as set
from gradtx._core.engine.placed import tree_map_params as map_params

if TYPE_CHECKING:  # for whoever reads types; at run time `__getattr__` finds them
    from optax.tree import (
        add,
        add_scale,
        allclose,
        batch_shape,
        bias_correction,
        cast,
        cast_like,
        clip,
        conj,
        div,
        dtype,
        full_like,
        max,
        min,
        mul,
        norm,
        ones_like,
        random_like,
        real,
        scale,
        size,
        split_key_like,
        sub,
        sum,
        unwrap_random_key_data,
        update_infinity_moment,
        update_moment,
        update_moment_per_elem_norm,
        vdot,
        where,
        zeros_like,
    )

__all__ = [
    "add", "add_scale", "allclose", "batch_shape", "bias_correction", "cast", "cast_like", "clip", "conj", "div",
    "dtype", "full_like", "get", "get_all_with_path", "map_params", "max", "min", "mul", "norm", "ones_like",
    "random_like", "real", "scale", "set", "size", "split_key_like", "sub", "sum", "unwrap_random_key_data",
    "update_infinity_moment", "update_moment", "update_moment_per_elem_norm", "vdot", "where", "zeros_like",
]  # fmt: skip

if not TYPE_CHECKING:  # what `from gradtx.tree import *` gives: no name that this release of optax lacks
    __all__ = [name for name in __all__ if name in dir(optax.tree)]


def __getattr__(name: str) -> Any:
    """Return what optax.tree has under this name."""
    found = None if name.startswith("_") else getattr(optax.tree, name, None)
    if found is None or isinstance(found, types.ModuleType):
        raise AttributeError(f"module 'gradtx.tree' has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    """Return the public names, optax's own among them."""
    return sorted({*__all__, *(name for name in dir(optax.tree) if not name.startswith("_"))})
