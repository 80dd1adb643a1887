"""What `probe` was given, checked before the loss is called."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._core.arguments.ranges import Range, check
from gradtx._core.contract.errors import describe, message, structure
from gradtx._core.engine.members import check_member


def check_arguments(tx: Any, state: Any, learning_rate: Any, steps: Any, batches: Any) -> None:
    """Raise for an optimizer, a rate, a number of steps or minibatches that cannot be used."""
    if callable(learning_rate):
        fix = "pass the value that the schedule has now"
        raise TypeError(message("probe", "learning_rate", f"is {describe(learning_rate)}", "a number", fix))
    if learning_rate is not None:
        check("probe", {"learning_rate": learning_rate}, {"learning_rate": Range("[0, inf)", event=True)})
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(message("probe", "steps", f"is {steps!r}", "a whole number >= 1", "20 resolve most spectra"))
    if tx is not None:
        check_member("probe", "tx", tx)
    if (tx is None) != (state is None):
        missing = "tx" if tx is None else "state"
        fix = "pass tx and the state that it has here"
        raise ValueError(message("probe", missing, "is None", "tx and state together", fix))
    if batches is None:
        return
    if not isinstance(batches, Sequence) or isinstance(batches, str):
        fix = "pass [batch, batch, ...], each as loss_fn takes it"
        raise TypeError(message("probe", "batches", f"is {describe(batches)}", "a list of minibatches", fix))
    if len(batches) < 2:  # noise is what two minibatches do not share
        got = f"holds {len(batches)}"
        raise ValueError(message("probe", "batches", got, "2 minibatches or more", "8 to 32 tell signal from noise"))


def check_point(loss_fn: Callable[..., Any], params: Any, batch: Any) -> None:
    """Raise for a loss that does not take (params, batch), and for params that are traced."""
    if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((params, batch))):
        raise ValueError(message("probe", "params or batch", "is traced", "concrete arrays", "call it outside jit"))
    try:
        inspect.signature(loss_fn).bind(params, batch)
    except TypeError as error:
        if callable(loss_fn):  # what cannot be called at all is refused with the other words
            fix = "wrap it, lambda params, batch: ..."
            raise TypeError(message("probe", "loss_fn", f"has {error}", "a function (params, batch)", fix)) from None
    except ValueError:  # a function written in C may not say what it takes
        return


def check_extras(key: Any, directions: Any, extra: Any, memory: Any) -> None:
    """Raise for a key, directions, extra arguments or a size of memory of the wrong kind."""
    if key is not None:
        dtype = getattr(key, "dtype", None)
        if dtype is None or not (jnp.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32):
            raise TypeError(message("probe", "key", f"is {describe(key)}", "a random key", "pass jax.random.key(0)"))
    for name, value, fix in (
        ("directions", directions, "pass {name: a tree like the params}"),
        ("extra", extra, "pass the arguments of tx.update by name, {name: value}"),
    ):
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(message("probe", name, f"is {describe(value)}", "a dict", fix))
    if isinstance(memory, bool) or not isinstance(memory, (int, float, np.number)) or not memory >= 0:
        fix = "2e8 elements take 0.8 GB in float32"
        raise ValueError(message("probe", "memory", f"is {memory!r}", "a number of elements >= 0", fix))


@contextmanager
def state_is_of(tx: Any, state: Any, params: Any) -> Iterator[None]:
    """Turn an error inside into one that names the state, where the state is not one that `tx.init` makes."""
    try:
        yield
    except Exception as error:  # whatever a transform does with another one's state
        if tx is None or same_structure(tx, state, params):
            raise
        got = f"is {describe(state)}, not as tx.init(params) makes it"
        fix = "pass the state that belongs to tx and these params"
        raise ValueError(message("probe", "state", got, "the state of tx", fix)) from error


def same_structure(tx: Any, state: Any, params: Any) -> bool:
    """Return True if a state has the structure and shapes of the one that `tx.init` makes for the params."""
    made = jax.eval_shape(tx.init, params)
    if structure(made) != structure(state):
        return False
    return all(jnp.shape(a) == jnp.shape(b) for a, b in zip(jax.tree.leaves(made), jax.tree.leaves(state), strict=True))
