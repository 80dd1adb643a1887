"""Lift a rule for one array to whole trees.

`Leafwise` is the body of a lifted transform. It owns what rules must not repeat: flattening, None leaves, the one
count, masks and errors with paths; `segment.py` runs it.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from gradtx._core.arrays.masks import resolve_mask
from gradtx._core.arrays.tree import check_dimensions, flatten, param_leaves, shapes_of
from gradtx._core.contract.errors import LeafError, paths
from gradtx._core.contract.state import LeafState
from gradtx._core.contract.transform import Info, Part
from gradtx._core.engine.clock import start_of
from gradtx._core.engine.rule import Rule
from gradtx._core.engine.segment import Segment
from gradtx._core.engine.storage import in_code


@dataclasses.dataclass(frozen=True, eq=False)
class Leafwise:
    """A rule lifted to trees: the body of a `Transform`.

    Attributes:
        name: name in errors.
        rule: its value is the update.
        direction: the rule whose value is m; `rule` itself where the update is m.
        sigma: the rule whose value is sigma, None where the update is not divided by one.
        mask: leaves the rule applies to, the others pass unchanged and have no slots; None is all of them.
        info: how the transform was made.
    """

    name: str
    rule: Rule
    direction: Rule | None = None
    sigma: Rule | None = None
    mask: Any = None
    info: Info | None = None

    @property
    def role(self) -> str:
        """What it does to an update."""
        return "scale" if self.sigma is not None else self.rule.role

    def renamed(self, name: str) -> "Leafwise":
        """Return the same body under another name, which errors and profiles show."""
        return dataclasses.replace(self, name=name, rule=dataclasses.replace(self.rule, name=name))

    def where(self, mask: Any) -> "Leafwise":
        """Return the same body for the leaves at which a mask is True."""
        return dataclasses.replace(self, mask=mask)

    def parts(self, state: Any) -> list[Part]:
        """Return nothing: it holds no transform."""
        del state
        return []

    def fits(self, state: Any) -> bool:
        """Return True if `state` has this rule's slots and memory."""
        names = (set(self.rule.slots), set(self.rule.memory))
        return type(state) is LeafState and (set(state.slots), set(state.memory)) == names

    def init(self, params: Any) -> LeafState:
        """Return a zero count and the rule's slots, sharded like the params."""
        leaves, treedef = flatten(params)
        active, layouts = self.chosen(params, "params")
        self.flags(params, "params")
        arrays = param_leaves(self.name, params, leaves, active)
        for i, p in enumerate(arrays):
            if p is not None:
                self.check_leaf("params", params, i, p, layouts[i])
        slots = [self.start(params, i, p, own) for i, (p, own) in enumerate(zip(arrays, layouts, strict=True))]
        trees = {key: treedef.unflatten([s and s[key] for s in slots]) for key in self.rule.slots}
        event = None if self.rule.event is None else jnp.full((), -1, jnp.int32)
        memory = {key: start_of(value) for key, value in self.rule.memory.items()}
        return LeafState(jnp.zeros((), jnp.int32), trees, event, memory)

    def start(self, params: Any, index: int, p: Any, layout: Any) -> Any:
        """Return the slots of a leaf of the params, None where it has none."""
        try:
            return None if p is None else in_code(self.rule, p, self.rule.start(p, layout))
        except LeafError as error:
            raise error.at(self.name, paths("params", params)[index]) from None

    def flags(self, tree: Any, root: str) -> tuple[tuple[str, tuple[bool, ...]], ...]:
        """Return what the masks of the rule's `where` say at each leaf, by name."""
        return tuple((key, tuple(resolve_mask(self.name, mask, tree, root))) for key, mask in self.rule.where.items())

    def check_leaf(self, root: str, tree: Any, index: int, x: jax.Array, layout: Any = None) -> None:
        """Raise unless the rule takes this leaf of a tree."""
        check_dimensions(self.name, root, tree, index, x.shape, self.rule.ndims)
        try:
            if self.rule.layout is None:
                self.rule.check(x)
            else:
                self.rule.check(x, layout)
        except LeafError as error:
            raise error.at(self.name, paths(root, tree)[index]) from None

    def update(self, updates: Any, state: LeafState, params: Any = None, **extra: Any) -> tuple[Any, LeafState]:
        """Return the updates and the next state."""
        updates, (state,) = self.segment.update(updates, [state], params, extra)
        return updates, state

    @functools.cached_property
    def segment(self) -> Segment:
        """The compiled form, made once per transform so that its traces are kept."""
        return Segment([self])

    def chosen(self, tree: Any, root: str) -> tuple[list[bool], list[Any]]:
        """Return for each leaf of a tree whether the rule applies, and what it must know of the leaf."""
        active = list(resolve_mask(self.name, self.mask, tree, root))
        if self.rule.layout is None:
            return active, [None] * len(active)
        layouts = list(self.rule.layout(tree, root))
        return [on and own is not None for on, own in zip(active, layouts, strict=True)], layouts

    @functools.cached_property
    def _shapes(self) -> dict[Any, dict[str, Any]]:
        return {}

    def slot_shapes(self, shape: tuple[int, ...], layout: Any = None) -> dict[str, Any]:
        """Return the shape of each slot for a parameter of this shape and layout."""
        if (shape, layout) not in self._shapes:
            like = jax.ShapeDtypeStruct(shape, jnp.float32)
            slots = jax.eval_shape(lambda p: self.rule.start(p, layout), like)
            self._shapes[shape, layout] = {key: shapes_of(slot) for key, slot in slots.items()}
        return self._shapes[shape, layout]
