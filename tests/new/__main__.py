"""Write the files of a new method from the skeleton: `python -m tests.new NAME`; nothing is overwritten."""

import keyword
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def problem(name: str) -> str | None:
    """Return why no method can have this name, None if it can."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or "skeleton" in name:
        return f"{name!r} is no name for a method, expected small letters, digits and _; call it as the paper does"
    for folder in ("gradtx/methods", "tests/registry"):
        if (ROOT / folder / f"{name}.py").exists():
            return f"{folder}/{name}.py is there already, expected a new name; edit that file"
    return None


def write(name: str) -> list[Path]:
    """Write the method and its rows, add the public names, and return the files that were touched."""
    title = name.replace("_", " ").capitalize()
    method, rows = ROOT / "gradtx" / "methods" / f"{name}.py", ROOT / "tests" / "registry" / f"{name}.py"
    for source, target in ((HERE / "skeleton.py", method), (HERE / "rows.py", rows)):
        text = source.read_text().replace('"""Skeleton:', f'"""{title}:')
        target.write_text(text.replace(">>> tx = scale_by", ">>> tx = gradtx.scale_by").replace("skeleton", name))
    method.write_text(
        method.read_text()
        .replace(">>> import jax.numpy as jnp", ">>> import gradtx, jax.numpy as jnp")
        .replace(f">>> {name}(1e-3)", f">>> import gradtx\n        >>> gradtx.{name}(1e-3)")
    )
    public = ROOT / "gradtx" / "__init__.py"
    public.write_text(exported(public.read_text(), name))
    return [method, rows, public]


def exported(text: str, name: str) -> str:
    """Return gradtx's `__init__` with the two public names of a method, each in its place by the alphabet."""
    line = f"from gradtx.methods.{name} import {name}, scale_by_{name}"
    lines = text.splitlines()
    at = next(i for i, other in enumerate(lines) if other.startswith("from gradtx.") and other > line)
    lines.insert(at, line)
    for public in (name, f"scale_by_{name}"):
        group = "    # scale sigma" if public.startswith("scale_by") else "    # whole optimizers"
        start = lines.index(group) + 1
        end = next(i for i in range(start, len(lines)) if not lines[i].startswith('    "'))
        entry = f'    "{public}",'
        lines.insert(next((i for i in range(start, end) if lines[i] > entry), end), entry)
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the files, say what is next, and return the exit code."""
    if len(arguments) != 1:
        print("usage: python -m tests.new NAME")
        return 2
    wrong = problem(arguments[0])
    if wrong:
        print(f"tests.new: {wrong}")
        return 1
    for path in write(arguments[0]):
        print(f"wrote {path.relative_to(ROOT)}")
    print("next: the reference from the paper, then the rule, then a line in CHANGELOG.md; CONTRIBUTING.md says how")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
