"""XLA ends the process at a flag that it does not know, before anything is printed: each flag is known here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
