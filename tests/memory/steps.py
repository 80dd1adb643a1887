"""How long the steps of Adam are with state in 8 bits, beside those with float32: `python -m tests.memory.steps`.

Gradients of 1e-6 to 1 stand in each block of 128, in an order of chance: constant, with random signs, or normal with
those below 0.01 ten times as large from the middle of the run on.
"""

import jax
import jax.numpy as jnp
import numpy as np

import gradtx

BLOCKS, SIZE, STEPS = 16, 128, 400
LATE = 3000  # steps of the run whose small gradients grow


def gradients(kind: str) -> jax.Array:
    """Return the gradients of all steps."""
    rng = np.random.default_rng(0)
    sizes = np.stack([rng.permutation(np.logspace(-6, 0, SIZE)) for _ in range(BLOCKS)])
    if kind == "constant":
        g = np.broadcast_to(sizes, (STEPS, *sizes.shape))
    elif kind == "random signs":
        g = sizes * rng.choice([-1.0, 1.0], size=(STEPS, *sizes.shape))
    else:
        g = sizes * rng.normal(size=(LATE, *sizes.shape))
        g[LATE // 2 :, sizes < 0.01] *= 10.0
    return jnp.asarray(g, jnp.float32)


def largest(tx: gradtx.Transform, gs: jax.Array) -> np.ndarray:
    """Return the largest |u| of each step."""
    p = jnp.zeros(gs.shape[1:], jnp.float32)

    def step(state: object, g: jax.Array) -> tuple[object, jax.Array]:
        u, state = tx.update(g, state, p)
        return state, jnp.max(jnp.abs(u))

    return np.asarray(jax.jit(lambda gs: jax.lax.scan(step, tx.init(p), gs)[1])(gs))


def ratio(kind: str) -> tuple[float, float]:
    """Return the largest step over float32's, of the whole run and of its last 200 steps."""
    gs, adam = gradients(kind), gradtx.adam(1.0)
    plain, ours = (largest(tx, gs) for tx in (adam, gradtx.store(adam, mu="fp8", nu="fp8_root")))
    return float(ours.max() / plain.max()), float(ours[-200:].max() / plain[-200:].max())


if __name__ == "__main__":
    for kind in ("constant", "random signs", "small ones grow"):
        whole, end = ratio(kind)
        print(f"{kind:16} largest step over float32's: {whole:.2f} in the whole run, {end:.2f} at its end")
