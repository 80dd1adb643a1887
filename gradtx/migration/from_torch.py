"""The state of a torch.optim optimizer as that of the same method in gradtx."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradtx._core.contract.errors import describe, message
from gradtx._core.engine.members import check_member
from gradtx.migration.flat import ImportReport, restore
from gradtx.migration.fresh import Fresh

NAME = "import_torch_state"
# What torch calls a slot: Adam, AdamW, SGD, RMSprop, Adagrad.
SLOTS = {
    "exp_avg": "mu",
    "exp_avg_sq": "nu",
    "grad_avg": "mu",
    "max_exp_avg_sq": "nu_max",
    "momentum_buffer": "trace",
    "square_avg": "nu",
    "sum": "sum_of_squares",
    "variance": "variance",
}
Place = Callable[[Any], Any]


def import_torch_state(
    tx: Any,
    params: Any,
    state_dict: Any,
    place: Place,
    *,
    count: int | None = None,
    strict: bool = True,
    may_add: Sequence[str] = (),
    may_drop: Sequence[str] = (),
) -> tuple[Any, ImportReport]:
    """Make the state of a gradtx transform from that of a torch.optim optimizer, so that its numbers go on.

    Known are Adam and AdamW (`adam`, `adamw`; with amsgrad=True `amsgrad(like="torch")`), SGD with momentum (`sgd`),
    RMSprop (`rmsprop(like="torch")`) and Adagrad (`adagrad(like="torch")`). torch keeps rates, decays and eps in
    `param_groups`: give them to the transform. A schedule goes on at `count`; torch's schedulers are not read.

    Args:
        tx: the transform of gradtx that goes on.
        params: the parameters, as for `tx.init`.
        state_dict: what `optimizer.state_dict()` gave, its tensors torch's or NumPy's; or the path of a file with it,
            which torch reads with weights_only=True.
        place: function of a parameter's name, or of its number where the optimizer was not given names. It returns the
            path of the parameter in `params`, such as "mlp/0/w"; or (path, function of an array), such as a
            transpose; or None for a parameter that is left behind.
        count: updates made so far; None is torch's step, which SGD does not keep.
        strict: as in `import_state`.
        may_add: as in `import_state`.
        may_drop: as in `import_state`.

    Returns:
        The state and the report; what is dropped is named by torch's name or number and slot.

    Raises:
        TypeError: tx is no transform, or state_dict is no dict of an optimizer.
        ImportError: a file is given, and torch is not installed.
        ValueError: a path, shape or dtype does not fit, steps differ, a schedule's count is not known, or something was
            added or dropped that is not allowed.

    Examples:
        >>> import gradtx, jax.numpy as jnp, numpy as np
        >>> ones = np.ones((2, 4), "f")
        >>> moments = {"step": np.float32(3), "exp_avg": ones, "exp_avg_sq": ones}
        >>> saved = {"state": {0: moments}, "param_groups": [{"lr": 0.1, "params": [0]}]}
        >>> tx, params = gradtx.adam(0.1), {"w": jnp.zeros((4, 2))}
        >>> place = lambda i: ("w", np.transpose)
        >>> state, report = gradtx.import_torch_state(tx, params, saved, place)
        >>> print(gradtx.export_state(tx, state)["adam/scale_by_adam/count"], len(report.kept))
        3 4
    """
    check_member(NAME, "tx", tx)
    saved = checked(loaded(state_dict))
    fresh = Fresh(NAME, tx, tx.init(params))
    flat: dict[str, Any] = {}
    behind = list(may_drop)
    steps = set() if count is None else {count}
    names = names_of(saved["param_groups"])
    for number, held in saved["state"].items():
        name = names.get(number, number)
        path, changed = placed_by(place, name)
        behind += [f"{name}"] if path is None else []
        for field, value in slots_of(held).items():
            if path is None or field not in (*SLOTS, "step"):
                flat[f"{name}/{field}"] = value
            elif field == "step":
                steps |= {int(value)} if count is None else set()
            else:
                flat |= fitted(fresh, path, field, changed(value), name)
    if len(steps) > 1:
        got, expected = f"holds the steps {sorted(steps)}", "one number of updates for all parameters"
        raise ValueError(message(NAME, "state_dict", got, expected, "pass count="))
    flat |= fresh.counted(steps.pop() if steps else None)
    allowed = (*may_add, *fresh.unneeded(flat))
    fix = "let place return (path, function of the array) that transposes or casts it"
    return restore(NAME, tx, fresh.state, flat, strict=strict, may_add=allowed, may_drop=behind, fix=fix)


def loaded(state_dict: Any) -> Any:
    """Return the dict, read from a file where its path is given."""
    if not isinstance(state_dict, (str, os.PathLike)):
        return state_dict
    try:
        import torch  # type: ignore[import-not-found]
    except ImportError:
        fix = "install torch, or load the file elsewhere and pass its dict"
        raise ImportError(message(NAME, "state_dict", "is a file", "torch to read it", fix)) from None
    return torch.load(state_dict, map_location="cpu", weights_only=True)


def checked(saved: Any) -> Any:
    """Return the dict of an optimizer.

    Raises:
        TypeError: it is something else, such as the dict of a model.
    """
    if isinstance(saved, Mapping) and {"state", "param_groups"} <= set(saved):
        return saved
    keys = f"has the keys {sorted(map(str, saved))[:6]}" if isinstance(saved, Mapping) else f"is {describe(saved)}"
    expected, fix = "what optimizer.state_dict() gives, with state and param_groups", "pass that part of the checkpoint"
    raise TypeError(message(NAME, "state_dict", keys, expected, fix))


def names_of(groups: Any) -> dict[Any, str]:
    """Return the names of parameters by their numbers, where the optimizer was made with names."""
    return {i: name for group in groups for i, name in zip(group["params"], group.get("param_names", ()), strict=False)}


def placed_by(place: Place, name: Any) -> tuple[str | None, Callable[[Any], Any]]:
    """Return the path of a parameter in the params, None where it is left behind, and what is done to its arrays."""
    answer = place(name)
    path, changed = answer if isinstance(answer, tuple) else (answer, np.asarray)
    if (path is None or isinstance(path, str)) and callable(changed):
        return path, changed
    got, expected = f"is {describe(answer)}", "a path such as 'mlp/0/w', (path, function of an array), or None"
    raise TypeError(message(NAME, f"place({name!r})", got, expected, "return one of these"))


def slots_of(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return what torch keeps of a parameter as NumPy arrays; a centered RMSprop's variance in place of its square."""
    slots = {field: array_of(value) for field, value in held.items() if value is not None}
    if "grad_avg" in slots:  # ours keeps the variance itself
        slots["variance"] = np.maximum(slots.pop("square_avg") - slots["grad_avg"] ** 2, 0)
    return slots


def array_of(value: Any) -> Any:
    """Return a tensor, or what is one already, as a NumPy array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if "bfloat16" in str(value.dtype) else value).numpy()  # NumPy has no bfloat16
    return np.asarray(value)


def fitted(fresh: Fresh, path: str, field: str, value: Any, name: Any) -> dict[str, Any]:
    """Return an array by its key, or by torch's name where no transform keeps it.

    Raises:
        ValueError: no parameter has this path, or several transforms keep such a slot of it.
    """
    places = fresh.at(SLOTS[field], path)
    if len(places) > 1:
        got = f"fits {' and '.join(entry.key for entry in places)}"
        raise ValueError(message(NAME, f"{field} of {name!r}", got, "one transform", "restore them by import_state"))
    if places:
        return {places[0].key: fresh.widened(places[0], value)}
    known = sorted({entry.path for entry in fresh.arrays if entry.path})
    if known and path not in known:
        expected = f"the path of a parameter, such as {known[0]!r}"
        raise ValueError(message(NAME, f"place({name!r})", f"is {path!r}", expected, "return one of these paths"))
    return {f"{name}/{field}": value}
