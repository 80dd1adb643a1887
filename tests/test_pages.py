"""What the pages say outside Python blocks holds: the commands they name, and the gallery's reports and numbers."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gradtx.__main__ import COMMANDS, main
from tests.test_docs import PAGES

ROOT = Path(__file__).parents[1]
PROGRAMS = ("bash", "gradtx", "mypy", "pip", "pre-commit", "python", "python3", "ruff")
GALLERY = [path.stem for path in sorted((ROOT / "docs/gallery").glob("*.md")) if path.stem != "index"]
CHECKED = ("oscillating", "non_finite", "vanishing_dead")  # the quick ones; all of them in an exhaustive run


def commands(text: str) -> list[list[str]]:
    """Return the commands of a page: of its `sh` blocks, its indented lines and the code within a sentence."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    started = rf"(?:{'|'.join(PROGRAMS)}) [^`\n]*"
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(rf"^ {{4}}({started})$", prose, flags=re.MULTILINE) + re.findall(rf"`({started})`", prose)
    found: list[list[str]] = []
    for line in lines:
        found.append([])
        for word in shlex.split(line, comments=True):
            found.append([]) if word == "&&" else found[-1].append(word)
    return [words for words in found if words and words[0] != "."]


PAGES_WITH = {page: commands((ROOT / page).read_text()) for page in [*PAGES, "benchmarks/README.md"]}
OURS = sorted(
    {
        tuple(words[1:] if words[0] == "gradtx" else words[3:])
        for found in PAGES_WITH.values()
        for words in found
        if words[0] == "gradtx" or words[1:3] == ["-m", "gradtx"]
    }
)


def test_the_pages_name_commands() -> None:
    assert len(OURS) >= 6
    assert ("schedule", "warmup_cosine(3e-4, 500, 20_000)") in OURS


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_a_command_of_gradtx_runs(words: tuple[str, ...], tmp_path: Path, monkeypatch, capfd) -> None:
    """With a log and a script of the names that the page gives."""
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{step},{1 / step}" for step in range(1, 61))
    for name in ("LOG", "log.csv"):
        Path(name).write_text(f"step,loss\n{rows}\n")
    history = ", ".join(f'{{"step": {step}, "loss": {1 / step}}}' for step in range(1, 61))
    Path("trainer_state.json").write_text(f'{{"log_history": [{history}]}}')
    Path("train.py").write_text("print('trained')")
    more = ["--idle", "0.1", "--every", "0.1"] if "--follow" in words else []
    if not words or words == ("watch",):  # the name of a command, and no call
        words = (*words, "--help")
    for command in COMMANDS if "COMMAND" in words else [""]:
        try:
            status = main([command if word == "COMMAND" else word for word in words] + more)
        except SystemExit as left:  # --help
            status = left.code
        printed = capfd.readouterr()
        assert status == 0, printed.err
        assert len(printed.out) > 5


@pytest.mark.parametrize("page", PAGES_WITH)
def test_a_command_names_what_exists(page: str) -> None:
    """Scripts and modules are there and know the options; they run in other tests or take too long for one."""
    for words in PAGES_WITH[page]:
        assert words[0] in PROGRAMS, words
        path = None
        if words[0] == "bash":
            path = ROOT / words[1]
        elif words[0] == "python" and words[1] == "-m" and words[2].startswith("tests."):
            path = ROOT / f"{words[2].replace('.', '/')}.py"
            path = path if path.exists() else ROOT / words[2].replace(".", "/") / "__main__.py"
        elif words[0] == "python" and words[1].endswith(".py") and words[1] != "train.py":
            path = ROOT / words[1]
        if path is not None:
            assert path.exists(), words
            source = path.read_text() + "".join(x.read_text() for x in path.parent.glob("drawing.py"))
            for option in [word for word in words if word.startswith("--")]:
                assert f'"{option}"' in source, (words, option)


def test_commands_are_found_where_pages_put_them() -> None:
    block = '```sh\npip install "." && gradtx run a.py  # now\n```\n'
    text = f"Run `gradtx watch LOG`.\n\n    python -m tests.new mine\n\n{block}"
    assert commands(text) == [
        ["pip", "install", "."],
        ["gradtx", "run", "a.py"],
        ["python", "-m", "tests.new", "mine"],
        ["gradtx", "watch", "LOG"],
    ]


def gallery(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Compare pages of the gallery with their runs, as a user runs them: the suite's flags change the last bit."""
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    env = {**plain, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "examples")))}
    command = [sys.executable, str(ROOT / "docs/tools/gallery.py"), "--check", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=500, check=False)


def test_the_gallery_prints_what_its_runs_do(exhaustive: bool) -> None:
    done = gallery("--only", *(GALLERY if exhaustive else CHECKED))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(GALLERY if exhaustive else CHECKED)


def test_a_gallery_page_that_says_something_else_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs/tools")
    monkeypatch.syspath_prepend(ROOT / "examples")
    from gallery import unlike

    page = "# crawling\n\nfell by 0.154\n"
    assert unlike(page, page) == []
    assert unlike(page.replace("0.154", "0.156"), page) == []
    assert unlike(page.replace("0.154", "0.192"), page) == ["- fell by 0.154\n+ fell by 0.192"]
    assert unlike(page + "more\n", page) == ["+ more"]


def test_no_conflict_was_left() -> None:
    """A merge that was committed half done is text like any other to a page."""
    files = [ROOT / name for name in PAGES_WITH] + [ROOT / "CHANGELOG.md", ROOT / "mkdocs.yml", ROOT / "pyproject.toml"]
    files += [
        path for folder in ("gradtx", "examples", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    for path in files:
        assert not re.search(r"^(<{7}|>{7}) ", path.read_text(), flags=re.MULTILINE), path
