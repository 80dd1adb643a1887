"""Run an update whose state lies in the memory of the host: each array is fetched where it is first read.

The update is traced with the state on the device. Equation by equation, what lies on the host is fetched just before it
is read, after what was fetched before has been computed with; each new array of the state goes back as soon as it is
known. A chain of gradtx runs one equation for each leaf, so that the device holds the state of one leaf at a time.
"""

from collections.abc import Sequence
from typing import Any

import jax
from jax import lax
from jax.extend.core import Literal

from gradtx._core.arrays.compat import apply_equation

HOST, DEVICE = "pinned_host", "device"


def is_on_host(x: Any) -> bool:
    """Return True for an array in the memory of the host: where it lies, under jit what its type says."""
    if isinstance(x, jax.core.Tracer):
        return bool(getattr(jax.typeof(x), "memory_space", None) == jax.memory.Space.Host)
    return isinstance(x, jax.Array) and x.sharding.memory_kind == HOST


def to_host(x: Any) -> Any:
    """Return an array in the memory of the host, split over devices as it is."""
    return moved(x, jax.memory.Space.Host, HOST)


def to_device(x: Any) -> Any:
    """Return an array in the memory of its device."""
    return moved(x, jax.memory.Space.Device, DEVICE)


def moved(x: Any, space: Any, kind: str) -> Any:
    """Return an array in a memory: at once outside jit, as XLA is told to inside."""
    if isinstance(x, jax.core.Tracer) or not isinstance(x, jax.Array):
        return jax.device_put(x, space)
    return jax.device_put(x, x.sharding.with_memory_kind(kind))


def fetched_in_turn(closed: Any, state: Sequence[Any]) -> list[Any]:
    """Return what a jaxpr gives; of its arguments, the leaves of a state, those on the host are fetched in turn.

    Args:
        closed: the jaxpr with its constants; its last results are the leaves of the next state.
        state: the leaves of the state.
    """
    jaxpr = closed.jaxpr
    known = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    waiting = {var: x for var, x in zip(jaxpr.invars, state, strict=True) if is_on_host(x)}
    known.update({var: x for var, x in zip(jaxpr.invars, state, strict=True) if var not in waiting})
    first = len(jaxpr.outvars) - len(state)
    kept = [var for var, x in zip(jaxpr.outvars[first:], state, strict=True) if is_on_host(x)]
    to_be_kept = {var for var in kept if not isinstance(var, Literal)}
    back: dict[Any, Any] = {}
    before: list[Any] = []  # what was made of the leaf that was fetched last

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        new = [var for var in equation.invars if not isinstance(var, Literal) and var in waiting and var not in known]
        for var in dict.fromkeys(new):
            x = lax.optimization_barrier((waiting[var], *before))[0] if before else waiting[var]
            known[var] = to_device(x)
        found = apply_equation(equation, [value(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, found, strict=True))
        gone = {var: to_host(known[var]) for var in equation.outvars if var in to_be_kept}
        back.update(gone)
        if new:
            before = lax.stop_gradient(list(gone.values()) or found[:1])

    def result(var: Any, old: Any) -> Any:
        if not is_on_host(old):
            return value(var)
        if isinstance(var, Literal):
            return to_host(var.val)
        return back[var] if var in back else waiting[var] if var in waiting else to_host(known[var])

    after = [result(var, old) for var, old in zip(jaxpr.outvars[first:], state, strict=True)]
    return [*(value(var) if var not in waiting else to_device(waiting[var]) for var in jaxpr.outvars[:first]), *after]
