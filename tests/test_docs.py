"""The code blocks of the documentation run as they stand, and print what the page says.

The Python blocks of one page run in order in one namespace. What a page promises is compared: sessions (`>>>`),
comments (`# prints: ...`), and a block right after "It prints": its words, and its numbers within 5 %.
"""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.registry import ROWS

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").rglob("*.md"))),
]
RUN = """
import contextlib, doctest, io

from tests.printed import same

space = {"__name__": "__main__"}
for line, code, expected in BLOCKS:
    if ">>>" in code:  # a session: what it prints is compared, as in a docstring
        test = doctest.DocTestParser().get_doctest(code, space, PAGE, PAGE, line)
        failed = doctest.DocTestRunner().run(test, clear_globs=False).failed
        space.update(test.globs)
        assert not failed, f"{PAGE}:{line} prints something else"
        continue
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        # empty lines in front, so that an error names the line of the page
        exec(compile("\\n" * line + code, PAGE, "exec"), space)
    *comments, page = expected
    assert page is None or same(printed.getvalue(), page), f"{PAGE}:{line} prints {printed.getvalue()}"
    for text in comments:
        assert text in printed.getvalue(), f"{PAGE}:{line} does not print {text!r} but {printed.getvalue()!r}"
"""


def blocks(text: str) -> list[tuple[int, str, list[str | None]]]:
    """Return the line, the code and the promised output of each Python block of a page, the block after it last."""
    found = []
    for match in re.finditer(r"^([ \t]*)```python(?: [^\n]*)?\n(.*?)^\1```", text, flags=re.MULTILINE | re.DOTALL):
        code = textwrap.dedent(match[2])
        if code.startswith("--8<-- "):  # a script of examples/, which another test runs
            continue
        line = text.count("\n", 0, match.start(2))
        shown = re.match(r"\s*It prints\s*```\n(.*?)^```", text[match.end() :], flags=re.MULTILINE | re.DOTALL)
        found.append((line, code, [*re.findall(r"# prints: (.*\S)", code), shown[1] if shown else None]))
    return found


def run(page: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the blocks of a page in a fresh interpreter with JAX's own defaults, as a reader does."""
    code = f"PAGE, BLOCKS = {page!r}, {blocks(text)!r}\n{RUN}"
    environment = {"JAX_PLATFORMS": "cpu", "PATH": "", "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_runs(page, tmp_path):
    done = run(page, (ROOT / page).read_text(), tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_readme_has_blocks():
    found = blocks((ROOT / "README.md").read_text())
    assert found
    assert any(promised[-1] for _, _, promised in found)  # the report


@pytest.mark.parametrize("page", PAGES)
def test_no_block_hides_in_another_form(page):
    """Python stands in fences that say so: an indented block or a bare fence would not be run."""
    text = (ROOT / page).read_text()
    bare = re.sub(r"^[ \t]*```\w*\n.*?^[ \t]*```", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"^ {4,}(>>> |import |from \w+ import |def |\w+ = .*\()", bare, flags=re.MULTILINE)
    for language, body in re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        if language != "python":
            assert not re.search(r"^(import |from \w+ import |def |>>> )", body, flags=re.MULTILINE), body


PAGE = """
```python
x = 2
print(x)  # prints: 2
```

1. A block in a list sees the names of those before.

   ```python
   print(x + 1)  # prints: {three}
   ```

```python
>>> x * 2
{four}
```

```python
print("about", x * 100)
```

It prints

```
about {many}
```
"""


RIGHT = {"three": 3, "four": 4, "many": 201}


def test_a_page_that_is_right_passes(tmp_path):
    done = run("page.md", PAGE.format(**RIGHT), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"three": 33}, "page.md:9 does not print '33'"),
        ({"four": 5}, "page.md:13 prints something else"),
        ({"many": 230}, "page.md:18 prints about 200"),
        ({"many": "200 or so"}, "page.md:18 prints about 200"),
    ],
)
def test_a_page_that_is_wrong_fails(wrong, words, tmp_path):
    assert words in run("page.md", PAGE.format(**{**RIGHT, **wrong}), tmp_path).stderr


def test_a_block_that_does_not_run_fails_with_its_line(tmp_path):
    broken = run("page.md", PAGE.replace("x + 1", "y").format(**RIGHT), tmp_path)
    assert 'File "page.md", line 10' in broken.stderr
    assert "NameError: name 'y' is not defined" in broken.stderr


def test_the_catalogue_has_every_method() -> None:
    """Each transform stands in the table, under its own name or that of the optimizer around it."""
    rows = [row for row in (ROOT / "docs/catalogue.md").read_text().splitlines() if row.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)", row.split(" | ")[0])}
    parts = {"identity", "scale", "scale_by_schedule", "scale_by_learning_rate", "watch", "trace", "ema"}
    combinators = {"chain", "named_chain", "leafwise", "divide_by", "quotient", "ratio"}
    made = {row.public for row in ROWS} - parts - combinators
    assert {name for name in made if name.removeprefix("scale_by_") not in named and name not in named} == set()
