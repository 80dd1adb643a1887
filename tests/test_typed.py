"""A user's script passes `mypy --strict` against the types that gradtx ships, and it runs."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "typed_user_script.py"


def python(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own that imports this gradtx."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_"))}
    env = {**clean, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), **more}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def checked(script: Path) -> str:
    """Return what a strict type checker says of a script, without this repository's settings.

    Errors inside an installed package are never shown; `silent` makes it so for this folder too.
    """
    strict = ["-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(script.parent / "cache")]
    return python(*strict, str(script), cwd=script.parent, MYPYPATH=str(ROOT)).stdout


def test_a_users_script_is_typed(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.read_text())
    assert checked(script) == "Success: no issues found in 1 source file\n"
    # and the types are seen: a wrong argument and a wrong name are found
    wrong = script.read_text() + '\ngradtx.sgd("fast")\ngradtx.adamw(0.1, weight_decays=0.1)\ngradtx.adamm(0.1)\n'
    script.write_text(wrong)
    said = checked(script)
    assert 'Argument 1 to "sgd" has incompatible type "str"' in said
    assert 'Module has no attribute "adamm"' in said  # however many names of optax are looked up when asked for
    assert 'Unexpected keyword argument "weight_decays" for "adamw"' in said


def test_a_users_script_runs(tmp_path: Path) -> None:
    done = python(str(SCRIPT), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "scale_by_memory.decay" in done.stdout
