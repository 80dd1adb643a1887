"""Put transforms one after another: the output of each is the gradient of the next.

Neighbours that are leafwise run as one compiled function per leaf shape (`Segment`); the rest, optax's transforms
among them, run between.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import optax

from gradtx._core.arrays.numerics import accumulator
from gradtx._core.arrays.tree import check_slots, flatten, has_gradient, promoted
from gradtx._core.contract.errors import STATE_FIX, describe, message
from gradtx._core.contract.transform import Info, Part, Transform
from gradtx._core.contract.writing import shown
from gradtx._core.engine.leaves import check_owners
from gradtx._core.engine.lift import Leafwise
from gradtx._core.engine.members import check_member, own
from gradtx._core.engine.order import check_order, opened
from gradtx._core.engine.segment import Segment


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
    """Transforms in a row: the body of `chain` and `named_chain`.

    Attributes:
        name: name in errors.
        members: (label, transform) in order; the labels are None for `chain`.
    """

    name: str
    members: tuple[tuple[str | None, optax.GradientTransformation], ...]
    info: Info | None = None

    @property
    def labels(self) -> list[str] | None:
        """The keys of the state of a `named_chain`, None for a `chain`."""
        labels = [label for label, _ in self.members if label is not None]
        return labels or None

    def pack(self, states: list[Any]) -> Any:
        """Return the state: a tuple, or a dict by label."""
        return tuple(states) if self.labels is None else dict(zip(self.labels, states, strict=True))

    def states(self, state: Any) -> list[Any]:
        """Return the states of the members.

        Raises:
            ValueError: the state was made by another chain.
        """
        if self.labels is not None:
            if isinstance(state, Mapping) and sorted(state) == sorted(self.labels):
                return [state[label] for label in self.labels]
            got = f"has the keys {sorted(state)}" if isinstance(state, Mapping) else f"is {describe(state)}"
            wanted = f"the keys {self.labels}"
        else:
            if type(state) is tuple and len(state) == len(self.members):
                return list(state)
            got = f"is a tuple of {len(state)}" if type(state) is tuple else f"is {describe(state)}"
            wanted = f"a tuple of {len(self.members)}, one state per member"
        raise ValueError(message(self.name, "state", got, wanted, STATE_FIX))

    @property
    def role(self) -> str:
        """What it does to an update: it holds transforms."""
        return "container"

    def renamed(self, name: str) -> "Chain":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def parts(self, state: Any) -> list[Part]:
        """Return the members with their states, which are None where that of the chain is not known."""
        states = [None] * len(self.members) if state is None else self.states(state)
        return [Part(label, tx, own) for (label, tx), own in zip(self.members, states, strict=True)]

    def fits(self, state: Any) -> bool:
        """Return True if `state` has one state of the right form for each member of gradtx's."""
        try:
            states = self.states(state)
        except ValueError:
            return False
        return all(
            tx.body.fits(own)
            for (_, tx), own in zip(self.members, states, strict=True)
            if isinstance(tx, Transform) and tx.role != "identity"
        )

    def init(self, params: Any) -> Any:
        """Return the members' states, if no two of them do to one leaf what only one may."""
        state = self.pack([tx.init(params) for _, tx in self.members])
        check_owners(self.name, self.links, self.unpacked(state), params)
        return state

    @cached_property
    def links(self) -> list[optax.GradientTransformation]:
        """The transforms in order, those of chains within this one among them."""
        members = [opened(tx) for _, tx in self.members]
        return [link for tx in members for link in (tx.body.links if is_chain(tx) else [tx])]

    def unpacked(self, state: Any) -> list[Any]:
        """Return the states of the links."""
        states = zip([opened(tx) for _, tx in self.members], self.states(state), strict=True)
        return [link for tx, own in states for link in (tx.body.unpacked(own) if is_chain(tx) else [own])]

    def packed(self, states: Iterator[Any]) -> Any:
        """Return the state made of those of the links."""
        members = [opened(tx) for _, tx in self.members]
        return self.pack([tx.body.packed(states) if is_chain(tx) else next(states) for tx in members])

    @cached_property
    def runs(self) -> list[tuple[Any, list[int]]]:
        """The links as runs: (segment of leafwise neighbours or transform, their positions).

        `identity` separates no neighbours: its run is None where a segment looks at the gradients anyway.
        """
        runs: list[tuple[Any, list[int]]] = []
        row: list[tuple[Leafwise, int]] = []

        def close() -> None:
            if row:
                runs.append((Segment([body for body, _ in row]), [i for _, i in row]))
                row.clear()

        bodies = [getattr(tx, "body", None) for tx in self.links]
        for i, (tx, body) in enumerate(zip(self.links, bodies, strict=True)):
            if getattr(tx, "role", "") == "identity" and any(isinstance(other, Leafwise) for other in bodies):
                runs.append((None, [i]))
                continue
            # a rule that looks at all gradients at once must see what those before it made of them
            if not isinstance(body, Leafwise) or body.rule.looks_at_all:
                close()
            if isinstance(body, Leafwise):
                row.append((body, i))
            else:
                runs.append((optax.with_extra_args_support(tx), [i]))
        close()
        return runs

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates of the last member and the next states of all."""
        states = self.unpacked(state)
        runs = [(run, positions) for run, positions in self.runs if run is not None]
        for run, positions in self.runs:
            if run is None:
                check_slots("identity", states[positions[0]], optax.EmptyState)
        final: list[Any] = []
        for i, (run, positions) in enumerate(runs):
            if isinstance(run, Segment):
                # neighbours pass the accumulator's dtype on; the last of them rounds to the dtype that optax gives
                follows = i > 0 and isinstance(runs[i - 1][0], Segment)
                followed = i + 1 < len(runs) and isinstance(runs[i + 1][0], Segment)
                if not follows:
                    final = dtypes_of(updates, params) if followed else []
                dtypes = [d and accumulator(d) for d in final] if followed else final
                updates, new = run.update(updates, [states[j] for j in positions], params, extra, dtypes)
            else:
                updates, own = run.update(updates, states[positions[0]], params, **extra)
                new = [own]
            for j, own in zip(positions, new, strict=True):
                states[j] = own
        return updates, self.packed(iter(states))


def dtypes_of(grads: Any, params: Any) -> list[Any]:
    """Return the dtype that an update has, for each leaf of the gradients; empty where the trees do not match.

    A mismatch is left to the transform that meets it, which names the path.
    """
    leaves, treedef = flatten(grads)
    try:
        beside = [None] * len(leaves) if params is None else treedef.flatten_up_to(params)
    except (ValueError, TypeError, KeyError):
        return []
    with_dtype = [g if hasattr(g, "dtype") else None for g in leaves]
    if any(g is None and isinstance(x, (int, float, complex)) for g, x in zip(with_dtype, leaves, strict=True)):
        return []
    return [promoted(g, p) if has_gradient(g) else None for g, p in zip(with_dtype, beside, strict=True)]


def is_chain(tx: Any) -> bool:
    """Return True if a transform is a chain, whose members may join those of the chain around it."""
    return isinstance(getattr(tx, "body", None), Chain)


def chain(*transforms: optax.GradientTransformation) -> Transform:
    """Apply transforms in order, each to the updates of the one before.

    Args:
        *transforms: gradtx's or optax's; extra arguments of `update` reach every one that takes them.

    State:
        A plain tuple, one entry per transform (as `optax.chain`).

    Raises:
        TypeError: an argument is no transform.
        ValueError: at init, two wrappers that overlap give one leaf a learning rate each; at update, a state that
            another chain made.

    Examples:
        >>> import gradtx
        >>> gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sgd(0.1))
        chain(clip_by_global_norm(1.0), chain(identity(), scale_by_learning_rate(0.1)))
    """
    for i, tx in enumerate(transforms):
        check_member("chain", f"argument {i}", tx)
    members = tuple((None, own(tx)) for tx in transforms)
    check_order("chain", Chain("chain", members).links)
    text = f"chain({', '.join(shown(tx) for _, tx in members)})"
    return Transform.of(Chain("chain", members), Info({}, text))


def named_chain(*transforms: tuple[str, optax.GradientTransformation]) -> Transform:
    """Apply labelled transforms in order; the state is a dict by label.

    Args:
        *transforms: (label, transform) pairs; labels are distinct.

    State:
        A dict from label to the transform's state: a checkpoint names what it holds.

    Raises:
        ValueError: two labels are equal.
        TypeError: an argument is no (label, transform) pair.

    Examples:
        >>> import gradtx
        >>> clip, rate = gradtx.clip_by_global_norm(1.0), gradtx.scale(-0.1)
        >>> tx = gradtx.named_chain(("clip", clip), ("rate", rate))
        >>> list(tx.init(0.0))
        ['clip', 'rate']
    """
    for i, pair in enumerate(transforms):
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):  # a pair
            got = f"is {describe(pair)}"
            raise TypeError(message("named_chain", f"argument {i}", got, "a pair (label, transform)", "write a tuple"))
        check_member("named_chain", f"argument {i} ({pair[0]!r})", pair[1])
    labels = [label for label, _ in transforms]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ValueError(message("named_chain", f"label {twice!r}", "stands twice", "distinct labels", "rename one"))
    members = tuple((label, own(tx)) for label, tx in transforms)
    check_order("named_chain", Chain("named_chain", members).links)
    text = f"named_chain({', '.join(f'{label}={shown(tx)}' for label, tx in members)})"
    return Transform.of(Chain("named_chain", members), Info({}, text))
