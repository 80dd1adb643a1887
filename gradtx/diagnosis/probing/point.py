"""The point that is probed: the arguments, checked and in float32 or wider, and the next update."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gradtx._core.arrays.numerics import accumulator
from gradtx._core.arrays.tree import flatten, float_leaves, leaf_error, shape_of
from gradtx._core.contract.errors import describe, message, paths, tree_mismatch
from gradtx.diagnosis.probing.curvature import Objective, Tree, vector_dtype
from gradtx.diagnosis.probing.line import value_and_grad

LIKE = "give a tree like the params"


@dataclasses.dataclass(frozen=True)
class Point:
    """Params, batch, loss and gradient, all finite.

    Attributes:
        objective: the loss.
        params: as given.
        wide: the params in float32 or wider.
        batch: as given.
        loss: on the batch.
        grads: its gradient at the wide params.
    """

    objective: Objective
    params: Tree
    wide: Tree
    batch: Any
    loss: float
    grads: Tree

    @classmethod
    def at(cls, loss_fn: Callable[..., Any], params: Any, batch: Any, has_aux: bool) -> "Point":
        """Return the point, checked."""
        objective, wide = objective_of(loss_fn, has_aux), widened(params)
        check_loss(objective, wide, batch)
        value, grads = value_and_grad(objective, wide, batch)
        check_finite(float(value), grads)
        return cls(objective, params, wide, batch, float(value), grads)

    @property
    def here(self) -> tuple[Objective, Tree, Any, float, Tree]:
        """The objective, the wide params, the batch, the loss and its gradient: what a line from here needs."""
        return self.objective, self.wide, self.batch, self.loss, self.grads

    def narrow_grads(self) -> Tree:
        """Return the gradient in the dtypes of the params, as a training step has it."""
        leaves, treedef = flatten(self.params)
        pairs = zip(leaves, flatten(self.grads)[0], strict=True)
        return treedef.unflatten(
            [g if g is None else lax.convert_element_type(g, jnp.asarray(p).dtype) for p, g in pairs]
        )

    def like_params(self, root: str, tree: Any) -> Tree:
        """Return a direction in the dtype of the probe's vectors; a None where the params have an array is 0.

        Raises:
            ValueError: a tree or shape that differs from the params'; the error names the path.
        """
        leaves, treedef = flatten(self.wide)
        try:
            below = treedef.flatten_up_to(tree)
        except (ValueError, TypeError, KeyError):
            raise tree_mismatch("probe", root, tree, "params", self.wide, LIKE) from None
        dtype = vector_dtype(self.wide)
        out: list[Any] = []
        for i, (p, x) in enumerate(zip(leaves, below, strict=True)):
            if p is not None and x is not None and shape_of(x) != p.shape:
                got = "is no array" if shape_of(x) is None else f"has shape {shape_of(x)}"
                raise ValueError(leaf_error("probe", root, self.wide, i, got, f"shape {p.shape} as in params", LIKE))
            empty = p is None or x is None
            out.append(None if p is None else jnp.zeros(p.shape, dtype) if empty else jnp.asarray(x, dtype))
        return treedef.unflatten(out)

    def rate(self, rate: Any, root: str = "rate") -> Any:
        """Return an effective rate as a float, or as a direction; None stays None.

        Raises:
            ValueError: a tree that does not fit the params, a rate that is negative or not finite.
        """
        if rate is None:
            return None
        if shape_of(rate) == ():
            rates, checked = float(rate), [np.asarray(float(rate))]
        else:
            rates = self.like_params(root, rate)
            checked = [np.asarray(x) for x in jax.tree.leaves(rates)]
        for path, x in zip(paths(root, rates), checked, strict=False):
            if not (np.isfinite(x).all() and (x >= 0).all()):
                raise ValueError(
                    message("probe", path, "is negative or not finite", "finite rates >= 0", "give eta / sigma")
                )
        return rates

    def next_update(
        self, tx: optax.GradientTransformation | None, state: Any, rate: Any, extra: Mapping[str, Any]
    ) -> Tree:
        """Return the update that tx would make now; without tx, minus rate times the gradient.

        Raises:
            ValueError: the update is not finite.
        """
        if tx is None:
            u = jax.tree.map(jnp.negative, self.like_params("grads", self.grads))
            if rate is None:
                return u
            return (
                jax.tree.map(lambda x: x * rate, u) if isinstance(rate, float) else jax.tree.map(jnp.multiply, u, rate)
            )
        updates, _ = optax.with_extra_args_support(tx).update(self.narrow_grads(), state, self.params, **extra)
        for path, x in zip(paths("update", updates), flatten(updates)[0], strict=True):
            if x is not None and not bool(jnp.isfinite(x).all()):
                raise ValueError(
                    message("probe", path, "is not finite", "a finite update", "restore a state from before it spoilt")
                )
        return self.like_params("update", updates)


def objective_of(loss_fn: Callable[..., Any], has_aux: bool) -> Objective:
    """Return the loss as a hashable objective, so that a second probe of the same function compiles nothing.

    Raises:
        TypeError: `loss_fn` cannot be called.
    """
    if not callable(loss_fn):
        what = f"is {describe(loss_fn)}"
        raise TypeError(message("probe", "loss_fn", what, "a function (params, batch) -> loss", "give the function"))
    try:
        hash(loss_fn)
    except TypeError:
        return Objective(lambda params, batch: loss_fn(params, batch), has_aux)
    return Objective(loss_fn, has_aux)


def widened(params: Any) -> Tree:
    """Return the params in float32 or wider.

    Raises:
        TypeError: a leaf that is not of a real floating dtype; the error names its path.
        ValueError: no leaf at all.
    """
    leaves, treedef, _ = float_leaves("probe", params, root="params")
    for path, x in zip(paths("params", params), leaves, strict=True):
        if x is not None and not jnp.issubdtype(x.dtype, jnp.floating):
            fix = "split it into a real and an imaginary part"
            raise TypeError(message("probe", path, f"is {describe(x)}", "a real floating-point array", fix))
    if not sum(x.size for x in leaves if x is not None):
        raise ValueError(message("probe", "params", "holds no number", "at least one parameter", "give the params"))
    wide = [x if x is None else lax.convert_element_type(x, accumulator(x.dtype)) for x in leaves]
    tree: Tree = treedef.unflatten(wide)
    return tree


def check_loss(objective: Objective, params: Tree, batch: Any) -> None:
    """Raise unless `loss_fn` returns one real floating-point number, or a pair of that and aux with `has_aux`."""
    out = jax.eval_shape(objective.loss_fn, params, batch)
    if objective.has_aux:
        if not (isinstance(out, tuple) and len(out) == 2):  # a pair
            got = f"returned {describe(out)}"
            raise ValueError(message("probe", "loss_fn", got, "a pair (loss, aux)", "drop has_aux"))
        out = out[0]
    if getattr(out, "shape", None) != ():
        fix = "pass has_aux=True for (loss, aux)" if isinstance(out, tuple) else "take its mean"
        raise ValueError(message("probe", "loss_fn", f"returned {describe(out)}", "a scalar loss", fix))
    if not jnp.issubdtype(out.dtype, jnp.floating):
        raise TypeError(message("probe", "loss_fn", f"returned {describe(out)}", "a real floating loss", "convert it"))


def check_finite(loss: float, grads: Tree) -> None:
    """Raise ValueError if the loss or its gradient is not finite: there is nothing to probe."""
    fix = "nothing to probe: give the params of an earlier step"
    if not math.isfinite(loss):
        raise ValueError(message("probe", "the loss", f"is not finite here ({loss})", "a finite loss", fix))
    for path, g in zip(paths("grads", grads), flatten(grads)[0], strict=True):
        if g is not None and not bool(jnp.isfinite(g).all()):
            raise ValueError(message("probe", path, "is not finite here", "a finite gradient", fix))
