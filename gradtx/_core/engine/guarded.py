"""An update that is made whole or not at all: what all guards share."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.axes import AxisName
from gradtx._core.arrays.numerics import increment, root, scalar_dtype
from gradtx._core.arrays.tree import is_traced
from gradtx._core.engine.around import Around
from gradtx._core.engine.finite import (
    first_of,
    found_bad,
    ordinary,
    squares_of,
    stays_finite,
)
from gradtx._core.engine.gate import gated, is_light, plain, take_out, traced


class Skips(NamedTuple):
    """The count of skipped steps inside a guard's state, int32 scalars.

    Attributes:
        count: steps seen.
        nonfinite: steps skipped because something was not finite.
        spikes: steps skipped because the norm or the loss was far above the usual.
        first: the first skipped step, counted from 0, -1 before.
        last: the last one, -1 before.
        in_row: steps skipped one after another up to now.
        group: the leaf of the params, counted from 0, that was the first not to be finite; -1 where none was.
    """

    count: jax.Array  # type: ignore[assignment]  # the field hides tuple.count, as in optax's states
    nonfinite: jax.Array
    spikes: jax.Array
    first: jax.Array
    last: jax.Array
    in_row: jax.Array
    group: jax.Array


def no_skips() -> Skips:
    """Return the count before the first step, each number in its own buffer."""
    return Skips(*(jnp.full((), start, jnp.int32) for start in (0, 0, 0, -1, -1, 0, -1)))


class Outcome(NamedTuple):
    """What became of a step.

    Attributes:
        kept: whether the update was made.
        nonfinite: whether something was not finite.
        leaf: the first leaf that was not, -1 where there is none.
    """

    kept: jax.Array
    nonfinite: jax.Array
    leaf: jax.Array


def counted(skips: Skips, outcome: Outcome) -> Skips:
    """Return the count after a step."""
    skipped, t = ~outcome.kept, skips.count
    spike = skipped & ~outcome.nonfinite
    first_bad = outcome.nonfinite & (skips.nonfinite == 0)
    return Skips(
        increment(t),
        jnp.where(outcome.nonfinite, increment(skips.nonfinite), skips.nonfinite),
        jnp.where(spike, increment(skips.spikes), skips.spikes),
        jnp.where(skipped & (skips.first < 0), t, skips.first),
        jnp.where(skipped, t, skips.last),
        jnp.where(skipped, increment(skips.in_row), jnp.zeros_like(skips.in_row)),
        jnp.where(first_bad, outcome.leaf, skips.group),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Guarded(Around):
    """A wrapper that makes an update of the transform inside or leaves it out: the base of the guards' bodies.

    Attributes:
        axis_name: the axes of `shard_map` over which leaves are split.
    """

    axis_name: AxisName = None

    def attempt(
        self,
        grads: Any,
        state: Any,
        params: Any,
        extra: Mapping[str, Any],
        admits: Callable[[jax.Array], jax.Array] | None = None,
        update: Callable[[], tuple[Any, Any]] | None = None,
    ) -> tuple[Any, Any, Outcome, jax.Array]:
        """Return the updates, the new state of the transform inside, what became of the step, and the gradient's norm.

        Args:
            grads: the gradients as they came, which are looked at.
            state: the state of the transform inside.
            params: the parameters, or None.
            extra: extra arguments of `update`.
            admits: `norm -> bool`: whether a step with a gradient of this norm may be made; None is every step.
            update: gives the updates and the new state; None is the update of the transform inside.
        """
        places, squares = squares_of(self.name, "grads", grads, self.axis_name)
        leaf = first_of(places, [~jnp.isfinite(s) for s in squares])
        squared = sum(squares, jnp.zeros((), scalar_dtype()))
        finite, norm = jnp.isfinite(squared), root(squared)
        keep = finite if admits is None else finite & admits(norm)

        if update is None:
            update = functools.partial(self.inner.update, grads, state, params, **extra)
        make: Callable[[], tuple[Any, Any]] = update

        def nothing() -> tuple[Any, Any]:
            kept: list[Any] = []

            def arrays() -> list[jax.Array]:
                kept[:] = [take_out(make()[0])]
                return list(kept[0][0])

            shapes = jax.eval_shape(arrays)
            return kept[0][1]([jnp.zeros(x.shape, x.dtype) for x in shapes]), state

        if not is_traced((grads, state, params, extra, keep)):
            updates, new, bad, where = eagerly(make, nothing, bool(keep), self.axis_name)
        elif stays_finite(self.inner, grads, params):
            bad, where = keep & ~ordinary(self.inner, state), jnp.full((), -1, jnp.int32)
            updates, new = gated(traced(make), keep & ~bad, state)
        elif is_light((steps := traced(make)).closed.jaxpr):
            none = jnp.zeros((), bool), jnp.full((), -1, jnp.int32)
            bad, where = lax.cond(keep, lambda: found_bad_of(plain(steps), self.axis_name), lambda: none)
            updates, new = gated(steps, keep & ~bad, state)
        else:
            made = make()
            bad, where = found_bad_of(made, self.axis_name)
            bad &= keep
            arrays, put_back = take_out(made[0])
            zeros = [jnp.zeros_like(x) for x in arrays]
            arrays, new = lax.cond(keep & ~bad, lambda: (arrays, made[1]), lambda: (zeros, state))
            updates = put_back(arrays)
        leaf = jnp.where(finite, where, leaf)
        return updates, new, Outcome(keep & ~bad, ~finite | bad, leaf), norm


def found_bad_of(made: tuple[Any, Any], axis_name: AxisName) -> tuple[jax.Array, jax.Array]:
    """Return whether updates or state hold a number that is not finite, and the place of the first such update."""
    bad, leaf = found_bad(made[0], axis_name)
    return bad | found_bad(made[1], axis_name)[0], leaf


def eagerly(
    update: Callable[[], Any], nothing: Callable[[], Any], keep: bool, axis_name: AxisName
) -> tuple[Any, Any, jax.Array, jax.Array]:
    """Return what is made outside jit, where the results are at hand before anything is overwritten."""
    none = jnp.zeros((), bool), jnp.full((), -1, jnp.int32)
    if not keep:
        return *nothing(), *none
    made = update()
    bad, leaf = found_bad_of(made, axis_name)
    return (*nothing(), bad, leaf) if bool(bad) else (*made, *none)
