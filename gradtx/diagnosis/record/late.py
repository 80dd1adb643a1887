"""`record_loss`: the loss of a step that was already taken, for loops that cannot pass `value=` to the update."""

from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.contract.errors import describe, message
from gradtx.diagnosis.record.record import BLANK, BLOCKS, EARLY, RING, ROW, Record, blank_block
from gradtx.diagnosis.record.written import merge

__all__ = ["record_loss"]


def record_loss(state: Any, loss: Any) -> Any:
    """Record the loss of the last step in the state of a watched transform, wherever it lies.

    For loops that call the update without `value=`: flax's `TrainState.apply_gradients`, trainers of other libraries.
    Call it after each update, with the loss that the gradients were taken of; it works under jit and scan. A loss that
    is already known for that step stays. One that is not finite ends the record where the step was measured and not
    skipped, as it does in an update.

    Units: those of the loss.

    Args:
        state: the state of a watched transform, or any container of it: a tuple, a dict, a `TrainState`, an
            `nnx.Optimizer` (whose variables are set in place as well).
        loss: the loss, a scalar; of a batch of states, a scalar or one for each.

    Returns:
        The state with the loss in its record; everything else as it was.

    Raises:
        TypeError: the state holds no record, or the loss is no number.
        ValueError: the loss is not a scalar.

    Cost: a few scalars; no pass over the parameters.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.watch(gradtx.sgd(0.5))
        >>> p = jnp.array([3.0, 4.0])
        >>> updates, state = tx.update(p, tx.init(p), p)
        >>> state = gradtx.record_loss({"opt": state, "step": 1}, 12.5)
        >>> gradtx.metrics(state)["loss"]
        12.5
    """
    try:
        value = jnp.asarray(loss, jnp.float32)
    except (TypeError, ValueError):
        raise TypeError(
            message("record_loss", "loss", f"is {describe(loss)}", "a scalar", "pass the mean loss of the step")
        ) from None
    leaves, treedef = jax.tree.flatten(state, is_leaf=lambda x: isinstance(x, Record))
    at = [i for i, x in enumerate(leaves) if isinstance(x, Record)]
    if not at:
        fix = "wrap it before training, tx = gradtx.watch(tx), and pass the state or what holds it"
        raise TypeError(message("record_loss", "state", f"is {describe(state)} without a record", "one", fix))
    for i in at:
        leaves[i] = set_loss(leaves[i], value)
    return jax.tree.unflatten(treedef, leaves)


def set_loss(record: Record, loss: jax.Array) -> Record:
    """Return a record with the loss of its last step, its variables (of nnx) set in place where it holds such."""
    plain = record._replace(**{name: inside(x) for name, x in record._asdict().items() if name != "meta"})
    shape, step = jnp.shape(loss), jnp.shape(plain.step)
    if shape not in ((), step):
        got = f"has shape {shape}"
        raise ValueError(message("record_loss", "loss", got, "a scalar", "pass the mean loss of the step"))
    put = with_loss
    for _ in step:
        put = jax.vmap(put, in_axes=(0, 0 if shape else None))
    new = put(plain, loss)
    for name, x in record._asdict().items():
        if name != "meta" and inside(x) is not x:
            put_inside(x, getattr(new, name))
    return new if plain is record or inside(record.step) is record.step else record


def inside(x: Any) -> Any:
    """Return the array of a variable, or the array itself; newer nnx warns where `.value` is read."""
    get = getattr(x, "get_value", None)
    return get() if get is not None else x if isinstance(x, jax.Array) else getattr(x, "value", x)


def put_inside(x: Any, array: jax.Array) -> None:
    """Set the array of a variable."""
    if hasattr(x, "set_value"):
        x.set_value(array)
    else:
        x.value = array


def with_loss(record: Record, loss: jax.Array) -> Record:
    """Return the record with the loss of the step before `record.step`."""
    t, finite = record.step - 1, jnp.isfinite(loss)
    alive = (record.bad_step < 0) & (t >= 0)
    at, row = jnp.maximum(t, 0) % RING, (record.rows - 1) % RING
    measured = (record.rows > 0) & (record.ring_steps[row] == t)
    new = alive & finite & (record.losses[at] == BLANK)
    one, none = jnp.ones_like(loss), jnp.zeros_like(loss)
    block = jnp.concatenate([jnp.stack([one, loss, none, loss, loss]), blank_block()[5:]])
    place = jnp.minimum(jnp.maximum(t, 0) // record.block, BLOCKS - 1)
    first, early_row = jnp.clip(t, 0, EARLY - 1), jnp.clip(record.rows - 1, 0, EARLY - 1)
    column = ROW.index("loss")

    def put(table: jax.Array, index: Any, value: jax.Array, where: jax.Array) -> jax.Array:
        return table.at[index].set(jnp.where(where, value, table[index]))

    bad = alive & ~finite & measured & (record.skipped[2] != t)
    return record._replace(
        bad_step=jnp.where(bad, t, record.bad_step),
        losses=put(record.losses, at, loss, new),
        early_losses=put(record.early_losses, first, loss, new & (t < EARLY)),
        losses_seen=record.losses_seen + new.astype(jnp.int32),
        history=put(record.history, place, merge(record.history[place], block), new),
        ring=put(record.ring, (row, column), loss, new & measured),
        early=put(record.early, (early_row, column), loss, new & measured & (record.rows <= EARLY)),
    )
