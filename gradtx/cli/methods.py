"""`gradtx methods`: every transform with its kind, memory, formula and source, read from the docstrings."""

import argparse
import difflib
import inspect
import json
import re
import shutil
from typing import Any, NamedTuple

import gradtx
from gradtx.cli.say import say

__all__ = ["Method", "add", "run", "table"]

KINDS = {  # the folder that holds a transform: what it is
    "factors": "direction or scale",
    "limits": "limit",
    "memory": "memory",
    "methods": "optimizer",
    "schedules": "schedule",
    "searches": "line search",
    "wrappers": "wrapper",
    "diagnosis": "watch",
    "_core": "chain",
}


class Method(NamedTuple):
    """What the docstring of a transform says of it.

    Attributes:
        name: in `gradtx`.
        kind: one of `KINDS`.
        does: its first line.
        formula: the recurrence; where an optimizer's is another's, that is said.
        memory: arrays per parameter and passes.
        source: the references, with addresses; empty where nobody had to invent it.
    """

    name: str
    kind: str
    does: str
    formula: str
    memory: str
    source: str


def one_line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def described(name: str, make: Any) -> Method:
    """Return what the docstring of a function that makes a transform says."""
    doc = inspect.getdoc(make) or ""
    first, *head = re.split(r"\n\n", re.split(r"^(?:Units|Args|State|Cost):", doc, maxsplit=1, flags=re.MULTILINE)[0])
    cost = re.search(r"^Cost: ?(.*?)(?=\n\n|\Z)", doc, flags=re.MULTILINE | re.DOTALL)
    source = re.search(r"^References:\n(.*?)(?=\n\S|\Z)", doc, flags=re.MULTILINE | re.DOTALL)
    kind = KINDS[inspect.unwrap(make).__module__.split(".")[1]]
    if name.startswith("scale_by_") and kind in ("optimizer", "schedule"):
        kind = "direction or scale"
    cited = one_line(source[1]).removesuffix("none.") if source else ""
    return Method(name, kind, first.rstrip("."), one_line(" ".join(head)), one_line(cost[1]) if cost else "", cited)


def table() -> list[Method]:
    """Return every public function that makes a transform, by kind and name."""
    found = []
    for name in gradtx.__all__:
        make = getattr(gradtx, name) if name not in gradtx.optax_names.__all__ else None
        if inspect.isfunction(make) and inspect.signature(make).return_annotation is gradtx.Transform:
            found.append(described(name, make))
    order = list(dict.fromkeys(["optimizer", *KINDS.values()]))
    return sorted(found, key=lambda method: (order.index(method.kind), method.name))


def add(commands: Any) -> None:
    """Add the command to a parser's commands."""
    methods = commands.add_parser(
        "methods",
        help="list every transform: kind, memory, formula, source",
        description="List every transform with its kind, memory and formula, or say all of those named.",
    )
    methods.add_argument("name", nargs="*", help="methods to say all of, such as adamw; default: a table of all")
    methods.add_argument("--kind", help=f"only these: {', '.join(sorted(set(KINDS.values())))}")
    methods.add_argument("--json", action="store_true", help="print a list of objects as JSON")


def chosen_of(every: list[Method], names: list[str], kind: str | None) -> list[Method]:
    """Return the methods named, or all of a kind.

    Raises:
        ValueError: a name or a kind that is not there, with those that look like it, or a name of another kind.
    """
    known = {method.name: method for method in every}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3) or [other for other in known if name in other][:3]
            hint = f"did you mean {' or '.join(near)}?" if near else "`gradtx methods` lists all"
            raise ValueError(f"methods: {name} is no transform of gradtx; {hint}")
    kinds = {method.kind for method in every}
    if kind is not None and kind not in kinds:
        raise ValueError(f"methods: --kind {kind} is none of {', '.join(sorted(kinds))}")
    for name in names:
        if kind not in (None, known[name].kind):
            raise ValueError(f"methods: {name} is of the kind {known[name].kind}, not {kind}; leave --kind out")
    return [x for x in ([known[name] for name in names] or every) if kind in (None, x.kind)]


def short(text: str, width: int) -> str:
    """Return a text cut to a width."""
    return text if len(text) <= width else text[: max(width - 3, 0)].rstrip() + "..."


def shown(methods: list[Method], width: int) -> str:
    """Return a table of methods, those of a kind under its heading, formulas cut to the width."""
    heading = ""
    lines: list[str] = []
    wide = max(len(method.name) for method in methods)
    for method in methods:
        if method.kind != heading:
            heading = method.kind
            lines.append(f"\n{heading.upper()}" if lines else heading.upper())
        memory = short(method.memory.split(";")[0].rstrip("."), 22)
        source = short(re.split(r"(?<=\d{4})\b|; | http", method.source)[0].rstrip(",") or "-", 28)
        formula = short(method.formula, max(width - wide - 58, 20))
        lines.append(f"  {method.name:<{wide}}  {memory:<22}  {source:<28}  {formula}".rstrip())
    return "\n".join([*lines, "", f"{len(methods)} transforms; `gradtx methods adamw` says all of one"])


def run(chosen: argparse.Namespace) -> int:
    """Print the methods; return the exit status."""
    try:
        methods = chosen_of(table(), chosen.name, chosen.kind)
    except ValueError as error:
        say(str(error))
        return 2
    if chosen.json:
        print(json.dumps([method._asdict() for method in methods], indent=2))
    elif chosen.name:
        for method in methods:
            print(f"{method.name}: {method.does}")
            for field in ("kind", "formula", "memory", "source"):
                print(f"  {field:<8} {getattr(method, field) or '-'}")
    else:
        print(shown(methods, shutil.get_terminal_size((120, 24)).columns))
    return 0
