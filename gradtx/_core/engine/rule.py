"""A technique is a rule for ONE array: `Rule`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import jax

from gradtx._core.arguments.ranges import Range
from gradtx._core.arguments.reading import read
from gradtx._core.contract.errors import message

Slots = Mapping[str, Any]  # an array, or a tuple of arrays, by name


def no_slots(p: jax.Array, layout: Any = None) -> Slots:
    """Return the slots of a rule that remembers nothing."""
    del p, layout
    return {}


def no_scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
    """Return no scalars beside the hyperparameters."""
    del k, count
    return {}


def no_check(x: jax.Array, layout: Any = None) -> None:
    """Take every leaf."""
    del x, layout


@dataclasses.dataclass(frozen=True)
class Tree:
    """What a rule's `whole_tree` sees: the leaves that have a gradient, in the order of the tree.

    Attributes:
        grads: the gradients.
        params: the parameters, empty unless the rule `needs_params`.
        slots: slot name to its arrays, before this update.
        memory: the scalars that the rule remembers, before this update.
        count: updates made so far.
        extra: the extra arguments of `update` that the rule declares.
    """

    grads: list[jax.Array]
    params: list[jax.Array]
    slots: Mapping[str, list[jax.Array]]
    memory: Mapping[str, jax.Array]
    count: jax.Array
    extra: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Rule:
    """A method for one array, to be lifted by `leafwise`, `divide_by`, `quotient` or `ratio`.

    Attributes:
        name: the method's name, used in errors and in profiles.
        update: `(g, slots, p, k) -> (value, new slots)`; the value is a direction m, a scale sigma, or for `quotient`
            the pair (m, sigma). All inexact arrays come in one dtype, float32 or wider; integer slots as they are
            stored. Write the value from the NEW slots: reading an old slot after its new value exists forces a copy.
        init: `p -> slots`, a dict of arrays in the dtypes they are stored in; they may have other shapes than p.
            A slot may be a tuple of arrays, such as one vector for each dimension of p.
        slots: the names of the slots that `init` makes and `update` returns.
        hyper: hyperparameters by name, each a number, array or schedule; `k.name` inside the rule.
        ranges: ranges of hyperparameters by name; without one, any finite number.
        scalars: `(k, count) -> dict`, further scalars of the step, computed once for the whole tree.
        needs_params: whether `update` or `whole_tree` reads p (else it is None).
        event: the name of the one hyperparameter that may be an event schedule, else None.
        whole_tree: `(k, tree) -> (dict, dict)`: further scalars of the step that need all leaves at once, such as
            their global norm, and the next memory; see `Tree`. Only for `leafwise` and `quotient`. A list holds one
            entry for each leaf, in the order of the tree; `update` sees that of its leaf.
        memory: what belongs to the whole tree, by name, with its start: scalars, or a few in one small array, of
            integers where it is a key.
        extra: the extra arguments of `update` that `whole_tree` needs, such as "value", by name.
        ndims: the numbers of dimensions of the leaves it takes; None is all.
        check: `x -> None`, raises a `LeafError` for a gradient or a parameter that it cannot take; the lift adds the
            path.
        elementwise: whether each element of the value and the slots depends on that element of the arrays alone.
        writes: whether `update` makes an array as large as g that XLA writes out, since it is read more than once. It
            then computes it from something times `k.turn`, by `in_turn`, so that the leaves write one after another.
        reads_old: whether the value reads an old slot, since it cannot be written from the new ones. The slots then
            wait for the parameter where they can, so that none is copied.
        layout: `(tree, root) -> list`: for each leaf of a tree of params or gradients, None leaves among them, what the
            rule must know of it beside its array, such as which axes are rows; hashable, None where the rule does not
            apply. It is `k.layout` in `update` and the second argument of `init` and `check`. `root` names the tree in
            errors.
        together: `(values, layouts, k) -> values`: what is done to the values of all leaves after `update`, such as one
            product of all matrices of one shape. Each comes with a first axis of size 1 added, along which those of one
            shape can be joined, and `k` is that of the step, not cast. Only for `leafwise`.
        where: masks by name, as `leafwise` takes them; `k.name` is a bool inside `update`, that of the leaf.
        looks: whether `whole_tree` reads leaves; one that does not, for its memory's sake alone, may follow other rules
            in one kernel.
        stores: whether `update` decides what the parameter becomes once it is rounded: p then comes in the dtype it is
            stored in, and the update leaves in the accumulator's, float32 or wider, so that the sum lands on what was
            decided. Such a rule stands last in a chain.
        needs_leaf: whether `update` reads `k.leaf`, the place of the leaf in the tree, a scalar of uint32.
        needs_gradient: whether `update` reads `k.gradient`, the gradient as it came to the first rule of the row. It is
            for a rule that compares the two; the next leaf waits for the number that it gives to `k.hand_on`.
        role: what the value does to an update; see `Body`. "" where a user's rule may do anything.
        made_of: the rules whose functions it calls.
        still: whether the value is 0 always, so that the parameters stand still.
        positive: whether sigma is above 0 whatever the gradients, as with an eps > 0; the quotient is then not guarded.
    """

    name: str
    update: Callable[..., tuple[Any, Slots]]
    init: Callable[..., Slots] = no_slots
    slots: tuple[str, ...] = ()
    hyper: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ranges: Mapping[str, Range] = dataclasses.field(default_factory=dict)
    scalars: Callable[[SimpleNamespace, jax.Array], Mapping[str, Any]] = no_scalars
    needs_params: bool = False
    event: str | None = None
    whole_tree: Callable[[SimpleNamespace, Tree], tuple[Mapping[str, Any], Mapping[str, Any]]] | None = None
    memory: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    extra: tuple[str, ...] = ()
    ndims: tuple[int, ...] | None = None
    check: Callable[..., None] = no_check
    elementwise: bool = True
    writes: bool = False
    reads_old: bool = False
    layout: Callable[[Any, str], Sequence[Any]] | None = None
    together: Callable[[list[jax.Array], list[Any], SimpleNamespace], list[jax.Array]] | None = None
    where: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    looks: bool = True
    stores: bool = False
    needs_leaf: bool = False
    needs_gradient: bool = False
    role: str = ""
    made_of: tuple["Rule", ...] = ()
    still: bool = False
    positive: bool = False

    def __post_init__(self) -> None:
        """Raise where the declarations contradict each other."""
        if self.init is not no_slots and not self.slots:
            fix = 'name what init returns, slots=("nu",)'
            raise ValueError(message(f"Rule {self.name}", "slots", "is empty", "the names of its slots", fix))

    @property
    def looks_at_all(self) -> bool:
        """Whether it must see all leaves before it changes one."""
        return self.whole_tree is not None and self.looks

    @property
    def is_ours(self) -> bool:
        """Whether all its functions are gradtx's, which give the same result for the same arguments, always.

        A user's function may read what changes between calls, so it is called anew at each update outside jit.
        """
        functions = (self.update, self.init, self.scalars, self.whole_tree, self.layout, self.together, self.check)
        ours = all(f is None or getattr(f, "__module__", "").split(".")[0] == "gradtx" for f in functions)
        return ours and all(rule.is_ours for rule in self.made_of)

    def at(self, count: Any, switched: Any = None, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return `k` for the step at `count` as a dict: the hyperparameters and the further scalars.

        Args:
            count: updates made so far.
            switched: count at which an event came, -1 before.
            given: values of hyperparameters that were read already, by name.
        """
        given = given or {}
        k = {
            name: given[name]
            if name in given
            else read(hyper, count, switched if name == self.event else None, f"{self.name}: {name}")
            for name, hyper in self.hyper.items()
        }
        return {**k, **self.scalars(SimpleNamespace(**k), count)}

    def start(self, p: jax.Array, layout: Any = None) -> dict[str, jax.Array]:
        """Return the slots for one array of this layout, in the declared order.

        Raises:
            ValueError: `init` makes other slots than it declared.
        """
        slots = self.init(p) if self.layout is None else self.init(p, layout)
        if set(slots) != set(self.slots):
            got = f"gave the slots {sorted(slots)}"
            raise ValueError(
                message(self.name, "init", got, f"{sorted(self.slots)}", "declare them in Rule(slots=...)")
            )
        return {name: slots[name] for name in self.slots}
