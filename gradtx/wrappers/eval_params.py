"""Find the parameters to evaluate at in any state: an average, slow parameters, or those of schedule-free learning."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gradtx._core.arrays.flat import dtype_of
from gradtx._core.arrays.tree import flatten, is_trainable
from gradtx._core.contract.errors import describe, message, none_is_leaf
from gradtx.methods.split_real_and_imaginary import is_pair
from gradtx.wrappers.lookahead import LookaheadState
from gradtx.wrappers.params_ema import ParamsEmaState
from gradtx.wrappers.schedule_free import average_at, averages_iterates

NAME = "eval_params"
FIX = "give the params and the state of one training loop"
Path = tuple[str, ...]


class Average(NamedTuple):
    """One average in a state.

    Attributes:
        kind: the wrapper that keeps it.
        tree: what it keeps, like the params or a part of them.
        value: `(p, kept) -> average` of one array.
    """

    kind: str
    tree: Any
    value: Callable[[Any, Any], Any]


def kept(p: Any, a: Any) -> Any:
    """Return what is kept: it is the average itself."""
    del p
    return a


def own_average(state: Any) -> Average | None:
    """Return the average that a state itself holds, None where it holds none."""
    if isinstance(state, ParamsEmaState):
        return Average("params_ema", state.average, kept)
    if isinstance(state, LookaheadState):
        return Average("lookahead", state.sync.slow, kept)
    if averages_iterates(state):
        return Average("schedule_free", state.z, lambda p, z: average_at(p, z, state.b1))
    return None


def averages_in(state: Any) -> list[Average]:
    """Return the averages inside any state, the outermost first."""
    found: list[Average] = []
    for node in jax.tree.leaves(state, is_leaf=lambda x: own_average(x) is not None):
        own = own_average(node)
        if own is not None:
            found += [own, *averages_in(getattr(node, "inner", None))]
    return found


def by_path(tree: Any, is_leaf: Callable[[Any], bool]) -> dict[Path, Any]:
    """Return the leaves of a tree by their keys, whatever containers hold them."""
    flat = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)[0]
    return {tuple(jax.tree_util.keystr((key,), simple=True) for key in path): leaf for path, leaf in flat}


def unraveled(vectors: dict[Path, Any], params: dict[Path, Any]) -> dict[Path, Any]:
    """Return the parts of the one array into which `flatten` has put the params, or of those by dtype."""
    own: dict[Path, Any] = {}
    for key, vector in vectors.items():
        kept = {path: p for path, p in params.items() if p is not None and is_trainable(p)}
        places = {path: p for path, p in kept.items() if key in ((), (str(dtype_of(p)),))}
        sizes = [jnp.size(p) for p in places.values()]
        if jnp.shape(vector) != (sum(sizes),):
            got = f"has an average of shape {jnp.shape(vector)}"
            raise ValueError(message(NAME, "state", got, f"{sum(sizes)} numbers, those of the params", FIX))
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        parts = [vector[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        own |= {path: part.reshape(jnp.shape(p)) for (path, p), part in zip(places.items(), parts, strict=True)}
    return own


def are_vectors(average: dict[Path, Any], params: dict[Path, Any]) -> bool:
    """Return True if an average is in the form that `flatten` gives to params: one vector, or several by dtype."""
    if set(average) == {()}:
        return () not in params
    dtypes = {(str(dtype_of(p)),) for p in params.values() if p is not None and is_trainable(p)}
    return len(dtypes) > 1 and set(average) == dtypes and not dtypes & set(params)


def shown(path: Path) -> str:
    """Return where a leaf of the params stands."""
    return "params" + "".join(f"['{key}']" for key in path)


def checked(found: list[tuple[Average, dict[Path, Any]]], params: dict[Path, Any]) -> None:
    """Raise unless each parameter has one average at most, of its shape, and each average its parameter."""
    for average, leaves in found:
        for path, leaf in leaves.items():
            if path not in params:
                got = f"is missing, of which {average.kind} has an average"
                raise ValueError(message(NAME, shown(path), got, "the params that init saw", FIX))
            others = [other.kind for other, those in found if path in those]
            if len(others) > 1:
                fix = "give the part of the state that holds the one you want, such as state.inner"
                got = f"has {len(others)} averages, of {' and '.join(others)}"
                raise ValueError(message(NAME, shown(path), got, "one", fix))
            shape = jnp.shape(leaf.real if is_pair(leaf) else leaf)
            if params[path] is not None and jnp.shape(params[path]) != shape:
                got = f"has shape {jnp.shape(params[path])}"
                raise ValueError(message(NAME, shown(path), got, f"{shape} as its average", FIX))


def eval_params(state: Any, params: Any) -> Any:
    """Return the parameters to evaluate at: the average that a wrapper keeps, wherever it stands in the state.

    That of `params_ema`, the slow parameters of `lookahead`, the average x of schedule-free learning. A parameter
    without an average, left out by a mask or without a gradient, is returned as it is.

    Args:
        state: the state of the whole transform: the average may stand in chains, masks, accumulation, watch, optax's
            wrappers and any other.
        params: the parameters of the training loop.

    Returns:
        A tree of the structure, shapes and dtypes of the params; of `LookaheadParams`, the slow ones.

    Raises:
        ValueError: no average is in `state`, or a parameter has two; the params are other ones than it was made for.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> averaged = gradtx.params_ema(gradtx.sgd(1.0), 0.5)
        >>> tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), averaged)
        >>> p = jnp.array(8.0)
        >>> state = tx.init(p)
        >>> for g in (1.0, -1.0):
        ...     updates, state = tx.update(jnp.array(g), state, p)
        ...     p = p + updates
        >>> round(gradtx.eval_params(state, p).item(), 4)  # (7 + 2 8) / 3
        7.6667
    """
    if isinstance(params, optax.LookaheadParams):
        return params.slow
    averages = averages_in(state)
    if not averages:
        fix = "put params_ema, lookahead or schedule_free around the optimizer"
        raise ValueError(message(NAME, "state", f"is {describe(state)} without an average", "one of the params", fix))
    leaves = by_path(params, none_is_leaf)
    found = []
    for average in averages:
        own = by_path(average.tree, is_pair)
        found.append((average, unraveled(own, leaves) if are_vectors(own, leaves) else own))
    checked(found, leaves)

    def evaluated(path: Path, p: Any) -> Any:
        for average, those in found:
            if path in those and p is not None and is_trainable(p):
                p, own = jnp.asarray(p), those[path]
                pairs = is_pair(own)
                parts = [(p.real, own.real), (p.imag, own.imaginary)] if pairs else [(p, own)]
                values = [lax.convert_element_type(average.value(*part), part[0].dtype) for part in parts]
                return lax.complex(*values) if pairs else values[0]
        return p

    treedef = flatten(params)[1]
    return treedef.unflatten([evaluated(path, p) for path, p in leaves.items()])
