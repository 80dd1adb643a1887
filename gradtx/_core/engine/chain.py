"""Put transforms one after another: the output of each is the gradient of the next.

Neighbours that are leafwise run as one compiled function per leaf shape (`Segment`); the rest, optax's transforms
among them, run between.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import optax

from gradtx._core.arrays.tree import check_slots, float_leaves
from gradtx._core.contract.errors import describe, message
from gradtx._core.contract.transform import Transform, factory
from gradtx._core.engine.leafwise import Leafwise
from gradtx._core.engine.rule import Rule
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
        raise ValueError(message(self.name, "state", got, wanted, "use the state that this tx.init made"))

    def init(self, params: Any) -> Any:
        """Return the members' states."""
        return self.pack([tx.init(params) for _, tx in self.members])

    @cached_property
    def links(self) -> list[optax.GradientTransformation]:
        """The transforms in order, those of chains within this one among them."""
        return [link for _, tx in self.members for link in (tx.body.links if is_chain(tx) else [tx])]

    def unpacked(self, state: Any) -> list[Any]:
        """Return the states of the links."""
        states = zip(self.members, self.states(state), strict=True)
        return [link for (_, tx), own in states for link in (tx.body.unpacked(own) if is_chain(tx) else [own])]

    def packed(self, states: Iterator[Any]) -> Any:
        """Return the state made of those of the links."""
        return self.pack([tx.body.packed(states) if is_chain(tx) else next(states) for _, tx in self.members])

    @cached_property
    def runs(self) -> list[tuple[Any, list[int]]]:
        """The links as runs: (segment of leafwise neighbours or transform, their positions).

        None runs for `identity`, which parts no neighbours, where a segment looks at the gradients.
        """
        runs: list[tuple[Any, list[int]]] = []
        row: list[tuple[Leafwise, int]] = []

        def close() -> None:
            if row:
                runs.append((Segment([body for body, _ in row]), [i for _, i in row]))
                row.clear()

        bodies = [getattr(tx, "body", None) for tx in self.links]
        for i, (tx, body) in enumerate(zip(self.links, bodies, strict=True)):
            if tx.update is pass_on and any(isinstance(other, Leafwise) for other in bodies):
                runs.append((None, [i]))
                continue
            # a rule that looks at all gradients at once must see what those before it made of them
            if not isinstance(body, Leafwise) or body.rule.global_scalars is not None:
                close()
            if isinstance(body, Leafwise):
                row.append((body, i))
            else:
                runs.append((optax.with_extra_args_support(tx), [i]))
        close()
        return runs

    def update(self, grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates of the last member and the next states of all."""
        states = self.unpacked(state)
        for run, positions in self.runs:
            if run is None:
                check_slots("identity", states[positions[0]], optax.EmptyState)
                continue
            if isinstance(run, Segment):
                grads, new = run.update(grads, [states[i] for i in positions], params, extra)
            else:
                grads, own = run.update(grads, states[positions[0]], params, **extra)
                new = [own]
            for i, own in zip(positions, new, strict=True):
                states[i] = own
        return grads, self.packed(iter(states))


def is_chain(tx: Any) -> bool:
    """Say whether a transform is a chain, whose members may join those of the chain round it."""
    return isinstance(getattr(tx, "body", None), Chain)


def check_member(name: str, position: str, tx: Any) -> None:
    """Raise TypeError unless `tx` is a pair of functions (init, update)."""
    if isinstance(tx, Rule):
        raise TypeError(message(name, position, "is Rule", "a transform", "lift it with leafwise or divide_by"))
    if not (callable(getattr(tx, "init", None)) and callable(getattr(tx, "update", None))):
        made = "call it first" if callable(tx) else "give a gradtx or optax transform"
        raise TypeError(message(name, position, f"is {describe(tx)}", "a transform with init and update", made))


def chain(*transforms: optax.GradientTransformation) -> Transform:
    """Apply transforms in order, each to the updates of the one before.

    Args:
        *transforms: gradtx's or optax's; extra arguments of `update` reach every one that takes them.

    State:
        A plain tuple, one entry per transform (as `optax.chain`).

    Raises:
        TypeError: an argument is no transform.
        ValueError: at update, a state that another chain made.

    Examples:
        >>> import gradtx
        >>> gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sgd(0.1))
        chain(clip_by_global_norm(1.0), chain(identity(), scale_by_learning_rate(0.1)))
    """
    for i, tx in enumerate(transforms):
        check_member("chain", f"argument {i}", tx)
    text = f"chain({', '.join(shown(tx) for tx in transforms)})"
    return Transform.of(Chain("chain", tuple((None, tx) for tx in transforms)), text=text)


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
        >>> tx = gradtx.named_chain(("clip", gradtx.clip_by_global_norm(1.0)), ("rate", gradtx.scale(-0.1)))
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
    text = f"named_chain({', '.join(f'{label}={shown(tx)}' for label, tx in transforms)})"
    return Transform.of(Chain("named_chain", transforms), text=text)


def shown(tx: optax.GradientTransformation) -> str:
    """Write a member: ours as its call, optax's by the function that made it."""
    if isinstance(tx, Transform):
        return tx.text
    return "optax." + getattr(tx.update, "__qualname__", "transform").split(".")[0]


@factory
def identity() -> Transform:
    """Pass the gradients on unchanged.

    u_t = g_t, dtype included.

    Units: those of g.
    Equivalent to: optax's `identity`.

    State:
        empty (`optax.EmptyState`).

    Cost: nothing.

    References:
        Robbins & Monro 1951, https://doi.org/10.1214/aoms/1177729586

    Examples:
        >>> import gradtx
        >>> gradtx.identity().update(3.0, gradtx.identity().init(0.0))[0]
        3.0
    """
    return Transform(lambda params: optax.EmptyState(), pass_on, "identity")


def pass_on(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
    """Return what was given: the update of `identity`."""
    del extra
    float_leaves("identity", grads, params)
    check_slots("identity", state, optax.EmptyState)
    return grads, state
