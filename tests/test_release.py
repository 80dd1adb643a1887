"""What a release is made of says one version, names what exists, and pins the tools."""

import inspect
import os
import pydoc
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import gradtx

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_one_version_everywhere() -> None:
    assert f"\nversion: {gradtx.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {gradtx.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_changelog_is_read_without_scrolling() -> None:
    assert [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if len(line) > 130] == []


def test_the_tools_are_pinned() -> None:
    pinned = [tool for tool in PROJECT["dependency-groups"]["tools"] if "==" in tool]
    assert {tool.split("==")[0] for tool in pinned} >= {"ruff", "mypy", "build"}


def test_readme_has_two_commands_that_ci_runs() -> None:
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("pip install")]
    assert lines == [
        'pip install ".[examples]" && python examples/digits.py',
        'pip install ".[test]" && python -m pytest -n auto',
    ]


def test_the_hooks_leave_out_what_the_tools_do() -> None:
    """Ruff takes a file that is named to it, as hooks name files, even where pyproject.toml excludes it."""
    hooks = re.findall(r"entry: (ruff [^,]*),", (ROOT / ".pre-commit-config.yaml").read_text())
    assert len(hooks) == 2
    assert all("--force-exclude" in hook for hook in hooks)


def test_the_workflow_runs_stages_that_exist() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    stages = re.findall(r"stage: \"?([\w.-]+)", workflow)
    stages += re.findall(r"weekly: \[(.*)\]", workflow)[0].split(", ")
    run = (ROOT / ".ci/run").read_text()
    assert {"3.13", "minimum", "mutants", "docs", "package", "every-mutant", "exhaustive"} <= set(stages)
    known = re.findall(r"no stage \$1; there are (.*)\" >&2", run)[0].replace("${PYTHONS[*]}", "3.13 3.12 3.11").split()
    assert set(stages) <= set(known)
    for stage in known:
        assert stage.startswith("3.") or re.search(rf"^    .*\b{stage}( \|.*)?\) ", run, re.MULTILINE), stage


def test_every_extra_named_in_the_docs_exists() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for named in re.findall(r"\[([\w,-]+)\]\"", page.read_text()):
            assert set(named.split(",")) <= set(extras), f"{page.name}: {named}"


def test_the_command_is_the_function_that_python_m_runs() -> None:
    module, name = PROJECT["project"]["scripts"]["gradtx"].split(":")
    assert (module, name) == ("gradtx.__main__", "main")


def test_import_loads_no_extra_and_not_what_few_need() -> None:
    """What makes `import gradtx` slow is not a matter of the clock: modules that a training step does not need."""
    code = "import sys, optax; before = set(sys.modules); import gradtx; print(*sorted(set(sys.modules) - before))"
    command = [sys.executable, "-W", "error", "-c", code]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.split()
    others = [name for name in loaded if not name.startswith("gradtx")]
    others = [name for name in others if not name.endswith(".shard_alike")]  # jax before 0.12 needs it
    assert others == [], "import it where it is used"
    late = ("gradtx.diagnosis.read", "gradtx.diagnosis.judge", "gradtx.memory.plan", "gradtx.migration", "gradtx.cli")
    assert [name for name in loaded if name.startswith(late)] == []


def test_names_imported_late_are_listed_once() -> None:
    assert set(gradtx.LATER) <= set(gradtx.__all__) & set(dir(gradtx))
    for name, module in gradtx.LATER.items():
        assert getattr(gradtx, name) is getattr(sys.modules[module], name)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a signature cannot be made when it is asked for before 3.12")
def test_help_writes_hyperparameters_in_short() -> None:
    text = pydoc.render_doc(gradtx.adamw, renderer=pydoc.plaintext)
    assert "    b1: float | Array | schedule in [0, 1) = 0.9,\n" in text
    assert "decay of the mean of g, in [0, 1)." in text
    assert "    mu_dtype: dtype or None = None,\n" in text
    assert "momentum: float | Array | schedule in [0, 1] or None = None" in pydoc.render_doc(gradtx.sgd)
    for name in ("muon", "adafactor", "scale_by_rms", "guard", "lbfgs"):
        assert max(map(len, str(inspect.signature(getattr(gradtx, name))).split(", "))) < 120
