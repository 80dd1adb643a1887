"""A plan as text."""

import math
from typing import Any

from gradtx.memory.placing import Bytes

LARGEST = 10  # leaves that are listed
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
FIRST = "gradtx plan: parameters, gradients and optimizer state; activations and batches are NOT in it"


def size(count: int) -> str:
    """Return a number of bytes in the unit that a person reads."""
    amount, unit = float(count), 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{count:,} bytes" if unit == 0 else f"{amount:,.2f} {UNITS[unit]}"


def row(name: str, found: Bytes, note: str = "") -> str:
    """Return a line of the table: a name, bytes per device, bytes in all."""
    return f"  {name:<24} {size(found.per_device):>14} {size(found.in_all):>14}  {note}".rstrip()


def text_of(plan: Any) -> str:
    """Return a plan as text, the most important lines first."""
    devices = math.prod(plan.mesh.values())
    axes = ", ".join(f"{axis} {n}" for axis, n in plan.mesh.items())
    lines = [
        FIRST,
        f"  {plan.transform}",
        f"  {devices:,} device{'s' if devices > 1 else ''}" + (f": {axes}" if axes else ""),
        f"  {'':<24} {'on each device':>14} {'one copy':>14}",
        row("parameters", plan.params, ", ".join(dict.fromkeys(leaf.dtype for leaf in plan.by_leaf))),
        row("gradients", plan.grads),
        row("state", plan.state),
        *slot_rows(plan),
        row("in all", plan.total),
        *compiled_lines(plan),
    ]
    for number, group in enumerate(plan.groups, 1):
        lines += group_lines(number, group)
    largest = sorted(plan.by_leaf, key=lambda leaf: leaf.total, reverse=True)[:LARGEST]
    lines += [f"LARGEST LEAVES, {len(largest)} of {len(plan.by_leaf):,}: parameter, gradient and state"]
    lines += [row(leaf.path or "the array", leaf.total, leaf_note(leaf)) for leaf in largest]
    if plan.unsharded:
        names = ", ".join(plan.unsharded[:LARGEST])
        more = f" and {len(plan.unsharded) - LARGEST} more" if len(plan.unsharded) > LARGEST else ""
        lines += [f"DO NOT DIVIDE  no axis that is free divides {names}{more}"]
    if plan.unseen:
        seen = "; ".join(plan.unseen)
        lines += [f"NOT SEEN INTO  {seen}: of optax's transforms the state alone is known, no rate, decay or freezing"]
    return "\n".join(lines)


def slot_rows(plan: Any) -> list[str]:
    """Return a line for each slot, and one for what belongs to no parameter."""
    found: dict[str, Bytes] = {}
    for leaf in plan.by_leaf:
        for slot, own in leaf.slots.items():
            found[slot] = found[slot] + own if slot in found else own
    rows = [row(f"  {slot}", own) for slot, own in found.items()]
    return [*rows, row("  of no parameter", plan.rest)] if plan.rest.in_all else rows


def compiled_lines(plan: Any) -> list[str]:
    """Return what the compiler says of one update."""
    if plan.temporaries is None:
        return []
    sent = ", ".join(f"{kind} {size(own.bytes)} in {own.arrays}" for kind, own in plan.collectives.items())
    return [
        f"  one update, compiled: arguments {plan.arguments:,} bytes, temporaries {plan.temporaries:,} bytes",
        f"  it sends: {sent or 'nothing'}",
    ]


def group_lines(number: int, group: Any) -> list[str]:
    """Return the lines of a group: its parameters, what acts on them, what is kept for them."""
    count = sum(math.prod(leaf.shape) for leaf in group.leaves)
    leaves = f"{len(group.leaves):,} lea{'f' if len(group.leaves) == 1 else 'ves'}"
    lines = [f"GROUP {number}  {group.title}: {leaves}, {count:,} parameters"]
    state = Bytes(sum(leaf.state.per_device for leaf in group.leaves), sum(leaf.state.in_all for leaf in group.leaves))
    if not group.trained:
        lines += ["  no gradient: not of a floating dtype"]
    elif not group.transforms and not group.frozen:
        lines += ["  NO TRANSFORM: the gradient itself is the update"]
    elif group.transforms:
        lines += ["  " + " -> ".join(group.transforms)]
    if group.frozen:
        lost = "; its state is never used: freeze it with selective_transform" if state.in_all else ""
        lines += [f"  FROZEN: the update is 0{lost}"]
    elif group.trained:
        decay = ", ".join(map(str, group.decay)) or "none"
        lines += [f"  rate {group.rate if group.rate is not None else 'unknown'}; decay {decay}"]
    slots = ", ".join(dict.fromkeys(slot for leaf in group.leaves for slot in leaf.slots))
    lines += [row("state", state, slots or "no slots")]
    return lines


def leaf_note(leaf: Any) -> str:
    """Return the shape, the dtype and the spec of a leaf."""
    spec = "" if leaf.spec is None else f" {leaf.spec}"
    return f"{leaf.dtype} {leaf.shape}{spec}"
