"""What a wrapper costs: a step of adamw bare and inside it, beside optax's wrapper round optax's adamw."""

import dataclasses
import statistics
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from cases import BIG, Case, Size
from grid import amount, grid
from timer import JaxStep, faster, race, step_of

import gradtx

Row = dict[str, Any]
RATE, PERIOD = 1e-3, 8


@dataclasses.dataclass(frozen=True)
class Wrapper:
    """A wrapper in its usual form, which leaves most steps as they are.

    Attributes:
        name: how the table calls it.
        make: `library -> transform`, round that library's adamw; it raises where the library has no such wrapper.
        most: the largest ratio to the bare step that is wanted, None where none is.
        extra: extra arguments of `update`.
    """

    name: str
    make: Callable[[Any], Any]
    most: float | None = None
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


def adamw(lib: Any) -> Any:
    """Return the optimizer that is wrapped."""
    return lib.adamw(RATE)


def everywhere(value: Any) -> Callable[[Any], Any]:
    """Return the function that says the same of every leaf."""
    return lambda tree: jax.tree.map(lambda _: value, tree)


def accumulated(lib: Any) -> Any:
    """Update once in some steps: `accumulate`, and optax's MultiSteps."""
    return lib.accumulate(adamw(lib), PERIOD) if lib is gradtx else lib.MultiSteps(adamw(lib), PERIOD)


def guarded(lib: Any) -> Any:
    """Skip steps that are not finite: `guard`, and optax's apply_if_finite."""
    return lib.guard(adamw(lib)) if lib is gradtx else lib.apply_if_finite(adamw(lib), 5)


def tuned(lib: Any) -> Any:
    """Keep the rate in the state: `tunable`, and optax's inject_hyperparams."""
    if lib is gradtx:
        return lib.tunable(lib.adamw, learning_rate=RATE)
    return lib.inject_hyperparams(lib.adamw)(learning_rate=RATE)


def of_contrib(lib: Any, name: str) -> Any:
    """Return what optax keeps in `contrib` and gradtx at its top."""
    return getattr(lib, name) if lib is gradtx else getattr(lib.contrib, name)


def first_of_two(step: jax.Array, **extra: Any) -> jax.Array:
    """Return True in every other step."""
    del extra
    return step % 2 == 0


def flat(lib: Any) -> Any:
    """Put all leaves into one vector."""
    return lib.flatten(adamw(lib))


def measured(lib: Any) -> Any:
    """Measure the updates in a chain."""
    return lib.chain(adamw(lib), lib.monitor({"largest": largest}))


def largest(tree: Any) -> jax.Array:
    """Return the largest size of a number of a tree."""
    return jnp.max(jnp.stack([jnp.max(jnp.abs(x)) for x in jax.tree.leaves(tree)]))


WRAPPERS = [
    Wrapper("accumulate", accumulated, 1.15),
    Wrapper("guard", guarded, 1.15),
    Wrapper("tunable", tuned, 1.03),
    Wrapper("masked", lambda lib: lib.masked(adamw(lib), everywhere(True)), 1.03),
    Wrapper("partition", lambda lib: lib.partition({"all": adamw(lib)}, everywhere("all"))),
    Wrapper("by_path", lambda lib: lib.by_path([("", adamw(lib))])),
    Wrapper(
        "selective_transform",
        lambda lib: lib.selective_transform(adamw(lib), freeze_mask=dict.fromkeys(BIG.like(), False)),
    ),
    Wrapper("apply_if_finite", lambda lib: lib.apply_if_finite(adamw(lib), 5)),
    Wrapper("guard, spikes", lambda lib: lib.guard(adamw(lib), spikes=10.0)),
    Wrapper("loss_scale", lambda lib: lib.loss_scale(adamw(lib), init_scale=1.0)),
    Wrapper("conditionally_transform", lambda lib: lib.conditionally_transform(adamw(lib), first_of_two)),
    Wrapper("conditionally_mask", lambda lib: lib.conditionally_mask(adamw(lib), first_of_two)),
    Wrapper("lookahead", lambda lib: gradtx_only(lib).lookahead(adamw(lib), 6, 0.5)),
    Wrapper("params_ema", lambda lib: gradtx_only(lib).params_ema(adamw(lib), 0.999)),
    Wrapper("cautious", lambda lib: gradtx_only(lib).cautious(adamw(lib))),
    Wrapper("mechanize", lambda lib: of_contrib(lib, "mechanize")(adamw(lib))),
    Wrapper("schedule_free", lambda lib: of_contrib(lib, "schedule_free")(lib.rmsprop(RATE), RATE)),
    Wrapper("sam", lambda lib: of_contrib(lib, "sam")(adamw(lib), lib.chain(of_contrib_normalize(lib), lib.sgd(0.05)))),
    Wrapper("flatten", flat),
    Wrapper("split_real_and_imaginary", lambda lib: of_contrib(lib, "split_real_and_imaginary")(adamw(lib))),
    Wrapper("monitor", measured),
    Wrapper("store", lambda lib: gradtx_only(lib).store(adamw(lib))),
    Wrapper("watch", lambda lib: gradtx_only(lib).watch(adamw(lib))),
]


def of_contrib_normalize(lib: Any) -> Any:
    """Return what divides by the global norm."""
    return of_contrib(lib, "normalize")()


def gradtx_only(lib: Any) -> Any:
    """Return gradtx.

    Raises:
        AttributeError: it is another library, which has no such wrapper or wants other parameters.
    """
    if lib is not gradtx:
        raise AttributeError(lib.__name__)
    return lib


def in_optax(wrapper: Wrapper) -> bool:
    """Return True if optax has the wrapper, and its state keeps its form, so that a step can be repeated."""
    try:
        tx = wrapper.make(optax)
    except AttributeError:
        return False
    params = BIG.like()
    state = jax.eval_shape(tx.init, params)
    after = jax.eval_shape(step_of(optax, tx, wrapper.extra), params, state, params)[1]
    return bool(jax.tree.structure(after) == jax.tree.structure(state))


def wrapper_row(wrapper: Wrapper, size: Size, rounds: int) -> Row:
    """Measure a wrapper: adamw bare, inside it, and inside optax's, in turn.

    The ratio is that of medians, and so of the steps in which the wrapper does nothing of its own.
    """
    case = Case(wrapper.name, wrapper.make, extra=wrapper.extra)
    steps = {"bare": JaxStep(gradtx, Case("adamw", adamw), size), "gradtx": JaxStep(gradtx, case, size)}
    if in_optax(wrapper):
        steps["optax"] = JaxStep(optax, case, size)
    times = race(steps, rounds, cap=6.0)
    row: Row = {"section": "wrappers", "case": wrapper.name, "size": size.name, "most": wrapper.most}
    for name, step in steps.items():
        row[name] = {
            "ms": 1e3 * statistics.median(times[name]),
            "mean_ms": 1e3 * statistics.mean(times[name]),
            "ratio": 1 / faster(times[name], times["bare"]),
            "temporary_bytes": step.temporary_bytes,
            "bytes_moved": step.moved_bytes,
        }
    if "optax" in steps:
        row["faster"] = faster(times["gradtx"], times["optax"])
        row["mean_faster"] = statistics.mean(times["optax"]) / statistics.mean(times["gradtx"])
    return row


def wrapper_rows(only: list[str], *, quick: bool) -> Iterator[Row]:
    """Measure every wrapper, or those named."""
    for wrapper in WRAPPERS:
        if not only or wrapper.name in only:
            print(f"wrappers: {wrapper.name}", file=sys.stderr, flush=True)
            yield wrapper_row(wrapper, BIG, PERIOD if quick else 3 * PERIOD)


def wrapper_table(rows: list[Row]) -> str:
    """Write what wrappers cost."""
    columns = ["adamw inside", "bare ms", "gradtx ms", "ratio to bare", "wanted", "temp"]
    columns += ["optax ms", "optax temp", "times faster", "mean of all steps"]
    lines = []
    for row in rows:
        ours, theirs = row["gradtx"], row.get("optax")
        line = [row["case"], f"{row['bare']['ms']:.2f}", f"{ours['ms']:.2f}", f"{ours['ratio']:.2f}"]
        line += [f"{row['most']:g}" if row["most"] else "", amount(ours["temporary_bytes"])]
        line += [f"{theirs['ms']:.2f}", amount(theirs["temporary_bytes"])] if theirs else ["", ""]
        line += [f"{row['faster']:.2f}", f"{row['mean_faster']:.2f}"] if theirs else ["", ""]
        lines.append(line)
    return grid(columns, lines)
