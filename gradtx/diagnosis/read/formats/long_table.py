"""Long tables: a row for each tag and step, as TensorBoard and MLflow export several quantities."""

from typing import Any

from gradtx.diagnosis.read.columns import EVALUATION, TRAINING, words_of
from gradtx.diagnosis.read.formats.table import Table


def pivot(table: Table) -> Table:
    """Return a table of tag, step and value (TensorBoard's and MLflow's export) with a column for each tag."""
    cells = {name.strip().lower(): column for name, column in table.columns}
    tag = next((name for name in ("tag", "metric", "key") if name in cells), None)
    if tag is None or "value" not in cells:
        return table
    runs = [str(run) for run in cells.get("run", [""] * len(cells[tag]))]
    parts = all(set(words_of(run)) <= TRAINING | EVALUATION for run in runs)  # of one run, as Keras writes them
    between = "/" if parts else " - "
    several = len(set(runs)) > 1
    names = [f"{run}{between}{name}" if several else str(name) for run, name in zip(runs, cells[tag], strict=True)]
    steps = cells.get("step", [""] * len(names))
    rows: dict[Any, dict[str, Any]] = {}
    for i, (name, step) in enumerate(zip(names, steps, strict=True)):
        rows.setdefault(i if step in ("", None) else ("step", str(step)), {"step": step})[name] = cells["value"][i]
    ordered = list(rows.values())
    columns = [(name, [row.get(name) for row in ordered]) for name in dict.fromkeys(["step", *names])]
    return Table(columns, [f"step {row['step']}" for row in ordered], table.notes, table.decimal_comma)
