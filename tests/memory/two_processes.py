"""One training run on 8 devices, of this process or of two with 4 each: `two_processes.py PORT RANK FILE [FOLDER]`.

It knows nothing of where the devices are; each process writes the shards that lie on its own, and both together a
checkpoint where a folder for it is given.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # before jax is imported: the devices do not exist otherwise
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4 --xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding

import gradtx

ROOT = Path(__file__).parents[2]
SECONDS = 150
STEPS = 5
SHAPES = {"w": (16, 24), "b": (24,), "out": (24, 1), "scale": ()}


def place(x: np.ndarray[Any, Any], sharding: NamedSharding) -> jax.Array:
    """Return an array of which each process makes the shards on its own devices."""
    made: jax.Array = jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])
    return made


def loss(p: Any, x: jax.Array) -> jax.Array:
    hidden = jnp.tanh(x @ p["w"] + p["b"][None, :])
    return jnp.mean(p["scale"] * (hidden @ p["out"]) ** 2) + jnp.mean(p["b"] ** 2)


def optimizer(mesh: Any = None) -> gradtx.Transform:
    """Return the optimizer, in shards over the axis "data" of params that are whole on each device."""
    tx = gradtx.chain(gradtx.clip_by_global_norm(0.5), gradtx.adamw(1e-2))
    return gradtx.shard_state(tx, mesh=mesh, specs=jax.P())


def train() -> tuple[Any, Any]:
    """Return params and state after a few steps on a batch that is split over all devices."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    p = {name: place(x, NamedSharding(mesh, jax.P())) for name, x in values.items()}
    tx = optimizer()
    state = tx.init(p)

    def step(p: Any, state: Any, x: jax.Array) -> tuple[Any, Any]:
        u, state = tx.update(jax.grad(loss)(p, x), state, p)
        return gradtx.apply_updates(p, u), state

    where = jax.tree.map(lambda leaf: leaf.sharding, (p, state))
    step = jax.jit(step, donate_argnums=(0, 1), out_shardings=where)
    for _ in range(STEPS):
        x = rng.normal(size=(32, 16)).astype(np.float32)
        p, state = step(p, state, place(x, NamedSharding(mesh, jax.P("data"))))
    return p, state


def shards(tree: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return the shards on the devices of this process, by leaf, where they begin, and the number of the device."""
    found, numbers = {}, {device: i for i, device in enumerate(jax.devices())}
    for i, leaf in enumerate(jax.tree.leaves(tree)):
        for shard in leaf.addressable_shards:
            begins = "_".join(str(part.start or 0) for part in shard.index)
            found[f"{i}:{begins}:{numbers[shard.device]}"] = np.asarray(shard.data)
    return found


def save(folder: str, params: Any, state: Any) -> None:
    """Write a checkpoint, each process what lies on its devices."""
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(folder) as manager:
        manager.save(STEPS, args=ocp.args.StandardSave({"params": params, "state": state}))
        manager.wait_until_finished()


class Pair:
    """The two processes: `with Pair(folder) as pair: ...; pair.files()`."""

    def __init__(self, folder: Path, *more: str) -> None:
        """Start both, what they say and write going into this folder."""
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = str(found.getsockname()[1])
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        env.pop("XLA_FLAGS", None)
        self.made = [folder / f"{rank}.npz" for rank in range(2)]
        self.logs = [open(folder / f"{rank}.log", "w+") for rank in range(2)]  # noqa: SIM115  # a pipe may fill up
        module = [sys.executable, "-m", "tests.memory.two_processes", port]
        self.running = [
            subprocess.Popen([*module, str(i), str(file), *more], cwd=ROOT, env=env, stdout=log, stderr=log)
            for i, (file, log) in enumerate(zip(self.made, self.logs, strict=True))
        ]

    def __enter__(self) -> "Pair":
        """Return the pair."""
        return self

    def __exit__(self, *error: object) -> None:
        """End both, whatever happened."""
        for process, log in zip(self.running, self.logs, strict=True):
            process.kill()
            process.wait()
            log.close()

    def files(self) -> list[dict[str, np.ndarray[Any, Any]]]:
        """Return the shards that each process wrote, once both have ended."""
        codes = [process.wait(SECONDS) for process in self.running]
        texts = []
        for log in self.logs:
            log.seek(0)
            texts.append(log.read())
        assert codes == [0, 0], "\n".join(texts)
        return [dict(np.load(file)) for file in self.made]


if __name__ == "__main__":
    port, rank, file, *folder = sys.argv[1:]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(rank), initialization_timeout=60)
    assert (jax.device_count(), jax.local_device_count()) == (8, 4)
    ended = train()
    np.savez(Path(file), **shards(ended))
    if folder:
        save(folder[0], *ended)
    jax.distributed.shutdown()
