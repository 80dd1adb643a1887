"""Write what the pages say about speed from numbers.json: `python benchmarks/page.py`.

    python benchmarks/step.py --json benchmarks/numbers.json --chart docs/speed.png && python benchmarks/page.py

A page marks what is measured, `<!-- speed: NAME -->...<!-- end -->`; NAME is one of `parts`. A test compares all pages
with the file, so that no figure stands in two places with two values. `--tables` prints everything in the file instead.
"""

import argparse
import json
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cases import BIG, HALF, LAYERS, MANY, MATRICES, SCAN
from grid import amount, grid
from growth import growth_table
from report import NOISE, print_report

Row = dict[str, Any]
ROOT = Path(__file__).parents[1]
NUMBERS = ROOT / "benchmarks/numbers.json"
PAGES = ["README.md", "benchmarks/README.md", "docs/benchmarks.md", "docs/diagnosis.md", "docs/faq.md"]
MARKED = re.compile(r"(<!-- speed: ([\w ]+) -->)(.*?)(<!-- end -->)", flags=re.DOTALL)
FLAGGED, SHAPED = "with XLA's flag", "matrices"
SIZES = {
    BIG.name: "16 leaves",
    MANY.name: "500 leaves",
    HALF.name: "bfloat16",
    SCAN.name: "in a scan",
    FLAGGED: FLAGGED,
    SHAPED: SHAPED,  # methods that treat rows and columns apart are measured on these
}


def beside_optax(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return, for each size, how many times faster than optax each step is."""
    found: dict[str, dict[str, float]] = {size: {} for size in SIZES}
    for row in rows:
        if row["section"] in ("step", "scan"):
            found[row["size"]][row["case"]] = row["faster"]
        elif row["section"] == "flag" and row["flag"]:
            found[FLAGGED][row["case"]] = row["faster"]
    for row in rows:
        if row["section"] == "catalogue" and "faster" in row:
            found[BIG.name if row["size"] == BIG.name else SHAPED].setdefault(row["case"], row["faster"])
            for size, key in ((MANY.name, "many"), (SCAN.name, "scan")):
                if key in row:
                    found[size].setdefault(row["case"], row[key]["faster"])
    return found


def table(rows: Sequence[Row]) -> str:
    """Return the one table: every step at every size, and what else is known of it at 16 leaves."""
    beside = beside_optax(rows)
    sizes = [size for size in SIZES if beside[size]]
    big = {row["case"]: row for row in rows if row["section"] == "catalogue" and "faster" in row}
    big |= {row["case"]: row for row in rows if row["section"] == "step" and row["size"] == BIG.name}
    lines = []
    for case, row in big.items():
        line = [f"{beside[size][case]:.2f}" if case in beside[size] else "" for size in sizes]
        fused = row.get("torch", {}).get("torch fused")
        temporary = [amount(row[lib]["temporary_bytes"]) for lib in ("gradtx", "optax")]
        lines.append([case, *line, f"{fused['faster']:.2f}" if fused else "", *temporary])
    columns = ["step", *(SIZES[size] for size in sizes), "than torch fused", "temporary bytes", "optax's"]
    note = f"Matrices: {MATRICES.name[len('16M in ') :]}, or {LAYERS.name}.\n\n" if SHAPED in sizes else ""
    return "\n\n" + grid(columns, lines) + "\n\n" + note


def slower(pairs: dict[str, float], bound: float) -> str:
    """Return the steps below a bound, the slowest first, as words."""
    return ", ".join(f"{case} {x:.2f}" for case, x in sorted(pairs.items(), key=lambda pair: pair[1]) if x < bound)


def lost(rows: Sequence[Row]) -> str:
    """Return a list of all steps that are slower than another library's."""
    lines = []
    for size, pairs in beside_optax(rows).items():
        names = slower(pairs, NOISE)
        if names:
            lines.append(f"- **Than optax, {SIZES[size]}**: {names}.")
    steps = [row for row in rows if row["section"] == "step"]
    for size, what, key in (
        (MANY.name, "Trace and lower, 500 leaves", "lower_faster"),
        (BIG.name, "Trace and lower, 16 leaves", "lower_faster"),
        (BIG.name, "Outside jit, 16 leaves", "eager_faster"),
        (MANY.name, "Outside jit, 500 leaves", "eager_faster"),
    ):
        names = slower({row["case"]: row[key] for row in steps if row["size"] == size and key in row}, 1.0)
        if names:
            lines.append(f"- **{what}**: {names}.")
    for size in (BIG.name, HALF.name):
        fused = {row["case"]: row.get("torch", {}).get("torch fused", {}) for row in steps if row["size"] == size}
        names = slower({case: found["faster"] for case, found in fused.items() if found}, 1.0)
        if names:
            lines.append(f"- **Than PyTorch's fused steps, {SIZES[size]}**: {names}.")
    return "\n\n" + "\n".join(lines) + "\n\n"


def spread(values: Sequence[float]) -> str:
    """Return the least and the largest as words.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("numbers.json lacks rows that a page speaks of; measure all sections")
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def where(numbers: dict[str, Any]) -> str:
    """Return where and with what it was measured."""
    at = numbers["where"]
    versions = ", ".join(f"{name} {at[name]}" for name in ("jax", "optax", "torch"))
    return (
        f"{at['cores']} cores of a virtual machine ({at['machine']}), Python {at['python']}, {versions}; {at['date']}"
    )


def parts(numbers: dict[str, Any]) -> dict[str, Callable[[], str]]:
    """Return what each marked place says, by its name."""
    rows = numbers["rows"]
    beside = beside_optax(rows)
    watched = [row for row in rows if row["section"] == "watch"]
    flagged = {row["case"]: row for row in rows if row["section"] == "flag" and row["flag"]}

    catalogue = [row["faster"] for row in rows if row["section"] == "catalogue" and "faster" in row]

    def of(size: str, *, clip: bool | None = None) -> str:
        return spread([x for case, x in beside[size].items() if clip is None or ("clip" in case) is clip])

    return {
        "where": lambda: where(numbers),
        "table": lambda: table(rows),
        "lost": lambda: lost(rows),
        "big": lambda: of(BIG.name),
        "many": lambda: of(MANY.name),
        "half": lambda: of(HALF.name),
        "scan": lambda: of(SCAN.name),
        "flag": lambda: of(FLAGGED, clip=False),
        "flag clip": lambda: of(FLAGGED, clip=True),
        "flag torch": lambda: spread([flagged["adamw"]["torch"]["torch fused"]["faster"]]),
        "mean": lambda: f"{statistics.geometric_mean(catalogue):.2f} (geometric mean of {len(catalogue)} steps)",
        "growth": lambda: f"\n\n{growth_table([row for row in rows if row['section'] == 'growth'])}\n\n",
        "watch": lambda: spread([row["watch"]["ratio"] for row in watched]),
        "watch every": lambda: spread([row["watch(every=1)"]["ratio"] for row in watched]),
    }


def written(text: str, numbers: dict[str, Any]) -> str:
    """Return a page with each marked place filled in.

    Raises:
        KeyError: a place has a name that is none of `parts`.
    """
    say = parts(numbers)
    return MARKED.sub(lambda place: place[1] + say[place[2]]() + place[4], text)


def main() -> None:
    """Write the pages, or print all tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tables", action="store_true", help="print everything that was measured")
    numbers = json.loads(NUMBERS.read_text())
    if parser.parse_args().tables:
        print(", ".join(f"{key} {value}" for key, value in numbers["where"].items()))
        print_report(numbers["rows"])
        return
    for page in PAGES:
        path = ROOT / page
        path.write_text(written(path.read_text(), numbers))
        print(page)


if __name__ == "__main__":
    main()
