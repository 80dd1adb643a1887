"""Norms inside `shard_map`: those of all shards together, a leaf that is the same on all of them counted once."""

import functools
import math
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


def run(tx: gradtx.Transform, params: Any) -> tuple[Any, Any, Any]:
    """Return the updates of three steps, the last slots and what the whole tree remembers."""

    def step(carry: Any, i: jax.Array) -> tuple[Any, Any]:
        state, params = carry
        grads = jax.tree.map(lambda p: (1.5 - i) * p + 0.1, params)
        u, state = tx.update(grads, state, params, value=1.5 - i)
        return (state, jax.tree.map(jnp.add, params, u)), u

    (state, _), out = jax.lax.scan(step, (tx.init(params), params), jnp.arange(3.0))
    links = [x for x in jax.tree.leaves(state, is_leaf=lambda x: hasattr(x, "slots")) if hasattr(x, "slots")]
    own = {f"{i}.{key}": slot for i, link in enumerate(links) for key, slot in link.slots.items()}
    return out, own, [link.memory for link in links]


def stacked(spec: jax.P) -> jax.P:
    """Return the spec of the updates of all steps."""
    return jax.P(None, *spec)


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
    "polyak_sgd": lambda **axes: gradtx.polyak_sgd(max_learning_rate=math.inf, **axes),
    "mars": lambda **axes: gradtx.mars(0.1, b1=0.5, b2=0.5, gamma=0.5, **axes),
    "mars_per_array": lambda **axes: gradtx.mars(0.1, b1=0.5, gamma=0.5, per_array=True, **axes),
    "prodigy": lambda **axes: gradtx.prodigy(estim_lr0=0.1, **axes),
    "dadapt_adamw": lambda **axes: gradtx.dadapt_adamw(estim_lr0=0.1, **axes),
    "dog": lambda **axes: gradtx.dog(init_step=("heuristic", 0.1), **axes),
    "dowg": lambda **axes: gradtx.dowg(init_estim_sq_dist=0.1, **axes),
    "momo": lambda **axes: gradtx.momo(10.0, adapt_lower_bound=True, **axes),
    "momo_adam": lambda **axes: gradtx.momo_adam(10.0, **axes),
    "mechanize": lambda **axes: gradtx.mechanize(gradtx.sgd(0.1), s_init=0.1, **axes),
    "cautious": lambda **axes: gradtx.cautious(gradtx.sgd(0.1, 0.9), **axes),
}


# what others stand for: the same lines run inside lamb and adafactor, or the same check before them
STOOD_FOR = {"scale_by_trust_ratio", "clip_by_block_rms", "lars", "scion", "soap", "shampoo"}


def quick(names: Any) -> list[Any]:
    """Return names as parameters of a test; those that others stand for are left to exhaustive runs."""
    return [pytest.param(name, marks=[pytest.mark.exhaustive] if name in STOOD_FOR else []) for name in names]


@pytest.mark.share(3)
@pytest.mark.parametrize("name", quick(TRANSFORMS))
def test_shards_are_taken_together(name: str) -> None:
    """Updates and slots are those of one device; a slot of one number is the same on all shards."""
    params = tree()
    with jax.disable_jit():  # operation by operation, which compiles little
        wanted = run(TRANSFORMS[name](), params)

    def spec(slot: Any) -> Any:
        return {key: SPECS[key] if x.shape == SHAPES[key] else jax.P() for key, x in slot.items()}

    slots = {key: spec(slot) for key, slot in wanted[1].items()}
    out_specs = jax.tree.map(stacked, SPECS), slots, jax.tree.map(lambda _: jax.P(), wanted[2])
    tx = TRANSFORMS[name](axis_name=AXES)
    split = jax.shard_map(lambda p: run(tx, p), mesh=MESH, in_specs=(SPECS,), out_specs=out_specs)
    chex.assert_trees_all_close(jax.jit(split)(params), wanted, rtol=1e-9)


def test_centralize_over_split_rows_and_over_whole_ones() -> None:
    g = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8)))
    wanted = run(gradtx.centralize(), g)[0]
    for axes, spec in ((AXES, jax.P(None, AXES)), ("y", jax.P(None, "y")), ((), jax.P("y"))):
        tx = gradtx.centralize(axis_name=axes)
        split = jax.shard_map(lambda g, tx=tx: run(tx, g)[0], mesh=MESH, in_specs=spec, out_specs=stacked(spec))
        chex.assert_trees_all_close(split(g), wanted, rtol=1e-9, atol=1e-12)


def test_units_that_are_split_and_units_that_are_whole() -> None:
    g = jnp.asarray(np.random.default_rng(0).normal(size=(16, 8)))
    wanted = run(gradtx.adaptive_grad_clip(0.1), g)[0]
    for axes, spec in ((AXES, jax.P(AXES)), ("y", jax.P("y")), ((), jax.P(None, "y"))):
        tx = gradtx.adaptive_grad_clip(0.1, axis_name=axes)
        split = jax.shard_map(lambda g, tx=tx: run(tx, g)[0], mesh=MESH, in_specs=spec, out_specs=stacked(spec))
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


LAST_TWO = gradtx.MuonDimensionNumbers(-2, -1)
MATRICES: dict[str, Callable[..., gradtx.Transform]] = {
    "muon": lambda dims, **axes: gradtx.muon(0.1, muon_weight_dimension_numbers=dims, **axes),
    "scion": lambda dims, **axes: gradtx.scion(0.1, weight_dimension_numbers=dims, **axes),
    "soap": lambda dims, **axes: gradtx.soap(0.1, weight_dimension_numbers=dims, **axes),
    "shampoo": lambda dims, **axes: gradtx.shampoo(0.1, weight_dimension_numbers=dims, **axes),
    "galore": lambda dims, **axes: gradtx.galore(0.1, rank=2, weight_dimension_numbers=dims, **axes),
    "scale_by_shape": lambda dims, **axes: gradtx.scale_by_shape(dims, **axes),
}


@pytest.mark.parametrize("name", quick(MATRICES))
def test_whole_matrices_on_each_device(name: str) -> None:
    """A stack split along its batch is right on each device; of a part of a matrix nobody could tell."""
    full, make = jnp.asarray(np.random.default_rng(0).normal(size=(8, 3, 2))), MATRICES[name]
    params = {"w": full, "b": full[:, 0]}
    dims = {"w": LAST_TWO, "b": None}
    spec = {"w": jax.P("y"), "b": jax.P("y")}

    with jax.disable_jit():
        wanted = run(make(dims), params)[0]
    out = jax.tree.map(stacked, spec)

    def split(tx: gradtx.Transform) -> Any:
        return jax.shard_map(lambda p: run(tx, p)[0], mesh=MESH, in_specs=(spec,), out_specs=out)(params)

    chex.assert_trees_all_close(split(make(dims, axis_name=())), wanted, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=r"\w+: (params|grads)\['w'\] varies over the mesh axis 'y'.*axis_name=\(\)"):
        split(make(dims))


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


@pytest.mark.parametrize("name", ["adafactor", "sm3", "novograd", "zero_nans"])
def test_whole_arrays_on_each_device(name: str) -> None:
    """axis_name=() is as if each device ran by itself: no part of the array is elsewhere."""
    make = {
        "adafactor": functools.partial(gradtx.adafactor, 0.1, min_dim_size_to_factor=2),
        "sm3": functools.partial(gradtx.sm3, 0.1),
        "novograd": functools.partial(gradtx.novograd, 0.1),
        "zero_nans": gradtx.zero_nans,
    }[name]
    p = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4, 3)))
    wanted = jax.vmap(lambda p: run(make(), p)[0])(p)

    def split(tx: gradtx.Transform) -> Any:
        own = lambda p: run(tx, p[0])[0][None]  # noqa: E731
        return jax.shard_map(own, mesh=MESH, in_specs=jax.P(AXES), out_specs=jax.P(AXES))(p)

    chex.assert_trees_all_close(split(make(axis_name=())), wanted, rtol=1e-9)
    with pytest.raises(ValueError, match=r"\w+: params varies over the mesh axis 'x'.*axis_name="):
        split(make())
