"""What a release is made of says one version, names what exists, and pins the tools."""

import re
import tomllib
from pathlib import Path

import gradtx

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_one_version_everywhere() -> None:
    assert f"\nversion: {gradtx.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {gradtx.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_tools_are_pinned() -> None:
    pinned = [tool for tool in PROJECT["dependency-groups"]["tools"] if "==" in tool]
    assert {tool.split("==")[0] for tool in pinned} >= {"ruff", "mypy", "build"}


def test_readme_has_two_commands_that_ci_runs() -> None:
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("pip install")]
    assert lines == [
        'pip install ".[examples]" && python examples/digits.py',
        'pip install ".[test]" && python -m pytest -n auto',
    ]


def test_the_workflow_runs_stages_that_exist() -> None:
    stages = re.findall(r"stage: \"?([\w.]+)", (ROOT / ".github/workflows/ci.yml").read_text())
    run = (ROOT / ".ci/run").read_text()
    assert {"3.13", "minimum", "docs", "package"} <= set(stages)
    for stage in stages:
        assert stage.startswith("3.") or f"\n{stage}() {{" in run, stage


def test_every_extra_named_in_the_docs_exists() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for named in re.findall(r"\[([\w,-]+)\]\"", page.read_text()):
            assert set(named.split(",")) <= set(extras), f"{page.name}: {named}"


def test_the_command_is_the_function_that_python_m_runs() -> None:
    module, name = PROJECT["project"]["scripts"]["gradtx"].split(":")
    assert (module, name) == ("gradtx.__main__", "main")
