"""Hutchinson's estimate of the diagonal of the Hessian: random signs times the Hessian times these signs."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.tree import promoted
from gradtx._core.contract.errors import describe, message
from gradtx._core.engine.whole import Whole
from gradtx.rules import Transform, factory


class HutchinsonState(NamedTuple):
    """State of `hutchinson_estimator_diag_hessian`.

    Attributes:
        key: key of the next random signs.
    """

    key: jax.Array


def signs(key: jax.Array, params: list[jax.Array]) -> list[jax.Array]:
    """Return 1 or -1 at random for each number."""
    keys = jax.random.split(key, max(len(params), 1))
    return [jax.random.rademacher(k, p.shape, p.dtype) for k, p in zip(keys, params, strict=False)]


@dataclasses.dataclass(frozen=True, eq=False)
class Hutchinson(Whole):
    """The body of `hutchinson_estimator_diag_hessian`."""

    key: Any
    kind: ClassVar[Any] = HutchinsonState

    def init(self, params: Any) -> HutchinsonState:
        """Return the first key."""
        self.start(params)
        return HutchinsonState(jax.random.PRNGKey(0) if self.key is None else jnp.copy(self.key))

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, HutchinsonState]:
        """Return the estimate, and the next key."""
        state = self.checked(state)
        leaves = self.leaves(updates, params)
        (obj_fn,) = self.needed(extra, "obj_fn")
        if not callable(obj_fn):
            fix = "give the function that returns the loss of the params"
            raise TypeError(message(self.name, "obj_fn", f"is {describe(obj_fn)}", "a function of the params", fix))
        key, own = jax.random.split(state.key)
        whole, ps = leaves.treedef.unflatten(leaves.params), leaves.of(leaves.params)
        z = signs(own, ps)
        slope = jax.grad(lambda xs: obj_fn(leaves.put(xs, whole)))
        _, product = jax.jvp(slope, (ps,), (z,))
        h = [
            lax.convert_element_type((a * b).real, promoted(leaves.all[i], p))
            for i, p, a, b in zip(leaves.places, ps, z, product, strict=True)
        ]
        return leaves.put(h), HutchinsonState(key)


@factory
def hutchinson_estimator_diag_hessian(random_seed: jax.Array | None = None) -> Transform:
    """Replace the gradients by an estimate of the diagonal of the Hessian.

    u_t = z_t * (H_t z_t), with H_t the Hessian of `obj_fn` at p_t, z_t random signs, new at each step, and * element by
    element. It is unbiased, and exact where H is diagonal; the gradients are not looked at.

    Call update(grads, state, params, obj_fn=...), a function of the params alone that returns the loss.

    Units: those of the loss over p^2.
    Differs from: Sophia's paper, whose z_t is normal; its estimate has a larger variance. At a complex number it is the
    curvature along the real axis.

    Args:
        random_seed: a key of `jax.random`; None is `jax.random.PRNGKey(0)`.

    State:
        key: that of the next random signs.

    Raises:
        ValueError: at update, obj_fn or params missing.
        TypeError: at update, obj_fn is no function.

    Cost: no array; one product with the Hessian, about 2 gradients.

    References:
        Liu et al. 2023, Algorithm 1, https://arxiv.org/abs/2305.14342

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.hutchinson_estimator_diag_hessian()
        >>> p = jnp.array([1.0, 2.0])
        >>> u, state = tx.update(p, tx.init(p), p, obj_fn=lambda p: jnp.sum(p**3))
        >>> u.tolist()
        [6.0, 12.0]
    """
    return Transform.of(Hutchinson("hutchinson_estimator_diag_hessian", {}, random_seed))
