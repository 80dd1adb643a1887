"""A hook of mkdocs: the pages of the reference, made from `__all__`, so that no public name is missing."""

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

import gradtx

PAGES = {  # page: its title, what it holds, the folders under gradtx/ whose public names stand on it
    "optimizers": ("Optimizers", "Whole optimizers, and the `scale_by_` transform under each.", ["methods"]),
    "factors": ("Directions and scales", "Factors m and sigma on their own.", ["factors"]),
    "limits": ("Clips and limits", "What bounds a gradient or an update.", ["limits"]),
    "schedules": ("Schedules", "Learning rates as functions of the step, and of what happens.", ["schedules"]),
    "wrappers": ("Wrappers", "Transforms around another transform.", ["wrappers"]),
    "searches": ("Line searches", "The length of a step, by evaluating the loss.", ["searches"]),
    "memory": ("Memory and devices", "A state in fewer bytes, over several devices, and its plan.", ["memory", "cpu"]),
    "diagnosis": ("Diagnosis", "Why training is stuck.", ["diagnosis"]),
    "migration": ("Migration", "A state taken along from another library or an older chain.", ["migration"]),
    "core": ("Compose and write", "What joins transforms, and what a method of your own is made of.", ["_core"]),
}
HYPER = (
    "A type such as `NonNegative` or `Positive` stands for a Python number, a scalar array or a schedule, in the range "
    "that the argument's text gives."
)
EVENT = "A `LearningRate` may be an event schedule too, see [`hold_until`][gradtx.schedules.hold_until]."
TYPES = {  # page: what the names of types mean that stand at its arguments
    "optimizers": f"{HYPER} {EVENT}",
    "factors": f"{HYPER} {EVENT}",
    "limits": HYPER,
    "wrappers": f"{HYPER} {EVENT}",
    "searches": HYPER,
    "schedules": "A type such as `Value` or `Length` stands for a number or a scalar array, in the range that the "
    "argument's text gives.",
}


def public() -> dict[str, Any]:
    """Return the public functions and classes that are gradtx's own, by the name to import them by."""
    theirs = set(gradtx.optax_names.__all__)
    found = {}
    for prefix, module in (("gradtx", gradtx), ("gradtx.schedules", gradtx.schedules)):
        for name in module.__all__:
            thing = getattr(module, name) if name not in theirs else None
            if thing is not None and not inspect.ismodule(thing) and hasattr(thing, "__module__"):
                found[f"{prefix}.{name}"] = thing
    return found


def names_on(folders: list[str]) -> list[str]:
    """Return the names of the public objects defined under these folders, once each, in the alphabet's order."""
    first: dict[Any, str] = {}
    for name, thing in public().items():
        if inspect.unwrap(thing).__module__.split(".")[1] in folders:
            first.setdefault(id(thing), name)
            if name.endswith(f".{thing.__name__}"):  # not a second name of the same, as multi_transform of partition
                first[id(thing)] = name
    return sorted(first.values(), key=lambda name: name.rsplit(".", 1)[1].lower())


def targets() -> dict[str, str]:
    """Return what a public name links to, by its short form; a second name, as `multi_transform`, to the first."""
    found = public()
    first = {id(found[name]): name for _, _, folders in PAGES.values() for name in names_on(folders)}
    return {name.rsplit(".", 1)[1]: first[id(thing)] for name, thing in found.items() if id(thing) in first}


def text(page: str) -> str:
    """Return the Markdown of one page of the reference."""
    title, what, folders = PAGES[page]
    types = [TYPES[page], ""] if page in TYPES else []
    return "\n".join([f"# {title}", "", what, "", *types, *map(entry, names_on(folders))])


def entry(name: str) -> str:
    """Return the Markdown of one name: its docstring, or for a second name the name whose docstring it shares."""
    called = name.rsplit(".", 1)[1]
    thing = public()[name]
    first = (inspect.getdoc(thing) or "").partition("\n")[0]
    other = re.search(r"`(\w+)` by optax's name", first)
    if other:
        head = f"## {called} {{#{name} .doc .doc-heading}}"
        return f"{head}\n\n[`{other[1]}`][gradtx.schedules.{other[1]}] by optax's name.\n"
    if name in sys.modules:  # `schedules.join` lies in a module of its name, which would be shown in its place
        return f"[](){{#{name}}}\n\n::: {name}.{called}\n"
    return f"::: {name}\n"


def on_config(config: Any) -> None:
    """Let the extension of griffe find its neighbours; mkdocs itself takes this folder off the path after loading."""
    sys.path.insert(0, str(Path(__file__).parent))


def on_page_content(html: str, **kwargs: Any) -> str:
    """Take away the space between the default of an argument and the bracket after it."""
    return html.replace("</code>\n)", "</code>)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the reference to the site.

    Raises:
        ValueError: a public name stands on no page.
    """
    listed = {name for _, _, folders in PAGES.values() for name in names_on(folders)}
    found = public()
    missing = {name for name, thing in found.items() if not any(thing is found[x] for x in listed)}
    if missing:
        raise ValueError(f"docs/tools/reference.py: no page for {sorted(missing)}; add the folder to one in PAGES")
    for page in PAGES:
        files.append(File.generated(config, f"reference/{page}.md", content=text(page)))
    return files
