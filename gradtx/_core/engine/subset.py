"""Hand trees on in part: a transform sees None, which has no gradient, in place of the leaves that are not its own."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from gradtx._core.arrays.masks import resolve_mask
from gradtx._core.arrays.tree import align, flatten
from gradtx._core.contract.errors import none_is_leaf
from gradtx._core.contract.transform import View


class Given(NamedTuple):
    """What an update is given, taken apart once however many transforms share it.

    Attributes:
        grads: the leaves of the gradients.
        treedef: their structure.
        params: the parameters at each of these leaves, None where none were given.
        extra: the extra arguments; those that are divided too are lists of leaves, in `divided`.
        divided: extra arguments that are trees like the gradients, as lists of leaves.
    """

    grads: list[Any]
    treedef: Any
    params: list[Any] | None
    extra: Mapping[str, Any]
    divided: Mapping[str, list[Any]]

    def part(self, mine: Sequence[bool]) -> tuple[Any, Any, dict[str, Any]]:
        """Return gradients, params and extra arguments with None in place of the leaves that are not mine."""
        params = None if self.params is None else only(self.treedef, self.params, mine)
        divided = {key: only(self.treedef, leaves, mine) for key, leaves in self.divided.items()}
        return only(self.treedef, self.grads, mine), params, {**self.extra, **divided}


def taken_apart(name: str, updates: Any, params: Any, extra: Mapping[str, Any], divide: bool) -> Given:
    """Return what an update is given, its leaves in lists.

    Args:
        name: of the transform, in errors.
        updates: the gradients.
        params: the parameters, or None.
        extra: the extra arguments.
        divide: whether extra arguments that are trees like the gradients are divided as these are.

    Raises:
        ValueError: the params are another tree than the gradients.
    """
    grads, treedef = flatten(updates)
    beside = None if params is None else align(name, "grads", updates, treedef, "params", params)
    divided = {}
    if divide:
        trees = {key: jax.tree.flatten(x, is_leaf=none_is_leaf) for key, x in extra.items()}
        divided = {key: leaves for key, (leaves, own) in trees.items() if own == treedef}
    rest = {key: x for key, x in extra.items() if key not in divided}
    return Given(grads, treedef, beside, rest, divided)


def only(treedef: Any, leaves: Sequence[Any], mine: Sequence[bool]) -> Any:
    """Return a tree with None in place of the leaves that are not mine; a lone leaf that is not is the empty tree."""
    if list(mine) == [False] and jax.tree_util.treedef_is_leaf(treedef):
        return ()  # None in place of all params would say that none were given
    return treedef.unflatten([x if own else None for x, own in zip(leaves, mine, strict=True)])


def view_of(name: str, mask: Any, wanted: bool = True, still: bool = False) -> View:
    """Return how a transform sees trees whose leaves are its own where the mask is `wanted`; see `View.still`."""

    def mine(tree: Any) -> list[bool]:
        return [on == wanted for on in resolve_mask(name, mask, tree, "grads")]

    def into(tree: Any, like: Any) -> Any:
        leaves, treedef = flatten(tree)
        return only(treedef, leaves, mine(like))

    def out(made: Any, given: Any, like: Any) -> Any:
        leaves, treedef = flatten(given)
        news = align(name, "grads", given, treedef, "updates", made)
        return treedef.unflatten([u if own else g for g, u, own in zip(leaves, news, mine(like), strict=True)])

    return View(into, out, still=still)
