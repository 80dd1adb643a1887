"""Eleven small runs, each stuck in its own way, and how the action that its report names mends it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from stuck_models import Batch, Params, digits, entropy, layers, linear, plane, squares, waves

import gradtx

DEEP = (64, 32, 32, 10)
Mend = Callable[[gradtx.Report], tuple[str, Mapping[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Case:
    """A training run and how it is mended.

    Attributes:
        name: model and optimizer.
        verdict: what the report must say.
        tx: the optimizer.
        params: at the start, float32.
        loss: `(params, batch) -> loss`.
        data: all of it.
        steps: updates.
        mend: from the report to the action in short and the fields of the case that it changes.
        size: samples in a minibatch, drawn at random; 0 is the full batch.
        bad_step: the step whose batch holds a NaN, -1 for none.
        probed: whether the diagnosis gets a probe of the end point.
    """

    name: str
    verdict: str
    tx: gradtx.Transform
    params: Params
    loss: Callable[[Params, Batch], jax.Array]
    data: Batch
    steps: int
    mend: Mend
    size: int = 0
    bad_step: int = -1
    probed: bool = False


def run(case: Case) -> tuple[np.ndarray, gradtx.Report]:
    """Train under watch; return the losses on all of the data before every update, and the report."""
    watched = gradtx.watch(case.tx)
    losses, params, state = train(case, watched)
    probe = None
    if case.probed:
        probe = gradtx.probe(case.loss, params, case.data, tx=watched, state=state)
    return losses, gradtx.diagnose(state, probe=probe)


def train(case: Case, tx: Any) -> tuple[np.ndarray, Params, Any]:
    """Return the losses on all of the data, and the params and the state at the end."""
    tx = optax.with_extra_args_support(tx)
    x, y = case.data

    def batch(t: jax.Array) -> Any:
        if not case.size:
            return x, y
        rows = jax.random.randint(jax.random.fold_in(jax.random.key(0), t), (case.size,), 0, len(x), jnp.int32)
        return jnp.where(t == case.bad_step, jnp.float32(np.nan), x[rows]), y[rows]

    def step(carry: tuple[Params, Any], t: jax.Array) -> tuple[tuple[Params, Any], jax.Array]:
        params, state = carry
        value, grads = jax.value_and_grad(case.loss)(params, batch(t))
        updates, state = tx.update(grads, state, params, value=value)
        loss = case.loss(params, (x, y)) if case.size else value
        return (gradtx.apply_updates(params, updates), state), loss

    @jax.jit
    def loop(params: Params) -> Any:
        steps = jnp.arange(case.steps, dtype=jnp.int32)
        return lax.scan(step, (params, tx.init(params)), steps)

    x, y = jnp.asarray(x), jnp.asarray(y)
    (params, state), losses = loop(case.params)
    return np.asarray(losses), params, state


def clipped(bound: float, eta: float) -> gradtx.Transform:
    """Return Nesterov's momentum on clipped gradients."""
    return gradtx.chain(gradtx.clip_by_global_norm(bound), gradtx.sgd(eta, momentum=0.9, nesterov=True))


def rescaled(report: gradtx.Report, make: Callable[[float], gradtx.Transform], factor: float) -> tuple[str, Any]:
    """Return the mend that multiplies the rate."""
    return f"eta x {factor:.3g}", {"tx": make(report.features.learning_rate * factor)}


def tenth_of_edge(report: gradtx.Report) -> tuple[str, Any]:
    """Return the mend that goes a tenth of the way to the edge that the probe found."""
    return rescaled(report, gradtx.adam, 0.1 * report.probe.edge / report.probe.sharpness)


def longer_warm_up(report: gradtx.Report) -> tuple[str, Any]:
    """Return the mend that warms up over 1/(1-b2) = 500 steps."""
    eta, times = report.features.learning_rate, report.features.early_steps
    rate = gradtx.schedules.warmup_constant(eta, 500, eta / times)
    return f"warm up 500 steps from eta / {times:.3g}", {"tx": gradtx.rmsprop(rate, decay=0.998)}


def revived(report: gradtx.Report) -> tuple[str, Any]:
    """Return the mend that draws the dead groups anew."""
    dead, fresh, old = report.features.dead, layers(*DEEP), drowned()
    return f"initialise {' and '.join(dead)} anew", {"params": {k: (fresh if k in dead else old)[k] for k in old}}


def drowned() -> Params:
    """Return a relu network whose second layer starts so low that no unit of it ever fires."""
    params = layers(*DEEP)
    params["layer2"]["b"] -= 20
    return params


def cases() -> list[Case]:
    """Return the runs."""
    heavy = functools.partial(gradtx.sgd, momentum=0.9)
    return [
        Case(
            "softmax regression, GD",
            "oscillating",
            gradtx.sgd(4.0),
            layers(64, 10, variance=0.0),
            entropy,
            digits(1200, wrong=0.3),
            400,
            lambda r: rescaled(r, gradtx.sgd, 1 / (1 - r.features.rho)),
        ),
        Case(
            "tanh net, Adam",
            "crawling",
            gradtx.adam(1e-5),
            layers(4, 32, 1, variance=1.0),
            squares(jnp.tanh),
            waves(),
            800,
            tenth_of_edge,
            probed=True,
        ),
        Case(
            "linear, two scales, GD",
            "crawling",
            gradtx.sgd(1e-4),
            layers(20, 1, variance=0.0),
            squares(linear),
            plane(200, 20, unit=100.0),
            800,
            lambda r: ("a sigma: Adagrad", {"tx": gradtx.adagrad(0.3)}),
            probed=True,
        ),
        Case(
            "two linear layers, GD",
            "saddle_plateau",
            gradtx.sgd(0.005),
            layers(4, 4, 4, variance=1e-8),
            squares(linear),
            plane(200, 4),
            600,
            lambda r: ("momentum 0.9", {"tx": heavy(0.005)}),
            probed=True,
        ),
        Case(
            "linear, batches of 2, SGD",
            "noise_floor",
            gradtx.sgd(0.1),
            layers(20, 1, variance=0.0),
            squares(linear),
            plane(2000, 20, noise=0.5),
            1000,
            lambda r: rescaled(r, gradtx.sgd, 0.1),
            size=2,
        ),
        Case(
            "relu net, heavy ball",
            "diverging",
            heavy(0.3),
            layers(4, 64, 64, 1),
            squares(jax.nn.relu),
            waves(),
            200,
            lambda r: rescaled(r, heavy, 0.25),
        ),
        Case(
            "relu net, AdamW, bad batch",
            "non_finite",
            gradtx.adamw(1e-3),
            layers(64, 32, 10),
            entropy,
            digits(),
            400,
            lambda r: ("guard", {"tx": gradtx.guard(gradtx.adamw(1e-3))}),
            size=32,
            bad_step=137,
        ),
        Case(
            "relu net, dead layer, Adam",
            "vanishing_dead",
            gradtx.adam(1e-3),
            drowned(),
            entropy,
            digits(),
            300,
            revived,
        ),
        Case(
            "relu net, clip 0.01, Nesterov",
            "always_clipped",
            clipped(0.01, 0.01),
            layers(64, 32, 10),
            entropy,
            digits(),
            500,
            lambda r: rescaled(r, functools.partial(clipped, 0.01), 1 / r.features.clip_median),
            size=32,
        ),
        Case(
            "tanh net, Adam",
            "sigma_burst",
            gradtx.adam(0.1),
            layers(4, 24, 24, 1, variance=1.0),
            squares(jnp.tanh, penalty=1e-6),
            waves(64),
            1500,
            lambda r: ("AMSGrad", {"tx": gradtx.amsgrad(0.1)}),
        ),
        Case(
            "relu net, RMSProp",
            "needs_warmup",
            gradtx.rmsprop(0.03, decay=0.998),
            layers(4, 32, 32, 1),
            squares(jax.nn.relu),
            waves(512, noise=0.3),
            1000,
            longer_warm_up,
            size=32,
        ),
    ]
