"""Which leaves of the params a transform inside others acts on, and what may not act on one leaf twice."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from gradtx._core.arrays.tree import flatten
from gradtx._core.contract.errors import message, none_is_leaf, paths, structure
from gradtx._core.contract.transform import Transform
from gradtx._core.contract.writing import shown
from gradtx._core.engine.lift import Leafwise
from gradtx._core.engine.parts import Link, walk

RATE = "scale_by_learning_rate"  # the rule that ends a whole optimizer
GIVE_ONE = "give each leaf to one, by partition or by masks that do not overlap"


class Act(NamedTuple):
    """What a member of a chain, or a transform inside it, does to a leaf.

    Attributes:
        path: of the leaf.
        member: the member of the chain.
        picked: whether the member picks the leaves that it acts on, as `masked` does.
        link: the transform inside, or the member itself.
    """

    path: str
    member: Any
    picked: bool
    link: Link


def check_owners(name: str, members: Sequence[Any], states: Sequence[Any], params: Any) -> None:
    """Raise ValueError if two members of a chain do to one leaf what only one of them may.

    Two learning rates, of which one acts on picked leaves, multiply there, and their signs turn descent into ascent.
    What follows a rule that decides what the parameter becomes would move it elsewhere.
    """
    links = [
        list(walk(tx, state)) if isinstance(tx, Transform) else [] for tx, state in zip(members, states, strict=True)
    ]
    if all(len(own) == 1 and own[0].tx is tx for tx, own in zip(members, links, strict=True)):
        return  # no wrapper: `check_order` has seen all of them
    where = paths("params", params)
    rates: dict[str, Act] = {}
    rounded: dict[str, Act] = {}
    for tx, own in zip(members, links, strict=True):
        acts = [
            Act(path, tx, bool(link.views), link)
            for link in own
            for path, on in zip(where, acted_on(link, params)[0], strict=True)
            if on
        ]
        for act in acts:
            alone(name, act, rates.get(act.path), rounded.get(act.path))
        rates |= {act.path: act for act in acts if is_rate(act.link)}
        rounded |= {act.path: act for act in acts if stores(act.link)}


def alone(name: str, act: Act, rate: Act | None, rounded: Act | None) -> None:
    """Raise ValueError if an earlier member has given the leaf its learning rate, or decided what it becomes."""
    if rounded is not None and act.link.tx.role not in ("identity", "measure"):
        got = f"stands before {shown(act.member)}, which acts on {act.path} too"
        raise ValueError(message(name, shown(rounded.member), got, "the last to act on it", "move it to the end"))
    if rate is not None and is_rate(act.link) and (act.picked or rate.picked):
        got = f"gets the learning rates of {shown(rate.member)} and of {shown(act.member)}, one after the other"
        raise ValueError(message(name, act.path, got, "one of them", GIVE_ONE))


def stores(link: Link) -> bool:
    """Return True if a transform decides what the parameter becomes."""
    body = getattr(link.tx, "body", None)
    return isinstance(body, Leafwise) and body.rule.stores


def is_rate(link: Link) -> bool:
    """Return True if a transform multiplies by minus a learning rate."""
    body = getattr(link.tx, "body", None)
    return isinstance(body, Leafwise) and body.rule.name == RATE and link.tx.settings.get("flip_sign", True)


def acted_on(link: Link, params: Any) -> tuple[list[bool], list[bool]]:
    """Return for each leaf whether a transform acts on it, and whether what stands around the transform freezes it.

    What sees trees of another form, such as one vector of all leaves, acts on all leaves that reach it.
    """
    count = len(flatten(params)[0])
    mine, held, form = [True] * count, [False] * count, params
    for view in link.views:
        into = jax.eval_shape(lambda tree, view=view: view.into(tree, tree), form)
        if flatten(into)[0] and not is_alike(into, params):
            return mine, held
        now = [x is not None for x in flatten(into)[0]] or [False] * count
        held = [stands or (view.still and was and not on) for stands, was, on in zip(held, mine, now, strict=True)]
        mine, form = now, into
    body = getattr(link.tx, "body", None)
    if isinstance(body, Leafwise) and any(mine) and is_alike(form, params):
        active, _ = body.chosen(form, "params")
        mine = [own and on for own, on in zip(mine, active, strict=True)]
    return mine, held


def is_alike(tree: Any, like: Any) -> bool:
    """Return True if two trees have the same structure, None leaves among them."""
    return bool(structure(tree_of_marks(tree)) == structure(tree_of_marks(like)))


def tree_of_marks(tree: Any) -> Any:
    """Return a tree with a number in place of each leaf and of each None."""
    return jax.tree.map(lambda x: 0, tree, is_leaf=none_is_leaf)
