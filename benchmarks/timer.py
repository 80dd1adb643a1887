"""How a step is built and timed: contestants run in turn, A B B A, in one process, after a warm-up."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from cases import Case, Size
from jax import lax

SCAN_STEPS = 10_000


def nbytes(tree: Any) -> int:
    """Return the bytes of all arrays of a tree."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def step_of(lib: Any, tx: Any, extra: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the step that everybody writes: update, then apply."""

    def step(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        updates, state = tx.update(grads, state, params, **extra)
        return lib.apply_updates(params, updates), state

    return step


class JaxStep:
    """A jitted, donated step with parameters, state and gradients of its own."""

    def __init__(self, lib: Any, case: Case, size: Size) -> None:
        """Compile it, and note what XLA says of its memory."""
        tx = case.make(lib)
        self.params, self.grads = size.tree(0), case.of_examples(size.tree(1))
        self.state = jax.tree.map(jnp.copy, tx.init(self.params))  # some of optax's states alias the params
        step = jax.jit(step_of(lib, tx, case.extra), donate_argnums=(0, 1))
        lowered = step.lower(self.params, self.state, self.grads)
        start = time.perf_counter()
        self.compiled = lowered.compile()
        self.compile_seconds = time.perf_counter() - start
        memory = self.compiled.memory_analysis()
        self.temporary_bytes = memory.temp_size_in_bytes
        # what must be there during a step: donated arrays count once
        kept = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
        self.memory_bytes = kept + self.temporary_bytes
        self.moved_bytes = self.compiled.cost_analysis()["bytes accessed"]
        # the floor: read g, read and write p and each slot, once
        self.floor_bytes = nbytes(self.grads) + 2 * nbytes(self.params) + 2 * nbytes(self.state)

    def __call__(self) -> None:
        """Run one step to its end."""
        self.params, self.state = self.compiled(self.params, self.state, self.grads)
        jax.block_until_ready((self.params, self.state))


class ScanStep:
    """10,000 steps on a quadratic of 10 parameters inside one `lax.scan`."""

    def __init__(self, lib: Any, case: Case, size: Size) -> None:
        """Compile the loop."""
        tx = case.make(lib)
        step = step_of(lib, tx, case.extra)
        self.params = size.tree(0)
        self.state = tx.init(self.params)

        def one(carry: Any, _: Any) -> Any:
            return step(*carry, case.of_examples(carry[0])), None

        def loop(params: Any, state: Any) -> Any:
            return lax.scan(one, (params, state), length=SCAN_STEPS)[0]

        start = time.perf_counter()
        lowered = jax.jit(loop).lower(self.params, self.state)
        self.lower_seconds = time.perf_counter() - start
        start = time.perf_counter()
        self.compiled = lowered.compile()
        self.compile_seconds = time.perf_counter() - start
        self.temporary_bytes = self.compiled.memory_analysis().temp_size_in_bytes

    def __call__(self) -> None:
        """Run the loop to its end."""
        jax.block_until_ready(self.compiled(self.params, self.state))


class Pass:
    """One pass over memory, each byte read and written in place: the rate at which bytes can move."""

    def __init__(self, size: Size) -> None:
        """Compile it (a negation, which XLA cannot leave out)."""
        self.tree = size.tree(0)
        self.bytes = 2 * nbytes(self.tree)
        self.negate = jax.jit(lambda tree: jax.tree.map(jnp.negative, tree), donate_argnums=0)

    def __call__(self) -> None:
        """Pass once."""
        self.tree = self.negate(self.tree)
        jax.block_until_ready(self.tree)


def race(
    steps: Mapping[Any, Callable[[], None]], rounds: int, *, cap: float = 20.0, rest: float = 0.0
) -> dict[Any, list[float]]:
    """Time the contestants in turn, each other round backwards, and return their seconds, a list each.

    What a step leaves in the caches and what its threads still do falls on its follower, so nobody follows one alone.

    Args:
        steps: contestants by name.
        rounds: how often each runs.
        cap: seconds after which a slow contestant leaves the race.
        rest: seconds of sleep before each step; PyTorch's threads spin for a while after a step of theirs.
    """
    for step in steps.values():
        step()
        step()
    times: dict[Any, list[float]] = {name: [] for name in steps}
    for turn in range(rounds):
        for name, step in list(steps.items())[:: -1 if turn % 2 else 1]:
            if sum(times[name]) < cap:
                time.sleep(rest)
                start = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - start)
    return times


def faster(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return how many times faster we are: the median of the ratios of neighbours in time."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=False))


def lower_seconds(libs: Mapping[str, Any], case: Case, size: Size, repeats: int) -> dict[str, list[float]]:
    """Time trace + lower from cold caches, with a transform made afresh each time."""
    seconds: dict[str, list[float]] = {name: [] for name in libs}
    for _ in range(repeats):
        for name, lib in libs.items():
            tx, params = case.make(lib), size.like()
            grads = case.of_examples(params)
            state = jax.eval_shape(tx.init, params)
            jax.clear_caches()
            start = time.perf_counter()
            jax.jit(step_of(lib, tx, case.extra), donate_argnums=(0, 1)).lower(params, state, grads)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def eager_seconds(libs: Mapping[str, Any], case: Case, size: Size, rounds: int) -> dict[str, list[float]]:
    """Time `tx.update` outside jit, with 100 numbers in a leaf: what Python and dispatch cost, not memory."""

    def update(lib: Any) -> Callable[[], None]:
        tx, params, grads = case.make(lib), size.tree(0, 100), size.tree(1, 100)
        state = tx.init(params)
        return lambda: jax.block_until_ready(tx.update(grads, state, params, **case.extra))

    return race({name: update(lib) for name, lib in libs.items()}, rounds, cap=2.0)
