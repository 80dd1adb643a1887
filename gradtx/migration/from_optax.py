"""The state of an optax chain as that of the same chain in gradtx."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._core.contract.errors import message
from gradtx._core.engine.members import check_member
from gradtx.migration.flat import ImportReport, restore
from gradtx.migration.fresh import Fresh

Slots = dict[str, Any]


def variance(state: Any) -> Slots:
    """Return the slots of `scale_by_stddev`, which keeps the variance itself and not the mean of squares."""
    spread = jax.tree.map(lambda nu, mu: jnp.maximum(nu - jnp.real(mu * jnp.conj(mu)), 0), state.nu, state.mu)
    return {"mu": state.mu, "variance": spread}


def renamed(**names: str) -> Callable[[Any], Slots]:
    """Return a function that gives the fields of a state of optax as slots, by the name of the slot."""
    return lambda state: {slot: getattr(state, field) for slot, field in names.items()}


class Kind(NamedTuple):
    """A state of optax that has a counterpart.

    Attributes:
        slots: what each transform of gradtx that has this state keeps, by name.
        transforms: names of those transforms.
    """

    slots: Callable[[Any], Slots]
    transforms: tuple[str, ...]


ADAM = ("scale_by_adam", "scale_by_adamax", "scale_by_radam", "scale_by_yogi")
KINDS: Mapping[str, Kind] = {
    "EmaState": Kind(renamed(mu="ema"), ("ema",)),
    "FactoredState": Kind(renamed(v_row="v_row", v_col="v_col", v="v"), ("scale_by_factored_rms",)),
    "ScaleByAdaDeltaState": Kind(renamed(nu="e_g", nu_update="e_x"), ("scale_by_adadelta",)),
    "ScaleByAdamState": Kind(renamed(mu="mu", nu="nu"), ADAM),
    "ScaleByAmsgradState": Kind(renamed(mu="mu", nu="nu", nu_max="nu_max"), ("scale_by_amsgrad",)),
    "ScaleByBeliefState": Kind(renamed(mu="mu", nu="nu"), ("scale_by_belief",)),
    "ScaleByLionState": Kind(renamed(mu="mu"), ("scale_by_lion",)),
    "ScaleByRStdDevState": Kind(variance, ("scale_by_stddev",)),
    "ScaleByRmsState": Kind(renamed(nu="nu"), ("scale_by_rms",)),
    "ScaleByRssState": Kind(renamed(sum_of_squares="sum_of_squares"), ("scale_by_rss", "scale_by_adagrad")),
    "TraceState": Kind(renamed(trace="trace"), ("trace",)),
}
INJECTED = ("InjectHyperparamsState/count", "InjectStatefulHyperparamsState/count")
COUNTED = ("ScaleByScheduleState", *INJECTED)  # a count alone, which every transform of gradtx keeps
INSIDE = ("inner_state", "inner_states", "inner_opt_state")  # where optax's wrappers keep what is in them


def nodes(state: Any) -> Iterator[tuple[str, Any]]:
    """Yield the states of the transforms in a state of optax by their types, in the order in which they run."""
    name, fields = type(state).__name__, getattr(state, "_fields", ())
    inside = next((field for field in fields if field in INSIDE), None)
    if inside is not None:
        for field in fields:  # what the wrapper keeps for itself, such as a count or gradients that it has gathered
            if field != inside and jax.tree.leaves(getattr(state, field)):
                yield f"{name}/{field}", getattr(state, field)
        yield from nodes(getattr(state, inside))
    elif isinstance(state, (dict, list)) or type(state) is tuple:
        for part in state.values() if isinstance(state, dict) else state:
            yield from nodes(part)
    elif jax.tree.leaves(state):
        yield name if fields else "an array outside any state of optax's", state


def count_of(name: str, node: Any) -> set[int]:
    """Return the number of updates that a node of optax's state says, if it says one."""
    if name in INJECTED:
        return {int(jax.device_get(node))}
    counted = (name in KINDS or name in COUNTED) and "count" in node._fields
    return {int(jax.device_get(node.count))} if counted else set()


def import_optax_state(
    tx: Any,
    params: Any,
    state: Any,
    *,
    count: int | None = None,
    strict: bool = True,
    may_add: Sequence[str] = (),
    may_drop: Sequence[str] = (),
) -> tuple[Any, ImportReport]:
    """Make the state of a gradtx transform from that of the same optimizer in optax, so that its numbers go on.

    States of one kind are matched in the order in which they run; an array may become wider, never narrower.
    Known are adam and its kin, adabelief, amsgrad, lion, adadelta, rmsprop, adagrad, adafactor, momentum (`trace`),
    `ema` and schedules, also inside optax's wrappers; what a wrapper keeps for itself is dropped.

    Args:
        tx: the transform of gradtx that goes on.
        params: the parameters, as for `tx.init`.
        state: the state that optax's transform made.
        count: updates made so far; None is what optax's state says, which has no count without Adam or a schedule.
        strict: as in `import_state`.
        may_add: as in `import_state`.
        may_drop: as in `import_state`.

    Returns:
        The state and the report; what is dropped is named by the type of optax's state.

    Raises:
        TypeError: tx is no transform.
        ValueError: a shape or a dtype does not fit, optax's counts differ, a schedule's count is not known, or
            something was added or dropped that is not allowed.

    Examples:
        >>> import gradtx, jax.numpy as jnp, optax
        >>> params, theirs, ours = jnp.zeros(2), optax.adam(0.1), gradtx.adam(0.1)
        >>> _, before = theirs.update(jnp.ones(2), theirs.init(params))
        >>> state, report = gradtx.import_optax_state(ours, params, before)
        >>> print(gradtx.export_state(ours, state)["adam/scale_by_adam/count"])
        1
    """
    check_member("import_optax_state", "tx", tx)
    fresh = Fresh("import_optax_state", tx, tx.init(params))
    flat: dict[str, Any] = {}
    free = list(fresh.transforms)
    counts = set() if count is None else {count}
    for name, node in nodes(state):
        kind = KINDS.get(name)
        slots = kind.slots(node) if kind else {}
        alike = [t for t in free if kind and t.split("/")[-1].split("#")[0] in kind.transforms]
        # the first of its kind; among the groups of a partition the one with these parameters
        target = next((t for t in alike if fresh.has(t, slots)), alike[0] if alike else None)
        if target is not None:
            free.remove(target)
            for slot, tree in slots.items():
                flat |= fresh.filled(target, slot, tree)
        elif name not in COUNTED:
            flat[name] = node
        counts |= count_of(name, node) if count is None else set()
    if len(counts) > 1:
        got, expected = f"holds the counts {sorted(counts)}", "one number of updates"
        raise ValueError(message("import_optax_state", "state", got, expected, "pass count="))
    flat |= fresh.counted(counts.pop() if counts else None)
    allowed = (*may_add, *fresh.unneeded(flat))
    return restore("import_optax_state", tx, fresh.state, flat, strict=strict, may_add=allowed, may_drop=may_drop)
