"""MLflow's file store: `metrics/NAME` of a run holds a line a value: its time in milliseconds, the value, the step."""

import re
from pathlib import Path

from gradtx.diagnosis.read.formats.table import Format, Source, Table
from gradtx.diagnosis.read.formats.text import NUMBER

LINE = re.compile(rf"\d{{13}} (?P<value>{NUMBER})(?: (?P<step>-?\d+))?", re.IGNORECASE)


def is_metric(lines: list[str]) -> bool:
    """Return True if these are the lines of one metric."""
    return bool(lines) and all(LINE.fullmatch(line) for line in lines)


def looks(source: Source) -> bool:
    """Return True if every line is a time, a value and a step."""
    return not source.files and is_metric(source.lines)


def read(source: Source) -> Table:
    """Return the values under the name of the file, and the steps."""
    found = [match for line in source.lines if (match := LINE.fullmatch(line))]
    columns = [("step", [match["step"] for match in found]), (Path(source.name).name, [m["value"] for m in found])]
    return Table([(name, list(cells)) for name, cells in columns], [f"line {i + 1}" for i in range(len(found))])


def runs_in(folder: Path) -> list[Path]:
    """Return the folders `metrics` of runs, the folder itself or below it."""
    found = [folder, *sorted(folder.rglob("metrics"))]
    return [path for path in found if path.name == "metrics" and path.is_dir() and metrics_in(path)]


def metrics_in(folder: Path) -> dict[str, list[str]]:
    """Return the lines of each metric of a run, by its name, in which MLflow allows a `/`."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    read_in = {file.relative_to(folder).as_posix(): file.read_text("utf-8", "replace").splitlines() for file in files}
    return {name: lines for name, lines in read_in.items() if is_metric(lines)}


def source_of_run(folder: Path) -> Source:
    """Return the metrics of a run as one long table."""
    rows = ["metric,step,value"]
    for name, lines in metrics_in(folder).items():
        rows += [f'"{name}",{m["step"] or i},{m["value"]}' for i, m in enumerate(map(LINE.fullmatch, lines)) if m]
    return Source(str(folder), "\n".join(rows).encode())


FORMAT = Format(
    "MLflow's file store",
    looks,
    read,
    example="""1700000000123 2.302585 0
1700000001123 2.1 1
1700000002123 1.9 2""",
)
