"""Cautious updates: leave a parameter where it is while the step of any method would go up its gradient."""

import dataclasses
import functools
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gradtx._core.arrays.axes import AxisName, axes_of, size_over, summed_over
from gradtx._core.arrays.numerics import accumulator, opposed, scalar_dtype
from gradtx._core.arrays.tree import has_gradient, is_trainable
from gradtx._core.contract.errors import none_is_leaf
from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.chain import is_chain
from gradtx._core.engine.finite import check_split
from gradtx._core.engine.lift import Leafwise
from gradtx._core.engine.members import check_member, own
from gradtx._core.engine.order import opened
from gradtx._core.engine.segment import Segment
from gradtx.rules import LeafState, Rule, Slots, Transform, chain, factory, leafwise


@functools.partial(jax.jit, static_argnums=2)
def descending(g: jax.Array, u: jax.Array, axis_name: AxisName = None) -> tuple[jax.Array, jax.Array]:
    """Return an update without the elements that ascend, the others larger by their share, and how many they are."""
    goes_down = opposed(g, u)
    kept = jnp.where(goes_down, u, jnp.zeros_like(u))
    # XLA:CPU sums up arithmetic as it goes, but writes out what a comparison gives, as large as the leaf
    each = goes_down if jnp.iscomplexobj(u) else jnp.abs(jnp.sign(kept))
    (number,) = summed_over([jnp.sum(each, dtype=scalar_dtype())], [goes_down], axis_name)
    wide = lax.convert_element_type(kept, accumulator(u.dtype))
    factor = lax.convert_element_type(size_over(goes_down, axis_name) / (number + 1.0), wide.dtype)
    return lax.convert_element_type(wide * factor, u.dtype), number


def of_row(axis_name: AxisName) -> Rule:
    """Return what `descending` does as the last rule of a row, so that the leaves can wait for each other."""

    def update(u: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        value, number = descending(k.gradient, u, axis_name)
        k.hand_on(number)  # not the update, whose first number reads a parameter that is written by then
        return value, slots

    return Rule("cautious", update, elementwise=False, needs_gradient=True)


def is_one_row(tx: Any) -> bool:
    """Return True if a transform is rules alone, which run as one kernel, so that one more may follow them in it."""
    tx = opened(tx)
    runs = [run for run, _ in tx.body.runs if run is not None] if is_chain(tx) else []
    runs += [tx.body.segment] if isinstance(getattr(tx, "body", None), Leafwise) else []
    rows = [run for run in runs if isinstance(run, Segment)]
    return len(runs) == len(rows) == 1 and not any(m.rule.together or m.rule.stores for m in rows[0].members)


@dataclasses.dataclass(frozen=True, eq=False)
class Cautious:
    """A transform whose updates descend along every element, or leave it: the body of `cautious`.

    Attributes:
        inner: the transform.
        axis_name: the axes of `shard_map` over which leaves are split; () counts on each device for itself.
    """

    inner: Any
    axis_name: AxisName = None
    name: str = "cautious"
    info: Info | None = None
    role: str = "container"

    @functools.cached_property
    def row(self) -> Transform | None:
        """The inner one and this in one row; None where the inner one is no row of rules."""
        return chain(self.inner, leafwise(of_row(self.axis_name))) if is_one_row(self.inner) else None

    def init(self, params: Any) -> Any:
        """Return the state of the inner one."""
        return self.inner.init(params)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates of the inner one that descend, and its next state.

        Raises:
            ValueError: a gradient of which each shard holds a part, and no axis is named.
        """
        if self.axis_name != ():
            check_split(self.name, "grads", updates, self.axis_name)
        if self.row is not None:
            nothing = LeafState(jnp.zeros((), jnp.int32), {})
            new, (state, _) = self.row.update(updates, (state, nothing), params, **extra)
            return new, state
        new, state = optax.with_extra_args_support(self.inner).update(updates, state, params, **extra)

        def one(g: Any, u: Any) -> Any:
            if not (has_gradient(g) and is_trainable(g)):
                return u
            return descending(jnp.asarray(g), jnp.asarray(u), self.axis_name)[0]

        return jax.tree.map(one, updates, new, is_leaf=none_is_leaf), state

    def parts(self, state: Any) -> list[Part]:
        """Return the inner one."""
        return [Part(None, self.inner, state)]

    def renamed(self, name: str) -> "Cautious":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True if `state` has the form of the inner one's states."""
        body = getattr(self.inner, "body", None)
        return body is not None and bool(body.fits(state))


@factory
def cautious(inner: optax.GradientTransformation, *, axis_name: AxisName = None) -> Transform:
    """Leave out the elements of an update that go up the gradient, and enlarge the others.

    v_t is the update of `inner`, to be added to the parameters, and n the number of elements of an array, k_t that of
    those where v_t g_t < 0: u_t = v_t n / (k_t + 1) there, 0 elsewhere.

    Put it around a whole optimizer: before the learning rate an update points up the gradient.

    Units: those of v.
    Equivalent to: the paper's C-AdamW round `adamw`, C-Lion round Lion, for each array by itself.

    Args:
        inner: the optimizer, gradtx's or optax's.
        axis_name: the mesh axis, or axes, over which the leaves are split inside `shard_map`: n and k_t count the
            elements of all shards together; () counts those of each device. None is no axis.

    State:
        that of inner.

    Raises:
        TypeError: inner is no transform.
        ValueError: at update, a leaf varies over a manual axis that axis_name does not name.

    Cost: no array; two passes over the update.

    References:
        Liang et al. 2024, Algorithm 1, https://arxiv.org/abs/2411.16085

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, params = gradtx.cautious(gradtx.sgd(1.0, momentum=0.5)), jnp.zeros(4)
        >>> u, state = tx.update(jnp.array([4.0, 4.0, 4.0, 4.0]), tx.init(params), params)
        >>> tx.update(jnp.array([-1.0, 1.0, 2.0, 3.0]), state, params)[0].tolist()
        [0.0, -3.0, -4.0, -5.0]
    """
    check_member("cautious", "inner", inner)
    member = own(inner)
    settings = {"inner": member, **({} if axis_name is None else {"axis_name": axis_name})}
    axes = None if axis_name is None else axes_of(axis_name)
    return Transform.of(Cautious(member, axes), Info(settings, wrapped("cautious", settings)))
