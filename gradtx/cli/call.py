"""Read a call such as `warmup_cosine(3e-4, 500, 20_000)` without running anything but schedules."""

import ast
import difflib
import inspect
import operator
from typing import Any

from gradtx import schedules

__all__ = ["counts", "read_schedule"]

EXAMPLE = "warmup_cosine(3e-4, 500, 20_000)"
LONGEST = 2_000  # characters: nothing nests deeper than Python's own stack
SUMS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def makers() -> dict[str, Any]:
    """Return the functions that make schedules, by name."""
    found = {name: getattr(schedules, name) for name in schedules.__all__}
    return {name: make for name, make in found.items() if inspect.isfunction(make) and name != "plot"}


def read_schedule(text: str) -> Any:
    """Return the schedule that an expression makes.

    The expression is parsed, not evaluated: calls of gradtx's schedules, numbers and sums of them, lists, tuples,
    dicts, strings, True, False and None are all that it may hold.

    Args:
        text: such as `warmup_cosine(3e-4, 500, 20_000)`, or `join([linear(0, 1, 100), cosine(1, 900)], [100])`.

    Returns:
        The schedule.

    Raises:
        ValueError: it is no such expression, or an argument is out of its range; the error says what there is.
        TypeError: an argument is missing, unknown or of another kind.
    """
    if len(text) > LONGEST:
        raise ValueError(f"schedule: the expression has {len(text):,} characters, expected at most {LONGEST:,}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"schedule: {text!r} is no expression ({error.msg}); write a call such as {EXAMPLE}") from None
    made = value_of(tree.body)
    if not callable(made):
        raise ValueError(f"schedule: {text!r} is {made!r}, expected a call such as {EXAMPLE}")
    return made


def value_of(node: ast.expr) -> Any:
    """Return what a node of an expression stands for.

    Raises:
        ValueError: it is nothing that a schedule is made of.
    """
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            return node.value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            value = number(operand)
            return -value if isinstance(node.op, ast.USub) else value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in SUMS:
            try:
                return SUMS[type(op)](number(left), number(right))
            except ZeroDivisionError:
                raise ValueError(f"schedule: {ast.unparse(node)} divides by 0") from None
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [value_of(item) for item in items]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {value_of(k): value_of(v) for k, v in zip(keys, values, strict=True) if k is not None}
        case ast.Call(func=ast.Name() | ast.Attribute() as func, args=args, keywords=keywords):
            make = maker(ast.unparse(func))
            named = {word.arg: value_of(word.value) for word in keywords if word.arg is not None}
            return make(*map(value_of, args), **named)
    raise ValueError(f"schedule: {ast.unparse(node)} is no number, list, dict or call of a schedule; see {EXAMPLE}")


def number(node: ast.expr) -> Any:
    """Return the number that a node stands for.

    Raises:
        ValueError: it is none.
    """
    value = value_of(node)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"schedule: {ast.unparse(node)} is no number")
    return value


def maker(written: str) -> Any:
    """Return the function of a name, which may be written `cosine`, `schedules.cosine` or `gradtx.schedules.cosine`.

    Raises:
        ValueError: there is none, with those that look like it.
    """
    known = makers()
    name = written.removeprefix("gradtx.").removeprefix("optax.").removeprefix("schedules.")
    if name not in known:
        near = difflib.get_close_matches(name, known, 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise ValueError(f"schedule: {written} is no schedule of gradtx; {hint}")
    return known[name]


def counts(text: str) -> int:
    """Return how many updates show a schedule: a little more than the largest whole number written in it, or 1000."""
    numbers = [x.value for x in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(x, ast.Constant)]
    whole = [x for x in numbers if type(x) is int and 1 < x <= 10**9]
    return int(max(whole) * 1.05) + 1 if whole else 1000
