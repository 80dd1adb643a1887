"""The skeleton runs as it stands, and `python -m tests.new` makes a method of it that passes its tests."""

import doctest
import os
import shutil
import subprocess
import sys
from pathlib import Path

import chex
import jax.numpy as jnp
import pytest

import gradtx
from tests.new import __main__ as new
from tests.new import skeleton

ROOT = Path(__file__).parents[1]


def test_the_skeleton_runs_as_it_stands() -> None:
    results = doctest.testmod(skeleton)
    assert (results.failed, results.attempted > 5) == (0, True)
    g = {"w": jnp.array([3.0, -1.0]), "b": jnp.array(0.5)}
    mine, theirs = skeleton.skeleton(0.1), gradtx.adam(0.1)
    state, other = mine.init(g), theirs.init(g)
    for _ in range(3):
        u, state = mine.update(g, state, g)
        v, other = theirs.update(g, other, g)
        chex.assert_trees_all_close(u, v, rtol=1e-12)


@pytest.mark.parametrize("name", ["Lion", "2lion", "class", "adam", "my_skeleton", "a b"])
def test_a_name_that_cannot_be_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert new.main([name]) == 1
    said = capsys.readouterr().out
    assert said.startswith("tests.new: ")
    assert "expected" in said
    assert new.main([]) == 2


def test_a_new_method_passes_its_tests(tmp_path: Path) -> None:
    for part in ("gradtx", "tests"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def run(*arguments: str) -> str:
        done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "wrote gradtx/methods/my_method.py" in run("-m", "tests.new", "my_method")
    assert "chain(scale_by_my_method(" in run("-c", "import gradtx; print(gradtx.my_method(1e-3))")
    out = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/batteries/test_reference.py", "-k", "my_method")
    assert "passed" in out
    assert "failed" not in out
