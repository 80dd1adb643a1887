"""Complex parameters as pairs of real ones, so that any transform treats each part as a number of its own."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gradtx._core.contract.errors import STATE_FIX, describe, message
from gradtx._core.contract.transform import Info, Part, Transform, View
from gradtx._core.contract.writing import shown
from gradtx._core.engine.members import check_member, own


class RealAndImaginary(NamedTuple):
    """A complex array in two parts.

    Attributes:
        real: the real part.
        imaginary: the imaginary part.
    """

    real: Any
    imaginary: Any


class SplitState(NamedTuple):
    """State of `split_real_and_imaginary`.

    Attributes:
        inner_state: the state of the transform inside, with a pair for each complex leaf.
    """

    inner_state: Any


def part(x: Any) -> Any:
    """Return a complex leaf in two parts, a real one as it is; of shapes alone their shapes."""
    if isinstance(x, jax.ShapeDtypeStruct):
        return jax.eval_shape(part, x)
    return RealAndImaginary(jnp.real(x), jnp.imag(x)) if jnp.iscomplexobj(x) else x


def split(tree: Any) -> Any:
    """Return a tree with each complex leaf in two parts."""
    return jax.tree.map(part, tree)


def is_pair(x: Any) -> bool:
    """Return True for a complex array in two parts."""
    return isinstance(x, RealAndImaginary)


def join(tree: Any) -> Any:
    """Return a tree with each pair as one complex array."""
    return jax.tree.map(lambda x: lax.complex(*x) if is_pair(x) else x, tree, is_leaf=is_pair)


VIEW = View(lambda tree, like: split(tree), lambda made, given, like: join(made))


@dataclasses.dataclass(frozen=True, eq=False)
class SplitRealAndImaginary:
    """A transform of real arrays for complex ones: the body of `split_real_and_imaginary`."""

    inner: Any
    name: str = "split_real_and_imaginary"
    info: Info | None = None

    @property
    def role(self) -> str:
        """What it does to an update: it holds a transform."""
        return "container"

    def init(self, params: Any) -> SplitState:
        """Return the state of the transform inside."""
        return SplitState(self.inner.init(split(params)))

    def update(self, updates: Any, state: SplitState, params: Any = None, **extra: Any) -> tuple[Any, SplitState]:
        """Return the updates of the transform inside, joined, and its next state."""
        if not isinstance(state, SplitState):
            got, fix = f"is {describe(state)}", STATE_FIX
            raise ValueError(message(self.name, "state", got, "a SplitState", fix))
        params = None if params is None else split(params)
        update = optax.with_extra_args_support(self.inner).update
        new, inner = update(split(updates), state.inner_state, params, **extra)
        return join(new), SplitState(inner)

    def parts(self, state: Any) -> list[Part]:
        """Return the transform inside with its state."""
        return [Part(None, self.inner, getattr(state, "inner_state", None), VIEW)]

    def renamed(self, name: str) -> "SplitRealAndImaginary":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True for a state around one that fits the transform inside."""
        body = getattr(self.inner, "body", None)
        return isinstance(state, SplitState) and (body is None or body.fits(state.inner_state))


def split_real_and_imaginary(inner: optax.GradientTransformation) -> Transform:
    """Update complex arrays as pairs of real ones.

    u_t = u_t^r + i u_t^i, where `inner` makes u_t^r of the real parts and u_t^i of the imaginary parts, as of two
    parameters. Real arrays go to it as they are. Give it the gradients that descend: the conjugates of those that
    `jax.grad` gives for complex parameters.

    Units: those of `inner`.
    Equivalent to: optax's `split_real_and_imaginary`.

    Args:
        inner: any transform, gradtx's or optax's; its masks and its state see a pair (real, imaginary) for each
            complex array.

    State:
        inner_state: the state of `inner`.

    Raises:
        TypeError: `inner` is no transform.
        ValueError: at update, the state is another's.

    Cost: that of `inner`, and a copy of each complex array.

    References:
        none.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.split_real_and_imaginary(gradtx.adam(0.1, eps=0.0))
        >>> tx
        split_real_and_imaginary(chain(scale_by_adam(b1=0.9, b2=0.999, eps=0.0), scale_by_learning_rate(0.1)))
        >>> u, state = tx.update(jnp.array(3.0 - 4.0j), tx.init(jnp.array(0j)))
        >>> complex(round(u.real.item(), 4), round(u.imag.item(), 4))
        (-0.1+0.1j)
    """
    check_member("split_real_and_imaginary", "inner", inner)
    inner = own(inner)
    body = SplitRealAndImaginary(inner)
    return Transform.of(body, Info({"inner": inner}, f"split_real_and_imaginary({shown(inner)})"))
