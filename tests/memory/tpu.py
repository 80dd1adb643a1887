"""Compile for a TPU without one, and print what the program moves and keeps: run by test_tpu.py in its own process.

libtpu (the extra `tpu-compile`) describes a topology of 8 chips to XLA; nothing runs on it.
"""

import json
import os

os.environ.update(
    TPU_SKIP_MDS_QUERY="1",
    TPU_ACCELERATOR_TYPE="v5litepod-8",
    TPU_WORKER_HOSTNAMES="localhost",
    TPU_WORKER_ID="0",
    JAX_PLATFORMS="cpu",
)

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding

import gradtx
from tests.memory.hlo import collectives

P = jax.P
LAYERS, WIDTH = 4, 1024


def mesh_of(kind: AxisType) -> Mesh:
    devices = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x4").devices
    return Mesh(np.array(devices), ("data",), axis_types=(kind,))


def loss(p: Any, x: jax.Array) -> jax.Array:
    def layer(h: jax.Array, w: jax.Array) -> tuple[jax.Array, None]:
        return jnp.tanh(h @ w), None

    h, _ = jax.lax.scan(layer, x, p["w"])
    return jnp.mean((h @ p["out"]).astype(jnp.float32) ** 2)


def facts(tx: Any, dtype: Any, kind: AxisType) -> dict[str, Any]:
    """Return collectives and memory of a step with a batch that is split over all chips."""
    mesh = mesh_of(kind)
    whole = {"w": (LAYERS, WIDTH, WIDTH), "out": (WIDTH, WIDTH)}
    p = {
        name: jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, P(*[None] * len(shape))))
        for name, shape in whole.items()
    }
    x = jax.ShapeDtypeStruct((64, WIDTH), dtype, sharding=NamedSharding(mesh, P("data", None)))
    specs = gradtx.state_specs(tx, p)
    state = jax.tree.map(
        lambda s, spec: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=NamedSharding(mesh, spec)),
        jax.eval_shape(tx.init, p),
        specs,
    )

    def step(p: Any, state: Any, x: jax.Array) -> tuple[Any, Any]:
        u, state = tx.update(jax.grad(loss)(p, x), state, p)
        return gradtx.apply_updates(p, u), state

    where = jax.tree.map(lambda leaf: leaf.sharding, (p, state))
    compiled = jax.jit(step, donate_argnums=(0, 1), out_shardings=where).lower(p, state, x).compile()
    memory = compiled.memory_analysis()
    return {
        "collectives": collectives(compiled),
        "layer": WIDTH * WIDTH * jnp.dtype(dtype).itemsize,
        "batch": x.size * x.dtype.itemsize // 8,
        "arguments": memory.argument_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
    }


def moved(tx: Any, split: Any) -> dict[str, Any]:
    """Return collectives and memory of an update of a stack of matrices."""
    mesh = mesh_of(AxisType.Auto)
    p = {"w": jax.ShapeDtypeStruct((8, 256, 512), jnp.float32, sharding=NamedSharding(mesh, P(*split)))}
    state = jax.tree.map(
        lambda s, spec: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=NamedSharding(mesh, spec)),
        jax.eval_shape(tx.init, p),
        gradtx.state_specs(tx, p),
    )

    def step(p: Any, state: Any, g: Any) -> tuple[Any, Any]:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    out = jax.tree.map(lambda leaf: leaf.sharding, (p, state))
    compiled = jax.jit(step, donate_argnums=(0, 1), out_shardings=out).lower(p, state, p).compile()
    return {"collectives": collectives(compiled), "temporary": compiled.memory_analysis().temp_size_in_bytes}


def on_host(tx: Any, arrays: int) -> dict[str, Any]:
    """Return the memory of an update of some arrays whose state lies on the host, or on the device where it is bare."""
    mesh = mesh_of(AxisType.Auto)
    whole = NamedSharding(mesh, P(None, None))
    p = {f"w{i}": jax.ShapeDtypeStruct((WIDTH, WIDTH), jnp.float32, sharding=whole) for i in range(arrays)}
    kind = "pinned_host" if tx.name == "offload" else None

    def placed(x: Any) -> Any:
        where = NamedSharding(mesh, P(*[None] * x.ndim), memory_kind=kind if x.ndim else None)
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)

    state = jax.tree.map(placed, jax.eval_shape(tx.init, p))

    def step(p: Any, state: Any, g: Any) -> tuple[Any, Any]:
        u, state = tx.update(g, state, p)
        return gradtx.apply_updates(p, u), state

    out = jax.tree.map(lambda leaf: leaf.sharding, (p, state))
    memory = jax.jit(step, donate_argnums=(0, 1), out_shardings=out).lower(p, state, p).compile().memory_analysis()
    return {
        "device": memory.argument_size_in_bytes,
        "host": memory.host_argument_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
    }


if __name__ == "__main__":
    adamw, clipped = gradtx.adamw(1e-3), gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3))
    made = {
        "plain": facts(adamw, jnp.bfloat16, AxisType.Auto),
        "bfloat16": facts(gradtx.shard_state(adamw), jnp.bfloat16, AxisType.Auto),
        "float32": facts(gradtx.shard_state(adamw), jnp.float32, AxisType.Auto),
        "clipped": facts(gradtx.shard_state(clipped), jnp.bfloat16, AxisType.Auto),
    }
    axes = gradtx.MuonDimensionNumbers(-2, -1)
    for layers in (None, "data"):
        muon = gradtx.muon(1e-2, muon_weight_dimension_numbers=axes, layers=layers)
        soap = gradtx.soap(1e-2, weight_dimension_numbers=axes, layers=layers)
        scion = gradtx.scion(1e-2, weight_dimension_numbers=axes, layers=layers)
        for where, split in {"layers": ("data", None, None), "rows": (None, "data", None)}.items():
            made[f"muon {where} {layers}"] = moved(muon, split)
            if layers and where == "rows":
                made[f"soap {where} {layers}"] = moved(soap, split)
                made[f"scion {where} {layers}"] = moved(scion, split)
    made["store"] = on_host(gradtx.store(adamw, mu="fp8", nu="fp8_root"), 4)
    for arrays in (4, 16):
        made[f"offload {arrays}"] = on_host(gradtx.offload(adamw), arrays)
    made["offload optax"] = on_host(gradtx.offload(optax.adamw(1e-3)), 16)
    print(json.dumps(made))
