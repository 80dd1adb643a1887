"""Show what was measured: tables, the numbers to reach, a bar chart."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cases import BIG, HALF, MANY

Row = dict[str, Any]
CPU_NOISE = 0.95


def size_text(count: float) -> str:
    """Write bytes in a few characters."""
    return f"{count / 1e6:.1f}M" if count >= 1e6 else f"{count / 1e3:.1f}k" if count >= 1e3 else f"{count:.0f}"


def grid(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a table as Markdown, its columns aligned."""
    rows = [list(header), *map(list, lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    padded = [
        " | ".join([row[0].ljust(widths[0])] + [x.rjust(w) for x, w in zip(row[1:], widths[1:], strict=True)])
        for row in rows
    ]
    rule = " | ".join(["-" * widths[0]] + ["-" * (w - 1) + ":" for w in widths[1:]])
    return "\n".join(f"| {line} |" for line in [padded[0], rule, *padded[1:]])


def step_table(rows: Sequence[Row]) -> str:
    """Write the rows of one size."""
    header = [
        "step",
        "gradtx ms",
        "optax ms",
        "times faster",
        "floor",
        "optax floor",
        "temp B",
        "optax temp",
        "trace+lower s",
        "faster",
        "compile s",
        "optax",
        "eager ms",
        "faster",
        "torch fused",
        "foreach",
    ]
    lines = []
    for row in rows:
        a, b = row["gradtx"], row["optax"]
        torch = row.get("torch", {})
        peers = [f"{torch[k]['faster']:.2f}" if k in torch else "" for k in ("torch fused", "torch foreach")]
        lines.append(
            [
                row["case"],
                f"{a['ms']:.2f}",
                f"{b['ms']:.2f}",
                f"{row['faster']:.2f}",
                f"{a['share_of_floor']:.2f}",
                f"{b['share_of_floor']:.2f}",
                size_text(a["temporary_bytes"]),
                size_text(b["temporary_bytes"]),
                f"{a['lower_s']:.3f}",
                f"{row['lower_faster']:.1f}",
                f"{a['compile_s']:.2f}",
                f"{b['compile_s']:.2f}",
                f"{a['eager_ms']:.2f}",
                f"{row['eager_faster']:.1f}",
                *peers,
            ]
        )
    return grid(header, lines)


def scan_table(rows: Sequence[Row]) -> str:
    """Write the rows of the small problem."""
    header = [
        "10,000 steps of 10 parameters",
        "gradtx ms",
        "optax ms",
        "times faster",
        "trace+lower s",
        "optax",
        "compile s",
        "optax",
    ]
    return grid(
        header,
        [
            [row["case"], f"{row['gradtx']['ms']:.2f}", f"{row['optax']['ms']:.2f}", f"{row['faster']:.2f}"]
            + [f"{row[lib][key]:.3f}" for key in ("lower_s", "compile_s") for lib in ("gradtx", "optax")]
            for row in rows
        ],
    )


def watch_table(rows: Sequence[Row]) -> str:
    """Write the rows of `watch`."""
    header = ["step", "mean ms", "ratio to bare", "temp B", "record B", "parameter-sized arrays in it"]
    lines = []
    for row in rows:
        for kind in ("bare", "watch", "watch(every=1)"):
            x = row[kind]
            lines.append(
                [
                    f"{row['case']}, {kind}",
                    f"{x['mean_ms']:.2f}",
                    f"{x['ratio']:.3f}",
                    size_text(x["temporary_bytes"]),
                    size_text(x["record_bytes"]),
                    str(x["parameter_sized"]),
                ]
            )
    return grid(header, lines)


def flag_table(rows: Sequence[Row]) -> str:
    """Write the rows with and without multi-output fusion."""
    header = ["step", "flag", "gradtx ms", "optax ms", "against optax", "against torch fused", "floor", "temp B"]
    lines = []
    for row in rows:
        fused = row.get("torch", {}).get("torch fused")
        lines.append(
            [
                row["case"],
                "yes" if row["flag"] else "no",
                f"{row['gradtx']['ms']:.2f}",
                f"{row['optax']['ms']:.2f}",
                f"{row['faster']:.2f}",
                f"{fused['faster']:.2f}" if fused else "",
                f"{row['gradtx']['share_of_floor']:.2f}",
                size_text(row["gradtx"]["temporary_bytes"]),
            ]
        )
    return grid(header, lines)


def reached(rows: Sequence[Row]) -> Iterator[tuple[str, str, bool]]:
    """Yield (what, number against the number to reach, whether reached)."""

    def least(what: str, found: list[tuple[float, str]], aim: float) -> Iterator[tuple[str, str, bool]]:
        if found:
            value, name = min(found)
            yield what, f"{value:.2f} ({name}), at least {aim:g}", value >= aim

    def pick(key: str, size: str, cases: Sequence[str] = ()) -> list[tuple[float, str]]:
        return [
            (r[key], r["case"])
            for r in rows
            if r["section"] == "step" and r["size"] == size and (not cases or r["case"] in cases)
        ]

    clip = ["clip + adamw"]
    yield from least("every step against optax, 16 leaves", pick("faster", BIG.name), CPU_NOISE)
    yield from least("every step against optax, 500 leaves", pick("faster", MANY.name), CPU_NOISE)
    yield from least("clip + adamw against optax, 16 leaves", pick("faster", BIG.name, clip), 2.2)
    yield from least("clip + adamw against optax, 500 leaves", pick("faster", MANY.name, clip), CPU_NOISE)
    four = ["sgd nesterov", "nadamw", "rmsprop centered+momentum", "adagrad"]
    yield from least("nesterov, nadamw, rmsprop c+m, adagrad", pick("faster", BIG.name, four), 1.1)
    yield from least("trace + lower against optax, 500 leaves", pick("lower_faster", MANY.name), 2.0)
    yield from least("eager update against optax, 16 leaves", pick("eager_faster", BIG.name), 5.0)
    temporary = [
        (-float(r["gradtx"]["temporary_bytes"]), r["case"])
        for r in rows
        if r["section"] == "step" and r["size"] == BIG.name
    ]
    if temporary:
        worst, name = min(temporary)
        yield "temporary bytes, 16 leaves", f"{-worst:.0f} ({name}), scalars only", -worst < 4096
    yield from least(
        "10,000 steps in a scan", [(r["faster"], r["case"]) for r in rows if r["section"] == "scan"], CPU_NOISE
    )
    for flag, text in (("", "without"), ("x", "with")):
        found = [
            (r["torch"]["torch fused"]["faster"], r["case"])
            for r in rows
            if r["section"] == "flag"
            and bool(r["flag"]) == bool(flag)
            and r["case"] == "adamw"
            and "torch fused" in r.get("torch", {})
        ]
        yield from least(f"adamw against torch fused, {text} the flag", found, 1.0)
    for kind, aim in (("watch", 1.10), ("watch(every=1)", 2.5)):
        found = [(r[kind]["ratio"], r["case"]) for r in rows if r["section"] == "watch"]
        if found:
            value, name = max(found)
            yield f"{kind} against bare", f"{value:.3f} ({name}), at most {aim:g}", value <= aim


def print_report(rows: Sequence[Row]) -> None:
    """Print every table that has rows."""
    for size in (BIG, MANY, HALF):
        some = [row for row in rows if row["section"] == "step" and row["size"] == size.name]
        if some:
            rate = sum(row["copy_gb_per_s"] for row in some) / len(some)
            print(f"\n{size.name} (a copy moves {rate:.0f} GB/s)\n\n{step_table(some)}")
    for section, table in (("scan", scan_table), ("watch", watch_table), ("flag", flag_table)):
        some = [row for row in rows if row["section"] == section]
        if some:
            print(f"\n{section}\n\n{table(some)}")
    print("\n" + grid(["what", "reached", ""], [[a, b, "yes" if c else "NO"] for a, b, c in reached(rows)]))


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw how many times faster than optax each step is, a bar per size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    steps = [row for row in rows if row["section"] in ("step", "scan")]
    cases = list(dict.fromkeys(row["case"] for row in steps))[::-1]
    sizes = list(dict.fromkeys(row["size"] for row in steps))
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.2 * len(cases) * len(sizes)), layout="constrained")
    height = 0.8 / len(sizes)
    for i, size in enumerate(sizes):
        some = [row for row in steps if row["size"] == size]
        at = [cases.index(row["case"]) + (len(sizes) / 2 - i - 0.5) * height for row in some]
        bars = axes.barh(at, [row["faster"] for row in some], height, label=size)
        axes.bar_label(bars, [f"{row['faster']:.2f}" for row in some], padding=2, fontsize=7)
    axes.axvline(1.0, color="0.3", lw=1)
    axes.set_yticks(range(len(cases)), cases)
    axes.set_ylim(-0.6, len(cases) - 0.4)
    axes.margins(x=0.08)
    axes.set_xlabel("time of optax's step / time of gradtx's step (right of 1: gradtx is faster)")
    axes.legend(loc="lower right", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
