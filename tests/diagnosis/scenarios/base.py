"""What a scenario is, and how one is run."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import gradtx

CAUSES = (
    "healthy",
    "oscillating",
    "crawling",
    "converged_minimum",
    "saddle_plateau",
    "noise_floor",
    "diverging",
    "non_finite",
    "vanishing_dead",
    "always_clipped",
    "sigma_burst",
    "needs_warmup",
    "not_moving",
    "decay_bound",
    "collapsed",
    "at_chance",
    "unbounded",
)

HALVES = ("tune", "held", "fresh", "fourth", "fifth", "sixth", "seventh", "eighth")  # the sets of runs


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A training run whose cause of being stuck is known.

    Attributes:
        name: unique, shown in reports.
        cause: the true verdict word.
        half: "tune" for setting thresholds, "held" for reporting accuracy, "fresh" and "fourth" to "eighth" for
            sets written from the list of causes alone, to be read once each.
        make_tx: makes the transform; its optional argument multiplies the learning rate.
        init: makes the params.
        loss: `(params, batch) -> scalar` in float32.
        batch: the batch of a step, a pure function of an int32 count.
        steps: length of the run.
        proof: raises AssertionError unless the run has the cause.
        big_batch: makes a large fixed batch; of a full-batch run the batch itself.
        full_batch: whether every step sees the same batch.
        also: further verdict words that are true as well.
        tellable: whether the recorded steps alone, without a probe, decide the cause.
        told: whether the transform is told the loss of each step.
    """

    name: str
    cause: str
    half: str
    make_tx: Callable[..., Any]
    init: Callable[[], Any]
    loss: Callable[[Any, Any], jax.Array]
    batch: Callable[[Any], Any]
    steps: int
    proof: Callable[["Run"], None]
    big_batch: Callable[[], Any]
    full_batch: bool = False
    also: tuple[str, ...] = ()
    tellable: bool = True
    told: bool = True

    @property
    def answers(self) -> tuple[str, ...]:
        """The verdict words that are true."""
        return (self.cause, *self.also)


@dataclasses.dataclass(frozen=True)
class Run:
    """What is left of a run.

    Attributes:
        scenario: what was run.
        params: after the last step.
        state: of the optimizer, after the last step.
        losses: float32, before each step.
        grads_norms: float32, before each step.
        count: number of steps taken since the start, over resumed runs too.
    """

    scenario: Scenario
    params: Any
    state: Any
    losses: np.ndarray
    grads_norms: np.ndarray
    count: int


def plain(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Run a function as users do: in float32 and with the usual promotion, whatever the test suite has set."""

    @functools.wraps(fun)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
            return fun(*args, **kwargs)

    return wrapped


def norm(tree: Any) -> jax.Array:
    """Return the norm of a tree, summed in float32."""
    return jnp.sqrt(sum(jnp.sum(jnp.square(x.astype(jnp.float32))) for x in jax.tree.leaves(tree)))


def scan(scenario: Scenario, tx: Any, carry: Any, counts: jax.Array) -> Any:
    """Train over these counts; return (params, state) and (losses, gradient norms)."""
    tx = optax.with_extra_args_support(tx)

    def step(carry: Any, count: jax.Array) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(scenario.loss)(params, scenario.batch(count))
        extra = {"value": value} if scenario.told else {}
        updates, state = tx.update(grads, state, params, **extra)
        return (gradtx.apply_updates(params, updates), state), (value, norm(grads))

    return jax.lax.scan(step, carry, counts)


@functools.lru_cache(maxsize=2)
def at_any_rate(scenario: Scenario) -> Callable[..., Any]:
    """Return the compiled run of a scenario as a function of the factor of its learning rate."""
    return jax.jit(lambda factor, carry, counts: scan(scenario, scenario.make_tx(factor), carry, counts))


def train(scenario: Scenario, tx: Any, carry: Any, steps: int | None, start: int) -> Run:
    """Train from here; `tx` is a transform, or a factor of the scenario's own learning rate."""
    counts = jnp.arange(start, start + (steps or scenario.steps), dtype=jnp.int32)
    if isinstance(tx, float):
        carry, trail = at_any_rate(scenario)(jnp.float32(tx), carry, counts)
    else:
        carry, trail = jax.jit(lambda carry: scan(scenario, tx, carry, counts))(carry)
    return Run(scenario, *carry, np.asarray(trail[0]), np.asarray(trail[1]), start + len(counts))


@plain
def run_scenario(
    scenario: Scenario, wrap: Callable[[Any], Any] = lambda tx: tx, steps: int | None = None, tx: Any = None
) -> Run:
    """Train a scenario from its start, all steps in one compiled scan.

    Args:
        scenario: what to run.
        wrap: wraps its transform, to watch it say.
        steps: instead of the scenario's.
        tx: instead of the scenario's; a float is a factor of its learning rate.
    """
    params = jax.tree.map(jnp.asarray, scenario.init())
    made = wrap(scenario.make_tx() if tx is None or isinstance(tx, float) else tx)
    return train(scenario, tx if isinstance(tx, float) else made, (params, made.init(params)), steps, 0)


@plain
def resume(run: Run, tx: Any = 1.0, steps: int | None = None, params: Any = None) -> Run:
    """Go on from where a run ended; moved params, or a transform instead of a factor, start with a fresh state."""
    scenario = run.scenario
    fresh = not isinstance(tx, float) or params is not None
    params = run.params if params is None else jax.tree.map(jnp.asarray, params)
    state = (scenario.make_tx() if isinstance(tx, float) else tx).init(params) if fresh else run.state
    return train(scenario, tx, (params, state), steps, run.count)
