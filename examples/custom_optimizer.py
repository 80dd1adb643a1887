"""Write a method as a rule for one array, and pair a direction with a scale; run both.

    python examples/custom_optimizer.py

Lion (Chen et al. 2023, https://arxiv.org/abs/2302.06675):
u = sign(b1 m + (1-b1) g), then m <- b2 m + (1-b2) g.
The rule reads only the NEW m, so that the old one is updated in place:
b2 (b1 m + (1-b1) g) = b1 m_new + (b2-b1) g.
"""

import jax
import jax.numpy as jnp

import gradtx


def lion(learning_rate: float, b1: float = 0.9, b2: float = 0.99) -> gradtx.Transform:
    """Return Lion."""

    def update(g, slots, p, k):
        m = k.b2 * slots["m"] + (1 - k.b2) * g
        return jnp.sign(k.b1 * m + (k.b2 - k.b1) * g), {"m": m}

    def init(p):
        return {"m": jnp.zeros_like(p)}

    hyper = {"b1": b1, "b2": b2}
    rule = gradtx.Rule("lion", update, init=init, slots=("m",), hyper=hyper)
    scale = gradtx.scale_by_learning_rate(learning_rate)
    return gradtx.chain(gradtx.leafwise(rule), scale)


def heavy_adagrad(learning_rate: float) -> gradtx.Transform:
    """Return heavy-ball momentum over Adagrad's scale: both see the same gradient."""
    pair = gradtx.ratio(gradtx.trace(0.9), gradtx.scale_by_adagrad())
    return gradtx.chain(pair, gradtx.scale_by_learning_rate(learning_rate))


def run(tx: gradtx.Transform, steps: int = 500) -> float:
    """Return the loss after `steps` updates on a bowl of two curvatures, 100-fold apart."""

    def loss(p):
        return 0.5 * jnp.sum(p["steep"] ** 2) + 0.005 * jnp.sum(p["flat"] ** 2)

    def step(_, carry):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        return gradtx.apply_updates(params, updates), state

    params = {"steep": jnp.ones(3), "flat": jnp.ones(3)}
    params, _ = jax.lax.fori_loop(0, steps, step, (params, tx.init(params)))
    return float(loss(params))


if __name__ == "__main__":
    rate = gradtx.schedules.cosine(0.03, 500)
    for tx in (lion(rate), heavy_adagrad(0.1), gradtx.sgd(0.1)):
        print(f"loss 1.515 -> {run(tx):.2e}   {tx}")
