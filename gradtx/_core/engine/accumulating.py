"""Micro-steps: gradients are summed up, and the transform inside runs when enough have come."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arguments.reading import call_schedule, check_same
from gradtx._core.arguments.whole import whole
from gradtx._core.arrays.axes import AxisName
from gradtx._core.arrays.numerics import increment, zeros
from gradtx._core.arrays.tree import align, check_like, flatten, float_leaves, has_gradient, param_leaves, promoted
from gradtx._core.contract.errors import STATE_FIX, describe, message, structure
from gradtx._core.contract.transform import Transform
from gradtx._core.engine.around import Around
from gradtx._core.engine.choose import alike, either
from gradtx._core.engine.finite import all_finite


class AccumulateState(NamedTuple):
    """State of `accumulate` and `MultiSteps`; optax's fields are read from it by their names.

    Attributes:
        inner: that of the transform inside.
        sums: the sums of the gradients since the last update, like the params, float32 or wider; that update itself
            where micro_step is 0.
        micro_step: micro-batches in these sums, int32.
        updates: updates made, int32.
        left_out: micro-batches left out, int32.
        skip_state: what `should_skip_update_fn` returned last, () without it.
    """

    inner: Any
    sums: Any
    micro_step: jax.Array
    updates: jax.Array
    left_out: jax.Array
    skip_state: Any = ()

    @property
    def mini_step(self) -> jax.Array:
        """Micro-batches in the sums."""
        return self.micro_step

    @property
    def gradient_step(self) -> jax.Array:
        """Updates made."""
        return self.updates

    @property
    def inner_opt_state(self) -> Any:
        """The state of the transform inside."""
        return self.inner

    @property
    def acc_grads(self) -> Any:
        """The sums of the gradients."""
        return self.sums


@jax.jit
def added(total: jax.Array, g: jax.Array, begins: jax.Array, kept: jax.Array) -> jax.Array:
    """Return a sum with one more gradient in it, or as it was; the first of a sum takes the place of what was there."""
    before = jnp.where(begins, jnp.zeros_like(total), total)
    return jnp.where(kept, before + lax.convert_element_type(g, total.dtype), total)


@jax.jit
def divided(total: jax.Array, number: jax.Array) -> jax.Array:
    """Return the mean of a number of gradients."""
    return total * (1.0 / lax.convert_element_type(number, jnp.finfo(total.dtype).dtype))


@functools.partial(jax.jit, static_argnums=2)
def emitted(buffer: jax.Array, emits: jax.Array, dtype: Any) -> jax.Array:
    """Return the update that a buffer holds where it holds one, else 0."""
    return lax.convert_element_type(jnp.where(emits, buffer, jnp.zeros_like(buffer)), dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class Accumulating(Around):
    """A transform that updates by the mean or the sum of some gradients: the body of `accumulate` and `MultiSteps`.

    Attributes:
        every: the number of micro-steps to an update, or a function of the number of updates made.
        argument: what `every` is called by the user.
        mean: whether it gets the mean of the gradients.
        should_skip: `(grads, updates made, params) -> (whether to leave them out, what to store)`; None leaves out what
            is not finite.
        dtype: dtype of the sums; None is float32 or wider.
        axis_name: the axes of `shard_map` over which leaves are split.
    """

    every: Any = 1
    argument: str = "k"
    mean: bool = True
    should_skip: Callable[..., tuple[Any, Any]] | None = None
    dtype: Any = None
    axis_name: AxisName = None
    kind: ClassVar[Any] = AccumulateState

    def init(self, params: Any) -> AccumulateState:
        """Return the state of the one inside, and sums of nothing."""
        leaves, treedef = flatten(params)
        arrays = param_leaves(self.name, params, leaves, [True] * len(leaves))
        sums = treedef.unflatten([None if p is None else zeros(p, self.dtype) for p in arrays])
        none = [jnp.zeros((), jnp.int32) for _ in range(3)]
        stored: Any = ()
        if self.should_skip is not None:
            nothing = treedef.unflatten(
                [x if p is None else jnp.zeros_like(p) for x, p in zip(leaves, arrays, strict=True)]
            )
            stored = self.should_skip(nothing, jnp.zeros((), jnp.int32), params)[1]
        return AccumulateState(self.inner.init(params), sums, none[0], none[1], none[2], stored)

    def accepted(self, grads: Any, state: AccumulateState, params: Any) -> tuple[jax.Array, Any]:
        """Return whether a micro-batch counts, and what is stored of that decision.

        Raises:
            ValueError: `should_skip_update_fn` returns something else than a bool, or another on each device.
        """
        if self.should_skip is None:
            self.check_stored((), state)
            return all_finite(self.name, "grads", grads, self.axis_name), ()
        skips, stored = self.should_skip(grads, state.updates, params)
        skips = jnp.asarray(skips)
        if skips.dtype != jnp.bool_ or skips.shape != ():
            got, fix = f"returned {describe(skips)}", "return (skip, what to store), skip a scalar of dtype bool"
            raise ValueError(message(self.name, "should_skip_update_fn", got, "a bool", fix))
        check_same(self.name, "what should_skip_update_fn returned", skips)
        self.check_stored(stored, state)
        return ~skips, jax.tree.map(lambda x, old: jnp.asarray(x, jnp.asarray(old).dtype), stored, state.skip_state)

    def check_stored(self, stored: Any, state: AccumulateState) -> None:
        """Raise ValueError where a state stores another kind of decision: another `should_skip_update_fn` made it."""
        if structure(stored) != structure(state.skip_state):
            got, expected = f"is {describe(state.skip_state)}", f"{describe(stored)}, as should_skip_update_fn returns"
            raise ValueError(message(self.name, "state.skip_state", got, expected, STATE_FIX))

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, AccumulateState]:
        """Return zeros, or in the last micro-step the update of the one inside, and the next state."""
        own = self.checked(state)
        leaves, treedef, p_leaves = float_leaves(self.name, updates, params)
        sums = align(self.name, "grads", updates, treedef, "state.sums", own.sums)
        places = [i for i, g in enumerate(leaves) if has_gradient(g)]
        for i in places:
            check_like(self.name, "grads", updates, i, tuple(leaves[i].shape), "state.sums", sums[i])
        every = self.every
        if callable(every):
            every = call_schedule(every, own.updates, f"{self.name}: {self.argument}")
        every = jnp.asarray(whole(self.name, self.argument, every), jnp.int32)
        kept, stored = self.accepted(updates, own, params)
        number = own.micro_step + kept.astype(jnp.int32)
        emits = kept & (number >= every)
        totals = [added(sums[i], leaves[i], own.micro_step == 0, kept) for i in places]

        def placed(arrays: list[jax.Array], others: list[Any]) -> Any:
            new = dict(zip(places, arrays, strict=True))
            return treedef.unflatten([new.get(i, x) for i, x in enumerate(others)])

        def emit() -> tuple[list[jax.Array], Any]:
            means = [divided(x, number) for x in totals] if self.mean else totals
            if not isinstance(self.inner, Transform):  # optax's make their states as wide as what they are given
                means = [lax.convert_element_type(x, leaves[i].dtype) for i, x in zip(places, means, strict=True)]
            new, inner = self.inner.update(placed(means, leaves), own.inner, params, **extra)
            steps = treedef.flatten_up_to(new)
            # The update goes where the sums were and stays there until the next sum begins: neither branch needs memory
            # of its own, and the sums are not set to 0 in a pass of their own.
            return [lax.convert_element_type(steps[i], x.dtype) for i, x in zip(places, totals, strict=True)], alike(
                inner, own.inner
            )

        buffers, inner = either(emits, emit, lambda: (totals, own.inner))
        new = [emitted(x, emits, promoted(leaves[i], p_leaves[i])) for i, x in zip(places, buffers, strict=True)]
        after = AccumulateState(
            inner,
            placed(buffers, sums),
            jnp.where(emits, jnp.zeros_like(number), number),
            jnp.where(emits, increment(own.updates), own.updates),
            jnp.where(kept, own.left_out, increment(own.left_out)),
            stored,
        )
        return placed(new, leaves), after
