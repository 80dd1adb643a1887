"""Show docstrings as a reader of `help()` sees them: with shared arguments filled in, formulas rendered."""

import importlib
import inspect
import re
from typing import Any

import griffe
from cells import linked
from formulas import equations, typeset
from reference import targets

READ = ("Args:", "Attributes:", "Returns:", "Raises:", "Examples:", "Yields:")  # sections that mkdocstrings lays out
OURS = re.compile(r"^(Units|Equivalent to|Differs from|Cost|State|References): ?(.*)$")
SLOTS = re.compile(r"(?<=[.;])\n(?= {4}[\w, ]+: )")  # between the lines of State that name slots; others go on
FORMULA = re.compile(r"[\w})] = ")
COLON = re.compile(r"^([^:`]*(?:`[^`]*`[^:`]*)*): ")
PROSE = re.compile(r"[A-Z][a-z]* (?!=)")  # how a sentence begins, and no formula: "The norm ...", "H is ..."


def is_code(line: str) -> bool:
    """Return True for a line of a session, which stays as it is."""
    return line.lstrip().startswith((">>>", "..."))


def rendered(doc: str) -> str:
    """Return a docstring as Markdown in Google's sections.

    Args:
        doc: a docstring of gradtx, without indentation.

    Returns:
        The recurrence with an equation a line, Units, State, Cost and References as paragraphs with a bold title, the
        other sections as they were but for the formulas in their text.
    """
    blocks, section = [], ""
    for block in re.split(r"\n\s*\n", doc.strip()):
        first = block.split("\n", 1)[0]
        if not first.startswith(" "):
            section = first if first in READ else ""
        if section == "Examples:":
            blocks.append(block)
        elif block.split() in ([section, "none."], ["References:", "none."]):
            continue  # nothing to lay out
        elif section:
            head, *rest = block.split("\n") if block.startswith(section) else ("", *block.split("\n"))
            lines = [spaced(line, greek=section != "Raises:") for line in rest]  # it names arguments
            if section == "Returns:":  # what stands before a colon would be read as a type
                lines = [COLON.sub(r"\1&#58; ", line) for line in lines]
            blocks.append("\n".join([head, *lines]).strip("\n"))
        else:
            blocks.extend(paragraphs(block, first=not blocks))
    return "\n\n".join(blocks)


def spaced(line: str, greek: bool) -> str:
    """Return a line of a section with its indentation and its `name:` kept, and its text typeset."""
    indent, name, text = re.match(r"(\s*)((?:\*{0,2}\w+: )?)(.*)", line).groups()  # type: ignore[union-attr]
    return indent + name + (text if is_code(text) else typeset(text, greek=greek))


def paragraphs(block: str, first: bool) -> list[str]:
    """Return the paragraphs that a block of plain lines makes: one for each of its titles."""
    found: list[list[str]] = [[]]
    for line in block.split("\n"):
        found.append([line]) if OURS.match(line) else found[-1].append(line)
    return [paragraph(lines, first) for lines in found if lines]


def parted(text: str) -> tuple[str, str]:
    """Return what a paragraph has up to its last formula, and the sentences after it; all is prose if it begins so."""
    text = " ".join(text.split())  # a sentence may begin with the last word of a line
    if PROSE.match(text):
        return "", text
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z][a-z]* (?!=))", text)
    last = max(i for i, sentence in enumerate(sentences) if FORMULA.search(sentence))
    return " ".join(sentences[: last + 1]), " ".join(sentences[last + 1 :])


def paragraph(lines: list[str], first: bool) -> str:
    """Return one paragraph of a docstring as Markdown."""
    titled = OURS.match(lines[0])
    text = "\n".join([titled[2] if titled else lines[0], *lines[1:]]).strip()
    if titled:
        ends = SLOTS if titled[1] == "State" else re.compile(r"\n(?= {4}\S)")
        items = [text] if titled[2] else ends.split(text)
        greek = titled[1] not in ("State", "References")  # where `mu` and `nu` are the names of slots
        made = [typeset(" ".join(item.split()), greek=greek) for item in items]
        if len(made) == 1:
            return f"**{titled[1]}:** {made[0]}"
        return "\n".join([f"**{titled[1]}:**\n", *(f"- {item.rstrip(';')}" for item in made)])
    if any(map(is_code, lines)) or all(line.startswith("    ") for line in lines):
        return "\n".join(lines)
    if not first and FORMULA.search(text):
        formula, prose = parted(text)
        made = f'<p class="formula" markdown>{equations(formula)}</p>' if formula else ""
        return "\n\n".join(filter(None, [made, typeset(prose, greek=True)]))
    if text.startswith(("- ", "* ", "1.")):
        return "\n".join(lines)
    return typeset(" ".join(text.split()) if first else text)


class AsInHelp(griffe.Extension):
    """Take docstrings from the imported objects, whose decorator has filled in what is said once."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Replace the docstring of a function or class by the one that `help()` shows, rendered."""
        if obj.name == "__init__":  # the class says what its arguments are
            obj.docstring = None
        if obj.docstring is None or not (obj.is_function or obj.is_class):
            return
        found: Any = importlib.import_module(obj.module.path)
        for part in obj.path.removeprefix(f"{obj.module.path}.").split("."):
            found = getattr(found, part, None)
        for parameter in obj.parameters if obj.is_function else ():
            if str(parameter.annotation).startswith("Annotated["):  # the range stands in the text
                parameter.annotation = str(parameter.annotation).removeprefix("Annotated[").partition(",")[0]
        doc = inspect.getdoc(found) if found is not None else None
        own = {obj.name, *obj.members, *(parameter.name for parameter in obj.parameters if obj.is_function)}
        names = {name: target for name, target in targets().items() if name not in own}
        blocks = rendered(doc or inspect.cleandoc(obj.docstring.value)).split("\n\n")
        # what is returned may have keys that are public names too, as `clip` in `metrics`
        kept = [block.startswith(("Returns:", "Examples:", "    ")) for block in blocks]
        made = [block if keep else linked(block, names) for block, keep in zip(blocks, kept, strict=True)]
        obj.docstring.value = "\n\n".join(made)
