"""Partitions: each leaf belongs to one of several transforms, by its label."""

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, NamedTuple

import optax

from gradtx._core.arrays.masks import at_each_leaf
from gradtx._core.arrays.tree import align, check_slots, flatten
from gradtx._core.contract.errors import STATE_FIX, describe, message, paths
from gradtx._core.contract.transform import Info, Part, View
from gradtx._core.contract.writing import shown, written
from gradtx._core.engine.around import member
from gradtx._core.engine.subset import only, taken_apart, view_of
from gradtx.rules import Transform, factory

MOST_PATHS = 12  # paths that an error writes out
FIX = "give param_labels the keys of the params, each with a label of a transform"


class PartitionState(NamedTuple):
    """State of `partition` and `by_path`.

    Attributes:
        inner_states: the state of each transform by its label, with None in place of the leaves of the others.
    """

    inner_states: dict[Any, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Partition:
    """Several transforms, each for the leaves of its label: the body of `partition`.

    Attributes:
        transforms: by label; each takes extra arguments.
        param_labels: the label of each leaf, see `at_each_leaf`.
        divides: whether extra arguments that are trees like the gradients are divided too.
        name: name in errors.
        info: how it was made.
    """

    transforms: Mapping[Any, Any]
    param_labels: Any = None
    divides: bool = False
    name: str = "partition"
    info: Info | None = None
    role: ClassVar[str] = "container"
    in_row: ClassVar[bool] = False

    def labels(self, tree: Any, root: str) -> list[Any]:
        """Return the label of each leaf; of a leaf that is None it may be any.

        Raises:
            ValueError: a leaf has a label that no transform has; the labels are no tree like this one.
            TypeError: a label cannot be one.
        """
        given, found = at_each_leaf(self.name, "param_labels", self.param_labels, tree, root, FIX)
        unknown: dict[Any, list[str]] = {}
        for index, (label, place, leaf) in enumerate(found):
            if not isinstance(label, Hashable):
                where, got = paths("param_labels", given)[place], f"is {describe(label)}"
                raise TypeError(message(self.name, where, got, "a label such as a string", FIX))
            if leaf is not None and label not in self.transforms:
                unknown.setdefault(label, []).append(paths(root, tree)[index])
        if unknown:
            known, labels = f"one of {list(self.transforms)}", ", ".join(map(repr, unknown))
            where = listed([path for some in unknown.values() for path in some])
            fix = f"give transforms a transform for {labels}, or correct param_labels"
            raise ValueError(message(self.name, where, f"has the label {labels}", known, fix))
        return [label for label, _, _ in found]

    def checked(self, state: Any) -> dict[Any, Any]:
        """Return the states by label.

        Raises:
            ValueError: the state was made by another transform.
        """
        check_slots(self.name, state, PartitionState)
        states: dict[Any, Any] = state.inner_states
        if states.keys() != self.transforms.keys():
            got, fix = f"has the labels {list(states)}", STATE_FIX
            raise ValueError(message(self.name, "state", got, f"the labels {list(self.transforms)}", fix))
        return states

    def init(self, params: Any) -> PartitionState:
        """Return the state of each transform, for its own leaves."""
        labels = self.labels(params, "params")
        leaves, treedef = flatten(params)
        own = {key: only(treedef, leaves, [label == key for label in labels]) for key in self.transforms}
        return PartitionState({key: tx.init(own[key]) for key, tx in self.transforms.items()})

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates that each transform makes of its own leaves, and the next states."""
        states = self.checked(state)
        labels = self.labels(updates, "grads")
        given = taken_apart(self.name, updates, params, extra, self.divides)
        out, after = list(given.grads), {}
        for key, tx in self.transforms.items():
            mine = [label == key for label in labels]
            grads, own_params, own_extra = given.part(mine)
            new, after[key] = tx.update(grads, states[key], own_params, **own_extra)
            news = align(self.name, "grads", updates, given.treedef, "updates", new)
            out = [u if own else g for u, g, own in zip(news, out, mine, strict=True)]
        return given.treedef.unflatten(out), PartitionState(after)

    def parts(self, state: Any) -> list[Part]:
        """Return the transforms, each of which sees its own leaves alone."""
        states = {} if state is None else self.checked(state)
        return [Part(str(key), tx, states.get(key), self.view(key)) for key, tx in self.transforms.items()]

    def view(self, key: Any) -> View:
        """Return how the transform of a label sees trees."""

        def mask(tree: Any) -> Any:
            return flatten(tree)[1].unflatten([label == key for label in self.labels(tree, "grads")])

        return view_of(self.name, mask)

    def renamed(self, name: str) -> "Partition":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True if `state` has one state of the right form for each transform of gradtx's."""
        if type(state) is not PartitionState or state.inner_states.keys() != self.transforms.keys():
            return False
        bodies = {key: getattr(tx, "body", None) for key, tx in self.transforms.items()}
        return all(body is None or body.fits(state.inner_states[key]) for key, body in bodies.items())


def listed(names: list[str]) -> str:
    """Return paths in one line, no more of them than a person reads."""
    rest = len(names) - MOST_PATHS
    return ", ".join(names[:MOST_PATHS]) + (f" and {rest} more" if rest > 0 else "")


def grouped(name: str, transforms: Any) -> dict[Any, Any]:
    """Return the transforms by label, each as one that takes extra arguments.

    Raises:
        TypeError: they are no mapping, or one of them is no transform, or their labels cannot be sorted.
    """
    if not isinstance(transforms, Mapping):
        got, fix = f"is {describe(transforms)}", "write {'label': transform}"
        raise TypeError(message(name, "transforms", got, "a mapping from label to transform", fix))
    try:
        sorted(transforms)
    except TypeError:  # jax sorts the keys of the state
        kinds = ", ".join(sorted({type(key).__name__ for key in transforms}))
        fix = "use strings"
        raise TypeError(message(name, "transforms", f"has labels of {kinds}", "labels that sort", fix)) from None
    return {key: member(name, f"transforms[{key!r}]", tx) for key, tx in transforms.items()}


@factory
def partition(
    transforms: Mapping[Any, optax.GradientTransformation],
    param_labels: Any,
    *,
    mask_compatible_extra_args: bool = False,
) -> Transform:
    """Apply to each leaf the transform of its label.

    u_t is what transforms[label] makes of g_t at the leaves of that label. Each transform sees None in place of the
    other leaves: it keeps no state for them, and a norm that it takes is that of its own leaves.

    Units: those of each transform's update.
    Equivalent to: optax's `partition`; each state stands under its label without a masked state around it. A callable
        that is itself a pytree is a tree of labels and is not called.

    Args:
        transforms: label to transform, gradtx's or optax's; labels that sort, such as strings. A label that no leaf
            has is allowed.
        param_labels: tree of labels, like the params or a prefix of them, or a function that returns one, called with
            the params by `init` and with the gradients by `update`.
        mask_compatible_extra_args: whether extra arguments that are trees like the gradients are divided too.

    State:
        inner_states: label to the state of its transform, None in place of the leaves of the others.

    Raises:
        TypeError: transforms are no mapping from labels that sort to transforms; a label that cannot be one.
        ValueError: at init or update, a leaf has a label that no transform has, or param_labels lack a key or have one
            too many; at update, another's state.

    Cost: no array; that of the transforms.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> labels = {"w": "slow", "b": "fast"}
        >>> tx = gradtx.partition({"fast": gradtx.sgd(0.5), "slow": gradtx.sgd(0.1)}, labels)
        >>> params = {"w": jnp.array(1.0), "b": jnp.array(1.0)}
        >>> u, _ = tx.update({"w": jnp.array(2.0), "b": jnp.array(2.0)}, tx.init(params), params)
        >>> round(u["w"].item(), 4), u["b"].item()
        (-0.2, -1.0)
    """
    inside = grouped("partition", transforms)
    body = Partition(inside, param_labels, mask_compatible_extra_args)
    texts = ", ".join(f"{key!r}: {shown(tx)}" for key, tx in inside.items())
    info = Info({"transforms": inside, "param_labels": param_labels}, "")
    return Transform.of(body, dataclasses.replace(info, text=f"partition({{{texts}}}, {written(param_labels)})"))


multi_transform = partition
