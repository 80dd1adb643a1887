"""Map what a state holds for each parameter, such as to the sharding of that parameter.

A state is made of a placeholder in place of the params: where the placeholder then stands, a real state holds a tree
like them. Of such a tree a leaf counts only if it has its parameter's own shape: a factored moment or one number per
array has not. The params are not given, so that their shapes are found as those of which `init` makes a state of these
shapes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gradtx._core.arrays.codes import Coded, is_coded
from gradtx._core.arrays.tree import align, flatten, shape_of
from gradtx._core.contract.errors import describe, message, structure

NAME = "tree_map_params"
Leaf = Callable[[Any], bool]


@jax.tree_util.register_pytree_node_class
class Placeholder:
    """A tree without leaves that stands for the params."""

    def tree_flatten(self) -> tuple[tuple[()], None]:
        """Return no leaf."""
        return (), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: Any) -> "Placeholder":
        """Return one anew."""
        del aux, children
        return cls()


def tree_map_params(
    initable: Any,
    f: Callable[..., Any],
    state: Any,
    /,
    *rest: Any,
    transform_non_params: Callable[..., Any] | None = None,
    is_leaf: Leaf | None = None,
) -> Any:
    """Return a state with a function applied to each array that it holds for a parameter and in its shape.

    Moments, averages and slow copies of the parameters are such arrays, through wrappers and chains; counts, numbers
    for the whole tree or for one array, and factors of a moment are not. A leaf that has no slot stays None.

    Differs from: optax's `tree_map_params`, which calls f also for what has another shape than its parameter, and
        raises where a mask leaves parameters out. Where neither the state nor `rest` tells the shapes of the
        parameters, as a state of factors alone or of no arrays, f is called as in optax for all that it holds for each.

    Args:
        initable: the transform that made the state, gradtx's or optax's, or its `init`.
        f: `(array, *rest) -> new`, called with what each of `rest` has at that parameter.
        state: the state: arrays, or the shapes of `jax.eval_shape(tx.init, params)`.
        *rest: trees like the params, such as one of shardings.
        transform_non_params: `(leaf) -> new` for all other leaves; None leaves them as they are.
        is_leaf: `(node) -> bool`, True for a node of the state to which f is applied whole.

    Raises:
        TypeError: initable is neither a transform nor a function.
        ValueError: the state is another transform's; a tree of `rest` is not like the params; `init` takes no tree
            without leaves, and there is no `rest` that tells how the params look.

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> tx, params = gradtx.adam(0.1), {"w": jnp.ones((4, 2)), "b": jnp.ones(2)}
        >>> specs = {"w": jax.sharding.PartitionSpec("x"), "b": jax.sharding.PartitionSpec()}
        >>> state = jax.eval_shape(tx.init, params)
        >>> placed = gradtx.tree_map_params(
        ...     tx, lambda _, spec: spec, state, specs, transform_non_params=lambda _: None
        ... )
        >>> tuple(gradtx.tree.get(placed, "mu")["w"]), gradtx.tree.get(placed, "count")
        (('x',), None)
    """
    init = getattr(initable, "init", initable)
    if not callable(init):
        got = f"is {describe(initable)}"
        raise TypeError(message(NAME, "initable", got, "a transform or its init", "give the transform itself"))
    skeleton, treedef = skeleton_of(init, state, rest)
    try:
        held = treedef.flatten_up_to(state)
    except (ValueError, TypeError, KeyError):
        got, expected = f"is {describe(state)} of another structure", "one of the structure that init makes"
        raise ValueError(message(NAME, "state", got, expected, "use the state that this init made")) from None
    trees = [x for s, x in zip(skeleton, held, strict=True) if isinstance(s, Placeholder)]
    like = None if is_leaf else params_of(init, state, [*trees, *rest]) if trees else None

    def other(x: Any) -> Any:
        return x if transform_non_params is None else jax.tree.map(transform_non_params, x)

    def g(x: Any, *others: Any) -> Any:
        # of what is kept in few bits, the codes are the array and the scales are not
        return Coded(x.kind, f(x.code, *others), other(x.scale)) if is_coded(x) else f(x, *others)

    def one(x: Any) -> Any:
        if like is None:
            return mapped_as_held(g, x, rest, is_leaf)
        leaves, form = flatten_held(like)
        beside = [align(NAME, "params", like, form, f"rest[{i}]", tree) for i, tree in enumerate(rest)]
        found = zip(leaves, form.flatten_up_to(x), *beside, strict=True)
        return form.unflatten([g(x, *r) if is_array_of(x, p) else other(x) for p, x, *r in found])

    return treedef.unflatten(
        [one(x) if isinstance(s, Placeholder) else other(x) for s, x in zip(skeleton, held, strict=True)]
    )


def skeleton_of(init: Callable[[Any], Any], state: Any, rest: tuple[Any, ...]) -> tuple[list[Any], Any]:
    """Return what a state holds, a placeholder for each tree like the params, and the structure around that.

    Some inits of optax take no tree without leaves, such as that of a mask with keys: there a tree like the params is
    one with the structure of `rest`.
    """
    try:
        return taken_apart(init(Placeholder()), has_no_children)
    except Exception as error:
        form = flatten_held(rest[0])[1] if rest else None
        if form is None or jax.tree_util.treedef_is_leaf(form):
            got = f"raises {type(error).__name__} for a tree without leaves"
            fix = "give it a mask or labels that are functions, or pass a tree of several params in rest"
            raise ValueError(message(NAME, "init", got, "a state of any tree", fix)) from error
    nodes, treedef = taken_apart(state, lambda x: flatten_held(x)[1] == form or has_no_children(x))
    return [Placeholder() if flatten_held(x)[1] == form else x for x in nodes], treedef


def has_no_children(x: Any) -> bool:
    """Return True for a leaf, a placeholder, None and an empty container."""
    return bool(structure(x).num_nodes == 1)


def is_left_out(x: Any) -> bool:
    """Return True for what stands in place of a parameter that a mask leaves out."""
    return x is None or isinstance(x, optax.MaskedNode)


def flatten_held(tree: Any) -> tuple[list[Any], Any]:
    """Return the leaves of a tree, those among them that are left out, and its structure."""
    return taken_apart(tree, is_left_out)


def taken_apart(tree: Any, is_leaf: Leaf | None) -> tuple[list[Any], Any]:
    """Return the leaves of a tree and its structure, which has no type of its own."""
    return jax.tree.flatten(tree, is_leaf=is_leaf)


def is_array_of(x: Any, p: Any) -> bool:
    """Return True if what is held for a parameter is one array in its shape."""
    return not is_left_out(x) and not is_left_out(p) and shape_of(x) == shape_of(p)


def mapped_as_held(f: Callable[..., Any], held: Any, rest: tuple[Any, ...], is_leaf: Leaf | None) -> Any:
    """Return what is held for the params mapped leaf by leaf, whatever the shapes; what is left out stays so.

    Raises:
        ValueError: a tree of `rest` is not like the params.
    """
    leaves, form = taken_apart(held, lambda x: is_left_out(x) or is_coded(x) or bool(is_leaf and is_leaf(x)))
    beside = [align(NAME, "state", held, form, f"rest[{i}]", tree) for i, tree in enumerate(rest)]
    out = []
    for x, *others in zip(leaves, *beside, strict=True):
        skipped = is_left_out(x) and not (is_leaf and is_leaf(x))
        out.append(x if skipped else f(x, *others))
    return form.unflatten(out)


def params_of(init: Callable[[Any], Any], state: Any, trees: list[Any]) -> Any:
    """Return the shapes of the params that a state was made for, None where it does not tell them."""
    trees = [jax.tree.map(as_array, tree, is_leaf=is_coded) for tree in trees]
    shaped = [tree for tree in trees if all(map(is_array, jax.tree.leaves(tree)))]
    # flags, such as those of `zero_nans`, are kept for parameters that are floats
    floats = [jax.tree.map(as_float, tree) for tree in shaped]
    for tree in tried([*floats, *shaped]):
        if makes(init, tree, state):
            taller = jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *x.shape), x.dtype), tree)
            # a state that taller params have too holds nothing in the shape of its params
            return jax.tree.map(lambda x: None, tree) if makes(init, taller, state) else tree
    return None


def makes(init: Callable[[Any], Any], params: Any, state: Any) -> bool:
    """Return True if params of these shapes give a state of the structure and the shapes of this one."""
    try:
        made, treedef = flatten(jax.eval_shape(init, params))
    except Exception:  # no params for this transform, so that it may raise what it likes
        return False
    leaves, form = flatten(state)
    return bool(treedef == form) and [shape_of(x) for x in made] == [shape_of(x) for x in leaves]


def tried(trees: list[Any]) -> Iterator[Any]:
    """Yield trees that may have the shapes of the params: each that is held, then all that are alike in one.

    A transform for some leaves alone holds None for the others, so that only all of them together are the params.
    """
    widest: dict[Any, list[Any]] = {}
    seen = []
    for tree in trees:
        leaves, form = flatten_held(tree)
        found = [x if is_left_out(x) else jax.ShapeDtypeStruct(x.shape, x.dtype) for x in leaves]
        if (found, form) not in seen:
            seen.append((found, form))
            yield form.unflatten(found)
            widest[form] = list(map(wider, widest.get(form, found), found))
    for form, found in widest.items():
        yield form.unflatten(found)


def wider(x: Any, y: Any) -> Any:
    """Return the larger of two arrays, one that is left out being the smallest."""
    return x if is_left_out(y) or (not is_left_out(x) and x.size >= y.size) else y


def as_array(x: Any) -> Any:
    """Return the shape of the array that is kept in few bits, anything else as it is."""
    return jax.ShapeDtypeStruct(x.shape, jnp.float32) if is_coded(x) else x


def as_float(x: Any) -> Any:
    """Return the shape of an array with its dtype if it is a floating one, else with one that is."""
    inexact = jnp.issubdtype(x.dtype, jnp.inexact)
    return jax.ShapeDtypeStruct(x.shape, x.dtype if inexact else jnp.float32)


def is_array(x: Any) -> bool:
    """Return True for an array, or the shape and dtype of one."""
    return hasattr(x, "shape") and hasattr(x, "dtype")
