"""Look inside transforms: the one walk through what they hold, gradtx's and optax's."""

import types
from collections.abc import Iterator
from typing import Any, NamedTuple

import optax

from gradtx._core.contract.transform import Part, Transform, View, body_of

EMPTY = types.CellType()  # a cell that holds nothing yet has no contents to look at
# on some leaves alone they leave eta one number for all
LEAVE_THE_RATE = ("direction", "scale", "decay", "identity", "rounding")
SOME_LEAVES = ("masked", "partition", "multi_transform")  # of optax
MOST_NESTED = 8  # functions within functions that are looked into


class Link(NamedTuple):
    """A transform that holds no other, as the walk meets it.

    Attributes:
        tx: the transform.
        state: its own state, None where it could not be found.
        labels: the keys of the containers around it.
        in_row: whether all that the walk meets run one after another, each on what the last gave, and none of them
            multiplies some leaves alone.
        views: how the containers around it show trees to their parts, the outermost first.
    """

    tx: Any
    state: Any
    labels: tuple[str, ...]
    in_row: bool = True
    views: tuple[View, ...] = ()

    def into(self, tree: Any, like: Any = None) -> Any:
        """Return a tree of the outermost transform in the form that this one sees.

        `like` is a tree of the true shapes, which masks may ask for, where `tree` is a sample.
        """
        return tree if tree is None else self.forms(tree, like)[-1][0]

    def forms(self, tree: Any, like: Any) -> list[tuple[Any, Any]]:
        """Return a tree and its true shapes in the form of each container, the outermost first, and of this one."""
        forms = [(tree, tree if like is None else like)]
        for view in self.views:
            given, shapes = forms[-1]
            forms.append((view.into(given, shapes), view.into(shapes, shapes)))
        return forms

    def out(self, made: Any, given: Any, like: Any = None) -> Any:
        """Return what this transform made of `given`, both in the form of the outermost one."""
        for view, form in zip(reversed(self.views), reversed(self.forms(given, like)[:-1]), strict=True):
            made = view.out(made, *form)
        return made


def walk(
    tx: Any,
    state: Any,
    labels: tuple[str, ...] = (),
    in_row: bool = True,
    views: tuple[View, ...] = (),
    everywhere: bool = True,
) -> Iterator[Link]:
    """Yield each transform that holds no other, with its state, in the order in which they run."""
    found = parts(tx, state)
    body = getattr(tx, "body", None)
    in_row = in_row and (getattr(body, "in_row", True) if isinstance(tx, Transform) else is_row(tx))
    if not found:
        yield Link(tx, state, labels, in_row and (everywhere or getattr(tx, "role", "") in LEAVE_THE_RATE), views)
    some = getattr(body, "passes_some", False) if isinstance(tx, Transform) else bool(found) and reaches_some(tx)
    everywhere = everywhere and not some
    for label, part, own, view in found:
        inner = views if view is None else (*views, view)
        yield from walk(part, own, labels if label is None else (*labels, label), in_row, inner, everywhere)


def parts(tx: Any, state: Any) -> list[Part]:
    """Return the transforms that a transform holds, with their states."""
    if isinstance(tx, Transform):
        return tx.parts(state)
    return [Part(None, part, find(part, state)) for part in enclosed(tx)]


def enclosed(tx: Any) -> list[Transform]:
    """Return gradtx's transforms inside one of optax's, found in what its functions close over."""
    found: dict[int, Transform] = {}

    def look(value: Any, depth: int) -> None:
        body = body_of(getattr(getattr(value, "__self__", None), "init", None), value)
        if body is not None:
            found.setdefault(id(body), Transform.of(body))
        elif depth < MOST_NESTED:
            for inside in contents(value):
                look(inside, depth + 1)

    look(getattr(tx, "update", tx), 0)
    return list(found.values())


def is_row(tx: Any) -> bool:
    """Return True if what one of optax's transforms holds runs one after another: one alone, or members of a chain.

    Of two in `optax.partition`, or in wrappers of which each may leave out some leaves, nobody can tell.
    """
    if len(enclosed(tx)) < 2:
        return True
    members = [getattr(tx, "update", None)]
    if getattr(members[0], "__qualname__", "").split(".")[0] not in ("chain", "named_chain"):
        return False
    members = contents(members[0])
    while any(isinstance(x, (list, tuple)) for x in members):
        members = [y for x in members for y in (contents(x) if isinstance(x, (list, tuple)) else [x])]
    functions = [x for x in members if isinstance(x, (types.FunctionType, types.MethodType))]
    return all(is_ours(f) or not enclosed(f) for f in functions)


def reaches_some(tx: Any) -> bool:
    """Return True if one of optax's transforms has a wrapper in it that may pass on some leaves alone."""
    inside, functions = [getattr(tx, "update", tx)], []
    for _ in range(MOST_NESTED):
        functions += [x for x in inside if isinstance(x, types.FunctionType) and not is_ours(x)]
        inside = [y for x in inside for y in contents(x)]
    return any(f.__qualname__.split(".")[0] in SOME_LEAVES and enclosed(f) for f in functions)


def is_ours(function: Any) -> bool:
    """Return True if a function is the update of a transform of gradtx's."""
    return body_of(getattr(getattr(function, "__self__", None), "init", None), function) is not None


def contents(value: Any) -> list[Any]:
    """Return what a container holds or a function closes over."""
    if isinstance(value, optax.GradientTransformation):
        return [value.update]
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, types.MethodType):
        return list(vars(value.__self__).values()) if hasattr(value.__self__, "__dict__") else []
    if isinstance(value, types.FunctionType):
        return [cell.cell_contents for cell in value.__closure__ or () if cell != EMPTY]
    return []


def find(tx: Transform, state: Any) -> Any:
    """Return the first part of a state that has the form of the states of `tx`, None if there is none."""
    if tx.body is not None and tx.body.fits(state):
        return state
    children: Any = ()
    if isinstance(state, (list, tuple)):
        children = state
    elif isinstance(state, dict):
        children = state.values()
    for child in children:
        got = find(tx, child)
        if got is not None:
            return got
    return None
