"""What the guards of a state have left out: read at any depth of nesting."""

from typing import Any, NamedTuple

import jax

from gradtx._core.contract.errors import message, paths
from gradtx._core.engine.guarded import Skips


class Skipped(NamedTuple):
    """The steps that guards have skipped.

    Attributes:
        total: how many.
        nonfinite: those of them in which something was not finite.
        spikes: those whose norm or loss was far above the usual.
        first: the first of them, counted from 0, -1 if none.
        last: the last of them, -1 if none.
        in_row: those made one after another up to now.
        group: the first leaf that was not finite: its path where the params were given, else its place in the tree;
            None if none was, or if that was found in the state alone.
    """

    total: Any
    nonfinite: Any
    spikes: Any
    first: Any
    last: Any
    in_row: Any
    group: Any


def find_skips(state: Any) -> list[Skips]:
    """Return the counts of all guards inside a state, the outermost first."""
    leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, Skips))
    return [x for x in leaves if isinstance(x, Skips)]


def skipped(state: Any, params: Any = None) -> Skipped:
    """Read what the guards inside a state have skipped.

    A state that holds several guards gives the sum of their counts, the first and the last step of any of them, and the
    group that the outermost of them found. A guard inside another does not see, and does not count, the steps that the
    one outside has skipped.

    Args:
        state: a state of `guard`, `apply_if_finite` or `loss_scale`, or any tree that holds one: the state of a chain,
            of `watch` or of a wrapper, a whole training state.
        params: the params, or a tree of that structure, to name the group by its path.

    Returns:
        Python numbers; inside jit, arrays of int32, where the group is a place.

    Raises:
        ValueError: no guard is found.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> params = {"w": jnp.ones(2), "b": jnp.ones(1)}
        >>> tx = gradtx.chain(gradtx.guard(gradtx.sgd(0.1)))
        >>> bad = {"w": jnp.array([1.0, jnp.nan]), "b": jnp.ones(1)}
        >>> _, state = tx.update(bad, tx.init(params), params)
        >>> gradtx.skipped(state, params)
        Skipped(total=1, nonfinite=1, spikes=0, first=0, last=0, in_row=1, group="['w']")
    """
    found = find_skips(state)
    if not found:
        fix = "give the state of guard(...), apply_if_finite(...) or loss_scale(...), or a tree that holds it"
        raise ValueError(message("skipped", "state", "holds no guard", "the state of a guard inside", fix))
    if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(found)):
        return combined(found)
    counts = combined([jax.tree.map(lambda x: x.item() if x.ndim == 0 else x, one) for one in found])
    if not isinstance(counts.group, int):  # a batch of states: the places stay as they are
        return counts
    if counts.group < 0:
        return counts._replace(group=None)
    return counts if params is None else counts._replace(group=paths("", params)[counts.group])


def combined(found: list[Skips]) -> Skipped:
    """Return the counts of several guards as one."""
    one = found[0]
    total = [s.nonfinite + s.spikes for s in found]
    out = Skipped(total[0], one.nonfinite, one.spikes, one.first, one.last, one.in_row, one.group)
    for s, more in zip(found[1:], total[1:], strict=True):
        earlier = (s.first >= 0) & ((out.first < 0) | (s.first < out.first))
        out = Skipped(
            out.total + more,
            out.nonfinite + s.nonfinite,
            out.spikes + s.spikes,
            pick(earlier, s.first, out.first),
            pick(s.last > out.last, s.last, out.last),
            pick(s.in_row > out.in_row, s.in_row, out.in_row),
            pick(out.group < 0, s.group, out.group),
        )
    return out


def pick(condition: Any, x: Any, y: Any) -> Any:
    """Return x where a condition holds, else y: numbers for numbers, arrays for arrays."""
    return (x if condition else y) if isinstance(condition, bool) else jax.numpy.where(condition, x, y)
