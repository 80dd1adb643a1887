"""What all line searches do: read the objective, search a step size, scale the update, keep what was found."""

import abc
import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.numerics import accumulator, increment, scalar_dtype, zeros
from gradtx._core.engine.whole import Whole, choose
from gradtx.searches.objective import Along, along, as_scalar, scaled


class LinesearchState(NamedTuple):
    """State of a line search.

    Attributes:
        learning_rate: the step size that was found; where none was, the one that the next search starts from.
        value: the objective at the params that the update gives, infinite before the first.
        grad: its gradient there, like params, float32 or wider; None where none is stored.
        info: how the search went.
        count: updates made, int32.
    """

    learning_rate: jax.Array
    value: jax.Array
    grad: Any
    info: Any
    count: jax.Array  # type: ignore[assignment]  # optax's states hide tuple.count with the same field


class Found(NamedTuple):
    """What a search found.

    Attributes:
        eta: the step size, 0 where no other is good.
        value: the objective there.
        grads: its gradients there, None where they are not computed.
        info: how the search went.
        again: the step size that the next search starts from where eta is 0.
    """

    eta: jax.Array
    value: jax.Array
    grads: list[jax.Array] | None
    info: Any
    again: jax.Array


def tell(transform: str, done: jax.Array, eta: jax.Array, errors: Mapping[str, Any]) -> None:
    """Print where a search that is done failed."""

    def say() -> None:
        text = ", ".join(f"{name} {{{name}}}" for name in errors)
        jax.debug.print(f"{transform}: failed with {text}; takes the step size {{eta}}", **errors, eta=eta)

    choose(done & jnp.any(jnp.stack(list(errors.values())) > 0), say, lambda: None)


def failed(state: LinesearchState) -> jax.Array:
    """Return whether no step size was found that decreases the objective enough, as it is before the first search."""
    gone: jax.Array = state.info.decrease_error > 0
    return gone


@dataclasses.dataclass(frozen=True, eq=False)
class LineSearch(Whole, abc.ABC):
    """The base of the bodies of line searches.

    Attributes:
        steps: the largest number of steps.
        verbose: whether to print where a search fails.
        stores_grad: whether the gradient where the search ends is stored.
        info_type: the type of `info`: a count, and errors that are positive where the search fails.
    """

    steps: int
    verbose: bool
    stores_grad: bool = True
    kind: ClassVar[Any] = LinesearchState
    role: ClassVar[str] = "rate"
    info_type: ClassVar[Any]

    def fits(self, state: Any) -> bool:
        """Return True for a state of this search."""
        return type(state) is LinesearchState and type(state.info) is self.info_type

    def init(self, params: Any) -> LinesearchState:
        """Return a state in which nothing was found yet."""
        leaves, treedef = self.start(params)

        def infinite() -> jax.Array:
            return jnp.full((), jnp.inf, scalar_dtype())

        errors = [infinite() for _ in self.info_type._fields[1:]]
        return LinesearchState(
            jnp.ones((), scalar_dtype()),
            infinite(),
            treedef.unflatten([p if p is None else zeros(p) for p in leaves]) if self.stores_grad else None,
            self.info_type(jnp.zeros((), jnp.int32), *errors),
            jnp.zeros((), jnp.int32),
        )

    @abc.abstractmethod
    def search(
        self, line: Along, value: jax.Array, grads: list[jax.Array], state: LinesearchState, k: SimpleNamespace
    ) -> Found:
        """Return what is found from the objective's value and gradients."""

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, LinesearchState]:
        """Return the updates times the step size, and what was found."""
        state = self.checked(state)
        value, grad, value_fn = self.needed(extra, "value", "grad", "value_fn")
        leaves = self.leaves(updates, params)
        # jit leaves out arguments that nothing reads, and does not use their memory again
        value, _ = lax.optimization_barrier((value, (state.value, state.grad, state.info)))
        grads = [lax.convert_element_type(g, accumulator(g.dtype)) for g in leaves.like("grad", grad)]
        line = along(leaves, value_fn, extra)
        found = self.search(line, as_scalar(self.name, "value", value), grads, state, self.at(state.count))
        if self.verbose:
            errors = {name: x for name, x in found.info._asdict().items() if name.endswith("error")}
            tell(self.name, jnp.ones((), bool), found.eta, errors)
        kept = None
        if found.grads is not None:
            old = leaves.like("state.grad", state.grad)
            new = [lax.convert_element_type(g, x.dtype) for g, x in zip(found.grads, old, strict=True)]
            kept = leaves.put(new, state.grad)
        learning_rate = jnp.where(found.eta > 0, found.eta, found.again)
        after = LinesearchState(learning_rate, found.value, kept, found.info, increment(state.count))
        return leaves.put(scaled(line.updates, line.params, found.eta)), after
