"""Run an update whose new state is kept or dropped by one scalar, without a second copy of the state.

The scalar is known before the update. A `lax.cond` around the update would write the updates out, since what leaves a
branch is an array of its own, and a choice behind the update would keep the old and the new state beside each other,
because the updates are computed from the new state that is not yet chosen. So the choice is made where each array of
the new state is computed, and all that follows reads the array that was chosen: the choice then is part of the loop
that writes the slot in place of the old one. Where the step is kept, the numbers are those of the update itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradtx._core.arrays.compat import apply_equation
from gradtx._core.arrays.tree import is_float0

CALLS = ("jit", "pjit")  # what a jitted function is called in a jaxpr; its name has changed
HEAVY = {"dot_general", "conv_general_dilated", "while", "scan", "eigh", "svd", "qr", "householder_product", "cholesky"}


def take_out(tree: Any) -> tuple[list[jax.Array], Callable[[Any], Any]]:
    """Return the arrays of a tree, and what puts others in their place; the float0 of an integer is no array of jax."""
    leaves, treedef = jax.tree.flatten(tree)
    fixed = [x if is_float0(x) else None for x in leaves]

    def put_back(arrays: Any) -> Any:
        found = iter(arrays)
        return jax.tree.unflatten(treedef, [next(found) if x is None else x for x in fixed])

    return [jnp.asarray(x) for x in leaves if not is_float0(x)], put_back


class Traced(NamedTuple):
    """An update as a jaxpr without arguments.

    Attributes:
        closed: the jaxpr with its constants, among them what the update reads.
        put_back: see `take_out`, for its updates.
        state_def: the structure of its new state.
    """

    closed: Any
    put_back: Callable[[Any], Any]
    state_def: Any


def traced(update: Callable[[], tuple[Any, Any]]) -> Traced:
    """Return an update, which gives updates and a new state, as a jaxpr."""
    kept: list[Any] = []  # what the trace leaves behind

    def run() -> tuple[list[jax.Array], list[Any]]:
        updates, new = update()
        arrays, put_back = take_out(updates)
        kept[:] = [put_back, jax.tree.structure(new)]
        return arrays, jax.tree.leaves(new)

    return Traced(jax.make_jaxpr(run)(), *kept)


def is_light(jaxpr: Any) -> bool:
    """Return True if a jaxpr has no product of matrices, no loop and no effect, so that it may well be run twice."""
    if jaxpr.effects:
        return False
    inner = [x for equation in jaxpr.eqns for x in jax.tree.leaves(list(equation.params.values())) if is_jaxpr(x)]
    heavy = any(equation.primitive.name in HEAVY for equation in jaxpr.eqns)
    return not heavy and all(is_light(getattr(x, "jaxpr", x)) for x in inner)


def is_jaxpr(x: Any) -> bool:
    """Return True for a jaxpr, with or without constants."""
    return hasattr(getattr(x, "jaxpr", x), "eqns")


def is_literal(atom: Any) -> bool:
    """Return True for a constant in a jaxpr, by what it has: importing its type from jax.extend would load Pallas."""
    return hasattr(atom, "val")


def plain(update: Traced) -> tuple[Any, Any]:
    """Return what an update gives."""
    values = evaluate(update.closed, [], {}, None)
    first = len(values) - update.state_def.num_leaves
    return update.put_back(values[:first]), update.state_def.unflatten(values[first:])


def gated(update: Traced, keep: jax.Array, state: Any) -> tuple[Any, Any]:
    """Return what an update gives where `keep` is True, and elsewhere zeros and the state as it was.

    Args:
        update: the update; its new state has the structure and dtypes of `state`.
        keep: a scalar.
        state: the state before.
    """
    jaxpr, old = update.closed.jaxpr, jax.tree.leaves(state)
    first = len(jaxpr.outvars) - len(old)
    olds = dict(enumerate(old))
    before = first_before(jaxpr, [None] * first + list(olds), olds)
    values = evaluate(update.closed, [], before, keep)
    new = [
        x if is_chosen(var, was, before) else choose(keep, x, was)
        for var, x, was in zip(jaxpr.outvars[first:], values[first:], old, strict=True)
    ]
    updates = update.put_back([choose(keep, x, jnp.zeros_like(x)) for x in values[:first]])
    return updates, update.state_def.unflatten(new)


def first_before(jaxpr: Any, names: Sequence[Any], before: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return what the variables that a jaxpr computes and returns are where `keep` is False.

    A variable that is returned twice, and may have two pasts, has the first of them.

    Args:
        jaxpr: the jaxpr.
        names: what its results are called in `before`.
        before: for a result, what it is where `keep` is False.
    """
    computed = {var for equation in jaxpr.eqns for var in equation.outvars}
    found: dict[Any, Any] = {}
    for var, name in zip(jaxpr.outvars, names, strict=True):
        if name in before and not is_literal(var) and var in computed:
            found.setdefault(var, before[name])
    return found


def is_chosen(var: Any, was: Any, before: Mapping[Any, Any]) -> bool:
    """Return True if a result has been chosen between its new value and this old one where it was computed."""
    return not is_literal(var) and var in before and before[var] is was


def choose(keep: jax.Array, new: Any, old: Any) -> Any:
    """Return `new` where `keep` is True, `old` elsewhere."""
    return jnp.where(keep, new, old)


def evaluate(closed: Any, values: list[Any], before: dict[Any, Any], keep: Any) -> list[Any]:
    """Return what a jaxpr gives where each variable of `before` is chosen as soon as it is computed.

    Args:
        closed: the jaxpr with its constants.
        values: those of its arguments.
        before: for a variable, what it is where `keep` is False.
        keep: a scalar.
    """
    known = dict(zip([*closed.jaxpr.constvars, *closed.jaxpr.invars], [*closed.consts, *values], strict=True))

    def value(atom: Any) -> Any:
        return atom.val if is_literal(atom) else known[atom]

    for equation in closed.jaxpr.eqns:
        given, outputs = [value(atom) for atom in equation.invars], equation.outvars
        inner = equation.params.get("jaxpr")
        if equation.primitive.name in CALLS and any(var in before for var in outputs):
            inside = first_before(inner.jaxpr, outputs, before)
            found = evaluate(inner, given, inside, keep)
            chosen = [
                is_chosen(own, before.get(var), inside) for own, var in zip(inner.jaxpr.outvars, outputs, strict=True)
            ]
        else:
            found, chosen = apply_equation(equation, given), [False] * len(outputs)
        for var, x, done in zip(outputs, found, chosen, strict=True):
            known[var] = x if done or var not in before else choose(keep, x, before[var])
    return [value(atom) for atom in closed.jaxpr.outvars]
