"""What the contracts are tried on: shapes, arrays of them, and one compiled step."""

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from gradtx._core.arguments.reading import CONCRETE
from gradtx._core.arrays.tree import is_float0, is_trainable
from gradtx._core.contract.errors import describe, message
from gradtx._core.engine.apply import apply_updates
from gradtx.memory.placing import Placement

MOST = 2**22  # numbers of params that are given as shapes and computed with


@dataclasses.dataclass(eq=False)
class Trial:
    """A transform with what it is tried on.

    Attributes:
        tx: the transform, which takes extra arguments.
        extra: `(grads, params) -> extra arguments of update`.
        placed: the shapes of the params on their mesh.
        grads: shapes of the gradients; float0 for what has none.
        arrays: the params as arrays, None where shapes are too large to make.
        state: shapes of the state that init makes, None where they could not be found.
        updates: shapes of the updates, None where they could not be found.
        after: shapes of the state that update makes.
        donates: whether the compiled step may overwrite what it is given.
    """

    tx: Any
    extra: Callable[[Any, Any], dict[str, Any]]
    placed: Placement
    grads: Any
    arrays: Any
    state: Any = None
    updates: Any = None
    after: Any = None
    donates: bool = True
    compiled: dict[bool, Any] = dataclasses.field(default_factory=dict)

    @property
    def params(self) -> Any:
        """The shapes of the params, with shardings where there are devices."""
        given = self.placed.given
        return jax.tree.map(lambda x: placed_struct(x, given), self.placed.params)

    def update(self, grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        """Return the updates and the next state.

        Raises:
            TypeError: update returns no pair.
        """
        out = self.tx.update(grads, state, params, **self.extra(grads, params))
        if not (isinstance(out, tuple) and len(out) == 2):
            got, fix = f"returns {describe(out)}", "return both; a state that holds nothing is ()"
            raise TypeError(message("check", "tx.update", got, "the pair (updates, state)", fix))
        return out

    def step(self, params: Any, state: Any, grads: Any) -> tuple[Any, Any, Any]:
        """Return the new params, the next state and the updates."""
        updates, state = self.update(grads, state, params)
        return apply_updates(params, updates), state, updates

    def run(self, params: Any, state: Any, grads: Any) -> tuple[Any, Any, Any]:
        """Return what the compiled step gives; it overwrites what it is given where it may."""
        if self.donates not in self.compiled:
            self.compiled[self.donates] = jax.jit(self.step, donate_argnums=(0, 1) if self.donates else ())
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*donated")  # an update that makes no use of a buffer
            out: tuple[Any, Any, Any] = self.compiled[self.donates](params, state, grads)
        return out

    def fresh(self) -> Any:
        """Return the params in buffers of their own."""
        return jax.tree.map(copied, self.arrays)

    def gradients(self, value: float = 0.125) -> Any:
        """Return gradients that are one number everywhere, which lie as the params do."""

        def one(g: Any, p: Any) -> Any:
            return g if is_float0(g) else jnp.full_like(p, value, dtype=g.dtype)

        return jax.tree.map(one, self.grads, self.arrays)

    def with_values(self, error: Exception, function: Callable[[], Any]) -> Any:
        """Return what a function that failed on shapes gives for arrays, None where there are none.

        Raises:
            Exception: it fails there too, so that no contract is the reason.
        """
        note = "gradtx.check: raised by the transform itself; what its update needs besides goes into extra="
        if self.arrays is None and isinstance(error, CONCRETE):
            return None
        try:
            if self.arrays is None:
                raise error
            return function()
        except Exception as found:
            found.add_note(note)
            raise


def copied(x: Any) -> Any:
    """Return an array in a buffer of its own, where it lies; anything else as it is.

    One that jax may move to other devices, as it may what `jnp.ones` makes, stays so: bound to its device it could not
    be computed with beside a state that lies on a mesh.
    """
    if not isinstance(x, jax.Array):
        return x
    return jax.device_put(jnp.array(x, copy=True), x.sharding) if x.committed else jnp.array(x, copy=True)


def struct(x: Any) -> Any:
    """Return the shape, dtype and weak type of an array or a number."""
    return jax.eval_shape(lambda: x) if not isinstance(x, jax.ShapeDtypeStruct) else x


def placed_struct(x: Any, mesh: Any) -> jax.ShapeDtypeStruct:
    """Return a shape with its sharding over a mesh of devices, without one where there is none."""
    if isinstance(mesh, Mesh) and isinstance(x.sharding, NamedSharding):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, x.sharding.spec))
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def arrays_of(params: Any, placed: Placement) -> Any:
    """Return the params as arrays where they lie: given ones copied, small shapes filled, None for large shapes."""
    leaves = jax.tree.leaves(params)
    shapes = [x for x in leaves if isinstance(x, jax.ShapeDtypeStruct)]
    if sum(math.prod(x.shape) for x in shapes) > MOST:
        return None
    if any(jnp.issubdtype(x.dtype, jax.dtypes.extended) for x in shapes):
        return None

    def one(x: Any, shape: Any) -> Any:
        value = 0.5 if jnp.issubdtype(shape.dtype, jnp.inexact) else 0
        made = (
            jnp.full(x.shape, value, x.dtype)
            if isinstance(x, jax.ShapeDtypeStruct)
            else jnp.array(x, shape.dtype, copy=True)
        )
        where = placed_struct(shape, placed.given).sharding
        return made if where is None else jax.device_put(made, where)

    return jax.tree.map(one, params, placed.params)


def gradient_shape(p: Any, dtype: Any) -> Any:
    """Return the shape of a gradient; for an integer the float0 that jax gives."""
    if not is_trainable(p):
        return np.zeros(p.shape, jax.dtypes.float0)
    return jax.ShapeDtypeStruct(p.shape, p.dtype if dtype is None else dtype, sharding=p.sharding)


def given(name: str, extra: Any) -> Callable[[Any, Any], dict[str, Any]]:
    """Return what gives the extra arguments of an update for gradients and params.

    Raises:
        TypeError: they are no mapping, and no function.
    """
    if extra is not None and not callable(extra) and not isinstance(extra, Mapping):
        fix = 'give {"value": 1.0}, or a function of grads and params that returns such'
        raise TypeError(message(name, "extra", f"is {describe(extra)}", "a mapping of names", fix))
    return lambda grads, params: dict(extra(grads, params) if callable(extra) else extra or {})
