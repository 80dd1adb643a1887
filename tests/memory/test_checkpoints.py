"""Checkpoints by orbax survive a kill, another number of processes, other meshes and another chain."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import NamedSharding

import gradtx
from tests.memory import kills, two_processes
from tests.test_examples import load

MESHES = {"8": ((8,), ("data",)), "4 x 2": ((4, 2), ("data", "other")), "1": ((1,), ("data",))}


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """One trial; `python -m tests.memory.kills` makes twenty."""
    trial = kills.kill(tmp_path / "killed", 20, line=3, delay=0.01)
    _, whole = kills.finish(kills.start(tmp_path / "whole", 20))
    assert trial.killed
    assert 0 < trial.resumed < 20
    assert trial.digest == whole


def halves_joined(halves: list[dict[str, np.ndarray]], like: Any) -> list[np.ndarray]:
    """Return the arrays whose shards two processes wrote."""
    found = [np.zeros(x.shape, x.dtype) for x in jax.tree.leaves(like)]
    for key, x in {**halves[0], **halves[1]}.items():
        leaf, begins, _ = key.split(":")
        starts = [int(start) for start in begins.split("_")] if begins else []
        found[int(leaf)][tuple(slice(n, n + size) for n, size in zip(starts, x.shape, strict=True))] = x
    return found


@pytest.mark.exhaustive
def test_two_processes_save_and_one_restores_on_other_meshes(tmp_path: Path) -> None:
    """The state lies where `state_specs` says for the mesh of today; each array has the bits that were saved."""
    with two_processes.Pair(tmp_path, str(tmp_path / "saved")) as pair:
        halves = pair.files()
    shapes = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in two_processes.SHAPES.items()}
    for sizes, axes in MESHES.values():
        kinds = (jax.sharding.AxisType.Auto,) * len(axes)
        mesh = jax.make_mesh(sizes, axes, kinds, devices=jax.devices()[: int(np.prod(sizes))])
        tx = two_processes.optimizer(mesh)
        specs = gradtx.state_specs(tx, shapes, jax.P(), mesh=mesh)

        def placed(x: Any, spec: Any, mesh: Any = mesh) -> Any:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, spec))

        params = jax.tree.map(lambda x: placed(x, jax.P()), shapes)
        state = jax.tree.map(placed, jax.eval_shape(tx.init, shapes), specs)
        with ocp.CheckpointManager(tmp_path / "saved") as manager:
            target = {"params": params, "state": state}
            found = manager.restore(two_processes.STEPS, args=ocp.args.StandardRestore(target))
        got = found["params"], found["state"]
        for x, want in zip(jax.tree.leaves(got), halves_joined(halves, got), strict=True):
            assert np.asarray(x).tobytes() == want.tobytes()
        assert jax.tree.structure(found["state"]) == jax.tree.structure(tx.init(jax.tree.map(zeros, params)))
        mu = gradtx.tree.get(found["state"], "mu")["w"]
        assert mu.addressable_shards[0].data.shape == (16 // sizes[0], 24)


def zeros(x: Any) -> jax.Array:
    """Return an array of zeros of a shape, where that says."""
    return jax.device_put(jnp.zeros(x.shape, x.dtype), x.sharding)


def test_a_changed_chain_takes_the_state_along_or_says_what_differs(tmp_path: Path) -> None:
    """8-bit slots, the residue and the counts come back; the arrays without numbers that orbax cannot keep too."""
    example = load("checkpoints")
    params = {"w": jnp.full((4, 64), 0.5, jnp.bfloat16), "b": jnp.ones(7, jnp.bfloat16)}
    old = example.optimizer()
    state = old.init(params)
    updates, state = old.update(jax.tree.map(jnp.ones_like, params), state, params)
    params = gradtx.apply_updates(params, updates)
    with example.manager_of(tmp_path / "saved") as manager:
        manager.save(3, args=ocp.args.StandardSave(example.by_name(old, params, state)))
        manager.wait_until_finished()
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), params)
    moments = gradtx.store(gradtx.adamw(1e-3), mu="fp8", nu="fp8_root")
    new = gradtx.chain(moments, gradtx.scale(0.5), gradtx.keep_residue())
    with example.manager_of(tmp_path / "saved") as manager:
        same = example.restore(manager, old, shapes)
        assert example.digest(same) == example.digest((params, state))
        with pytest.raises(ValueError, match=r"import_state: the state lacks scale/count.*keeps: clip_by_"):
            example.restore(manager, new, shapes)
        _, taken = example.restore(manager, new, shapes, may_add=["scale"], may_drop=["clip_by_global_norm", "guard"])
    assert jax.tree.structure(taken) == jax.tree.structure(new.init(params))
    for slot in ("mu", "nu", "residue"):
        one, other = (gradtx.tree.get(tree, slot) for tree in (taken, state))
        assert example.digest(one) == example.digest(other)
    assert float(np.abs(gradtx.tree.get(taken, "mu")["w"]).max()) > 0
