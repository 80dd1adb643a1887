"""A technique is a rule for ONE array: `Rule`, and `LeafState`, the one state of every rule lifted to trees."""

import dataclasses
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax

from gradtx._core.arguments.hyperparams import Hyper, number_or_array

Slots = Mapping[str, jax.Array]


def no_slots(p: jax.Array) -> Slots:
    """Start a rule that remembers nothing."""
    del p
    return {}


def no_scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
    """Add no scalars to the hyperparameters."""
    del k, count
    return {}


@dataclasses.dataclass(frozen=True)
class Rule:
    """A method for one array, to be lifted by `leafwise`, `divide_by` or `ratio`.

    Attributes:
        name: the method's name, used in errors and in profiles.
        update: `(g, slots, p, k) -> (value, new slots)`; the value is a direction m or a scale sigma.
            All arrays come in one dtype, float32 or wider; write the value from the NEW slots, since reading
            an old slot after its new value exists forces a copy.
        init: `p -> slots`, a dict of arrays (`core.numerics.zeros`) in the dtypes they are stored in.
        hyper: hyperparameters by name, each a number, array or schedule; `k.name` inside the rule.
        scalars: `(k, count) -> dict`, further scalars of the step, computed once for the whole tree.
        needs_params: whether `update` reads `p` (else it is None).
        event: the name of the one hyperparameter that may be an event schedule, else None.
        global_scalars: `(k, leaves) -> dict`, further scalars of the step that need all gradients at once, such as
            their global norm, a mask or not; only for `leafwise`. None where the rule works leaf by leaf.
    """

    name: str
    update: Callable[..., tuple[jax.Array, Slots]]
    init: Callable[[jax.Array], Slots] = no_slots
    hyper: Mapping[str, Hyper] = dataclasses.field(default_factory=dict)
    scalars: Callable[[SimpleNamespace, jax.Array], Mapping[str, Any]] = no_scalars
    needs_params: bool = False
    event: str | None = None
    global_scalars: Callable[[SimpleNamespace, list[jax.Array]], Mapping[str, Any]] | None = None

    def at(self, count: jax.Array, switched: jax.Array | None = None) -> dict[str, Any]:
        """Return `k` for the step at `count` as a dict: the hyperparameters and the further scalars."""
        k = {
            name: number_or_array(hyper, count, switched if name == self.event else None, f"{self.name}: {name}")
            for name, hyper in self.hyper.items()
        }
        return {**k, **self.scalars(SimpleNamespace(**k), count)}


class LeafState(NamedTuple):
    """State of a leafwise transform.

    Attributes:
        count: updates made, int32 scalar; stays at the largest int32.
        slots: slot name to a tree like the params.
        event: count at which an event schedule switched, int32 scalar, -1 before; None where no event can be.
    """

    count: jax.Array  # type: ignore[assignment]  # optax's states hide tuple.count with the same field
    slots: dict[str, Any]
    event: jax.Array | None = None
