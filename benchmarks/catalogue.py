"""The whole catalogue beside optax, one row a method: `python benchmarks/step.py --all`.

A method that optax lacks runs alone; its time over the memory floor still says what it costs.
"""

import statistics
from typing import Any

import jax
import optax
import optax.contrib
from cases import BIG, LAYERS, MATRICES, Case, Size
from timer import JaxStep, Pass, faster, lower_seconds, race

import gradtx

Row = dict[str, Any]
LIBS = {"gradtx": gradtx, "optax": optax}


def find(lib: Any, name: str) -> Any:
    """Return what a library calls by this name, at its top or in `contrib`; None where it has no such method."""
    return getattr(lib, name, None) or getattr(lib.contrib, name, None)


def method(name: str, *args: Any, shown: str = "", extra: dict[str, Any] | None = None, **settings: Any) -> Case:
    """Return the case that calls a method by its name in either library."""
    return Case(shown or name, lambda lib: find(lib, name)(*args, **settings), extra=extra or {})


def wrapped(name: str, inner: str, *args: Any, **settings: Any) -> Case:
    """Return the case of a wrapper round an optimizer at a rate of 1e-3."""
    return Case(f"{name}({inner})", lambda lib: find(lib, name)(find(lib, inner)(1e-3), *args, **settings))


def limited(name: str, *args: Any) -> Case:
    """Return the case of a transform in front of sgd."""
    return Case(f"{name} + sgd", lambda lib: lib.chain(find(lib, name)(*args), lib.sgd(1e-3)))


KEY = {"key": jax.random.key(0)}
LOSS = {"value": 1.0}
RATED = [
    *("adabelief", "adamax", "adamaxw", "adan", "lion", "sign_sgd", "signum", "yogi"),
    *("optimistic_gradient_descent", "optimistic_adam_v2"),
    *("ademamix", "simplified_ademamix", "acprop", "adopt", "madgrad", "adamc"),
]
ELEMENTWISE = [
    *(method(name, 1e-3) for name in RATED),
    method("adadelta", 1.0),
    method("rprop", 1e-3),
    method("noisy_sgd", 1e-3, **KEY),
    method("schedule_free_sgd", 1e-3),
    method("schedule_free_adamw", 1e-3),
    method("cocob"),
    wrapped("cautious", "adamw"),
    *(limited(name, *args) for name, *args in (("clip", 1.0), ("zero_nans",), ("keep_params_nonnegative",))),
]
WHOLE_TREE = [
    *(method(name, 1e-3) for name in ("mars", "fromage", "lars", "lamb", "novograd")),
    *(method(name) for name in ("prodigy", "dadapt_adamw", "dog", "dowg")),
    method("polyak_sgd", extra=LOSS),
    method("momo", extra=LOSS),
    method("momo_adam", extra=LOSS),
    method("lbfgs", 1e-3, linesearch=None),
    wrapped("mechanize", "sgd"),
    *(limited(name, *args) for name, *args in (("clip_by_global_norm", 1.0), ("normalize_by_update_norm",))),
]
OF_MATRICES = [
    *(method(name, 1e-3) for name in ("adafactor", "sm3")),
    *(limited(name, *args) for name, *args in (("centralize",), ("adaptive_grad_clip", 0.01))),
]
OF_LAYERS = [method(name, 1e-3) for name in ("muon", "galore", "scion", "soap", "psgd_kron")]
PLAN: list[tuple[Case, Size]] = [
    *((case, BIG) for case in [*ELEMENTWISE, *WHOLE_TREE]),
    *((case, MATRICES) for case in OF_MATRICES),
    *((case, LAYERS) for case in OF_LAYERS),
]


def libraries(case: Case) -> dict[str, Any]:
    """Return the libraries that have the method."""
    found = {}
    for name, lib in LIBS.items():
        try:
            case.make(lib)
            found[name] = lib
        except TypeError:  # None is called: it has no such method
            continue
    return found


def catalogue_row(case: Case, size: Size, rounds: int) -> Row:
    """Measure one method: a donated step, gradtx and optax in turn beside a pass over memory, and trace + lower."""
    libs = libraries(case)
    lowered = lower_seconds(libs, case, size, 1)
    steps = {name: JaxStep(lib, case, size) for name, lib in libs.items()}
    memory = Pass(BIG)
    times = race({**steps, "memory": memory}, rounds, cap=6.0)
    rate = memory.bytes / statistics.median(times["memory"])
    row: Row = {"section": "catalogue", "case": case.name, "size": size.name}
    for name, step in steps.items():
        seconds = statistics.median(times[name])
        row[name] = {
            "ms": 1e3 * seconds,
            "share_of_floor": step.floor_bytes / rate / seconds,
            "temporary_bytes": step.temporary_bytes,
            "lower_s": statistics.median(lowered[name]),
        }
    if "optax" in steps:
        row["faster"] = faster(times["gradtx"], times["optax"])
        row["lower_faster"] = faster(lowered["gradtx"], lowered["optax"])
    return row


def catalogue_rows(only: list[str], *, quick: bool) -> list[Row]:
    """Measure every method of the catalogue, or those named."""
    plan = [(case, size) for case, size in PLAN if not only or case.name in only]
    return [catalogue_row(case, size, 5 if quick else 21) for case, size in plan]
