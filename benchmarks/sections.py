"""What is measured: a row per case and size, the same under `watch`, and XLA's multi-output fusion against PyTorch."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from cases import BIG, CASE, SCAN, SOME, WATCHED, Case, Size
from peers import torch_steps
from timer import JaxStep, Pass, ScanStep, eager_seconds, faster, lower_seconds, nbytes, race

import gradtx

LIBS = {"gradtx": gradtx, "optax": optax}
FLAG = "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion"
FLAGGED = ["sgd nesterov", "adagrad", "rmsprop centered+momentum", "nadamw", "adamw", "clip + adamw"]
Row = dict[str, Any]
median = statistics.median


def step_rows(plan: Sequence[tuple[Case, Size, int, int]], *, quick: bool) -> Iterator[Row]:
    """Measure cases one after another, each at a size, with so many rounds and so many repeats of trace + lower.

    Lowering is timed first, since it clears jax's caches, which eager updates then have to fill again.
    """
    lowered = [lower_seconds(LIBS, case, size, repeats) for case, size, _, repeats in plan]
    for (*what, _), seconds in zip(plan, lowered, strict=True):
        yield step_row(*what, seconds, quick=quick)


def step_row(case: Case, size: Size, rounds: int, lowered: dict[str, list[float]], *, quick: bool) -> Row:
    """Measure one case at one size: gradtx and optax in turn, then gradtx and PyTorch in turn."""
    eager = eager_seconds(LIBS, case, size, 5 if quick else 20)
    steps = {name: JaxStep(lib, case, size) for name, lib in LIBS.items()}
    memory = Pass(BIG)
    times = race({**steps, "memory": memory}, rounds)
    rate = memory.bytes / median(times["memory"])
    row: Row = {"section": "step", "case": case.name, "size": size.name, "gb_per_s": rate / 1e9}
    for name, step in steps.items():
        row[name] = {
            "ms": 1e3 * median(times[name]),
            "share_of_floor": step.floor_bytes / rate / median(times[name]),
            "temporary_bytes": step.temporary_bytes,
            "lower_s": median(lowered[name]),
            "compile_s": step.compile_seconds,
            "eager_ms": 1e3 * median(eager[name]),
        }
    row["faster"] = faster(times["gradtx"], times["optax"])
    row["lower_faster"] = faster(lowered["gradtx"], lowered["optax"])
    row["eager_faster"] = faster(eager["gradtx"], eager["optax"])
    del steps["optax"], memory
    peers = {} if quick and case.name not in SOME else torch_steps(case, size)
    if peers:
        times = race({**steps, **peers}, rounds, cap=0.5 if quick else 5.0, rest=0.005)
        row["torch"] = {
            name: {"ms": 1e3 * median(times[name]), "faster": faster(times["gradtx"], times[name])} for name in peers
        }
    return row


def scan_row(case: Case, copies: int) -> Row:
    """Measure 10,000 steps of a 10-parameter problem inside `lax.scan`.

    Where the few bytes of such a loop come to lie decides up to a third of its time: so it is compiled and placed
    several times.
    """
    steps = {(name, i): ScanStep(lib, case, SCAN) for i in range(copies) for name, lib in LIBS.items()}
    raced = race(steps, 9)
    times = {name: [second for i in range(copies) for second in raced[name, i]] for name in LIBS}
    row: Row = {"section": "scan", "case": case.name, "size": SCAN.name, "faster": faster(*times.values())}
    for name in LIBS:
        own = [steps[name, i] for i in range(copies)]
        row[name] = {
            "ms": 1e3 * median(times[name]),
            "temporary_bytes": own[0].temporary_bytes,
            "lower_s": median(step.lower_seconds for step in own),
            "compile_s": median(step.compile_seconds for step in own),
        }
    return row


def watch_row(case: Case, rounds: int) -> Row:
    """Measure a step bare, watched by default, and watched at every step; the ratios are of mean times."""
    kinds = {
        "bare": case.make,
        "watch": lambda lib: lib.watch(case.make(lib)),
        "watch(every=1)": lambda lib: lib.watch(case.make(lib), every=1),
    }
    steps = {name: JaxStep(gradtx, Case(name, make), WATCHED) for name, make in kinds.items()}
    for step in steps.values():
        for _ in range(96):  # one whole period: the first measured steps of a process load and fault in what they use
            step()
    times = race(steps, rounds, cap=float("inf"))
    row: Row = {"section": "watch", "case": case.name, "size": WATCHED.name}
    leaf = WATCHED.total // WATCHED.leaves
    for name, step in steps.items():
        own = getattr(step.state, "record", None)
        row[name] = {
            "mean_ms": 1e3 * statistics.mean(times[name]),
            "ratio": statistics.mean(times[name]) / statistics.mean(times["bare"]),
            "temporary_bytes": step.temporary_bytes,
            "record_bytes": nbytes(own),
            "parameter_sized": sum(x.size >= leaf for x in jax.tree.leaves(own)),
        }
    return row


def flag_rows(*, quick: bool) -> list[Row]:
    """Measure the cases that XLA can write in one loop, with and without its flag; flags are read when jax starts."""
    rows = []
    for flag in ("", FLAG):
        env = {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()}
        command = [sys.executable, str(Path(__file__).parent / "step.py"), "--flagged", *(["--quick"] if quick else [])]
        out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
        rows += [{**row, "section": "flag", "flag": flag} for row in json.loads(out)]
    return rows


def flagged_rows(*, quick: bool) -> list[Row]:
    """Measure, in the process that has the flag or has it not, the cases of `flag_rows`."""
    cases = FLAGGED[-2:] if quick else FLAGGED
    return list(step_rows([(CASE[name], BIG, 5 if quick else 41, 1) for name in cases], quick=quick))


def warm_up() -> None:
    """Start XLA's threads, so that the first row is timed as the others are."""
    jnp.ones(10).block_until_ready()
