"""Mechanic: learn how far along the base optimizer's updates to go, by betting that they agree with the gradients."""

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gradtx._core.arguments.reading import read
from gradtx._core.arguments.whole import check_count
from gradtx._core.arrays.axes import AxisName, check_axes
from gradtx._core.arrays.sums import moved, products, square
from gradtx._core.arrays.tree import flatten, has_gradient
from gradtx._core.contract.errors import STATE_FIX, describe, message
from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.members import check_member, own
from gradtx.rules import (
    Finite,
    Positive,
    Range,
    Rule,
    Slots,
    Transform,
    Tree,
    behind,
    divide,
    factory,
    leafwise,
    own_copy,
    root,
    scalar_dtype,
)

RANGES = {"eps": Range("(0, inf)"), "s_init": Range("(0, inf)")}


def tuner(weight_decay: Any, eps: Any, s_init: Any, num_betas: int, axis_name: AxisName) -> Transform:
    """Return the transform that scales the base optimizer's updates, given the `gradients` they were made of."""
    betas = 1.0 - 10.0 ** -np.arange(1.0, num_betas + 1.0)

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        check_axes(tree.grads, axis_name)
        grads, back = tree.extra["gradients"], moved(tree.slots["x0"], tree.params)
        m, v, r, s = (tree.memory[name] for name in "mvrs")
        b = jnp.asarray(betas, scalar_dtype())
        before = jnp.sum(s) + k.eps
        # apart from the squares that the base optimizer takes, as `again` from `back`: XLA would store them for both
        apart = [lax.optimization_barrier(g) for g in grads]
        pull = (
            k.weight_decay
            * jnp.sum(s)
            * root(square(apart, axis_name))
            / (root(square(tree.params, axis_name)) + k.eps)
        )
        again = moved([lax.optimization_barrier(x) for x in tree.slots["x0"]], tree.params)
        h = (products(back, grads, axis_name) + pull * products(again, tree.params, axis_name)) / before
        won = b * r + s * jnp.clip(h, -m, m)
        largest = jnp.maximum(b * m, jnp.abs(h) + k.eps)
        squares = b**2 * v + h**2
        wealth = (k.s_init / num_betas) * largest + jnp.maximum(won, 0.0)
        scale = divide(wealth, root(squares) + k.eps)
        total = jnp.sum(scale)
        return {"total": total, "back": 1.0 - total / before}, {"m": largest, "v": squares, "r": won, "s": scale}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        return k.back * (behind(slots["x0"], k.back) - p) + k.total * g, slots

    nothing, first = np.zeros(num_betas), read(s_init, jnp.zeros((), jnp.int32))
    start = np.full(num_betas, first) if isinstance(first, float) else jnp.full(num_betas, first)
    rule = Rule(
        "mechanize",
        update,
        lambda p: {"x0": own_copy(p)},
        ("x0",),
        {"weight_decay": weight_decay, "eps": eps, "s_init": s_init},
        RANGES,
        needs_params=True,
        whole_tree=whole_tree,
        memory={"m": nothing, "v": nothing, "r": nothing, "s": start},
        extra=("gradients",),
    )
    return leafwise(rule)


@dataclasses.dataclass(frozen=True, eq=False)
class Mechanize:
    """A base optimizer and the tuner of its updates: the body of `mechanize`."""

    base: Any
    tuner: Transform
    name: str = "mechanize"
    info: Info | None = None
    role: str = "container"

    def states(self, state: Any) -> tuple[Any, Any]:
        """Return the states of both.

        Raises:
            ValueError: the state was made by another transform.
        """
        if self.fits(state):  # of the base and of the tuner
            return state  # type: ignore[no-any-return]
        got, fix = f"is {describe(state)}", STATE_FIX
        raise ValueError(message(self.name, "state", got, "a tuple of 2 as its init makes it", fix))

    def init(self, params: Any) -> tuple[Any, Any]:
        """Return the states of both."""
        return self.base.init(params), self.tuner.init(params)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the base optimizer's updates at the scale that is learned, and the next states."""
        own_state, tuned = self.states(state)
        grads = [jnp.asarray(g) for g in flatten(updates)[0] if has_gradient(g)]
        updates, own_state = self.base.update(updates, own_state, params, **extra)
        updates, tuned = self.tuner.update(updates, tuned, params, gradients=grads)
        return updates, (own_state, tuned)

    def parts(self, state: Any) -> list[Part]:
        """Return both, in the order in which they run."""
        states = (None, None) if state is None else self.states(state)
        return [Part(None, tx, own) for tx, own in zip((self.base, self.tuner), states, strict=True)]

    def renamed(self, name: str) -> "Mechanize":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True for a state of both."""
        return type(state) is tuple and len(state) == 2 and bool(self.tuner.body.fits(state[-1]))  # both


@factory
def mechanize(
    base_optimizer: optax.GradientTransformation,
    weight_decay: Finite = 1e-2,
    eps: Positive = 1e-8,
    s_init: Positive = 1e-6,
    num_betas: int = 6,
    *,
    axis_name: AxisName = None,
) -> Transform:
    """Scale all that an optimizer has moved by a factor that is learned.

    with d_t the base optimizer's update for g_t, b = 1 - 10^-i for i = 1..n, n = num_betas, each of m, v, r, s a vector
    of n numbers, S = sum(s): D_t = (p_1 - p_t) / (S_{t-1} + eps);
    h_t = <D_t, g_t + weight_decay S_{t-1} |g_t| / (|p_t| + eps) p_t>; r_t = b r_{t-1} + s_{t-1} clip(h_t, m_{t-1});
    m_t = max(b m_{t-1}, |h_t| + eps); v_t = b^2 v_{t-1} + h_t^2;
    s_t = (s_init m_t / n + max(r_t, 0)) / (sqrt(v_t) + eps); u_t = p_1 - S_t (D_t - d_t) - p_t. m, v and r are 0 at
    first; inner products and norms are over all leaves.

    Give the base optimizer a learning rate of 1, or a schedule whose largest value is 1. Methods that scale their
    updates by the parameters, as LARS and LAMB do, leave it nothing to learn.

    Units: S has those of p over those of d; weight_decay is dimensionless.
    Equivalent to: optax's `mechanize`. The paper keeps r itself at 0 or above.

    Args:
        base_optimizer: gradtx's or optax's.
        weight_decay: pulls S down where the parameters grow against the gradients, finite.
        eps: keeps the quotients finite, > 0.
        s_init: the first S, > 0.
        num_betas: how many decays of what is remembered, from 0.9 on, a whole number >= 1.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: the sums are those of all
            shards together. None is no axis.

    State:
        a tuple: the base optimizer's, and that of the tuner: x0 = p_1, like params, float32 or wider; m, v, r and s, n
        numbers each: `state[1].s.sum()` is the factor that was learned.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, params missing, a state of another transform, or
            a leaf that varies over a manual axis which axis_name does not name.
        TypeError: base_optimizer is no transform.

    Cost: 1 array per parameter beside the base optimizer's; two passes beside its own, since the factor needs all
    leaves before any of them moves.

    References:
        Cutkosky, Defazio & Mehta 2023, Algorithm 1, https://arxiv.org/abs/2306.00144

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.mechanize(gradtx.sgd(1.0)), jnp.array([1.0, 2.0, 3.0])
        >>> state = tx.init(params)
        >>> for _ in range(40):
        ...     updates, state = tx.update(2 * params, state, params)
        ...     params = gradtx.apply_updates(params, updates)
        >>> round(float(state[1].s.sum()), 4)
        0.0137
    """
    check_member("mechanize", "base_optimizer", base_optimizer)
    check_count("mechanize", "num_betas", num_betas, example=6)
    base = own(base_optimizer)
    base = base if isinstance(base, Transform) else optax.with_extra_args_support(base)
    numbers = {"weight_decay": weight_decay, "eps": eps, "s_init": s_init, "num_betas": num_betas}
    settings = {"base_optimizer": base_optimizer, **numbers}
    settings |= {} if axis_name is None else {"axis_name": axis_name}
    body = Mechanize(base, tuner(weight_decay, eps, s_init, num_betas, axis_name))
    return Transform.of(body, Info(settings, wrapped("mechanize", settings)))
