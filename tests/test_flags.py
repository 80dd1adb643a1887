"""XLA ends the process at a flag that it does not know, before anything is printed: each flag is known here."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import gradtx
from gradtx._core.arrays import compat
from tests.flags import FLAGS, QUICK

ROOT = Path(__file__).parents[1]
JITS = "import jax, jax.numpy as jnp; print(int(jax.jit(lambda x: x + 1)(jnp.int32(41))), jax.device_count())"


@pytest.mark.parametrize(("flags", "printed"), [(FLAGS, "42 8"), (QUICK, "42 1")], ids=["suite", "mutants"])
def test_xla_knows_the_flags(flags: list[str], printed: str) -> None:
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(flags)}
    done = subprocess.run([sys.executable, "-c", JITS], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, printed), done.stderr


def test_an_unknown_flag_would_be_seen() -> None:
    """What the tests above would meet: XLA's own message and a status that is not 0."""
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_no_such_flag=true"}
    done = subprocess.run([sys.executable, "-c", JITS], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "xla_no_such_flag" in done.stderr


def test_conftest_gives_these_flags() -> None:
    assert all(flag in os.environ["XLA_FLAGS"].split() for flag in FLAGS)


FUSED = "--xla_backend_extra_options=xla_cpu_use_multi_output_fusion"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("", FUSED),
        ("--xla_a=1  --xla_b=2", f"--xla_a=1 --xla_b=2 {FUSED}"),
        (FUSED, FUSED),
        (f"{FUSED}=false", f"{FUSED}=false"),
        ("--xla_backend_extra_options=some,other=3 --xla_a=1", f"--xla_a=1 {FUSED.replace('=', '=some,other=3,', 1)}"),
        (f"--xla_backend_extra_options=some {FUSED}", FUSED.replace("=", "=some,", 1)),
    ],
)
def test_flags_for_a_cpu_keep_what_is_there(given: str, wanted: str) -> None:
    assert gradtx.cpu_flags(given) == wanted


START = "import os, gradtx; os.environ['XLA_FLAGS'] = gradtx.cpu_flags(); "
STEP = (
    "jax.jit(lambda x, y: (x + y, x * y)).lower(*[jnp.ones(1 << 20)] * 2).compile().cost_analysis()['bytes accessed']"
)


@pytest.mark.parametrize(("start", "arrays"), [("", 6), (START, 4)], ids=["without", "with"])
def test_with_them_two_results_are_written_in_one_loop(start: str, arrays: int) -> None:
    """Put there after the import, before jax starts, and without a warning."""
    code = f"{start}import jax, jax.numpy as jnp; print({STEP})"
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(arrays * 4 * 2**20, rel=1e-5)


def test_flags_are_text() -> None:
    with pytest.raises(TypeError, match=r"cpu_flags: flags is .*, expected text; give the flags as in XLA_FLAGS"):
        gradtx.cpu_flags(["--xla_a=1"])  # type: ignore[arg-type]


def test_flags_asked_for_too_late_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jax.device_count() == 8
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1")
    with pytest.warns(RuntimeWarning, match="cpu_flags: jax has started"):
        assert gradtx.cpu_flags() == f"--xla_a=1 {FUSED}"


def test_a_jax_that_does_not_tell_whether_it_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compat.jax_has_started()

    class Silent:
        pass

    monkeypatch.setattr(compat.importlib, "import_module", lambda name: Silent())
    assert not compat.jax_has_started()

    def gone(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(compat.importlib, "import_module", gone)
    assert not compat.jax_has_started()
