"""`Whole`: the base of the bodies of methods that no rule for one array can say, such as a line search.

A lifted rule has its trees matched and its hyperparameters read for it; such a body asks for it: `leaves` checks what
`update` is given, `at` reads the hyperparameters at a count, `needed` finds the extra arguments.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import jax
from jax import lax

from gradtx._core.arguments.reading import read
from gradtx._core.arrays.sums import check_whole
from gradtx._core.arrays.tree import INIT_FIX, align, flatten, float_leaves, has_gradient, param_leaves, shape_of
from gradtx._core.contract.errors import STATE_FIX, LeafError, describe, message, paths
from gradtx._core.contract.transform import Info, Part


def choose(condition: jax.Array, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
    """Return what one of two functions gives; outside jit Python chooses, since `lax.cond` would compile both anew."""
    if isinstance(condition, jax.core.Tracer):
        return lax.cond(condition, yes, no)
    return yes() if condition else no()


@dataclasses.dataclass(frozen=True)
class Leaves:
    """The leaves of a tree of gradients, and which of them are gradients.

    Attributes:
        transform: name in errors.
        tree: the gradients.
        treedef: the structure of the tree, None leaves included.
        all: every leaf.
        params: the parameter at each leaf.
        places: the indices of those with a gradient.
    """

    transform: str
    tree: Any
    treedef: Any
    all: list[Any]
    params: list[Any]
    places: list[int]

    def of(self, xs: list[Any]) -> list[Any]:
        """Return those of a list of all leaves that have a gradient."""
        return [xs[i] for i in self.places]

    def like(self, root: str, tree: Any, lead: tuple[int, ...] = ()) -> list[Any]:
        """Return the leaves of another tree where the gradients have one.

        Args:
            root: name of the tree in errors.
            tree: the tree.
            lead: the sizes of the axes that its leaves have before those of the gradients.

        Raises:
            ValueError: a structure or a shape differs; the error names the path.
        """
        found = align(self.transform, "grads", self.tree, self.treedef, root, tree)
        for i in self.places:
            shape = (*lead, *self.all[i].shape)
            if shape_of(found[i]) != shape:
                where = root + paths("", self.tree)[i]
                expected = f"an array of shape {shape}"
                raise ValueError(message(self.transform, where, f"is {describe(found[i])}", expected, INIT_FIX))
        return self.of(found)

    def put(self, new: list[Any], others: Any = None) -> Any:
        """Return the tree with new leaves where there is a gradient; elsewhere those of a tree, or of the gradients."""
        out = list(self.all) if others is None else self.treedef.flatten_up_to(others)
        for i, x in zip(self.places, new, strict=True):
            out[i] = x
        return self.treedef.unflatten(out)


@dataclasses.dataclass(frozen=True, eq=False)
class Whole:
    """A method on whole trees that holds no other transform.

    Attributes:
        name: name in errors.
        hyper: hyperparameters by name, each a number, array or schedule, or None where it is not set.
        info: how the transform was made.
        kind: the type of its states.
        role: what it does to an update; see `Body`.
    """

    name: str
    hyper: Mapping[str, Any]
    info: Info | None = dataclasses.field(default=None, kw_only=True)
    kind: ClassVar[Any]
    role: ClassVar[str] = ""

    def parts(self, state: Any) -> list[Part]:
        """Return nothing: it holds no transform."""
        del state
        return []

    def renamed(self, name: str) -> Self:
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True if `state` is of the type of its states."""
        return type(state) is self.kind

    def checked(self, state: Any) -> Any:
        """Return the state.

        Raises:
            ValueError: another transform made it.
        """
        if self.fits(state):
            return state
        fix = STATE_FIX
        raise ValueError(message(self.name, "state", f"is {describe(state)}", f"{self.kind.__name__}", fix))

    def at(self, count: Any) -> SimpleNamespace:
        """Return the hyperparameters at a count."""
        return SimpleNamespace(**{k: read(hyper, count, None, f"{self.name}: {k}") for k, hyper in self.hyper.items()})

    def start(self, params: Any) -> tuple[list[Any], Any]:
        """Return the params as leaves, None where one has no gradient by its kind, and their structure."""
        leaves, treedef = flatten(params)
        return param_leaves(self.name, params, leaves, [True] * len(leaves)), treedef

    def leaves(self, grads: Any, params: Any, *, needs_params: bool = True, whole: bool = True) -> Leaves:
        """Return the leaves of the gradients and the params at them, checked.

        Args:
            grads: the gradients.
            params: the params, or None.
            needs_params: whether they must be given.
            whole: whether each device must hold every leaf whole.

        Raises:
            ValueError: trees or shapes that differ, params missing, or a leaf of which each shard holds a part.
            TypeError: a gradient that is not of a floating or complex dtype.
        """
        leaves, treedef, p_leaves = float_leaves(self.name, grads, params, needs_params=needs_params)
        found = Leaves(
            self.name, grads, treedef, leaves, p_leaves, [i for i, g in enumerate(leaves) if has_gradient(g)]
        )
        if whole:
            for i in found.places:
                self.check_leaf(grads, i, check_whole, [leaves[i]])
        return found

    def check_leaf(self, grads: Any, index: int, check: Callable[..., None], *args: Any) -> None:
        """Call what may raise a `LeafError` for one gradient, which gets its path."""
        try:
            check(*args)
        except LeafError as error:
            raise error.at(self.name, paths("grads", grads)[index]) from None

    def needed(self, extra: Mapping[str, Any], *names: str) -> list[Any]:
        """Return these extra arguments of `update`.

        Raises:
            ValueError: one is missing.
        """
        for name in names:
            if extra.get(name) is None:
                call = f"call update(grads, state, params, {', '.join(f'{n}=...' for n in names)})"
                raise ValueError(message(self.name, f"extra argument {name}", "is missing", " and ".join(names), call))
        return [extra[name] for name in names]
