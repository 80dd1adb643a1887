"""Speed without a clock: temporary memory, bytes moved, traces and equations, which say the same on every machine.

The suite's flags change what XLA generates, so compiled steps are measured in a process of their own, with XLA as a
user has it: `python -m tests.batteries.test_speed [name of a row] ...`.
"""

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

import gradtx
from tests.registry import CASES, ROWS

LEAVES, LEAF = 6, 1_000_000
KIB = 1024


STEPS = {row.name: row for row in [*ROWS, *CASES] if row.speed is not None}
SCALARS = 2 * KIB  # room for scalars when XLA changes; far below a leaf


def shapes(tx: Any, leaves: int, leaf: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the params and the state of a step as shapes."""
    params = {f"w{i:03d}": jax.ShapeDtypeStruct(leaf, jnp.float32) for i in range(leaves)}
    return params, jax.eval_shape(tx.init, params)


def step(tx: Any) -> Callable[..., tuple[Any, Any]]:
    """Return the step that everybody writes."""

    def one(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state

    return one


def compiled_step(tx: Any, leaf: tuple[int, ...]) -> tuple[Any, Any]:
    """Return a compiled step over leaves of this shape, and its state as shapes."""
    params, state = shapes(tx, LEAVES, leaf)
    return jax.jit(step(tx), donate_argnums=(0, 1)).lower(params, state, params).compile(), state


def measured(names: list[str]) -> dict[str, dict[str, float]]:
    """Compile these steps and return what XLA says of their memory, and the arrays that optax's steps write."""
    out = {}
    for name in names:
        row = STEPS[name]
        tx = row.make()
        compiled, state = compiled_step(tx, row.speed.shape)
        slots = sum(x.size for x in jax.tree.leaves(state)) / (LEAVES * LEAF)
        floor = 4 * LEAVES * LEAF * (3 + 2 * slots)
        memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
        out[name] = {"temporary": memory.temp_size_in_bytes, "moved": cost["bytes accessed"] / floor, "w": after(tx)}
        out[name]["written"] = arrays_written(compiled.as_text())
        if row.optax and not os.environ["XLA_FLAGS"]:
            out[name]["optax"] = arrays_written(compiled_step(row.make(optax), row.speed.shape)[0].as_text())
    return out


def arrays_written(text: str) -> int:
    """Return how many arrays as large as a leaf the loops, copies and products of a compiled step write.

    What a branch writes for itself is not counted, what it returns is.
    """
    main = text[text.index("\nENTRY ") :]
    made = re.findall(r"= (\(.*?\)|\S+) (?:fusion|copy|dot|convolution|custom-call|conditional)\(", main)
    shapes_made = [shape for result in made for shape in re.findall(r"\w+\[([0-9,]+)\]", result)]
    return sum(math.prod(map(int, shape.split(","))) >= LEAF for shape in shapes_made)


def after(tx: gradtx.Transform) -> float:
    """Return where three steps at one gradient take a parameter."""
    params, grads = (
        {"w000": jnp.full(100, 0.5), "w001": jnp.ones(3)},
        {"w000": jnp.full(100, 0.25), "w001": jnp.ones(3)},
    )
    state = tx.init(params)
    run = jax.jit(step(tx))
    for _ in range(3):
        params, state = run(params, state, grads)
    return params["w000"][7].item()


def in_a_process(
    flags: str, request: pytest.FixtureRequest, known: Any = STEPS, module: str = "tests.batteries.test_speed"
) -> dict[str, dict[str, float]]:
    """Return what a process measures of the steps that this run tests: XLA as a user has it but for these flags.

    Args:
        flags: XLA's flags.
        request: what asks for it, which knows the tests of this run.
        known: the names that the module can measure.
        module: what is run, with names as arguments.
    """
    asked = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    clean = {key: value for key, value in os.environ.items() if not key.startswith("JAX_")}
    env = {**clean, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    command = [sys.executable, "-m", module, *asked.intersection(known)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def compiled(request: pytest.FixtureRequest) -> dict[str, dict[str, float]]:
    return in_a_process("", request)


@pytest.fixture(scope="module")
def fused(request: pytest.FixtureRequest) -> dict[str, dict[str, float]]:
    return in_a_process("--xla_backend_extra_options=xla_cpu_use_multi_output_fusion", request)


@pytest.mark.share(12, "speed")
@pytest.mark.parametrize("name", STEPS)
def test_a_step_writes_no_temporary_array(name: str, compiled: dict[str, dict[str, float]]):
    assert compiled[name]["temporary"] <= max(STEPS[name].speed.temporary, SCALARS)


@pytest.mark.share(12, "speed")
@pytest.mark.parametrize("name", [name for name, row in STEPS.items() if row.speed.temporary == 0])
def test_a_plain_slot_needs_no_temporary_byte(name: str, compiled: dict[str, dict[str, float]]):
    assert compiled[name]["temporary"] == 0


@pytest.mark.share(12, "speed")
@pytest.mark.parametrize("name", STEPS)
def test_bytes_moved_stay_near_the_floor(name: str, compiled: dict[str, dict[str, float]]):
    assert compiled[name]["moved"] <= 1.01 * STEPS[name].speed.moved


@pytest.mark.share(12, "speed")
@pytest.mark.parametrize("name", [name for name, row in STEPS.items() if row.optax])
def test_a_step_writes_no_more_arrays_than_optaxs(name: str, compiled: dict[str, dict[str, float]]):
    """A loop of XLA's writes one array: a step with as many loops over the same bytes is as fast."""
    assert 0 < compiled[name]["written"] <= compiled[name]["optax"]


@pytest.mark.share(12, "speed")
@pytest.mark.parametrize("name", [name for name, row in STEPS.items() if row.speed.fused])
def test_with_xlas_flag_each_byte_is_moved_once(name: str, fused: Any, compiled: Any):
    """XLA writes p and all slots in one loop."""
    assert fused[name]["moved"] <= STEPS[name].speed.fused + 0.01
    assert fused[name]["temporary"] <= max(STEPS[name].speed.temporary, SCALARS)
    assert fused[name]["w"] == pytest.approx(compiled[name]["w"], rel=1e-6)


@pytest.mark.share(12, "speed")
@pytest.mark.parametrize("name", [name for name, row in STEPS.items() if "mask" not in row.settings])
def test_outside_jit_an_update_is_one_program(name: str):
    tx = STEPS[name].make()
    params = {key: jnp.ones(shape) for key, shape in SHAPES.items()}
    state = tx.init(params)
    tx.update(params, state, params)
    body = getattr(tx.body, "row", tx).body  # of a wrapper, what runs it in one row with what it wraps
    runs = [run for run, _ in body.runs if run] if hasattr(body, "runs") else [body.segment]  # a rule alone
    assert [run.at_once._cache_size() for run in runs] == [1]


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


@pytest.mark.share(12, "speed")
@pytest.mark.parametrize("name", STEPS)
def test_a_step_has_one_jaxpr_per_function_and_leaf_shape(name: str):
    inner: dict[str, set[int]] = {}
    equations = [e for e in calls(STEPS[name].make(), SHAPES) if "jaxpr" in e.params]
    per_leaf = {e.params["name"] for e in equations if sum(f.params["name"] == e.params["name"] for f in equations) > 1}
    for equation in equations:
        inner.setdefault(equation.params["name"], set()).add(id(equation.params["jaxpr"]))
    masks = 2 if "mask" in STEPS[name].settings else 1  # a masked leaf is another function of the same shape
    assert per_leaf
    assert all(len(inner[function]) <= masks * len(set(SHAPES.values())) for function in per_leaf)


@pytest.mark.share(12, "speed")
@pytest.mark.parametrize("name", STEPS)
def test_equations_grow_by_one_call_and_one_sum_per_leaf(name: str):
    """All transforms of a chain are one call, and the update is added in one equation."""
    tx = STEPS[name].make()
    few, many = (calls(tx, {f"w{i:02d}": (3,) for i in range(leaves)}) for leaves in (10, 30))
    assert len(many) - len(few) == 2 * 20
    assert len(few) - 2 * 10 == 1  # the scalars of the step


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1:] or list(STEPS))))
