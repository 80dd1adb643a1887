"""Train a small network with checkpoints that survive the end of the process at any moment; run it again to go on.

    python examples/checkpoints.py [--steps 60] [--every 5] [--folder examples/saved]

orbax writes while the next steps run. A folder that was not finished keeps a temporary name, which a new manager passes
over; a manager that lives on may still name a step whose writing failed, so that a restart builds a new one. The state
is saved by names (`gradtx.export_state`), so that the checkpoint outlives a change of the chain.
"""

import argparse
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx

try:
    import orbax.checkpoint as ocp
except ImportError as error:
    raise ImportError('this example writes checkpoints with orbax: pip install "gradtx[checkpoint]"') from error

WIDTH, BATCH = 256, 64


def optimizer() -> gradtx.Transform:
    """Return the optimizer: bfloat16 parameters with what they lack to float32 in an int16 slot, moments in 8 bits."""
    moments = gradtx.store(gradtx.adamw(1e-3), mu="fp8", nu="fp8_root")
    return gradtx.guard(gradtx.chain(gradtx.clip_by_global_norm(1.0), moments, gradtx.keep_residue()))


def network(seed: int) -> Any:
    """Return the parameters of a network with two hidden layers."""
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = {"in": (16, WIDTH), "hidden": (WIDTH, WIDTH), "out": (WIDTH, 1)}
    weights = {n: jax.random.normal(k, s) / s[0] ** 0.5 for k, (n, s) in zip(keys, shapes.items(), strict=True)}
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16), {**weights, "bias": jnp.zeros(WIDTH)})


def outputs(params: Any, x: jax.Array) -> jax.Array:
    """Return what the network gives for a batch."""
    hidden = jax.nn.relu(x @ params["in"] + params["bias"][None, :])
    return jax.nn.relu(hidden @ params["hidden"]) @ params["out"]


def make_step(tx: gradtx.Transform) -> Any:
    """Return the step: what it learns is another network of the same form, its batch comes from the step's number."""
    teacher = network(1)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Any, state: Any, number: jax.Array) -> Any:
        x = jax.random.normal(jax.random.fold_in(jax.random.key(2), number), (BATCH, 16), jnp.bfloat16)

        def loss(params: Any) -> jax.Array:
            return jnp.mean((outputs(params, x) - outputs(teacher, x)).astype(jnp.float32) ** 2)

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return gradtx.apply_updates(params, updates), state, value

    return step


def manager_of(folder: Path, every: int = 1) -> ocp.CheckpointManager:
    """Return a new manager, which sees only what was written to its end; it keeps the last two."""
    options = ocp.CheckpointManagerOptions(max_to_keep=2, save_interval_steps=every, enable_async_checkpointing=True)
    return ocp.CheckpointManager(folder.absolute(), options=options, item_handlers=ocp.StandardCheckpointHandler())


def by_name(tx: gradtx.Transform, params: Any, state: Any) -> dict[str, Any]:
    """Return what is saved; orbax takes no array without numbers, which `import_state` makes again."""
    named = gradtx.export_state(tx, state)
    return {"params": params, "state": {name: x for name, x in named.items() if x.size}}


def restore(
    manager: ocp.CheckpointManager,
    tx: gradtx.Transform,
    params: Any,
    state: Any = None,
    *,
    may_add: Sequence[str] = (),
    may_drop: Sequence[str] = (),
) -> tuple[Any, Any]:
    """Return params and state of the newest checkpoint, placed on the devices of today.

    Args:
        manager: a new manager of the folder.
        tx: the optimizer, which may have changed since.
        params: arrays, or shapes with the shardings that the restored ones are to have.
        state: shapes with shardings; None takes those that `tx.init` makes, on one device.
        may_add: beginnings of names that the checkpoint may lack; see `gradtx.import_state`.
        may_drop: beginnings of names that it may hold and the optimizer does not keep.

    Raises:
        ValueError: the state on disk belongs to another chain, and it is not said what may differ.
    """
    newest = manager.latest_step()
    wanted = by_name(tx, params, jax.eval_shape(tx.init, params) if state is None else state)
    on_disk = manager.item_metadata(newest)["state"]
    others = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in on_disk.items()}
    wanted["state"] = {name: wanted["state"].get(name, x) for name, x in others.items()}
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), wanted)
    found = manager.restore(newest, args=ocp.args.StandardRestore(shapes))
    state, _ = gradtx.import_state(tx, found["params"], found["state"], may_add=may_add, may_drop=may_drop)
    return found["params"], state


def digest(tree: Any) -> str:
    """Return a number that differs where any bit of a tree of arrays does."""
    found = hashlib.sha256()
    for x in jax.tree.leaves(tree):
        found.update(np.asarray(x).tobytes())
    return found.hexdigest()[:16]


def main(argv: list[str] | None = None) -> None:
    """Train from the newest checkpoint to the last step, saving as it goes; print the digest of what it ends with."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--every", type=int, default=5, help="steps between two checkpoints")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "saved")
    args = parser.parse_args(argv)

    tx, params = optimizer(), network(0)
    step, state, first = make_step(tx), tx.init(params), 0
    with manager_of(args.folder, args.every) as manager:  # leaving it waits for what is being written
        if manager.latest_step() is not None:
            first = manager.latest_step()
            params, state = restore(manager, tx, params)
        print(f"starts after step {first}", flush=True)
        for number in range(first + 1, args.steps + 1):
            params, state, loss = step(params, state, number)
            if manager.save(number, args=ocp.args.StandardSave(by_name(tx, params, state))):
                print(f"step {number} loss {float(loss):.5f}, saving", flush=True)
        manager.wait_until_finished()
    print(f"ends after step {args.steps} with {digest((params, state))}")


if __name__ == "__main__":
    main()
