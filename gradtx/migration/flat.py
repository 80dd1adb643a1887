"""A state as a flat dict by names, and back into a chain that may have changed since."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._core.contract.errors import describe, message
from gradtx._core.engine.members import check_member
from gradtx.migration.codes import in_form
from gradtx.migration.keys import entries

MOST_SHOWN = 6  # keys in one line of a report or an error
CHANGED = "name what may differ in may_add and may_drop, or pass strict=False"


class ImportReport(NamedTuple):
    """What became of each array of a state that was imported.

    Attributes:
        kept: keys of the arrays that were taken over.
        added: keys of the arrays that were not there, and are as `tx.init` makes them.
        dropped: keys of the arrays that the transform does not keep.
    """

    kept: tuple[str, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]

    def __str__(self) -> str:
        """Print how many arrays are in each list, and the first of them."""
        return "\n".join(f"{name} {len(keys)}: {shown(keys)}" for name, keys in self._asdict().items())


def shown(keys: Sequence[str]) -> str:
    """Return the first of these keys as text, and how many more there are."""
    more = f" and {len(keys) - MOST_SHOWN} more" if len(keys) > MOST_SHOWN else ""
    return ", ".join(keys[:MOST_SHOWN]) + more if keys else "none"


def export_state(tx: Any, state: Any) -> dict[str, Any]:
    """Write a state as a flat dict: one entry for each array, under a name that a person can read.

    A key is the transform with those around it, the slot, and the path of the parameter, such as
    "adamw/scale_by_adam/mu/mlp/0/w". `chain`, and a wrapper around one transform, add nothing to the keys of what they
    hold, `named_chain` adds its labels, and a second transform of one name is "trace#2". The arrays are those of the
    state, not copies. Every file format for dicts of arrays stores the dict, and it outlives a change of the chain,
    which a pickled state does not. A slot that `store` keeps in few bits has two keys, such as
    "adamw/scale_by_adam/mu/mlp/0/w/fp8" for its codes and ".../w/scale" for what those of each block are worth.

    Args:
        tx: the transform that made the state, gradtx's or optax's.
        state: its state, as returned by `tx.init` or `tx.update`.

    Returns:
        Key to array, in the order of the state.

    Raises:
        TypeError: tx is no transform.
        ValueError: the state belongs to another transform, or two arrays would have one key.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.adamw(1e-3)
        >>> for key in gradtx.export_state(tx, tx.init({"w": jnp.zeros(2)})):
        ...     print(key)
        adamw/scale_by_adam/count
        adamw/scale_by_adam/mu/w
        adamw/scale_by_adam/nu/w
        adamw/add_decayed_weights/count
        adamw/scale_by_learning_rate/count
        adamw/scale_by_learning_rate/event
    """
    check_member("export_state", "tx", tx)
    keys = [entry.key for entry in entries("export_state", tx, state)]
    return dict(zip(keys, jax.tree.leaves(state), strict=True))


def import_state(
    tx: Any,
    params: Any,
    flat: Mapping[str, Any],
    *,
    strict: bool = True,
    may_add: Sequence[str] = (),
    may_drop: Sequence[str] = (),
) -> tuple[Any, ImportReport]:
    """Make the state of a transform from a flat dict that `export_state` wrote, perhaps for another chain.

    What the dict has is taken over, what it lacks is as `tx.init` makes it, what `tx` does not keep is dropped; the
    report says which. A slot is brought into the form in which `tx` keeps it, see `store`. Unless it is allowed,
    nothing may be added or dropped, but for arrays without numbers, which some files cannot hold.

    Args:
        tx: the transform that goes on.
        params: the parameters, as for `tx.init`.
        flat: key to array, of jax or NumPy.
        strict: whether what is added or dropped must be allowed by name.
        may_add: beginnings of keys that may be added, such as "clip_by_global_norm".
        may_drop: beginnings of keys that may be dropped.

    Returns:
        The state and the report.

    Raises:
        TypeError: tx is no transform; flat is no mapping.
        ValueError: an array has another shape or dtype than `tx` keeps, or something was added or dropped that is not
            allowed; the error names the keys.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> params, old = {"w": jnp.zeros(2)}, gradtx.sgd(0.1, momentum=0.9)
        >>> flat = gradtx.export_state(old, old.init(params))
        >>> new = gradtx.chain(gradtx.clip_by_global_norm(1.0), old)
        >>> added = ["clip_by_global_norm"]
        >>> state, report = gradtx.import_state(new, params, flat, may_add=added)
        >>> report.added
        ('clip_by_global_norm/count',)
    """
    check_member("import_state", "tx", tx)
    if not isinstance(flat, Mapping):
        fix = "write it with export_state; the state itself goes into import_optax_state if optax made it"
        raise TypeError(message("import_state", "flat", f"is {describe(flat)}", "a mapping of keys to arrays", fix))
    fresh = tx.init(params)
    return restore("import_state", tx, fresh, flat, strict=strict, may_add=may_add, may_drop=may_drop)


def restore(
    caller: str,
    tx: Any,
    fresh: Any,
    flat: Mapping[str, Any],
    *,
    strict: bool,
    may_add: Sequence[str],
    may_drop: Sequence[str],
    fix: str = "give the array that this transform made, or transpose or cast it first",
) -> tuple[Any, ImportReport]:
    """Return a fresh state with the arrays of a flat dict in their places, and the report; see `import_state`."""
    leaves, treedef = jax.tree.flatten(fresh)
    keys = [entry.key for entry in entries(caller, tx, fresh)]
    flat = in_form(flat, dict(zip(keys, leaves, strict=True)))
    new = [placed(caller, k, flat[k], x, fix) if k in flat else x for k, x in zip(keys, leaves, strict=True)]
    # nothing is lost where a file cannot hold an array without numbers, as orbax's cannot
    there = {k for k, x in zip(keys, leaves, strict=True) if k in flat or x.size == 0}
    kept, added = tuple(k for k in keys if k in there), tuple(k for k in keys if k not in there)
    dropped = tuple(k for k in flat if k not in set(keys))
    lacks = [k for k in added if not begins(k, may_add)]
    left = [k for k in dropped if not begins(k, may_drop)]
    if strict and (lacks or left):
        got = [f"lacks {shown(lacks)}"] if lacks else []
        got += [f"holds what no transform keeps: {shown(left)}"] if left else []
        raise ValueError(
            message(caller, "the state", ", and ".join(got), f"the keys of {getattr(tx, 'name', 'tx')}", CHANGED)
        )
    return jax.tree.unflatten(treedef, new), ImportReport(kept, added, dropped)


def begins(key: str, starts: Sequence[str]) -> bool:
    """Return True if a key is one of these or stands below one of them."""
    return any(key == start or key.startswith(start.rstrip("/") + "/") for start in starts)


def placed(caller: str, key: str, value: Any, like: Any, fix: str) -> Any:
    """Return a value as an array of the state, where and in the form that `tx.init` has it.

    Raises:
        ValueError: its shape or dtype is another one.
    """
    wanted = (tuple(like.shape), like.dtype)
    if isinstance(value, (int, float)) and like.shape == () and jnp.issubdtype(like.dtype, jnp.number):
        number = np.asarray(value).astype(like.dtype)  # what a file of text gives for a count
        value = number if number == value else value
    if (tuple(np.shape(value)), getattr(value, "dtype", None)) != wanted:
        raise ValueError(message(caller, f"the key {key!r}", f"is {describe(value)}", describe(like), fix))
    if not isinstance(value, jax.Array):
        return jax.device_put(jnp.array(value), like.sharding)  # a copy: what is given may change later
    return jnp.asarray(value, value.dtype) if value.weak_type else value
