"""Speed without a clock: temporary memory, bytes moved, traces and equations, which say the same on every machine.

The suite's flags change what XLA generates, so compiled steps are measured in a process of their own, with XLA as a
user has it: `python -m tests.test_speed`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import gradtx

LEAVES, LEAF = 16, 1_000_000
KIB = 1024


def every_other(params: dict[str, Any]) -> dict[str, bool]:
    return {key: i % 2 == 0 for i, key in enumerate(params)}


def clip_adamw() -> gradtx.Transform:
    return gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3))


def scheduled_adam() -> gradtx.Transform:
    return gradtx.chain(gradtx.adam(1e-3), gradtx.scale_by_schedule(gradtx.schedules.cosine(1.0, 1000)))


# name: (how it is made, temporary bytes, bytes moved over the floor), at 16 leaves of a million float32 parameters.
# The bytes are scalars of the step: bias corrections, a rate. The floor is g read, p and each slot read and written,
# once; XLA's CPU loops write one array each, so g is read again for each slot, and each slot again for p.
STEPS: dict[str, tuple[Callable[[], gradtx.Transform], int, float]] = {
    "sgd": (lambda: gradtx.sgd(0.1), 0, 1.0),
    "sgd momentum": (lambda: gradtx.sgd(0.1, 0.9), 0, 6 / 5),
    "sgd nesterov": (lambda: gradtx.sgd(0.1, 0.9, nesterov=True), 0, 7 / 5),
    "adagrad": (lambda: gradtx.adagrad(0.1), 0, 7 / 5),
    "rmsprop": (lambda: gradtx.rmsprop(0.1), 0, 7 / 5),
    "rmsprop centered+momentum": (lambda: gradtx.rmsprop(0.1, centered=True, momentum=0.9), 0, 14 / 9),
    "adam": (lambda: gradtx.adam(1e-3), 132, 10 / 7),
    "adamw": (lambda: gradtx.adamw(1e-3), 132, 10 / 7),
    "adamw, mask": (lambda: gradtx.adamw(1e-3, mask=every_other), 132, 10 / 7),
    "adam, schedule": (scheduled_adam, 196, 10 / 7),
    "nadam": (lambda: gradtx.nadam(1e-3), 196, 11 / 7),
    "nadamw": (lambda: gradtx.nadamw(1e-3), 196, 11 / 7),
    "amsgrad": (lambda: gradtx.amsgrad(1e-3), 132, 13 / 9),
    "radam": (lambda: gradtx.radam(1e-3), 260, 10 / 7),
    "clip + adamw": (clip_adamw, 96 * KIB, 11 / 7),
}
SCALARS = 2 * KIB  # room for scalars when XLA changes; far below a leaf


def shapes(tx: gradtx.Transform, leaves: int, leaf: int) -> tuple[Any, Any]:
    """Return the params and the state of a step as shapes."""
    params = {f"w{i:03d}": jax.ShapeDtypeStruct((leaf,), jnp.float32) for i in range(leaves)}
    return params, jax.eval_shape(tx.init, params)


def step(tx: gradtx.Transform) -> Callable[..., tuple[Any, Any]]:
    """Return the step that everybody writes."""

    def one(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state

    return one


def measured() -> dict[str, dict[str, float]]:
    """Compile every step and return what XLA says of its memory."""
    out = {}
    for name, (make, _, _) in STEPS.items():
        tx = make()
        params, state = shapes(tx, LEAVES, LEAF)
        compiled = jax.jit(step(tx), donate_argnums=(0, 1)).lower(params, state, params).compile()
        slots = sum(x.size for x in jax.tree.leaves(state)) / (LEAVES * LEAF)
        floor = 4 * LEAVES * LEAF * (3 + 2 * slots)
        memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
        out[name] = {"temporary": memory.temp_size_in_bytes, "moved": cost["bytes accessed"] / floor, "w": after(tx)}
    return out


def after(tx: gradtx.Transform) -> float:
    """Return where three steps at one gradient take a parameter."""
    params, grads = (
        {"w000": jnp.full(100, 0.5), "w001": jnp.ones(3)},
        {"w000": jnp.full(100, 0.25), "w001": jnp.ones(3)},
    )
    state = tx.init(params)
    for _ in range(3):
        params, state = jax.jit(step(tx))(params, state, grads)
    return params["w000"][7].item()


def in_a_process(flags: str) -> dict[str, dict[str, float]]:
    """Return what a process of its own measures, with XLA as a user has it but for these flags."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("JAX_")}
    env = {**clean, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    command, root = [sys.executable, "-m", "tests.test_speed"], Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def compiled() -> dict[str, dict[str, float]]:
    return in_a_process("")


@pytest.fixture(scope="module")
def fused() -> dict[str, dict[str, float]]:
    return in_a_process("--xla_backend_extra_options=xla_cpu_use_multi_output_fusion")


@pytest.mark.parametrize("name", STEPS)
def test_a_step_writes_no_temporary_array(name: str, compiled: dict[str, dict[str, float]]):
    assert compiled[name]["temporary"] <= max(STEPS[name][1], SCALARS)


def test_a_plain_slot_needs_no_temporary_byte(compiled: dict[str, dict[str, float]]):
    zero = [name for name, (_, temporary, _) in STEPS.items() if temporary == 0]
    assert {name: compiled[name]["temporary"] for name in zero} == dict.fromkeys(zero, 0)


@pytest.mark.parametrize("name", STEPS)
def test_bytes_moved_stay_near_the_floor(name: str, compiled: dict[str, dict[str, float]]):
    assert compiled[name]["moved"] <= 1.01 * STEPS[name][2]


@pytest.mark.parametrize("name", STEPS)
def test_with_xlas_flag_each_byte_is_moved_once(name: str, fused: Any, compiled: Any):
    """XLA writes p and all slots in one loop; a clip reads g once more."""
    assert fused[name]["moved"] <= (8.01 / 7 if "clip" in name else 1.01)
    assert fused[name]["temporary"] <= max(STEPS[name][1], SCALARS)
    assert fused[name]["w"] == pytest.approx(compiled[name]["w"], rel=1e-6)


@pytest.mark.parametrize("name", [name for name in STEPS if "mask" not in name])
def test_outside_jit_an_update_is_one_program(name: str):
    tx = STEPS[name][0]()
    params = {key: jnp.ones(shape) for key, shape in SHAPES.items()}
    state = tx.init(params)
    tx.update(params, state, params)
    assert [run.at_once._cache_size() for run, _ in tx.body.runs if run is not None] == [1]


def test_a_mask_may_look_at_the_numbers_and_change_outside_jit():
    on = [True]
    tx = gradtx.add_decayed_weights(
        1.0, mask=lambda params: jax.tree.map(lambda p: on[0] and p[p > 0].size > 2, params)
    )
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    state = tx.init(params)
    updates, _ = tx.update(params, state, params)
    assert [updates["a"][0], updates["b"][0]] == [1.0, 2.0]
    on[0] = False
    updates, _ = tx.update(params, state, params)
    assert [updates["a"][0], updates["b"][0]] == [1.0, 1.0]


def test_leaves_may_live_on_devices_of_their_own_outside_jit():
    params = {key: jax.device_put(jnp.ones(3), device) for key, device in zip("ab", jax.devices(), strict=False)}
    tx = gradtx.trace(0.9)
    updates, state = tx.update(params, tx.init(params), params)
    for key, device in zip("ab", jax.devices(), strict=False):
        assert updates[key].devices() == state.slots["trace"][key].devices() == {device}


def calls(tx: gradtx.Transform, leaves: dict[str, tuple[int, ...]]) -> list[Any]:
    """Return the equations of a step over leaves of these shapes."""
    params = {key: jax.ShapeDtypeStruct(shape, jnp.float32) for key, shape in leaves.items()}
    state = jax.eval_shape(tx.init, params)
    return jax.make_jaxpr(step(tx))(params, state, params).jaxpr.eqns


SHAPES = {f"w{i}": ((4, 3), (7,), ())[i % 3] for i in range(12)}


def test_a_rule_is_traced_once_per_distinct_leaf_shape():
    traced = []

    def update(g: Any, slots: Any, p: Any, k: Any) -> tuple[Any, Any]:
        traced.append(g.shape)
        return 0.5 * g, slots

    counted = gradtx.leafwise(gradtx.Rule("counted", update))
    calls(gradtx.chain(counted, gradtx.trace(0.9), gradtx.scale_by_learning_rate(0.1)), SHAPES)
    assert sorted(traced) == sorted(set(SHAPES.values()))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_has_one_jaxpr_per_function_and_leaf_shape(name: str):
    inner: dict[str, set[int]] = {}
    equations = [e for e in calls(STEPS[name][0](), SHAPES) if "jaxpr" in e.params]
    per_leaf = {e.params["name"] for e in equations if sum(f.params["name"] == e.params["name"] for f in equations) > 1}
    for equation in equations:
        inner.setdefault(equation.params["name"], set()).add(id(equation.params["jaxpr"]))
    masks = 2 if "mask" in name else 1  # a masked leaf is another function of the same shape
    assert per_leaf
    assert all(len(inner[function]) <= masks * len(set(SHAPES.values())) for function in per_leaf)


@pytest.mark.parametrize("name", STEPS)
def test_equations_grow_by_one_call_and_one_sum_per_leaf(name: str):
    """All transforms of a chain are one call, and the update is added in one equation."""
    tx = STEPS[name][0]()
    few, many = (calls(tx, {f"w{i:02d}": (3,) for i in range(leaves)}) for leaves in (10, 30))
    assert len(many) - len(few) == 2 * 20
    assert len(few) - 2 * 10 == 1  # the scalars of the step


if __name__ == "__main__":
    print(json.dumps(measured()))
