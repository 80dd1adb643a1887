"""Stacks of matrices over devices: what Muon, SOAP and Shampoo move, that the numbers are one device's, and errors."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding

import gradtx
from tests.memory.hlo import collectives

P = jax.P
AUTO, EXPLICIT = (jax.make_mesh((8,), ("x",), axis_types=(kind,)) for kind in (AxisType.Auto, AxisType.Explicit))
MESHES = pytest.mark.parametrize("mesh", [AUTO, EXPLICIT], ids=["auto", "explicit"])
LAST = gradtx.MuonDimensionNumbers(-2, -1)
SPLIT = {"layers": ("x", None, None), "rows": (None, "x", None), "columns": (None, None, "x")}
SHAPE = (8, 16, 24)
SIZE = 4 * 8 * 16 * 24


def muon(layers: Any = "x", **settings: Any) -> Any:
    return gradtx.muon(0.1, ns_steps=2, weight_decay=0.1, muon_weight_dimension_numbers=dims, layers=layers, **settings)


def soap(layers: Any = "x") -> Any:
    return gradtx.soap(0.1, precondition_frequency=2, weight_dimension_numbers=dims, layers=layers)


def shampoo(layers: Any = "x") -> Any:
    return gradtx.shampoo(0.1, weight_dimension_numbers=dims, layers=layers)


def dims(params: Any) -> Any:
    return jax.tree.map(lambda p: LAST if p.ndim > 1 else None, params)


def tree(seed: int, shape: tuple[int, ...] = SHAPE) -> dict[str, jax.Array]:
    rng = np.random.default_rng(seed)
    shapes = {"w": shape, "head": (4, 6), "b": (5,)}
    return {name: jnp.asarray(rng.normal(size=own), jnp.float32) for name, own in shapes.items()}


def put(x: Any, mesh: Any, split: tuple[Any, ...]) -> Any:
    specs = {name: P(*split) if name == "w" else P(*[None] * leaf.ndim) for name, leaf in x.items()}
    return {name: jax.device_put(leaf, NamedSharding(mesh, specs[name])) for name, leaf in x.items()}


def step_of(tx: Any) -> Any:
    def step(p: Any, state: Any, g: Any) -> Any:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    return step


def placed_state(tx: Any, p: Any, mesh: Any) -> Any:
    """Return a state where `state_specs` says it lies."""
    return jax.tree.map(
        lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec)), tx.init(p), gradtx.state_specs(tx, p)
    )


def jitted(tx: Any, p: Any, state: Any) -> Any:
    where = jax.tree.map(lambda x: x.sharding, (p, state))
    return jax.jit(step_of(tx), donate_argnums=(0, 1), out_shardings=where)


@functools.cache
def on_one_device(make: Any, shape: tuple[int, ...] = SHAPE) -> Any:
    """Return params and state after three steps on one device without `layers`."""
    tx, p = make(None), tree(0, shape)
    state, step = tx.init(p), jax.jit(step_of(tx))
    for i in range(3):
        p, state = step(p, state, tree(i + 1, shape))
    return jax.device_get((p, state))


CASES: list[tuple[Any, Any, str]] = [(muon, mesh, split) for mesh in (AUTO, EXPLICIT) for split in SPLIT]
CASES += [(soap, AUTO, "rows"), (soap, EXPLICIT, "columns"), (soap, EXPLICIT, "layers")]
CASES += [(shampoo, AUTO, "columns"), (shampoo, EXPLICIT, "rows"), (shampoo, AUTO, "layers")]


@pytest.mark.parametrize(("make", "mesh", "split"), CASES)
def test_two_all_to_alls_or_nothing_and_the_numbers_of_one_device(make: Any, mesh: Any, split: str) -> None:
    """Donated; a matrix alone and a vector in the same tree are left where they lie."""
    tx = make()
    p = put(tree(0), mesh, SPLIT[split])
    state = placed_state(tx, p, mesh)
    step = jitted(tx, p, state).lower(p, state, p).compile()
    assert collectives(step) == ({} if split == "layers" else {"all-to-all": 2 * SIZE // 8})
    for i in range(3):
        p, state = step(p, state, put(tree(i + 1), mesh, SPLIT[split]))
    wanted = on_one_device(make)
    chex.assert_trees_all_close(jax.device_get((p, state)), wanted, rtol=1e-4, atol=2e-5)
