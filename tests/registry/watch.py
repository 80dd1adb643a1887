"""A watched transform updates as the transform it watches."""

from functools import partial
from typing import Any

from tests.registry.adam import adamw
from tests.registry.base import FUSED, Row


def watched(library: Any, **rate: Any) -> Any:
    """Return AdamW under watch."""
    return library.watch(library.adamw(0.1, weight_decay=0.01), **rate)


ROWS = [
    Row(
        "watch",
        maker=watched,
        reference=partial(adamw, learning_rate=0.1, weight_decay=0.01),
        kind="wrapper",
        fused=FUSED,
        around=lambda library, tx: library.watch(tx),
    ),
]
