"""`watch`: a wrapper for any transform that records what only the optimizer sees, and changes no update.

Measuring runs in a `lax.cond` branch that computes the update once more from what the step began with and returns
scalars and a small sample. Reading the live updates instead makes XLA write them to memory at every step, measured or
not. XLA must also know that the branch ends before slots and parameters are overwritten, or it copies them all: so the
slots that the real update reads, and the updates it returns, pass through a select on the branch's result. It always
keeps them, fuses into the loop that reads them, and changes no bit. (A select on the gradients does the same, but the
sum of a global norm is a library call that it does not fuse into.)
"""

import dataclasses
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gradtx._core.arguments.ranges import Range, check
from gradtx._core.arrays.tree import INIT_FIX
from gradtx._core.contract.errors import describe, message, none_is_leaf, tree_mismatch
from gradtx._core.contract.transform import Info, Part, Transform
from gradtx._core.contract.writing import shown
from gradtx._core.engine.chain import check_member
from gradtx.diagnosis.record import sample
from gradtx.diagnosis.record.chain import clip_bound
from gradtx.diagnosis.record.measure import measure, nonfinite
from gradtx.diagnosis.record.record import Meta, Record, empty, tick

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
        leaves = jax.tree.leaves(params)
        labels = group_labels(self.groups, params)
        names = tuple(dict.fromkeys(labels))
        sizes = [sum(jnp.size(x) for x, own in zip(leaves, labels, strict=True) if own == name) for name in names]
        every = self.every or (1 if sum(sizes) <= SMALL else EVERY)
        meta = Meta(
            transform=shown(self.inner),
            groups=names,
            sizes=tuple(sizes),
            every=every,
            run=min(RUN, every),
            total=sum(sizes),
            sampled=sample.size(params, sum(sizes)),
            clips=clip_bound(self.inner, state) is not None,
        )
        return WatchState(state, empty(meta))

    def update(self, updates: Any, state: WatchState, params: Any = None, **extra: Any) -> tuple[Any, WatchState]:
        """Return the transform's own updates, and its state beside the record."""
        grads = updates
        if not isinstance(state, WatchState):
            fix = "use the state that this tx.init made"
            raise ValueError(message(self.name, "state", f"is {describe(state)}", "a WatchState", fix))
        check_value(extra.get("value", 0.0))
        arrays = {key: x for key, x in extra.items() if all(is_array(v) for v in jax.tree.leaves(x))}
        static = tuple(Fixed(key, x) for key, x in sorted(extra.items()) if key not in arrays)
        record, pulse = self.recorder(grads, state, params, arrays, static)
        measured = ~(pulse < 0)  # a norm is never negative, which XLA cannot know
        updates, inner = self.inner.update(grads, after(measured, state.inner), params, **extra)
        return after(measured, updates), WatchState(inner, record)

    @cached_property
    def recorder(self) -> Any:
        """The recorder, compiled once per structure of its arguments."""
        return jax.jit(self.record, static_argnums=4)

    def record(self, grads: Any, state: WatchState, params: Any, arrays: Any, static: Any) -> tuple[Record, jax.Array]:
        """Return the next record, and a number >= 0 that is known only once all measuring is done."""
        record, meta = state.record, state.record.meta
        if params is not None:  # a parameter without a gradient is not measured
            try:
                params = jax.tree.map(lambda g, p: None if g is None else p, grads, params, is_leaf=none_is_leaf)
            except (ValueError, TypeError, KeyError):
                raise tree_mismatch(self.name, "grads", grads, "params", params, INIT_FIX) from None
        t, alive = record.step, record.bad_step < 0
        loss = jnp.asarray(arrays.get("value", jnp.nan), jnp.float32)
        lost = ~jnp.isfinite(loss) if "value" in arrays else jnp.zeros((), bool)
        due = alive & ~lost & (t % meta.every < meta.run)
        nothing = (record, jnp.zeros((), jnp.float32), jnp.ones((), bool))
        extra = {**arrays, **{fixed.name: fixed.value for fixed in static}}
        measured, pulse, finite = lax.cond(
            due,
            lambda: measure(self.inner, self.labels(grads, params), self.rate, grads, state, params, loss, extra),
            lambda: nothing,
        )
        bad = alive & (lost | ~finite)
        names = self.labels(grads, params)
        counts = lax.cond(bad, lambda: nonfinite(grads, names, meta), lambda: jnp.zeros_like(record.bad))
        ticked = tick(measured, loss, due & finite, alive & ~bad)
        step = jnp.where(bad, t, record.bad_step)
        return ticked._replace(bad_step=step, bad=jnp.where(bad, counts, record.bad)), pulse + jnp.sum(counts)

    def labels(self, grads: Any, params: Any) -> list[str]:
        """Return the group of each leaf of the gradients that is not None."""
        return group_labels(self.groups, grads if params is None else params)


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


def group_labels(groups: Any, params: Any) -> list[str]:
    """Return the group of each leaf: its top-level key, or what the user's function or tree of labels says."""
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    if groups is None:
        return [jax.tree_util.keystr(path[:1], simple=True) if path else "params" for path, _ in leaves]
    if callable(groups):
        return [str(groups(jax.tree_util.keystr(path))) for path, _ in leaves]
    try:
        labels = jax.tree.leaves(
            jax.tree.map(lambda label, below: [label] * len(jax.tree.leaves(below)), groups, params)
        )
    except ValueError:
        raise tree_mismatch(
            "watch", "groups", groups, "params", params, "give each leaf a label", prefix=True
        ) from None
    if len(labels) != len(leaves):
        raise tree_mismatch("watch", "groups", groups, "params", params, "give each leaf a label", prefix=True)
    return [str(label) for label in labels]


def watch(
    tx: optax.GradientTransformation, *, every: int | None = None, groups: Any = None, learning_rate: Any = None
) -> Transform:
    """Record what only the optimizer sees, so that `diagnose` can say why training is stuck.

    Wraps any transform, gradtx's or optax's. The updates are the transform's own, bit for bit; the state gains a record
    of fixed size (about 300 kB) that needs no host sync, works under jit, scan, vmap and sharding, and travels in a
    checkpoint. Call `tx.update(grads, state, params, value=loss)`: without `value` the record has no loss and the
    verdicts are fewer, without `params` it has no update/parameter ratio and no straightness.

    With g_t the gradient, u_t the update (the change of the parameters) and all sums in float32, a measured step
    records |g|^2, |u|^2, |p|^2 per group and in all, the slope g_t.u_t, the end slope g_t.u_{t-1} of the last step and
    so rho_t = g_t.u_{t-1} / g_{t-1}.u_{t-1}, the cosines of g_t with g_{t-1} and g_{t-2} and of u_t with u_{t-1}, the
    straightness |sum of 64 u|^2 / sum |u|^2, the smallest, mean and largest effective rate eta/sigma, the clip factor
    and the share of exact zeros. Products between steps come from a sample of about 16,384 coordinates, exact below
    that.
    The loss is recorded at every step. Recording stops at the first step that is not finite, which keeps the evidence.

    Units: those of the quantities recorded.

    Args:
        tx: the transform to watch.
        every: a run of 3 steps is measured in every so many; 1 measures every step. None is 1 up to 65,536
            parameters and 96 above.
        groups: how the report groups parameters: None by top-level key, a function of the path, or a tree of labels
            like the params or a prefix of them.
        learning_rate: number or schedule to report for a chain that does not say it (optax's).

    State:
        `WatchState(inner, record)`.

    Raises:
        TypeError: `tx` is no transform.
        ValueError: every < 1; a tree of labels that does not fit the params; a value that is not a scalar.

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
    if learning_rate is not None:
        check("watch", {"learning_rate": learning_rate}, {"learning_rate": Range("[0, inf)", event=True)})
    inner = optax.with_extra_args_support(tx)
    body = Watch("watch", tx if isinstance(tx, Transform) else inner, every, groups, learning_rate)
    return Transform.of(body, Info({"tx": tx}, f"watch({shown(tx)})"))
