"""Print what an update of a stack of matrices moves between 8 devices: `python -m tests.memory.layers`."""

import os

os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_force_host_platform_device_count=8")

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding

import gradtx
from tests.memory.hlo import collectives

P = jax.P
MB = 1e6
AXES = gradtx.MuonDimensionNumbers(-2, -1)


def muon(layers: Any) -> Any:
    return gradtx.muon(1e-2, weight_decay=0.1, muon_weight_dimension_numbers=AXES, layers=layers)


def scion(layers: Any) -> Any:
    return gradtx.scion(1e-2, weight_dimension_numbers=AXES, layers=layers)


def soap(layers: Any) -> Any:
    return gradtx.soap(1e-2, weight_dimension_numbers=AXES, layers=layers)


def shampoo(layers: Any) -> Any:
    return gradtx.shampoo(1e-2, weight_dimension_numbers=AXES, layers=layers)


def step_of(tx: Any, kind: AxisType, shape: tuple[int, ...], split: tuple[Any, ...]) -> Any:
    """Return the compiled step of one stack."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(kind,))
    p = {"w": jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, P(*split)))}
    with jax.set_mesh(mesh):
        specs, state = gradtx.state_specs(tx, p), jax.eval_shape(tx.init, p)
        placed = [
            jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, spec))
            for x, spec in zip(jax.tree.leaves(state), jax.tree.leaves(specs), strict=True)
        ]
        state = jax.tree.unflatten(jax.tree.structure(state), placed)

        def step(p: Any, state: Any, g: Any) -> tuple[Any, Any]:
            u, state = tx.update(g, state, p)
            return gradtx.apply_updates(p, u), state

        where = jax.tree.map(lambda x: x.sharding, (p, state))
        return jax.jit(step, donate_argnums=(0, 1), out_shardings=where).lower(p, state, p).compile()


if __name__ == "__main__":
    splits = {"layers": ("x", None, None), "rows": (None, "x", None), "columns": (None, None, "x")}
    stacks = (
        (muon, (8, 256, 1024)),
        (muon, (12, 256, 1024)),
        (scion, (8, 256, 1024)),
        (soap, (8, 128, 256)),
        (shampoo, (8, 128, 256)),
    )
    for make, shape in stacks:
        for where, split in splits.items():
            for kind in (AxisType.Auto, AxisType.Explicit):
                for layers in (None, "x"):
                    if shape[0] % 8 and where == "layers":
                        continue
                    named = f"{make.__name__} {shape} {where}, {kind.name}, layers={layers}"
                    try:
                        compiled = step_of(make(layers), kind, shape, split)
                    except Exception as error:  # what jax refuses is a row too
                        print(f"{named}: {type(error).__name__}")
                        continue
                    bytes_moved = {key: f"{n / MB:.2f} MB" for key, n in collectives(compiled).items()}
                    memory, flops = compiled.memory_analysis(), compiled.cost_analysis()["flops"]
                    temporary = f"{memory.temp_size_in_bytes / MB:.1f} MB"
                    print(f"{named}: {bytes_moved} temporary {temporary}, {flops / 1e9:.2f} GFLOP")
