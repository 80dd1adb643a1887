"""Time one optimizer step of gradtx beside optax's and PyTorch's: `python benchmarks/step.py --help`."""

import argparse
import datetime
import json
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cases import BIG, CASES, HALF, MANY, SOME, Case, Size
from catalogue import PLAN, catalogue_rows
from catalogue_report import draw_catalogue
from growth import draw_growth, growth_rows
from others import LIBRARIES, missing
from peers import cores
from report import draw, print_report
from sections import Row, flag_rows, flagged_rows, scan_row, step_rows, warm_up, watch_row
from wrapped import wrapper_rows

BEYOND = ["catalogue", "wrappers", "growth"]  # what --all adds
SECTIONS = ["step", "scan", "watch", "flag", *BEYOND]


def machine() -> dict[str, str | int]:
    """Say where and with what this ran."""
    versions = {name: version(name) for name in ("jax", "optax", *LIBRARIES)}
    return {
        "cores": cores(),
        "machine": cpu(),
        "python": platform.python_version(),
        "date": str(datetime.date.today()),
        **versions,
    }


def cpu() -> str:
    """Return the processor's name, as Linux knows it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def version(package: str) -> str:
    """Return the installed version, or a dash."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "-"


def plan(*, quick: bool) -> list[tuple[Case, Size, int, int]]:
    """Return (case, size, rounds, repeats of trace + lower) of every step to time."""
    rounds = 5 if quick else 41
    chosen = [case for case in CASES if case.name in SOME] if quick else CASES
    sizes = [(BIG, CASES, 1), (MANY, chosen, 1 if quick else 3), (HALF, chosen, 1)]
    return [(case, size, rounds, repeats) for size, cases, repeats in sizes for case in cases]


def measure(sections: list[str], only: list[str], *, quick: bool) -> Iterator[Row]:
    """Measure the sections and yield their rows."""
    warm_up()
    keep = [case for case in CASES if not only or case.name in only]
    if "step" in sections:
        yield from step_rows([what for what in plan(quick=quick) if what[0] in keep], quick=quick)
    if "scan" in sections:
        yield from (scan_row(case, 1 if quick else 15) for case in keep)
    if "watch" in sections:
        watched = [case for case in keep if case.name in (["adam"] if quick else ["adam", "clip + adamw"])]
        yield from (watch_row(case, 64 if quick else 192) for case in watched)
    if "flag" in sections:
        yield from flag_rows(quick=quick)
    if "catalogue" in sections:
        yield from catalogue_rows(only, quick=quick)
    if "wrappers" in sections:
        yield from wrapper_rows(only, quick=quick)
    if "growth" in sections:
        yield from growth_rows(quick=quick)


def joined(old: list[Row], new: list[Row]) -> list[Row]:
    """Return the old rows, each replaced by a new one of the same section, case and size, and the new ones."""
    rows = {(row["section"], row["case"], row["size"], row.get("flag")): row for row in [*old, *new]}
    return list(rows.values())


def old_rows(path: Path, here: dict[str, str | int]) -> list[Row]:
    """Return the rows of a file that this machine has written with these versions, on whatever day.

    Raises:
        SystemExit: it was written elsewhere, or with other versions.
    """
    numbers = json.loads(path.read_text())
    other = sorted(key for key in here if key != "date" and numbers["where"].get(key) != here[key])
    if other:
        raise SystemExit(f"--update: {path} was measured with another {', '.join(other)}; measure all of it again")
    rows: list[Row] = numbers["rows"]
    return rows


def main() -> None:
    """Read the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and cases, under 2 minutes")
    parser.add_argument(
        "--sections", nargs="+", choices=SECTIONS, help="those that --all adds are left out; --quick leaves watch out"
    )
    parser.add_argument(
        "--all", action="store_true", help=f"the catalogue of {len(PLAN)} steps, wrappers and growth too"
    )
    parser.add_argument("--cases", nargs="+", default=[], help="names of cases; all by default")
    parser.add_argument("--json", type=Path, help="write all numbers here, as they are measured")
    parser.add_argument("--update", action="store_true", help="keep the rows of that file which are not measured again")
    parser.add_argument("--chart", type=Path, help="draw the bar chart here (needs matplotlib)")
    parser.add_argument("--catalogue-chart", type=Path, help="draw the catalogue's bar chart here (needs matplotlib)")
    parser.add_argument("--growth-chart", type=Path, help="draw how cost grows here (needs matplotlib)")
    parser.add_argument("--flagged", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.update and not args.json:
        parser.error("--update needs --json, the file that holds the rows")
    if args.flagged:
        print(json.dumps(flagged_rows(quick=args.quick)))
        return
    here = machine()
    print(", ".join(f"{key} {value}" for key, value in here.items()))
    for library in missing():
        print(f"{library} is not installed, and left out")
    left_out = [*(["watch"] if args.quick else []), *([] if args.all else BEYOND)]
    sections = args.sections or [name for name in SECTIONS if name not in left_out]
    rows = old_rows(args.json, here) if args.update else []
    for row in measure(sections, args.cases, quick=args.quick):
        rows = joined(rows, [row])
        if args.json:
            args.json.write_text(json.dumps({"where": here, "rows": rows}, indent=1) + "\n")
    print_report(rows)
    if args.chart and any(row["section"] not in BEYOND for row in rows):
        draw(rows, args.chart)
    if args.catalogue_chart:
        draw_catalogue([row for row in rows if row["section"] == "catalogue"], args.catalogue_chart)
    if args.growth_chart:
        draw_growth([row for row in rows if row["section"] == "growth"], args.growth_chart)


if __name__ == "__main__":
    main()
