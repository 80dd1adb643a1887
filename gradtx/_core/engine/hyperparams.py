"""Read the hyperparameters of any transform by name."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arguments.ranges import is_number
from gradtx._core.arguments.reading import is_live, read
from gradtx._core.contract.transform import Transform
from gradtx._core.engine.parts import walk
from gradtx._core.engine.rule import Rule


def hyperparams(tx: Any, state: Any) -> dict[str, Any]:
    """Read the hyperparameters that the NEXT update will use, by name.

    A transform made by gradtx knows its settings; each numeric one appears as `"transform.name"`, or as
    `"label.transform.name"` inside `named_chain`; a second transform of the same name is `"transform#2.name"`.
    Wrappers are looked through, optax's too where the transform is found in what its functions close over and its state
    in the wrapper's; `optax.inject_hyperparams` keeps its values in its state. Other transforms of optax's know no
    settings and are passed over. A state that `vmap` made gives one array per hyperparameter, a value for each member.

    Args:
        tx: the transform.
        state: its state, as returned by `tx.init` or `tx.update`.

    Returns:
        Name to Python number (to an array where the state is traced or a batch).

    Raises:
        TypeError: `tx` is not a gradtx transform.
        ValueError: `state` belongs to another chain.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.sgd(gradtx.schedules.linear(1.0, 0.0, 4), momentum=0.9)
        >>> state = tx.init(jnp.zeros(2))
        >>> _, state = tx.update(jnp.ones(2), state)
        >>> gradtx.hyperparams(tx, state)
        {'trace.decay': 0.9, 'scale_by_learning_rate.learning_rate': 0.75}
    """
    if not (callable(getattr(tx, "init", None)) and callable(getattr(tx, "update", None))):
        raise TypeError(
            f"hyperparams: tx is a {type(tx).__name__}, expected a transform; give the tx that made the state"
        )
    found: dict[str, Any] = {}
    seen: dict[str, int] = {}
    for path, value in injected(state):
        found[path] = value
    for link in walk(tx, state):
        if isinstance(link.tx, Transform):
            add(link.tx.name, link.tx, link.state, "".join(f"{label}." for label in link.labels), found, seen)
    return found


def injected(state: Any) -> list[tuple[str, Any]]:
    """Return what `optax.inject_hyperparams` keeps in its state, by name."""
    values = getattr(state, "hyperparams", None) if hasattr(state, "_fields") else None
    own = [(name, plain(value)) for name, value in values.items()] if isinstance(values, dict) else []
    children = state if isinstance(state, (tuple, list)) else state.values() if isinstance(state, dict) else ()
    return own + [pair for child in children for pair in injected(child)]


def plain(value: Any) -> Any:
    """Return a scalar as a Python number where it is known now."""
    known = hasattr(value, "item") and not isinstance(value, jax.core.Tracer) and jnp.ndim(value) == 0
    return value.item() if known else value


def add(name: str, tx: Any, state: Any, prefix: str, found: dict[str, Any], seen: dict[str, int]) -> None:
    """Add the hyperparameters of one transform, or of a rule that `ratio` was given."""
    seen[prefix + name] = seen.get(prefix + name, 0) + 1
    times = seen[prefix + name]
    base = prefix + name + (f"#{times}" if times > 1 else "")
    count = getattr(state, "count", None)
    count = jnp.zeros((), jnp.int32) if count is None else count
    settings, hypers = (tx.hyper, tx.hyper) if isinstance(tx, Rule) else (tx.settings, tx.info.hypers)
    for setting, value in settings.items():
        if isinstance(value, (Transform, Rule)):  # what `ratio` is made of
            add(value.name, value, state, f"{base}.", found, seen)
        elif setting in hypers and value is not None:
            where = f"hyperparams: {base}.{setting}"
            event = getattr(state, "event", None)
            got = value if is_number(value) else at(value, count, event, where)
            found[f"{base}.{setting}"] = plain(got)


def at(hyper: Any, count: Any, event: Any, where: str) -> Any:
    """Return a hyperparameter at a count, or for each count of a batch."""
    if jnp.ndim(count) == 0:
        return read(hyper, count, event, where)
    if not callable(hyper):
        return read(hyper, count, None, where)
    if is_live(hyper) or event is None:
        events = [None] * count.size if event is None else list(event.reshape(-1))
        values = [read(hyper, c, e, where) for c, e in zip(count.reshape(-1), events, strict=True)]
        return jnp.stack(values).reshape(count.shape)
    return jax.vmap(lambda c, e: read(hyper, c, e, where))(count.reshape(-1), event.reshape(-1)).reshape(count.shape)
