"""What may stand in a chain or inside a wrapper: any pair (init, update), gradtx's with all that it knows."""

from typing import Any

from gradtx._core.contract.errors import describe, message
from gradtx._core.contract.transform import Transform, body_of
from gradtx._core.engine.rule import Rule


def own(tx: Any) -> Any:
    """Return a transform of gradtx's also where only its two functions are left, as in a pair that was rebuilt."""
    body = None if isinstance(tx, Transform) else body_of(tx.init, tx.update)
    return tx if body is None else Transform.of(body)


def check_member(name: str, position: str, tx: Any) -> None:
    """Raise TypeError unless `tx` is a pair of functions (init, update)."""
    if isinstance(tx, Rule):
        raise TypeError(message(name, position, "is Rule", "a transform", "lift it with leafwise or divide_by"))
    if not (callable(getattr(tx, "init", None)) and callable(getattr(tx, "update", None))):
        made = "call it first" if callable(tx) else "give a gradtx or optax transform"
        if isinstance(tx, list | tuple) and name == "chain":
            made = "write chain(a, b), not chain([a, b])"
        raise TypeError(message(name, position, f"is {describe(tx)}", "a transform with init and update", made))
