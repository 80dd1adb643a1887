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


def norms(state: Any) -> Slots:
    """Return the slots of `scale_by_novograd`, which keeps the norm and not its square."""
    return {"mu": state.mu, "norm": jax.tree.map(jnp.sqrt, state.nu)}


def signs(state: Any) -> Slots:
    """Return the slots of `scale_by_rprop`, which keeps of the last step its signs."""
    return {
        "step_sizes": state.step_sizes,
        "signs": jax.tree.map(lambda u: jnp.sign(u).astype(jnp.int8), state.prev_updates),
    }


def between_updates(state: Any) -> Slots:
    """Return what `MultiSteps` keeps where no sum has begun; one that has is not taken over."""
    begun = int(jax.device_get(state.mini_step)) > 0
    return {} if begun else {"micro_step": state.mini_step, "updates": state.gradient_step}


class Kind(NamedTuple):
    """A state of optax that has a counterpart.

    Attributes:
        slots: what each transform of gradtx that has this state keeps, by name; none where it cannot be taken over.
        transforms: names of those transforms.
        new: what they keep besides, which begins as `init` makes it.
    """

    slots: Callable[[Any], Slots]
    transforms: tuple[str, ...]
    new: tuple[str, ...] = ()


ADAM = ("scale_by_adam", "scale_by_adamax", "scale_by_radam", "scale_by_yogi")
PRODIGY = ("exp_avg", "exp_avg_sq", "grad_sum", "params0", "estim_lr", "numerator_weighted")
TUNED = Kind(renamed(hyperparams="hyperparams"), ("inject_hyperparams", "tunable"), ("held", "bounds"))
KINDS: Mapping[str, Kind] = {
    "ApplyIfFiniteState": Kind(
        lambda state: {"skips/nonfinite": state.total_notfinite, "skips/in_row": state.notfinite_count},
        ("apply_if_finite",),
        ("skips",),
    ),
    "EmaState": Kind(renamed(mu="ema"), ("ema",)),
    "InjectHyperparamsState": TUNED,
    "InjectStatefulHyperparamsState": TUNED,
    "MultiStepsState": Kind(between_updates, ("MultiSteps",), ("sums", "left_out")),
    "MuonState": Kind(renamed(mu="mu"), ("scale_by_muon",)),
    "ProdigyState": Kind(renamed(**{name: name for name in PRODIGY}), ("prodigy",)),
    "ScaleByAdemamixState": Kind(renamed(mu="m1", mu_slow="m2", nu="nu"), ("scale_by_ademamix",)),
    "ScaleByNovogradState": Kind(norms, ("scale_by_novograd",)),
    "ScaleByRmsWithCountState": Kind(renamed(nu="nu"), ("scale_by_rms",)),
    "ScaleByRpropState": Kind(signs, ("scale_by_rprop",)),
    "ScaleBySM3State": Kind(renamed(mu="nu", nu="mu"), ("scale_by_sm3",)),
    "FactoredState": Kind(renamed(v_row="v_row", v_col="v_col", v="v"), ("scale_by_factored_rms",)),
    "ScaleByAdaDeltaState": Kind(renamed(nu="e_g", nu_update="e_x"), ("scale_by_adadelta",)),
    "ScaleByAdamState": Kind(renamed(mu="mu", nu="nu"), ADAM),
    "ScaleByAmsgradState": Kind(renamed(mu="mu", nu="nu", nu_max="nu_max"), ("scale_by_amsgrad",)),
    "ScaleByBeliefState": Kind(renamed(mu="mu", nu="nu"), ("scale_by_belief",)),
    "ScaleByLionState": Kind(renamed(mu="mu"), ("scale_by_lion",)),
    "ScaleByRStdDevState": Kind(variance, ("scale_by_stddev",)),
    "ScaleByRmsState": Kind(renamed(nu="nu"), ("scale_by_rms",)),
    "ScaleByRssState": Kind(renamed(sum_of_squares="sum_of_squares"), ("scale_by_rss", "scale_by_adagrad")),
    "ScheduleFreeState": Kind(
        renamed(z="z", b1="b1", max_lr="max_lr", weight_sum="weight_sum"), ("average_iterates", "schedule_free")
    ),
    "TraceState": Kind(renamed(trace="trace"), ("trace",)),
}
COUNTED = ("ScaleByScheduleState",)  # a count alone, which every transform of gradtx keeps
INSIDE = (
    "inner_state",
    "inner_states",
    "inner_opt_state",
    "base_optimizer_state",
)  # where optax's wrappers keep what is in them


def nodes(state: Any) -> Iterator[tuple[str, Any]]:
    """Yield the states of the transforms in a state of optax by their types, in the order in which they run."""
    name, fields = type(state).__name__, getattr(state, "_fields", ())
    inside = next((field for field in fields if field in INSIDE), None)
    if inside is not None:
        yield name, state
        yield from nodes(getattr(state, inside))
    elif isinstance(state, (dict, list)) or type(state) is tuple:
        for part in state.values() if isinstance(state, dict) else state:
            yield from nodes(part)
    elif jax.tree.leaves(state):
        yield name if fields else "an array outside any state of optax's", state


def unknown(name: str, node: Any) -> Slots:
    """Return what has no counterpart, by name; of a wrapper what it keeps for itself, such as gathered gradients."""
    fields = getattr(node, "_fields", ())
    if not any(field in INSIDE for field in fields):
        return {} if name in COUNTED else {name: node}
    kept = [field for field in fields if field not in (*INSIDE, "count") and jax.tree.leaves(getattr(node, field))]
    return {f"{name}/{field}": getattr(node, field) for field in kept}


def count_of(name: str, node: Any) -> set[int]:
    """Return the number of updates that a node of optax's state says, if it says one."""
    if name == "ScheduleFreeState":
        return {int(jax.device_get(node.step_count)) - 1}  # which begins at 1
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
    Known are adam and its kin, adabelief, ademamix, amsgrad, lion, adadelta, rmsprop, adagrad, adafactor, muon,
    novograd, prodigy, rprop, sm3, momentum (`trace`), `ema` and schedules, also inside optax's wrappers. Of these go on
    the values of `inject_hyperparams`, the counts of `apply_if_finite`, the average of `schedule_free`, and
    `MultiSteps` between two updates; what else a wrapper keeps for itself is named, and may be dropped.

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
    free, new = list(fresh.transforms), list[str]()
    counts = set() if count is None else {count}
    for name, node in nodes(state):
        kind = KINDS.get(name)
        slots = kind.slots(node) if kind else {}
        alike = [t for t in free if kind and slots and t.split("/")[-1].split("#")[0] in kind.transforms]
        # the first of its kind; among the groups of a partition the one with these parameters
        target = next((t for t in alike if fresh.has(t, slots)), alike[0] if alike else None)
        if kind is not None and target is not None:
            free.remove(target)
            for slot, tree in slots.items():
                flat |= fresh.filled(target, slot, tree)
            new += [f"{target}/{slot}" for slot in kind.new]
        else:
            flat |= unknown(name, node)
        counts |= count_of(name, node) if count is None else set()
    if len(counts) > 1:
        got, expected = f"holds the counts {sorted(counts)}", "one number of updates"
        raise ValueError(message("import_optax_state", "state", got, expected, "pass count="))
    flat |= fresh.counted(counts.pop() if counts else None)
    allowed = (*may_add, *new, *fresh.unneeded(flat))
    return restore("import_optax_state", tx, fresh.state, flat, strict=strict, may_add=allowed, may_drop=may_drop)
