"""The effective rate eta / sigma of each parameter: a chain read as factors (eta), scales (sigma), directions (m)."""

from collections.abc import Iterator
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.masks import resolve_mask
from gradtx._core.arrays.numerics import abs_sq, accumulator, divide, real, scalar_dtype
from gradtx._core.arrays.tree import align, flatten
from gradtx._core.contract.errors import structure
from gradtx._core.engine.kernel import apply, freeze
from gradtx._core.engine.lift import Leafwise
from gradtx._core.engine.parts import Link, walk
from gradtx._core.engine.rule import Rule


def links(tx: Any, state: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each transform that holds no other, with its state, in the order in which they run.

    Nothing is yielded where some do not run one after another: no product of their factors says what a step is.
    """
    found = list(walk(tx, state))
    if all(link.in_row for link in found):
        yield from ((link.tx, link.state) for link in found)


def is_factor(body: Any) -> bool:
    """Say whether a leafwise transform multiplies by one number: `scale`, `scale_by_learning_rate`, ..."""
    return isinstance(body, Leafwise) and body.role == "rate"


def factor(body: Leafwise, state: Any) -> Any:
    """Return the size of what a factor multiplies by at the next update, or of what it did where it depends on it."""
    if "scale" in body.rule.memory:
        return abs(state.memory["scale"])
    k = body.rule.at(state.count, state.event)
    return abs(k.get("step", k[cast(str, body.rule.event)]))


def learning_rate(tx: Any, state: Any) -> Any:
    """Return eta, the product of all factors of the chain at the next update; None where there is none or a search."""
    eta: Any = None
    for link, link_state in links(tx, state):
        body: Any = getattr(link, "body", None)
        if is_factor(body):
            eta = factor(body, link_state) * (1.0 if eta is None else eta)
        elif has_role(body, "rate"):  # found by the update itself
            return None
    return eta


def effective_rate(
    tx: Any,
    state: Any,
    grads: Any,
    params: Any = None,
    *,
    clip: Any = None,
    limits: bool = False,
    like: Any = None,
    **extra: Any,
) -> Any:
    """Return eta / sigma, what the next update multiplies each parameter's direction by.

    eta is the product of the chain's factors, sigma what its scales make of `grads` at the next update; 0 where sigma
    is 0, since nothing moves there. A sigma that follows a momentum or a clip sees what they pass on.

    Units: those of p over those of m.

    Args:
        tx: the transform; `watch` around it is looked through.
        state: its state, before the update.
        grads: gradients that the next update is given.
        params: parameters that the next update is given; needed where the chain needs them.
        clip: factor of the global clip, where `grads` are a sample and their norm is not the one to clip; None
            computes it.
        like: the whole gradients, where `grads` are a sample: masks ask for their shapes.
        limits: whether eta counts the factor of the global clip, 1 where it does not clip.
        **extra: extra arguments of `update`.

    Returns:
        A tree like the gradients as the scales see them, or a scalar where the chain has no sigma, or None where it
        holds a transform that is neither direction, scale, factor nor global clip, such as one of optax's, or scales
        that see trees of different forms, or one inside a wrapper of optax's that shows it another tree; or `grads` are
        a sample and a slot joins leaves.

    Cost: one pass over the gradients for each scale, and one for what stands before the last scale.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> from gradtx.diagnosis.record.rates import effective_rate
        >>> tx = gradtx.adagrad(0.5, initial_accumulator_value=0.0, eps=0.0)
        >>> g = jnp.array([2.0, 8.0])
        >>> effective_rate(tx, tx.init(g), g).tolist()
        [0.25, 0.0625]
    """
    chain: list[Any] = [(place, getattr(place.tx, "body", None)) for place in walk(tx, state)]
    if not all(is_known(place, body, grads, like) for place, body in chain):
        return None
    eta: Any = 1.0
    rate: Any = None
    last = max((i for i, (place, body) in enumerate(chain) if reads(place.tx, body, limits)), default=-1)
    for i, (place, body) in enumerate(chain):
        if is_factor(body):
            eta = factor(body, place.state) * eta
        elif getattr(body, "sigma", None) is not None:
            own = one_over_sigma(body, place.state, place.into(grads, like), place.into(params, like))
            if rate is not None and structure(rate) != structure(own):
                return None
            rate = own if rate is None else jax.tree.map(jnp.multiply, rate, own)
        if i <= last:
            before = grads
            if clip is not None and has_role(place.tx, "limit"):
                grads = jax.tree.map(lambda g: g * lax.convert_element_type(clip, g.dtype), grads)
            else:
                seen = place.into(grads, like), place.state, place.into(params, like)
                made, _ = place.tx.update(*seen, **extra)
                grads = place.out(made, grads, like)
            if limits and has_role(place.tx, "limit"):
                eta = (shrunk(before, grads) if clip is None else clip) * eta
    return eta if rate is None else jax.tree.map(lambda x: x * jnp.asarray(eta, x.dtype), rate)


def has_role(link: Any, *roles: str) -> bool:
    """Return True if a transform of gradtx's does one of these things to an update."""
    return getattr(link, "role", "") in roles


def is_read(body: Any, state: Any) -> bool:
    """Return True if eta / sigma of a transform is known: it has a state, and says what it does to an update.

    A rule that looks at the whole tree, or at more than one element at a time, is not read from a sample, unless it is
    a limit or multiplies by one number.
    """
    if has_role(body, "identity", "measure"):
        return True
    if state is None or not isinstance(body, Leafwise) or body.role == "":
        return False
    rule = body.rule
    plain = rule.whole_tree is None and rule.elementwise and not rule.where
    return has_role(body, "limit", "rate") or plain


def is_known(place: Link, body: Any, grads: Any, like: Any) -> bool:
    """Return True if eta / sigma can be read of a transform at its place in a chain."""
    if not (place.in_row and is_read(body, place.state)):
        return False
    return is_of_form(body, place.state, place.into(grads, like))


def is_of_form(body: Any, state: Any, grads: Any) -> bool:
    """Return True if the slots of a transform are those of such gradients.

    They are not inside a wrapper of optax's, of which nobody says how it shows trees to what it holds: `optax.masked`
    leaves nodes without arrays in them, `optax.flatten` joins leaves. The samples of leaves are not of a slot that
    joins them.
    """
    if not isinstance(body, Leafwise):
        return True
    leaves, treedef = flatten(grads)
    for slot in state.slots.values():
        try:
            found = treedef.flatten_up_to(slot)
        except (ValueError, TypeError, KeyError):
            return False
        for g, x in zip(leaves, found, strict=True):
            arrays = jax.tree.leaves(x)
            if x is not None and not arrays:
                return False
            if g is not None and body.rule.elementwise and any(a.shape != g.shape for a in arrays):
                return False
    return True


def reads(link: Any, body: Any, limits: bool) -> bool:
    """Say whether the rate needs the gradient as it reaches this link."""
    return getattr(body, "sigma", None) is not None or (limits and has_role(link, "limit"))


def one_over_sigma(body: Leafwise, state: Any, grads: Any, params: Any) -> Any:
    """Return 1 / sigma of a scale for the next update, as a tree like the gradients; 0 where sigma is 0."""
    rule = cast(Rule, body.sigma)
    leaves, treedef = flatten(grads)

    def aligned(root: str, tree: Any) -> list[Any]:
        return align(body.name, "grads", grads, treedef, root, tree)

    slots = {key: aligned(f"state.slots['{key}']", state.slots[key]) for key in rule.slots}
    p_leaves = aligned("params", params) if rule.needs_params else [None] * len(leaves)
    mask = resolve_mask(body.name, body.mask, grads if params is None else params, "params")
    k = freeze(rule.at(state.count, state.event))
    out: list[Any] = []
    for i, (g, p, active) in enumerate(zip(leaves, p_leaves, mask, strict=True)):
        if g is None:
            out.append(None)
        elif not active:
            out.append(jnp.ones(g.shape, real(accumulator(g.dtype))))
        else:
            sigma, _ = apply(rule, g, {key: xs[i] for key, xs in slots.items()}, p, k)
            out.append(divide(jnp.ones_like(sigma), sigma))
    return treedef.unflatten(out)


def shrunk(before: Any, after: Any) -> jax.Array:
    """Return |after| / |before| of two trees, 1 where the first is 0."""
    was, now = norm(before), norm(after)
    return jnp.where(was > 0, now / jnp.where(was > 0, was, 1.0), 1.0)


def norm(tree: Any) -> jax.Array:
    """Return the Euclidean norm of a tree, its squares summed in float32 or wider."""
    squares = [jnp.sum(abs_sq(lax.convert_element_type(x, accumulator(x.dtype)))) for x in jax.tree.leaves(tree)]
    wide = [lax.convert_element_type(s, scalar_dtype()) for s in squares]
    return jnp.sqrt(sum(wide, jnp.zeros((), scalar_dtype())))
