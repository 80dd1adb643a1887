"""The body of `watch`: a wrapper for any transform that records what only the optimizer sees, and changes no update.

Measuring runs in a `lax.cond` branch that computes the update once more from what the step began with and returns
scalars and a small sample. Reading the live updates instead makes XLA write them to memory at every step, measured or
not. XLA must also know that the branch ends before slots and parameters are overwritten, or it copies them all: so the
slots that the real update reads, and the updates it returns, pass through a select on the branch's result. It always
keeps them, fuses into the loop that reads them, and changes no bit. (A select on the gradients does the same, but the
sum of a global norm is a library call that it does not fuse into.)

Outside jit the update is made first and measured as it is: nothing fuses there, and a schedule that a person changes
between steps is called once, by the update itself.
"""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.tree import INIT_FIX, has_gradient, is_traced
from gradtx._core.contract.errors import STATE_FIX, describe, message, none_is_leaf, tree_mismatch
from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import shown
from gradtx.diagnosis.record import axes, sample
from gradtx.diagnosis.record.chain import clip_bound, decays, learning_rate, limits
from gradtx.diagnosis.record.exact import leaf_names
from gradtx.diagnosis.record.extras import Fixed, check_value, is_array
from gradtx.diagnosis.record.groups import depth, group_labels
from gradtx.diagnosis.record.measure import look, measure
from gradtx.diagnosis.record.record import BLANK, Meta, Record, empty
from gradtx.diagnosis.record.step import Found, Step, like, nonfinite, nothing, own
from gradtx.diagnosis.record.written import tick

SMALL = 2**16  # up to this many parameters every step is measured
EVERY, RUN = 96, 3  # above it, a run of 3 steps in 96: lags of 1 and 2 need 3


class WatchState(NamedTuple):
    """State of a watched transform.

    Attributes:
        inner: the transform's own state.
        record: what was measured.
    """

    inner: Any
    record: Record


@dataclasses.dataclass(frozen=True, eq=False)
class Watch:
    """A transform and its recorder: the body of `watch`."""

    name: str
    inner: Any
    every: int | None
    groups: Any
    rate: Any
    axis_names: axes.Names = ()
    info: Info | None = None

    @property
    def role(self) -> str:
        """What it does to an update: it holds a transform."""
        return "container"

    def parts(self, state: Any) -> list[Part]:
        """Return the watched transform with its state."""
        return [Part(None, self.inner, getattr(state, "inner", None))]

    def fits(self, state: Any) -> bool:
        """Return True if `state` is that of a watch around the same transform."""
        body = getattr(self.inner, "body", None)
        return isinstance(state, WatchState) and (body is None or body.fits(state.inner))

    def init(self, params: Any) -> WatchState:
        """Return the transform's state and an empty record."""
        state = self.inner.init(params)
        stands_in = is_stand_in(params)
        params = () if stands_in else own(params)
        leaves, level = jax.tree.leaves(params), depth(params)
        copies = [axes.parts(axes.split_over(x, self.axis_names)) for x in leaves]
        labels = [] if stands_in else group_labels(self.groups, params, level)
        names, counts = tuple(dict.fromkeys(labels)), [n * jnp.size(x) for n, x in zip(copies, leaves, strict=True)]
        total = sum(counts)
        every = self.every or (1 if total <= SMALL else EVERY)
        meta = Meta(
            transform=shown(self.inner),
            groups=names,
            sizes=tuple(sum(n for n, label in zip(counts, labels, strict=True) if label == name) for name in names),
            every=every,
            run=min(RUN, every),
            total=total,
            sampled=sample.size(leaves, copies, total),
            clips=clip_bound(self.inner, state) is not None,
            level=level,
            leaves=leaf_names(params),
            decays=decays(self.inner, state),
            leaf_sizes=tuple(counts),
            limits=limits(self.inner, state),
        )
        record = empty(meta)
        # a leaf there keeps what the real state holds; another Meta would not match the real one's
        return WatchState(state, record._replace(meta=0) if stands_in else record)

    def update(self, updates: Any, state: WatchState, params: Any = None, **extra: Any) -> tuple[Any, WatchState]:
        """Return the transform's own updates, and its state beside the record."""
        # the float0 of an integer parameter is no gradient: nothing of it is measured
        grads = jax.tree.map(lambda g: g if has_gradient(g) else None, updates, is_leaf=none_is_leaf)
        if not isinstance(state, WatchState):
            fix = STATE_FIX
            raise ValueError(message(self.name, "state", f"is {describe(state)}", "a WatchState", fix))
        check_value(extra.get("value", 0.0))
        for root, tree in (("grads", grads), ("value", extra.get("value"))):
            axes.check_summed(self.name, root, tree, self.axis_names)
        arrays = {key: x for key, x in extra.items() if all(is_array(v) for v in jax.tree.leaves(x))}
        static = tuple(Fixed(key, x) for key, x in sorted(extra.items()) if key not in arrays)
        live, traced = {}, is_traced((grads, state, params, extra))
        if self.rate is not None or not traced:  # called out here: the recorder is compiled once, with its first value
            live["learning_rate"] = learning_rate(self.inner, state.inner, self.rate, state.record.step)
        if not traced:
            bound = clip_bound(self.inner, state.inner)
            live |= {} if bound is None else {"bound": bound}
            updates, inner = self.inner.update(updates, state.inner, params, **extra)
            record, _ = self.recorder(grads, state, params, arrays, static, live, like(grads, updates))
            return updates, WatchState(inner, record)
        record, pulse = self.recorder(grads, state, params, arrays, static, live)
        measured = ~(pulse < 0)  # a norm is never negative, which XLA cannot know
        updates, inner = self.inner.update(updates, after(measured, state.inner), params, **extra)
        return after(measured, updates), WatchState(inner, record)

    @cached_property
    def recorder(self) -> Any:
        """The recorder, compiled once per structure of its arguments."""
        return jax.jit(self.record, static_argnums=4)

    def record(
        self,
        grads: Any,
        state: WatchState,
        params: Any,
        arrays: Mapping[str, Any],
        static: tuple[Any, ...],
        live: Mapping[str, jax.Array],
        updates: Any = None,
    ) -> tuple[Record, jax.Array]:
        """Return the next record, and a number >= 0 that is known only once all measuring is done.

        Args:
            grads: gradients.
            state: the state before the step.
            params: parameters, or None.
            arrays: extra arguments of the update that are arrays.
            static: those that are not.
            live: what `Step.live` says.
            updates: the updates where they are known, None where the branch has to compute them.
        """
        record, meta = state.record, state.record.meta
        given = params
        if params is not None:  # a parameter without a gradient is not measured
            try:
                params = like(grads, params)
            except (ValueError, TypeError, KeyError):
                raise tree_mismatch(self.name, "grads", grads, "params", params, INIT_FIX) from None
        labels = group_labels(self.groups, grads if params is None else params, meta.level)
        loss, lost = self.loss(arrays)
        step = Step(
            self.inner,
            meta,
            labels,
            self.axis_names,
            grads,
            updates,
            params,
            state.inner,
            jnp.where(lost, BLANK, loss),
            live,
        )
        extra = {**arrays, **{fixed.name: fixed.value for fixed in static}}

        def found() -> Found:
            step_known = step._replace(loss=loss)
            return measure(step_known, record, given, extra) if updates is None else look(step_known, record)

        t, alive = record.step, record.bad_step < 0
        # a step whose loss is not finite is looked at too: it may be one that the transform skips
        due = alive & (lost | (t % meta.every < meta.run))
        measured, pulse, gradient, update = lax.cond(due, found, lambda: nothing(record))
        skipped = alive & ~gradient & update
        bad = alive & ~skipped & (lost | ~gradient | ~update)
        counts = lax.cond(
            bad | skipped, lambda: nonfinite(grads, labels, meta, self.axis_names), lambda: jnp.zeros_like(record.bad)
        )
        finite = gradient & update & ~lost
        ticked = tick(measured, step.loss, due & finite, alive & ~bad)
        first = skipped & (record.skipped[0] == 0)
        seen = jnp.stack([record.skipped[0] + 1, jnp.where(first, t, record.skipped[1]), t])
        ticked = ticked._replace(
            bad_step=jnp.where(bad, t, record.bad_step),
            bad=jnp.where(bad, counts, record.bad),
            skipped=jnp.where(skipped, seen, record.skipped),
            skipped_bad=jnp.where(first, counts, record.skipped_bad),
        )
        return ticked, pulse + jnp.sum(counts).astype(jnp.float32)

    def loss(self, arrays: Mapping[str, Any]) -> tuple[jax.Array, jax.Array]:
        """Return the loss, BLANK where none was passed, and whether it is not finite."""
        if "value" not in arrays:
            return jnp.full((), BLANK, jnp.float32), jnp.zeros((), bool)
        loss = jnp.asarray(arrays["value"], jnp.float32)
        over = axes.split_over(loss, self.axis_names)  # each device's loss is the mean over its part of the batch
        loss = lax.pmean(loss, over) if over else loss
        return loss, ~jnp.isfinite(loss)


def is_stand_in(params: Any) -> bool:
    """Return True for what `optax.tree_map_params` gives to init in place of the params: an empty class of its own."""
    return type(params).__module__.split(".")[0] == "optax" and not jax.tree.leaves(params)


def after(measured: jax.Array, tree: Any) -> Any:
    """Return the arrays of a tree as they are, known to be read only once `measured` is."""
    return jax.tree.map(
        lambda x: jnp.where(measured, x, jnp.zeros_like(x)) if jnp.ndim(x) and has_gradient(x) else x, tree
    )
