"""The whole catalogue beside optax, one row a method: `python benchmarks/step.py --all`.

A method that optax lacks runs alone; its time over the memory floor still says what it costs.
"""

import inspect
import statistics
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from cases import BIG, LAYERS, MANY, MATRICES, SCAN, Case, Size
from others import contestants
from timer import JaxStep, Pass, ScanStep, faster, lower_seconds, race

import gradtx

Row = dict[str, Any]
LIBS = {"gradtx": gradtx, "optax": optax}


def find(lib: Any, name: str) -> Any:
    """Return what a library calls by this name, at its top or in `contrib`.

    Raises:
        LookupError: it has no such method.
    """
    found = getattr(lib, name, None) or getattr(lib.contrib, name, None)
    if found is None:
        raise LookupError(name)
    return found


def method(name: str, *args: Any, extra: Mapping[str, Any] | None = None, examples: int = 0, **settings: Any) -> Case:
    """Return the case that calls a method by its name in either library."""
    return Case(name, lambda lib: find(lib, name)(*args, **settings), extra=dict(extra or {}), examples=examples)


def wrapped(name: str, inner: str, *args: Any, **settings: Any) -> Case:
    """Return the case of a wrapper round an optimizer at a rate of 1e-3."""
    return Case(f"{name}({inner})", lambda lib: find(lib, name)(find(lib, inner)(1e-3), *args, **settings))


def limited(name: str, *args: Any) -> Case:
    """Return the case of a transform in front of sgd."""
    return Case(f"{name} + sgd", lambda lib: lib.chain(find(lib, name)(*args), lib.sgd(1e-3)))


def optimizers() -> list[str]:
    """Return the names of gradtx's public optimizers: what makes a transform from a rate, and wraps none."""
    found = []
    for name in gradtx.__all__:
        signature = inspect.signature(getattr(gradtx, name)) if inspect.isfunction(getattr(gradtx, name)) else None
        if signature is None or signature.return_annotation is not gradtx.Transform or name.startswith("scale_by_"):
            continue
        first = [p.annotation for p in signature.parameters.values()][:1]
        if first != [optax.GradientTransformation] and any(p.endswith("learning_rate") for p in signature.parameters):
            found.append(name)
    return found


def half_square(params: Any) -> Any:
    """Return half the sum of squares, an objective for methods that ask for one."""
    return sum(0.5 * jnp.vdot(p, p) for p in jax.tree.leaves(params))


LOSS, OBJECTIVE = {"value": 1.0}, {"obj_fn": half_square}
# an optimizer that is called with its rate alone needs no line here
OTHERWISE = {
    case.name: case
    for case in [
        method("adadelta", 1.0),
        *(method(name) for name in ("cocob", "dadapt_adamw", "dog", "dowg", "prodigy")),
        *(method(name, extra=LOSS) for name in ("polyak_sgd", "momo", "momo_adam")),
        method("dpsgd", 1e-3, 1.0, 1.0, 0, examples=2),
        method("lbfgs", 1e-3, linesearch=None),
        method("noisy_sgd", 1e-3, key=0),
        method("sophia", 1e-3, extra=OBJECTIVE),
    ]
}
SIZES = {name: MATRICES for name in ("adafactor", "sm3")}
SIZES |= {name: LAYERS for name in ("galore", "muon", "scion", "shampoo", "soap")}
SMALL_MATRICES = Size("1M in 500 matrices of 40 x 50", 1_000_000, 500, shape=(40, 50))
FEW_LEAVES = ("lbfgs",)  # XLA:CPU compiles optax's loops over 500 leaves for hours
COPIES = 5  # where the few bytes of a scan come to lie decides up to a third of its time
LIMITS = [("clip", 1.0), ("zero_nans",), ("keep_params_nonnegative",), ("clip_by_global_norm", 1.0)]
PLAN: list[tuple[Case, Size]] = [
    *((OTHERWISE.get(name) or method(name, 1e-3), SIZES.get(name, BIG)) for name in optimizers()),
    *(
        (wrapped(name, inner), BIG)
        for name, inner in (("cautious", "adamw"), ("mechanize", "sgd"), ("mechanize", "adam"))
    ),
    *((limited(*limit), BIG) for limit in [*LIMITS, ("normalize_by_update_norm",)]),
    *((limited(*limit), MATRICES) for limit in (("centralize",), ("adaptive_grad_clip", 0.01))),
]


def libraries(case: Case) -> dict[str, Any]:
    """Return the libraries that have the method."""
    found = {}
    for name, lib in LIBS.items():
        try:
            case.make(lib)
        except LookupError:
            continue
        found[name] = lib
    return found


def catalogue_row(case: Case, size: Size, rounds: int, cap: float, *, quick: bool) -> Row:
    """Measure one method: a donated step, gradtx and optax in turn beside a pass over memory, and trace + lower."""
    libs = libraries(case)
    lowered = lower_seconds(libs, case, size, 1)
    steps = {name: JaxStep(lib, case, size) for name, lib in libs.items()}
    memory = Pass(BIG)
    times = race({**steps, "memory": memory}, rounds, cap=cap)
    rate = memory.bytes / statistics.median(times["memory"])
    row: Row = {"section": "catalogue", "case": case.name, "size": size.name}
    for name, step in steps.items():
        seconds = statistics.median(times[name])
        row[name] = {
            "ms": 1e3 * seconds,
            "share_of_floor": step.floor_bytes / rate / seconds,
            "bytes_over_floor": step.moved_bytes / step.floor_bytes,
            "temporary_bytes": step.temporary_bytes,
            "lower_s": statistics.median(lowered[name]),
        }
    if "optax" in steps:
        row["faster"] = faster(times["gradtx"], times["optax"])
        row["lower_faster"] = faster(lowered["gradtx"], lowered["optax"])
    if not quick:
        row["peers"] = beside_others(case, size, steps["gradtx"], rounds, cap)
        del steps, memory
        row |= elsewhere(case, size, libs, rounds)
    return row


def beside_others(case: Case, size: Size, ours: JaxStep, rounds: int, cap: float) -> Row:
    """Measure a step beside those of other libraries, in turn."""
    peers = contestants(case.name, size)
    if not peers:
        return {}
    times = race({"gradtx": ours, **peers}, rounds, cap=cap, rest=0.005)
    return {
        name: {"ms": 1e3 * statistics.median(times[name]), "faster": faster(times["gradtx"], times[name])}
        for name in peers
    }


def elsewhere(case: Case, size: Size, libs: Mapping[str, Any], rounds: int) -> Row:
    """Measure a step over many small leaves, and ten parameters in a scan, where both libraries have the method."""
    if "optax" not in libs or size is LAYERS:
        return {}
    many = MANY if size is BIG else SMALL_MATRICES
    found: Row = {}
    for key, make, own, most in (("many", JaxStep, many, rounds), ("scan", ScanStep, SCAN, 9)):
        if key == "many" and case.name in FEW_LEAVES:
            continue
        copies = range(COPIES if key == "scan" else 1)
        steps = {(name, i): make(lib, case, own) for i in copies for name, lib in libs.items()}
        raced = race(steps, most, cap=2.0)
        times = {name: [second for i in copies for second in raced[name, i]] for name in libs}
        found[key] = {name: {"ms": 1e3 * statistics.median(times[name])} for name in libs}
        found[key]["faster"] = faster(times["gradtx"], times["optax"])
    return found


def catalogue_rows(only: list[str], *, quick: bool) -> Iterator[Row]:
    """Measure every method of the catalogue, or those named."""
    for case, size in PLAN:
        if not only or case.name in only:
            print(f"catalogue: {case.name}", file=sys.stderr, flush=True)  # a run of an hour says where it is
            yield catalogue_row(case, size, *((3, 1.0) if quick else (21, 6.0)), quick=quick)
