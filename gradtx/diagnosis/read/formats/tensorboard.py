"""TensorBoard's event files, read by TensorBoard itself: the extra `tensorboard`."""

import importlib
from typing import Any

from gradtx.diagnosis.read.formats.table import Format, Source, Table


def looks(source: Source) -> bool:
    """Return True for event files."""
    return bool(source.files)


def read(source: Source) -> Table:
    """Return the scalars of event files, a column for each tag and a row for each step.

    Raises:
        ImportError: TensorBoard is not installed.
        ValueError: there is no scalar in them.
    """
    try:
        loader = importlib.import_module("tensorboard.backend.event_processing.event_file_loader")
        number_of = importlib.import_module("tensorboard.util.tensor_util").make_ndarray
    except ImportError as error:
        raise ImportError(
            f'read_log: {source.name} needs TensorBoard, expected the extra; pip install "gradtx[tensorboard]"'
        ) from error
    rows: list[dict[str, Any]] = []
    last: dict[int, dict[str, Any]] = {}  # the row of each step that is being filled
    for file, part in source.files:
        last.clear()
        for event in loader.EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.tensor.dtype not in (1, 2, 19) or value.tensor.tensor_shape.dim:
                    continue  # neither half, float nor double, or not a scalar
                name = f"{part}/{value.tag}" if part else value.tag
                row = last.get(event.step)
                if row is None or name in row:
                    row = last[event.step] = {"step": event.step}
                    rows.append(row)
                row[name] = float(number_of(value.tensor))
    if not rows:
        raise ValueError(f"read_log: {source.name} holds no scalar, expected one named loss; log it with add_scalar")
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [(name, [row.get(name) for row in rows]) for name in names]
    return Table(columns, [f"step {row['step']}" for row in rows])


FORMAT = Format("TensorBoard's event files", looks, read)
