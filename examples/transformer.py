"""Train a small language model in bfloat16 over a mesh of 8 devices, with checkpoints and a diagnosis.

    python examples/transformer.py [--steps 300] [--resume] [--folder examples/saved/transformer]

The text is Python's own reference, about 700 kB of English in the standard library's `pydoc_data.topics`; the model
reads it letter by letter. Where XLA_FLAGS says nothing, 8 virtual devices are made on the CPU: they share its cores, so
that the tokens per second say nothing of real devices, and the bytes on each device do.

    shard_state   state and update on 1/8 of each array; only the new parameters are gathered
      watch         a record of the run, for the report at the end
        guard         steps that would bring in what is not finite are left out
          clip, then muon for the matrices of the layers and AdamW for the rest, then what bfloat16 lacks to float32
"""

import argparse
import os
import sys
import time
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")  # before jax is imported
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA warns of a gain of 8 x 64 that it gathers whole

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from checkpoints import by_name, manager_of, restore
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from tqdm import tqdm

import gradtx

LAYERS, WIDTH, HEADS, CONTEXT, BATCH = 8, 64, 4, 64, 32
STEPS, PEAK, EVERY = 300, 1e-2, 50
MATRICES = ("qkv", "mix", "up", "down")


def text() -> tuple[np.ndarray, np.ndarray, int]:
    """Return the letters to train on and those held out as numbers, and how many letters there are."""
    letters = "\n".join(topics[name] for name in sorted(topics))
    number = {letter: i for i, letter in enumerate(sorted(set(letters)))}
    codes = np.array([number[letter] for letter in letters], np.int32)
    cut = len(codes) * 9 // 10
    return codes[:cut], codes[cut:], -(-len(number) // 8) * 8  # a multiple of 8, which the mesh divides


def init(letters: int, seed: int = 0) -> Any:
    """Return the parameters in bfloat16: one array for all layers of each kind of matrix."""
    shapes = {
        "embed": (letters, WIDTH),
        "place": (CONTEXT, WIDTH),
        "qkv": (LAYERS, WIDTH, 3 * WIDTH),
        "mix": (LAYERS, WIDTH, WIDTH),
        "up": (LAYERS, WIDTH, 4 * WIDTH),
        "down": (LAYERS, 4 * WIDTH, WIDTH),
        "head": (WIDTH, letters),
    }
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    made = {n: jax.random.normal(k, s) * s[-2] ** -0.5 for k, (n, s) in zip(keys, shapes.items(), strict=True)}
    made |= {"embed": 0.3 * made["embed"], "place": 0.1 * made["place"], "head": 0.1 * made["head"]}
    gains = {name: jnp.ones((LAYERS, WIDTH)) for name in ("gain1", "gain2")}
    made["layers"] = {name: made.pop(name) for name in MATRICES} | gains
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16), made)


def loss_fn(params: Any, tokens: jax.Array) -> jax.Array:
    """Return the mean cross entropy of each next letter, in nats."""

    def normal(x: jax.Array) -> jax.Array:
        return x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6)

    def layer(x: jax.Array, p: Any) -> tuple[jax.Array, None]:
        p = jax.tree.map(lambda x: x.astype(jnp.float32), p)  # a CPU has no products in bfloat16
        qkv = (normal(x) * p["gain1"][None, None]) @ p["qkv"]
        q, k, v = jnp.split(qkv.reshape(*x.shape[:2], HEADS, -1), 3, axis=-1)
        x = x + jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(x.shape) @ p["mix"]
        return x + jax.nn.gelu((normal(x) * p["gain2"][None, None]) @ p["up"]) @ p["down"], None

    read, wanted = tokens[:, :-1], tokens[:, 1:]
    x = (params["embed"][read] + params["place"][None, :]).astype(jnp.float32)
    x, _ = lax.scan(layer, x, params["layers"])  # one layer is compiled, not eight
    scores = jax.nn.log_softmax(normal(x) @ params["head"].astype(jnp.float32))
    return -jnp.mean(jnp.take_along_axis(scores, wanted[..., None], -1))


def optimizer(mesh: Any, steps: int, *, shards: bool = True) -> gradtx.Transform:
    """Return the optimizer of a run of so many steps; without shards as each device would hold it whole."""
    rate = gradtx.schedules.warmup_cosine(PEAK, warmup_steps=max(1, steps // 10), decay_steps=steps)
    stacked = gradtx.MuonDimensionNumbers(reduction_axis=1, output_axis=2)  # axis 0 counts the layers
    matrices = gradtx.muon(rate, consistent_rms=0.2, muon_weight_dimension_numbers=stacked)
    rules = [(f"^layers/({'|'.join(MATRICES)})$", matrices), (r"", gradtx.adamw(rate, b2=0.99))]
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.by_path(rules), gradtx.keep_residue())
    tx = gradtx.watch(gradtx.guard(tx), learning_rate=rate)
    return gradtx.shard_state(tx, "data", mesh=mesh, specs=P()) if shards else tx


def batch_of(codes: np.ndarray, number: int, where: NamedSharding) -> jax.Array:
    """Return the batch of a step, chosen by its number alone, so that a resumed run sees what it would have seen."""
    starts = np.random.default_rng(number).integers(len(codes) - CONTEXT, size=BATCH)
    return jax.device_put(codes[starts[:, None] + np.arange(CONTEXT + 1)], where)


def placed(tree: Any, mesh: Any, specs: Any) -> Any:
    """Return shapes with their shardings over a mesh."""

    def one(x: Any, spec: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, spec))

    return jax.tree.map(one, tree, specs)


def memory(mesh: Mesh, params: Any, steps: int) -> str:
    """Return what each device holds, with the state whole and in shards."""
    plans = [gradtx.describe(optimizer(mesh, steps, shards=on), params, P(), mesh=mesh) for on in (False, True)]
    whole, shards = (plan.state.per_device for plan in plans)
    plan = plans[1]
    return (
        f"on each device  parameters {plan.params.per_device:,} bytes, gradients {plan.grads.per_device:,}, "
        f"state {shards:,} (whole: {whole:,})"
    )


def main(argv: list[str] | None = None) -> int:
    """Train, print and save; return 1 where a run of at least the default length has learnt too little."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--every", type=int, default=EVERY, help="steps between two checkpoints")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "saved" / "transformer")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint of the folder")
    args = parser.parse_args(argv)

    codes, held_out, letters = text()
    devices = jax.devices()[:8]
    mesh = jax.make_mesh((len(devices),), ("data",), (AxisType.Auto,), devices=devices)
    replicated, rows = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))
    tx, shapes = optimizer(mesh, args.steps), jax.eval_shape(lambda: init(letters))
    print(f"optimizer       {tx}")
    count = sum(x.size for x in jax.tree.leaves(shapes))
    print(f"model           {count:,} parameters, {LAYERS} layers, {letters} letters")
    print(memory(mesh, shapes, args.steps))

    # the specs of the state, for the step's results and for what is restored, from shapes alone
    states = placed(jax.eval_shape(tx.init, shapes), mesh, gradtx.state_specs(tx, shapes, P(), mesh=mesh))
    wanted = placed(shapes, mesh, jax.tree.map(lambda _: P(), shapes))
    where = jax.tree.map(lambda x: x.sharding, (wanted, states))

    def update(params: Any, state: Any, tokens: jax.Array) -> tuple[Any, Any, jax.Array]:
        loss, grads = jax.value_and_grad(loss_fn)(params, tokens)
        updates, state = tx.update(grads, state, params, value=loss)
        return gradtx.apply_updates(params, updates), state, loss

    step = jax.jit(update, donate_argnums=(0, 1), out_shardings=(*where, replicated))
    with manager_of(args.folder, args.every) as manager:
        first = 0
        if args.resume and manager.latest_step() is not None:
            first = manager.latest_step()
            params, state = restore(manager, tx, wanted, states)
        else:
            for old in manager.all_steps():
                manager.delete(old)
            params = jax.jit(init, static_argnums=0, out_shardings=replicated)(letters)
            state = jax.jit(tx.init, out_shardings=where[1])(params)
        print(f"starts          after step {first}")
        began = time.perf_counter()
        with tqdm(range(first + 1, args.steps + 1), desc="training", unit="step") as bar:
            for number in bar:
                params, state, loss = step(params, state, batch_of(codes, number, rows))
                if number == first + 1:
                    loss.block_until_ready()
                    began = time.perf_counter()  # without what was compiled
                manager.save(number, args=ocp.args.StandardSave(by_name(tx, params, state)))
                if number % 10 == 0:
                    bar.set_postfix(loss=f"{float(loss):.3f}", skipped=int(gradtx.skipped(state).total))
        jax.block_until_ready(params)
        seconds = time.perf_counter() - began
        manager.wait_until_finished()

    print(gradtx.diagnose(state))
    speed = max(args.steps - first - 1, 0) * BATCH * CONTEXT / seconds
    print(f"speed           {speed:,.0f} tokens/s on {len(devices)} {devices[0].platform} devices")
    held = jax.jit(loss_fn)(params, batch_of(held_out, 0, rows))
    print(f"held out        {float(held):.3f} nats a letter after step {args.steps}")
    return int(args.steps >= STEPS and not float(held) < 2.2)


if __name__ == "__main__":
    sys.exit(main())
