"""Which transforms of a chain are its own members, and which of them must be the last."""

from collections.abc import Sequence
from typing import Any

from gradtx._core.contract.errors import message
from gradtx._core.contract.writing import shown
from gradtx._core.engine.lift import Leafwise


def opened(tx: Any) -> Any:
    """Return the transform inside wrappers that have its state and its update, and so hide nothing from a chain."""
    while getattr(getattr(tx, "body", None), "only_starts", False):
        tx = tx.body.inner
    return tx


def check_order(name: str, links: Sequence[Any]) -> None:
    """Raise ValueError if something follows a rule that decides what the parameter becomes."""
    for i, tx in enumerate(links):
        after = next((x for x in links[i + 1 :] if getattr(x, "role", "") not in ("identity", "measure")), None)
        if after is not None and isinstance(getattr(tx, "body", None), Leafwise) and tx.body.rule.stores:
            got, fix = f"stands before {shown(after)}", "move it to the end"
            raise ValueError(message(name, shown(tx), got, "the last place of the chain", fix))
