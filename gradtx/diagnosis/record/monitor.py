"""`watch`: a wrapper for any transform that records what only the optimizer sees, and changes no update.

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
import numpy as np
import optax
from jax import lax

from gradtx._core.arguments.ranges import Range, check
from gradtx._core.arrays.tree import INIT_FIX
from gradtx._core.contract.errors import describe, message, tree_mismatch
from gradtx._core.contract.transform import Info, Part, Transform
from gradtx._core.contract.writing import shown
from gradtx._core.engine.chain import check_member
from gradtx.diagnosis.record import axes, sample
from gradtx.diagnosis.record.chain import clip_bound, learning_rate
from gradtx.diagnosis.record.groups import depth, group_labels
from gradtx.diagnosis.record.measure import Found, Step, like, look, measure, nonfinite, nothing, own
from gradtx.diagnosis.record.record import BLANK, Meta, Record, empty, tick

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
        """Return True if `state` is that of a watch round the same transform."""
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
        )
        record = empty(meta)
        # a leaf there keeps what the real state holds; another Meta would not match the real one's
        return WatchState(state, record._replace(meta=0) if stands_in else record)

    def update(self, updates: Any, state: WatchState, params: Any = None, **extra: Any) -> tuple[Any, WatchState]:
        """Return the transform's own updates, and its state beside the record."""
        grads = updates
        if not isinstance(state, WatchState):
            fix = "use the state that this tx.init made"
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
            updates, inner = self.inner.update(grads, state.inner, params, **extra)
            record, _ = self.recorder(grads, state, params, arrays, static, live, like(grads, updates))
            return updates, WatchState(inner, record)
        record, pulse = self.recorder(grads, state, params, arrays, static, live)
        measured = ~(pulse < 0)  # a norm is never negative, which XLA cannot know
        updates, inner = self.inner.update(grads, after(measured, state.inner), params, **extra)
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


def is_traced(tree: Any) -> bool:
    """Return True if a tree holds an array that is traced, as under jit, vmap or grad."""
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(tree))


@dataclasses.dataclass(frozen=True, eq=False)
class Fixed:
    """An extra argument that is no array, such as a function: compared by identity, so that it need not be hashable."""

    name: str
    value: Any

    def __eq__(self, other: object) -> bool:
        """Say whether it is the very same argument."""
        return isinstance(other, Fixed) and self.name == other.name and self.value is other.value

    def __hash__(self) -> int:
        """Hash as `__eq__` compares."""
        return hash((self.name, id(self.value)))


def check_value(value: Any) -> None:
    """Raise unless the loss is a scalar."""
    if not is_array(value):
        raise TypeError(f"watch: value is {describe(value)}, expected the loss, a scalar; pass value=loss alone")
    if jnp.shape(value) != ():
        raise ValueError(f"watch: value has shape {jnp.shape(value)}, expected a scalar; pass the mean loss")


def is_array(x: Any) -> bool:
    """Say whether jit takes a leaf as an array."""
    return isinstance(x, (jax.Array, np.ndarray, np.generic, bool, int, float, complex))


def after(measured: jax.Array, tree: Any) -> Any:
    """Return the arrays of a tree as they are, known to be read only once `measured` is."""
    return jax.tree.map(lambda x: jnp.where(measured, x, jnp.zeros_like(x)) if jnp.ndim(x) else x, tree)


def watch(
    tx: optax.GradientTransformation,
    *,
    every: int | None = None,
    groups: Any = None,
    learning_rate: Any = None,
    axis_name: Any = None,
) -> Transform:
    """Record what only the optimizer sees, so that `diagnose` can say why training is stuck.

    Wraps any transform, gradtx's or optax's. The updates are the transform's own, bit for bit; the state gains a record
    of fixed size (40 to 300 kB) that needs no host sync, works under jit, scan, vmap and sharding, and travels in a
    checkpoint. Call `tx.update(grads, state, params, value=loss)`: without `value` the record has no loss and the
    verdicts are fewer, without `params` it has no update/parameter ratio and no straightness.

    With g_t the gradient, u_t the update (the change of the parameters) and all sums in float32, a measured step
    records |g|^2, |u|^2, |p|^2 per group and in all, the slope g_t.u_t, the end slope g_t.u_{t-1} of the last step and
    so rho_t = g_t.u_{t-1} / g_{t-1}.u_{t-1}, the cosines of g_t with g_{t-1} and g_{t-2} and of u_t with u_{t-1}, the
    straightness |sum of 64 u|^2 / sum |u|^2, the smallest, mean and largest effective rate eta/sigma, the clip factor
    and the share of exact zeros. Products between steps come from a sample of about 16,384 coordinates, exact below
    that.
    The loss is recorded at every step. A step whose gradient is not finite and whose update is (`apply_if_finite`) is
    counted as skipped where it is seen: at measured steps, and where the loss is not finite either. Recording stops at
    the first step whose update, or whose loss alone, is not finite, which keeps the evidence.

    Units: those of the quantities recorded.

    Args:
        tx: the transform to watch.
        every: a run of 3 steps is measured in every so many; 1 measures every step. None is 1 up to 65,536
            parameters and 96 above.
        groups: how the report groups parameters: None by the keys of the first level that has two or more, a function
            of the path, or a tree of labels like the params or a prefix of them.
        learning_rate: number or schedule to report for a chain that does not say it (optax's).
        axis_name: axis of `shard_map`, or a tuple of them, to sum over: norms, slopes and counts are then those of all
            devices, and a loss that differs by device is averaged. A leaf that is the same on all counts once; under
            `check_vma=False`, where types do not tell, every leaf is taken to be split.

    State:
        `WatchState(inner, record)`.

    Raises:
        TypeError: `tx` is no transform.
        ValueError: every < 1; a tree of labels that does not fit the params; a value that is not a scalar; a gradient
            that differs along an axis of `shard_map` that is not in `axis_name`.

    Cost: no array of the model's size; nearly nothing on the steps between, 1 to 2 more steps on a measured one.

    References:
        Schneider, Dangel & Hennig 2021 (the end slope, as Cockpit's alpha), https://arxiv.org/abs/2102.06604

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.watch(gradtx.sgd(0.9))
        >>> p = jnp.array(1.0)
        >>> state = tx.init(p)
        >>> for _ in range(3):
        ...     updates, state = tx.update(2 * p, state, p, value=p**2)
        ...     p = p + updates
        >>> round(gradtx.metrics(state)["rho"], 4)
        -0.8
    """
    check_member("watch", "tx", tx)
    if every is not None and (not isinstance(every, int) or isinstance(every, bool) or every < 1):
        raise ValueError(f"watch: every = {every!r}, expected a whole number >= 1; write every=1 to measure every step")
    names = axes.named(axis_name)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"watch: axis_name = {axis_name!r}, expected the name of an axis or a tuple of names; write 'x'"
        )
    if learning_rate is not None:
        check("watch", {"learning_rate": learning_rate}, {"learning_rate": Range("[0, inf)", event=True)})
    inner = optax.with_extra_args_support(tx)
    body = Watch("watch", tx if isinstance(tx, Transform) else inner, every, groups, learning_rate, names)
    return Transform.of(body, Info({"tx": tx}, f"watch({shown(tx)})"))
