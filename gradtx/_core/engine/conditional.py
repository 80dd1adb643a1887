"""A transform that runs in some steps only: what the two conditional wrappers share."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.numerics import increment
from gradtx._core.arrays.tree import flatten, float_leaves, has_gradient, promoted
from gradtx._core.contract.errors import describe, message
from gradtx._core.engine.around import Around
from gradtx._core.engine.choose import alike, either


class ConditionalState(NamedTuple):
    """State of a transform that runs in some steps only; optax's `inner_state` is read from it by its name.

    Attributes:
        inner: that of the transform inside.
        step: updates asked for so far, int32.
    """

    inner: Any
    step: jax.Array

    @property
    def inner_state(self) -> Any:
        """The state of the transform inside."""
        return self.inner


@dataclasses.dataclass(frozen=True, eq=False)
class Conditional(Around):
    """A transform that runs where a function says so: the body of the two conditional wrappers.

    Attributes:
        decides: `step -> bool`, a function of the updates asked for so far.
        forwards: whether it gets the extra arguments too.
        passes: whether the gradients pass unchanged where it does not run, or zeros.
    """

    decides: Callable[..., Any] = bool
    forwards: bool = False
    passes: bool = True
    kind: ClassVar[Any] = ConditionalState

    def init(self, params: Any) -> ConditionalState:
        """Return the state of the one inside, before the first step."""
        return ConditionalState(self.inner.init(params), jnp.zeros((), jnp.int32))

    def runs(self, step: jax.Array, extra: dict[str, Any]) -> jax.Array:
        """Return whether the one inside runs.

        Raises:
            ValueError: the function returns something else than a bool.
        """
        answer = jnp.asarray(self.decides(step, **(extra if self.forwards else {})))
        if answer.dtype != jnp.bool_ or answer.shape != ():
            fix = "return a scalar of dtype bool, such as step % 2 == 0"
            raise ValueError(message(self.name, "should_transform_fn", f"returned {describe(answer)}", "a bool", fix))
        return answer

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, ConditionalState]:
        """Return the update of the one inside, or else the gradients or zeros, and the next state."""
        own = self.checked(state)
        leaves, treedef, p_leaves = float_leaves(self.name, updates, params)
        places = [i for i, g in enumerate(leaves) if has_gradient(g)]

        def as_update(xs: list[Any]) -> list[jax.Array]:
            return [lax.convert_element_type(xs[i], promoted(leaves[i], p_leaves[i])) for i in places]

        def run() -> tuple[list[jax.Array], Any]:
            new, inner = self.inner.update(updates, own.inner, params, **extra)
            return as_update(flatten(new)[0]), alike(inner, own.inner)

        def rest() -> tuple[list[jax.Array], Any]:
            same = as_update(leaves)
            return same if self.passes else [jnp.zeros_like(x) for x in same], own.inner

        new, inner = either(self.runs(own.step, extra), run, rest)
        found = dict(zip(places, new, strict=True))
        return treedef.unflatten([found.get(i, x) for i, x in enumerate(leaves)]), ConditionalState(
            inner, increment(own.step)
        )
