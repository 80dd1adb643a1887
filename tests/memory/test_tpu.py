"""What a step under `shard_state` moves and keeps on 8 chips of a TPU, as XLA compiles it; nothing runs on one.

A CPU's program says none of it: there the reduction of the gradients is never scattered, and bfloat16 goes as float32.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = 5  # 4 that are scanned, and the last


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    if importlib.util.find_spec("libtpu") is None:
        pytest.skip("libtpu is not installed: pip install 'gradtx[tpu-compile]'")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}
    command = [sys.executable, "-m", "tests.memory.tpu"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_gradients_are_summed_into_shards_and_params_alone_gathered(facts: dict[str, Any]) -> None:
    """In the params' dtype; of the scanned layers the sum is one layer's, in the loop."""
    assert facts["plain"]["collectives"] == {"all-reduce": 2 * facts["plain"]["layer"]}
    for name in ("bfloat16", "float32", "clipped"):
        layer = facts[name]["layer"]
        assert layer == 1024 * 1024 * (4 if name == "float32" else 2)
        assert facts[name]["collectives"] == {"reduce-scatter": 2 * layer, "all-gather": LAYERS * layer}, name


def test_an_eighth_of_the_state_and_a_shard_of_temporary_memory(facts: dict[str, Any]) -> None:
    numbers = LAYERS * 1024 * 1024
    for name in ("plain", "bfloat16", "float32", "clipped"):
        own, parts = facts[name], 1 if name == "plain" else 8
        state = 2 * 4 * numbers // parts
        rest = own["arguments"] - LAYERS * own["layer"] - state - own["batch"]
        assert 0 <= rest < 4096, name  # counts, padded
        assert own["temporary"] <= 4 * numbers // 8, name


def test_stacks_of_matrices_move_to_layers_and_back(facts: dict[str, Any]) -> None:
    """Where XLA left to itself gathers them: an eighth of 4 MiB each way, and nothing where they lie so already."""
    part = 8 * 256 * 512 * 4 // 8
    assert facts["muon rows None"]["collectives"]["all-gather"] > 40 * part
    assert facts["muon layers data"]["collectives"] == facts["muon layers None"]["collectives"] == {}
    for name in ("muon", "scion", "soap"):
        assert facts[f"{name} rows data"]["collectives"] == {"all-to-all": 2 * part}, name


def test_the_device_holds_the_state_of_one_array_at_a_time(facts: dict[str, Any]) -> None:
    """Its two moments before and after, and the update, whether 4 arrays are on the host or 16."""
    one = 1024 * 1024 * 4
    for arrays in (4, 16):
        own = facts[f"offload {arrays}"]
        assert own["host"] == 2 * arrays * one
        assert 0 <= own["device"] - 2 * arrays * one < 4096  # params and gradients, and counts, padded
        assert own["temporary"] < 6 * one
    assert facts["offload optax"]["temporary"] > 2 * 16 * one  # nearly all of the state at once


def test_state_in_8_bits_needs_no_temporary_memory(facts: dict[str, Any]) -> None:
    """Params and gradients of 4 bytes a number and a state of 2.06, and nothing besides: XLA:CPU writes it decoded."""
    own, one = facts["store"], 1024 * 1024
    assert own["temporary"] < 0.01 * one
    assert 4 * 10 * one < own["device"] < 4 * 10.07 * one
