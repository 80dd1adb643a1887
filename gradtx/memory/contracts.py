"""The contracts that a transform keeps, each found on shapes, by types of an abstract mesh, or by a compiled step."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arrays.tree import flatten, is_trainable
from gradtx._core.contract.errors import none_is_leaf, paths, structure
from gradtx.memory.findings import Finding, NotRun, differences, paths_without_none
from gradtx.memory.shardings import shardings
from gradtx.memory.trial import Trial, struct

Found = list[Finding] | NotRun
CAPTURED = "let init return it in the state, and copy it: jnp.array(p, copy=True)"


def abstract(trial: Trial) -> Found:
    """Check that init and update work on shapes alone, and that init gives there what it gives for arrays."""
    found: list[Finding] = []
    try:
        trial.state = jax.eval_shape(lambda params: trial.tx.init(params), trial.params)
    except Exception as error:
        made = trial.with_values(error, lambda: trial.tx.init(trial.fresh()))
        found.append(needs("init", "params", error))
        trial.state = None if made is None else jax.tree.map(struct, made)
    else:
        if trial.arrays is not None:
            made = jax.tree.map(struct, trial.tx.init(trial.fresh()))
            fix = "let shapes and dtypes decide what init makes, not whether the values are known"
            found += differences("state", made, trial.state, "for arrays", "for shapes", fix)
    if trial.state is None:
        return found
    try:
        made = jax.eval_shape(
            lambda grads, state, params: trial.update(grads, state, params), trial.grads, trial.state, trial.params
        )
        trial.updates, trial.after = made
    except Exception as error:
        trial.with_values(error, lambda: trial.update(trial.gradients(), trial.tx.init(trial.fresh()), trial.fresh()))
        found.append(needs("update", "grads", error))
    return found


def needs(function: str, root: str, error: Exception) -> Finding:
    """Return what is wrong with a function that works on arrays and not on shapes; jax says which leaf it needs."""
    named = re.search(r"the values? of the arguments? (\S+?)[,.]?(?:\s|$)", str(error))
    got = f"has to be known in {function} ({type(error).__name__})"
    fix = "use jnp.where, lax.cond or jnp instead of if, float and NumPy"
    return Finding(named[1] if named else root, got, "shapes and dtypes alone", fix)


def state(trial: Trial) -> Found:
    """Check that update returns a state of the structure, shapes, dtypes and weak types that it was given."""
    fix = "cast what update returns to the dtype of what it got, and give init's numbers a dtype"
    return differences("state", trial.after, trial.state, "after update", "after init", fix)


def params(trial: Trial) -> Found:
    """Check that the updates have the structure and the shapes of the params, and can be added to them."""
    updates, wanted = trial.updates, trial.params
    if structure(marks(updates)) != structure(marks(wanted)):
        return differences("updates", marks(updates), marks(wanted), "in the updates", "in the params", "")
    found = []
    for path, u, p in zip(paths("updates", updates), flatten(updates)[0], flatten(wanted)[0], strict=True):
        if u is None or p is None or not is_trainable(p):
            continue
        if u.shape != p.shape:
            fix = "return one number for each of the parameter's; apply_updates broadcasts none"
            found.append(Finding(path, f"has shape {u.shape}", f"{p.shape} as its parameter", fix))
        elif not jnp.issubdtype(u.dtype, jnp.inexact) or is_complex(u) > is_complex(p):
            fix = "cast it to the parameter's dtype; of a complex number take the real part"
            found.append(Finding(path, f"is {u.dtype}", f"what can be added to {p.dtype}", fix))
    return found


def marks(tree: Any) -> Any:
    """Return a tree with a number in place of each leaf and of each None."""
    return jax.tree.map(lambda x: np.zeros((), np.int8), tree, is_leaf=none_is_leaf)


def is_complex(x: Any) -> bool:
    """Return True if an array is complex."""
    return bool(jnp.issubdtype(x.dtype, jnp.complexfloating))


def scan(trial: Trial) -> Found:
    """Check that `lax.scan` carries params and state, and that update is the same function whenever it is traced."""

    def steps(params: Any, state: Any, grads: Any) -> Any:
        return lax.scan(lambda carry, _: (trial.step(*carry, grads)[:2], None), (params, state), length=2)[0]

    given = trial.params, trial.state, trial.grads
    fix = "keep what changes from step to step in the state, not in a variable of Python"
    try:
        jax.eval_shape(steps, *given)
        first, second = (jax.make_jaxpr(lambda *x: trial.step(*x))(*given) for _ in range(2))
    except Exception as error:
        return [Finding("tx.update", f"raises {type(error).__name__} in lax.scan", "a pure function", fix)]
    if any(isinstance(x, jax.core.Tracer) for x in second.consts):
        return [Finding("tx.update", "reads what was computed in another trace", "a pure function", fix)]
    if program(first) == program(second) and same_bits(first.consts, second.consts):
        return []
    if trial.arrays is None:
        return [Finding("tx.update", "gives another program when traced again", "a pure function", fix)]
    kept = trial.tx.init(trial.fresh())  # which of the results differ: those of one call and another
    one, other = (trial.update(trial.gradients(), kept, trial.fresh()) for _ in range(2))
    names = [*paths("updates", one[0]), *paths("state", one[1])]
    pairs = [pair for x, y in zip(one, other, strict=True) for pair in zip(flatten(x)[0], flatten(y)[0], strict=True)]
    wrong = [name for name, pair in zip(names, pairs, strict=True) if not same_bits(*[[x] for x in pair])]
    return [
        Finding(name, "differs between two calls with the same arguments", "a pure function", fix) for name in wrong
    ]


def program(jaxpr: Any) -> str:
    """Return a traced program as text without addresses."""
    return re.sub(r"0x[0-9a-f]+", "", str(jaxpr))


def same_bits(xs: list[Any], ys: list[Any]) -> bool:
    """Return True if two lists of arrays are equal, NaN equal to NaN."""
    if len(xs) != len(ys):
        return False
    pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if x is not y and hasattr(x, "dtype")]
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)


def donation(trial: Trial) -> Found:
    """Check that right after init a step may overwrite params and state: no array stands in them twice."""
    fix = "make each array of the state anew: jnp.array(p, copy=True), one jnp.zeros_like(p) for each slot"
    expected = "an array of its own"
    if trial.arrays is None:
        return shared_on_shapes(trial, expected, fix)
    start = trial.fresh()
    kept = trial.tx.init(start)
    owners: dict[Any, str] = {}
    found = []
    for root, tree in (("params", start), ("state", kept)):
        for path, x in zip(paths(root, tree), flatten(tree)[0], strict=True):
            pointer = buffer_of(x)
            if pointer is not None and owners.setdefault(pointer, path) != path:
                found.append(Finding(path, f"is the array of {owners[pointer]}", expected, fix))
    kept_outside = {id(x) for x in jax.make_jaxpr(lambda *x: trial.update(*x))(trial.grads, kept, trial.params).consts}
    for path, x in zip(paths("params", start), flatten(start)[0], strict=True):
        if id(x) in kept_outside:
            found.append(Finding(path, "is read by update as init saw it", "a copy in the state", CAPTURED))
    trial.donates = not found
    if trial.donates:
        for _ in range(2):
            start, kept, _ = trial.run(start, kept, trial.gradients())
    return found


def shared_on_shapes(trial: Trial, expected: str, fix: str) -> Found:
    """Return which arrays of a state are, by the program of init, those of the params or stand there twice."""
    jaxpr = jax.make_jaxpr(trial.tx.init)(trial.params).jaxpr
    owners: dict[Any, str] = dict(zip(jaxpr.invars, paths_without_none("params", trial.params), strict=True))
    owners |= dict.fromkeys(jaxpr.constvars, "the function")
    found = []
    for path, x in zip(paths_without_none("state", trial.state), jaxpr.outvars, strict=True):
        if not hasattr(x, "val") and owners.setdefault(x, path) != path:  # a literal is made anew each time
            found.append(Finding(path, f"is the array of {owners[x]}", expected, fix))
    return found


def buffer_of(x: Any) -> Any:
    """Return where an array lies, None for what has no memory of its own."""
    if not isinstance(x, jax.Array) or x.size == 0 or jnp.issubdtype(x.dtype, jax.dtypes.extended):
        return None
    return x.addressable_shards[0].data.unsafe_buffer_pointer()


def zero_gradients(trial: Trial) -> Found:
    """Check that gradients of 0 give finite updates and leave the state finite, at the params and at params of 0."""
    if trial.arrays is None:
        return NotRun("the shapes are too large to compute with; pass smaller ones")
    found: dict[str, Finding] = {}
    for where, start in (("", trial.fresh()), (" at params of 0", jax.tree.map(jnp.zeros_like, trial.fresh()))):
        kept = trial.tx.init(start)
        fine = [bool(np.all(finite(x))) for x in jax.tree.leaves(kept)]
        for _ in range(2):
            start, kept, updates = trial.run(start, kept, trial.gradients(0))
            names = [*paths_without_none("updates", updates), *paths_without_none("state", kept)]
            checked = [*[True] * len(jax.tree.leaves(updates)), *fine]
            for path, x, was in zip(names, [*jax.tree.leaves(updates), *jax.tree.leaves(kept)], checked, strict=True):
                if was and not np.all(finite(x)):
                    got = f"is not finite after a gradient of 0{where}"
                    fix = "put jnp.where(d == 0, 1, d) below, or add eps: some division is 0 / 0"
                    found.setdefault(path, Finding(path, got, "finite numbers", fix))
    return list(found.values())


def finite(x: Any) -> Any:
    """Return where an array is finite, True for what is no float."""
    return np.asarray(jnp.isfinite(x)) if hasattr(x, "dtype") and is_trainable(x) else np.True_


CONTRACTS: dict[str, tuple[Callable[[Trial], Found], str]] = {
    "abstract": (abstract, "init and update work on shapes alone"),
    "state": (state, "update keeps the state's structure, shapes, dtypes and weak types"),
    "params": (params, "updates have the structure and shapes of the params"),
    "scan": (scan, "lax.scan carries params and state; update is a pure function"),
    "donation": (donation, "a donated step works right after init"),
    "shardings": (shardings, "slots and updates lie as their params"),
    "zero gradients": (zero_gradients, "updates and state stay finite"),
}
