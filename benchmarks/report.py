"""Show what was measured: tables, the numbers to reach, a bar chart."""

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cases import BIG, HALF, MANY
from catalogue_report import catalogue_table, elsewhere_table
from grid import amount, grid
from growth import growth_table
from wrapped import wrapper_table

Row = dict[str, Any]
TWICE = ["adafactor", "adadelta", "lars", "lamb", "lion", "sm3", "noisy_sgd", "adabelief", "adan"]
NOISE = 0.95  # "not slower" on a machine that is never quite quiet


def step_table(rows: Sequence[Row]) -> str:
    """Write the time and memory of the rows of one size."""
    columns = ["step", "gradtx ms", "optax ms", "times faster", "floor", "optax floor", "temp", "optax temp"]
    columns += ["than torch fused", "than foreach"]
    lines = []
    for row in rows:
        ours, theirs, torch = row["gradtx"], row["optax"], row.get("torch", {})
        line = [row["case"], f"{ours['ms']:.2f}", f"{theirs['ms']:.2f}", f"{row['faster']:.2f}"]
        line += [f"{x['share_of_floor']:.2f}" for x in (ours, theirs)]
        line += [amount(x["temporary_bytes"]) for x in (ours, theirs)]
        line += [f"{torch[kind]['faster']:.2f}" if kind in torch else "" for kind in ("torch fused", "torch foreach")]
        lines.append(line)
    return grid(columns, lines)


def start_table(rows: Sequence[Row]) -> str:
    """Write what the rows of one size cost before the first step, and outside jit."""
    columns = ["step", "trace+lower s", "optax s", "times faster", "compile s", "optax s"]
    columns += ["eager update ms", "optax ms", "times faster"]
    lines = []
    for row in (row for row in rows if "lower_faster" in row):
        ours, theirs = row["gradtx"], row["optax"]
        line = [row["case"], f"{ours['lower_s']:.3f}", f"{theirs['lower_s']:.3f}", f"{row['lower_faster']:.1f}"]
        line += [f"{ours['compile_s']:.2f}", f"{theirs['compile_s']:.2f}"]
        line += [f"{ours['eager_ms']:.2f}", f"{theirs['eager_ms']:.2f}", f"{row['eager_faster']:.1f}"]
        lines.append(line)
    return grid(columns, lines)


def scan_table(rows: Sequence[Row]) -> str:
    """Write the rows of the small problem."""
    columns = ["10,000 steps of 10 parameters", "gradtx ms", "optax ms", "times faster", "compile s", "optax s"]
    lines = []
    for row in rows:
        line = [row["case"], *(f"{row[lib]['ms']:.3f}" for lib in ("gradtx", "optax")), f"{row['faster']:.2f}"]
        lines.append(line + [f"{row[lib]['compile_s']:.3f}" for lib in ("gradtx", "optax")])
    return grid(columns, lines)


def watch_table(rows: Sequence[Row]) -> str:
    """Write the rows of `watch`."""
    columns = ["step", "mean ms", "ratio to bare", "temp", "record", "arrays of a leaf's size in it"]
    lines = []
    for row in rows:
        for kind in ("bare", "watch", "watch(every=1)"):
            x = row[kind]
            line = [f"{row['case']}, {kind}", f"{x['mean_ms']:.2f}", f"{x['ratio']:.3f}", amount(x["temporary_bytes"])]
            lines.append([*line, amount(x["record_bytes"]), str(x["parameter_sized"])])
    return grid(columns, lines)


def flag_table(rows: Sequence[Row]) -> str:
    """Write the rows with and without multi-output fusion."""
    columns = ["step", "flag", "gradtx ms", "optax ms", "times faster", "than torch fused", "floor", "temp"]
    lines = []
    for row in rows:
        fused = row.get("torch", {}).get("torch fused")
        line = [row["case"], "yes" if row["flag"] else "no", f"{row['gradtx']['ms']:.2f}", f"{row['optax']['ms']:.2f}"]
        line += [f"{row['faster']:.2f}", f"{fused['faster']:.2f}" if fused else ""]
        lines.append([*line, f"{row['gradtx']['share_of_floor']:.2f}", amount(row["gradtx"]["temporary_bytes"])])
    return grid(columns, lines)


def goals(rows: Sequence[Row]) -> Iterator[tuple[str, list[tuple[float, str]], float]]:
    """Yield (what, (value, case) of each row it is about, the least value to reach)."""
    clip, four = ["clip + adamw"], ["sgd nesterov", "nadamw", "rmsprop centered+momentum", "adagrad"]

    def pick(key: str, size: str, cases: Sequence[str] = ()) -> list[tuple[float, str]]:
        some = [row for row in rows if row["section"] == "step" and row["size"] == size]
        return [(row[key], row["case"]) for row in some if not cases or row["case"] in cases]

    yield "every step against optax, 16 leaves", pick("faster", BIG.name), NOISE
    yield "every step against optax, 500 leaves", pick("faster", MANY.name), NOISE
    yield "every step against optax, bfloat16", pick("faster", HALF.name), NOISE
    yield "clip + adamw against optax, 16 leaves", pick("faster", BIG.name, clip), 2.2
    yield "clip + adamw against optax, 500 leaves", pick("faster", MANY.name, clip), NOISE
    yield "nesterov, nadamw, rmsprop centered+momentum, adagrad", pick("faster", BIG.name, four), 1.1
    yield "trace + lower against optax, 500 leaves", pick("lower_faster", MANY.name), 2.0
    yield "eager update against optax, 16 leaves", pick("eager_faster", BIG.name), 5.0
    yield "10,000 steps in a scan", [(row["faster"], row["case"]) for row in rows if row["section"] == "scan"], NOISE
    beside = [(row["faster"], row["case"]) for row in rows if row["section"] == "catalogue" and "faster" in row]
    yield "the catalogue against optax", beside, NOISE
    catalogue = [row for row in rows if row["section"] == "catalogue"]
    for key, text in (("many", "500 leaves"), ("scan", "in a scan")):
        some = [(row[key]["faster"], row["case"]) for row in catalogue if key in row]
        yield f"the catalogue against optax, {text}", some, NOISE
    yield "adafactor, adadelta and those of their kind", [pair for pair in beside if pair[1] in TWICE], 2.0
    flagged = [row for row in rows if row["section"] == "flag" and row["flag"]]
    yield "every step against optax, with the flag", [(row["faster"], row["case"]) for row in flagged], NOISE
    yield "the four above, with the flag", [(row["faster"], row["case"]) for row in flagged if row["case"] in four], 1.1
    for text, flag in (("without", False), ("with", True)):
        some = [row for row in rows if row["section"] == "flag" and bool(row["flag"]) == flag and row.get("torch")]
        found = [(row["torch"]["torch fused"]["faster"], row["case"]) for row in some if row["case"] == "adamw"]
        yield f"adamw against torch fused, {text} the flag", found, 1.0


def bounds(rows: Sequence[Row]) -> Iterator[tuple[str, list[tuple[float, str]], float]]:
    """Yield (what, (value, case) of each row it is about, the largest value allowed)."""
    big = [row for row in rows if row["section"] == "step" and row["size"] == BIG.name]
    clips = [row for row in big if "clip" in row["case"]]
    for what, some, bound in (("", [row for row in big if row not in clips], 1e3), (" with a clip", clips, 100e3)):
        found = [(row["gradtx"]["temporary_bytes"], row["case"]) for row in some]
        yield f"temporary bytes{what}, 16 leaves (scalars and blocks, no array)", found, bound
    for row in rows:
        if row["section"] == "wrappers" and row["most"]:
            yield f"{row['case']} against the bare step", [(row["gradtx"]["ratio"], row["case"])], row["most"]
    watched = [row for row in rows if row["section"] == "watch"]
    for kind, bound in (("watch", 1.10), ("watch(every=1)", 2.5)):
        yield f"{kind} against bare", [(row[kind]["ratio"], row["case"]) for row in watched], bound


def verdicts(rows: Sequence[Row]) -> str:
    """Write the numbers to reach, each with the row that is furthest from it."""
    lines = []
    for what, found, aim in goals(rows):
        if found:
            worst = min(found)
            lines.append([what, f"{worst[0]:.2f}", worst[1], f"at least {aim:g}", "yes" if worst[0] >= aim else "NO"])
    for what, found, bound in bounds(rows):
        if found:
            worst, write = max(found), amount if bound > 1000 else "{:.3g}".format
            reached = "yes" if worst[0] <= bound else "NO"
            lines.append([what, write(worst[0]), worst[1], f"at most {write(bound)}", reached])
    beside = [row["faster"] for row in rows if row["section"] == "catalogue" and "faster" in row]
    if beside:
        mean = statistics.geometric_mean(beside)
        what = f"geometric mean over the catalogue's {len(beside)} rows that optax has"
        lines.append([what, f"{mean:.2f}", "all", "at least 2", "yes" if mean >= 2 else "NO"])
    return grid(["what", "worst", "of", "to reach", "reached"], lines)


def print_report(rows: Sequence[Row]) -> None:
    """Print every table that has rows."""
    for size in (BIG, MANY, HALF):
        some = [row for row in rows if row["section"] == "step" and row["size"] == size.name]
        if some:
            rate = sum(row["gb_per_s"] for row in some) / len(some)
            print(f"\n### {size.name} (a pass moves {rate:.0f} GB/s)\n\n{step_table(some)}\n\n{start_table(some)}")
    tables = {"scan": scan_table, "watch": watch_table, "flag": flag_table, "catalogue": catalogue_table}
    tables |= {"wrappers": wrapper_table, "growth": growth_table}
    for section, table in tables.items():
        some = [row for row in rows if row["section"] == section]
        if some:
            print(f"\n### {section}\n\n{table(some)}")
    beyond = [row for row in rows if row["section"] == "catalogue" and (row.get("peers") or "many" in row)]
    if beyond:
        print(f"\n### The catalogue elsewhere, and beside other libraries\n\n{elsewhere_table(beyond)}")
    print(f"\n### The numbers to reach\n\n{verdicts(rows)}")


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw how many times faster than optax each step is, a panel per size, and one with XLA's flag."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    steps = [row for row in rows if row["section"] in ("step", "scan")]
    steps += [{**row, "size": f"{row['size']}, XLA's flag"} for row in rows if row["section"] == "flag" and row["flag"]]
    cases = list(dict.fromkeys(row["case"] for row in steps))[::-1]
    sizes = list(dict.fromkeys(row["size"] for row in steps))
    most = max(row["faster"] for row in steps)
    width, height = 2.1 * len(sizes) + 1.8, 0.9 + 0.24 * len(cases)
    figure, panels = plt.subplots(
        1, len(sizes), sharey=True, squeeze=False, figsize=(width, height), layout="constrained"
    )
    for axes, size in zip(panels[0], sizes, strict=True):
        some = [row for row in steps if row["size"] == size]
        at, times = [cases.index(row["case"]) for row in some], [row["faster"] for row in some]
        axes.barh(at, times, 0.7, color=["#1f6fb2" if t >= NOISE else "#c2671f" for t in times])
        for y, t in zip(at, times, strict=True):
            axes.text(max(t, 1.0) + 0.05, y, f"{t:.2f}", va="center", fontsize=8)
        axes.axvline(1.0, color="0.3", lw=1)
        axes.set_title(size, fontsize=9)
        axes.set_xlim(0, 1.2 * most)
        axes.set_yticks(range(len(cases)), cases)
        axes.tick_params(left=False)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.supxlabel("time of optax's step / time of gradtx's step (right of the line: gradtx is faster)", fontsize=9)
    figure.savefig(path, dpi=150)
