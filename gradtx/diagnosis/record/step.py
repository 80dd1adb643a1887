"""A step as it is measured, and what is found at it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gradtx._core.contract.errors import none_is_leaf
from gradtx.diagnosis.record import axes
from gradtx.diagnosis.record.record import Meta, Record


class Step(NamedTuple):
    """One step, as it is measured.

    Attributes:
        tx: the watched transform.
        meta: what the record is about.
        labels: the group of each leaf of the gradients.
        names: manual axes to sum over.
        grads: gradients.
        updates: updates, None in `measure`, which computes them.
        params: parameters before the step, or None.
        inner: state of the transform before the step.
        loss: the loss, BLANK where none was passed.
        live: `learning_rate` and `bound` of the clip where they are known outside, see `Watch.update`.
    """

    tx: Any
    meta: Meta
    labels: list[str]
    names: axes.Names
    grads: Any
    updates: Any
    params: Any
    inner: Any
    loss: jax.Array
    live: Mapping[str, jax.Array]


class Found(NamedTuple):
    """What a measurement gives.

    Attributes:
        record: with the row of this step, where all of it is finite.
        pulse: a number >= 0 that is known only once all measuring is done.
        gradient: whether the gradient is finite.
        update: whether the update is.
    """

    record: Record
    pulse: jax.Array
    gradient: jax.Array
    update: jax.Array


def nothing(record: Record) -> Found:
    """Return what is found where nothing is measured."""
    return Found(record, jnp.zeros((), jnp.float32), jnp.ones((), bool), jnp.ones((), bool))


def own(tree: Any) -> Any:
    """Return the parameters that gradients are taken at: the fast ones of optax's lookahead, which keeps two copies."""
    return tree.fast if isinstance(tree, optax.LookaheadParams) else tree


def like(grads: Any, tree: Any) -> Any:
    """Return a tree with None wherever the gradients have it."""
    return jax.tree.map(lambda g, x: None if g is None else x, grads, own(tree), is_leaf=none_is_leaf)


def nonfinite(grads: Any, labels: list[str], meta: Meta, names: axes.Names) -> jax.Array:
    """Return how many gradient entries of each group are not finite."""
    counts = [jnp.sum(~jnp.isfinite(x), dtype=jnp.int32) for x in jax.tree.leaves(grads)]
    counts = axes.sum_over(counts, [axes.split_over(x, names) for x in counts])
    found = {name: jnp.zeros((), jnp.int32) for name in meta.groups}
    for count, label in zip(counts, labels, strict=True):
        found[label] += count
    return jnp.stack(list(found.values())) if found else jnp.zeros(0, jnp.int32)
