"""Norms inside `shard_map`: those of all shards together, a leaf that is the same on all of them counted once."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

MESH = jax.sharding.Mesh(np.array(jax.devices()).reshape(2, 4), ("x", "y"))
SPECS = {"w": jax.P("x"), "v": jax.P(("x", "y")), "m": jax.P(None, "y"), "b": jax.P(), "s": jax.P()}
SHAPES = {"w": (4, 3), "v": (8, 2), "m": (3, 4), "b": (3,), "s": ()}
AXES = ("x", "y")


def tree() -> dict[str, jax.Array]:
    """Return leaves that are split over one axis or two, and two that are not split."""
    rng = np.random.default_rng(0)
    return {name: jnp.asarray(rng.normal(size=shape)) for name, shape in SHAPES.items()}


def run(tx: gradtx.Transform, params: Any) -> tuple[Any, Any]:
    """Return the updates of three steps and the last slots."""
    state, out = tx.init(params), []
    for i in range(3):
        grads = jax.tree.map(lambda p, i=i: (1.5 - i) * p + 0.1, params)
        u, state = tx.update(grads, state, params)
        out.append(u)
    links = state if isinstance(state, tuple) and not hasattr(state, "slots") else (state,)
    return out, {f"{i}.{key}": slot for i, link in enumerate(links) for key, slot in link.slots.items()}


TRANSFORMS: dict[str, Callable[..., gradtx.Transform]] = {
    "lars": lambda **axes: gradtx.lars(0.1, weight_decay=0.1, **axes),
    "fromage": lambda **axes: gradtx.fromage(0.1, **axes),
    "novograd": lambda **axes: gradtx.novograd(0.1, weight_decay=0.1, **axes),
    "normalize_by_update_norm": gradtx.normalize_by_update_norm,
    "scale_by_distance_over_gradients": gradtx.scale_by_distance_over_gradients,
    "scale_by_param_block_norm": gradtx.scale_by_param_block_norm,
    "scale_by_param_block_rms": gradtx.scale_by_param_block_rms,
    "clip_by_block_rms": lambda **axes: gradtx.clip_by_block_rms(0.3, **axes),
    "adafactor": lambda **axes: gradtx.adafactor(0.1, **axes),
    "lamb": lambda **axes: gradtx.lamb(0.1, weight_decay=0.1, **axes),
    "scale_by_trust_ratio": gradtx.scale_by_trust_ratio,
    "clip_by_global_norm": lambda **axes: gradtx.clip_by_global_norm(1.0, **axes),
    "zero_nans": gradtx.zero_nans,
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_shards_are_taken_together(name: str) -> None:
    """Updates and slots are those of one device; a slot of one number is the same on all shards."""
    params = tree()
    wanted = run(TRANSFORMS[name](), params)

    def spec(slot: Any) -> Any:
        return {key: SPECS[key] if x.shape == SHAPES[key] else jax.P() for key, x in slot.items()}

    out_specs = [SPECS] * len(wanted[0]), {key: spec(slot) for key, slot in wanted[1].items()}
    tx = TRANSFORMS[name](axis_name=AXES)
    split = jax.shard_map(lambda p: run(tx, p), mesh=MESH, in_specs=(SPECS,), out_specs=out_specs)
    chex.assert_trees_all_close(jax.jit(split)(params), wanted, rtol=1e-9)


def test_centralize_over_split_rows_and_over_whole_ones() -> None:
    g = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8)))
    wanted = run(gradtx.centralize(), g)[0]
    for axes, spec in ((AXES, jax.P(None, AXES)), ("y", jax.P(None, "y")), ((), jax.P("y"))):
        tx = gradtx.centralize(axis_name=axes)
        split = jax.shard_map(lambda g, tx=tx: run(tx, g)[0], mesh=MESH, in_specs=spec, out_specs=[spec] * 3)
        chex.assert_trees_all_close(split(g), wanted, rtol=1e-9, atol=1e-12)


def test_units_that_are_split_and_units_that_are_whole() -> None:
    g = jnp.asarray(np.random.default_rng(0).normal(size=(16, 8)))
    wanted = run(gradtx.adaptive_grad_clip(0.1), g)[0]
    for axes, spec in ((AXES, jax.P(AXES)), ("y", jax.P("y")), ((), jax.P(None, "y"))):
        tx = gradtx.adaptive_grad_clip(0.1, axis_name=axes)
        split = jax.shard_map(lambda g, tx=tx: run(tx, g)[0], mesh=MESH, in_specs=spec, out_specs=[spec] * 3)
        chex.assert_trees_all_close(split(g), wanted, rtol=1e-9)


@pytest.mark.parametrize("check", [True, False])
def test_a_norm_of_shards(check: bool) -> None:
    """Also where jax does not tell which leaves are split; then each is taken to be."""
    x = jnp.arange(1.0, 9.0)
    norm = jax.shard_map(
        lambda x: gradtx.global_norm(x, axis_name=AXES),
        mesh=MESH,
        in_specs=jax.P(AXES),
        out_specs=jax.P(),
        check_vma=check,
    )
    np.testing.assert_allclose(norm(x), np.linalg.norm(x))
    same = jax.shard_map(
        lambda x: gradtx.global_norm(x, axis_name=AXES), mesh=MESH, in_specs=jax.P(), out_specs=jax.P()
    )
    np.testing.assert_allclose(same(x), np.linalg.norm(x))


def test_a_factored_leaf_must_be_whole() -> None:
    """Means over the rows of a shard are not those of the leaf."""
    tx = gradtx.adafactor(0.1, min_dim_size_to_factor=2, axis_name="x")
    p = jnp.ones((8, 4))
    split = jax.shard_map(
        lambda p: tx.update(p, tx.init(p), p)[0], mesh=MESH, in_specs=jax.P("x"), out_specs=jax.P("x")
    )
    with pytest.raises(ValueError, match=r"scale_by_factored_rms: params varies over the mesh axis 'x'"):
        split(p)
    whole = jax.shard_map(lambda p: tx.update(p, tx.init(p), p)[0], mesh=MESH, in_specs=jax.P(), out_specs=jax.P())
    alone = gradtx.adafactor(0.1, min_dim_size_to_factor=2)
    np.testing.assert_allclose(whole(p), alone.update(p, alone.init(p), p)[0])
