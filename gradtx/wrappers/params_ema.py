"""An average of the parameters, kept beside the optimizer: where to evaluate while training goes on."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gradtx._core.arguments.reading import read
from gradtx._core.arguments.whole import check_count
from gradtx._core.arrays.numerics import increment
from gradtx._core.arrays.tree import align, check_like, flatten, float_leaves, has_gradient, param_leaves
from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.apply import add
from gradtx._core.engine.around import Around, member
from gradtx._core.engine.choose import either
from gradtx._core.engine.slow_copy import mixed
from gradtx.rules import Decay, Transform, divide, factory, own_copy, scalar_dtype


class ParamsEmaState(NamedTuple):
    """State of `params_ema`.

    Attributes:
        inner: the optimizer's state.
        count: updates made, int32.
        weight: the sum of the weights of the parameters averaged so far; 1 without `debias`.
        average: like the params, float32 or wider; None where a leaf has no gradient.
    """

    inner: Any
    count: jax.Array  # type: ignore[assignment]  # optax's states hide tuple.count with the same field
    weight: jax.Array
    average: Any


@dataclasses.dataclass(frozen=True, eq=False)
class ParamsEma(Around):
    """An optimizer and the average of its parameters: the body of `params_ema`."""

    decay: Any = 0.0
    debias: bool = True
    every: int = 1
    kind: ClassVar[Any] = ParamsEmaState

    def init(self, params: Any) -> ParamsEmaState:
        """Return the optimizer's state, and the parameters as their own average."""
        leaves, treedef = flatten(params)
        arrays = param_leaves(self.name, params, leaves, [True] * len(leaves))
        average = treedef.unflatten([None if p is None else own_copy(p) for p in arrays])
        weight = jnp.full((), 0.0 if self.debias else 1.0, scalar_dtype())
        return ParamsEmaState(self.inner.init(params), jnp.zeros((), jnp.int32), weight, average)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the optimizer's own updates, and its next state with the average of what they make."""
        inner, count, weight, average = self.checked(state)
        leaves, treedef, p_leaves = float_leaves(self.name, updates, params, needs_params=True)
        means = align(self.name, "grads", updates, treedef, "state.average", average)
        places = [i for i, g in enumerate(leaves) if has_gradient(g)]
        for i in places:
            check_like(self.name, "grads", updates, i, tuple(leaves[i].shape), "state.average", means[i])
        new, inner = self.inner.update(updates, inner, params, **extra)
        steps = treedef.flatten_up_to(new)
        moved = [add(p_leaves[i], jnp.asarray(steps[i])) for i in places]  # rounded as the params themselves will be
        old = [means[i] for i in places]

        def averaged() -> tuple[list[Any], jax.Array]:
            decay = read(self.decay, count, where=f"{self.name}: decay")
            own = jnp.asarray(1.0 - decay, scalar_dtype())  # of a number in double precision: 1 - 0.9999 loses digits
            total = decay * weight + own
            return [mixed(p, a, divide(own, total)) for a, p in zip(old, moved, strict=True)], total

        due = count % self.every == self.every - 1
        got, weight = averaged() if self.every == 1 else either(due, averaged, lambda: (old, weight))
        for i, a in zip(places, got, strict=True):
            means[i] = a
        return new, ParamsEmaState(inner, increment(count), weight, treedef.unflatten(means))


@factory
def params_ema(tx: optax.GradientTransformation, decay: Decay, *, debias: bool = True, every: int = 1) -> Transform:
    """Keep an exponential moving average of the parameters beside an optimizer.

    u_t as `tx` gives it, p_{t+1} = p_t + u_t; a_0 = p_1. In every `every`-th step a_t = a_{t-1} + c_t (p_{t+1} -
    a_{t-1}), c_t = (1 - decay) / W_t, W_t = decay W_{t-1} + 1 - decay; else a_t = a_{t-1}. W_0 = 0 with `debias`, so
    that the weights of the parameters seen add up to 1 and where they began has none; else W_0 = 1, an average that
    began at p_1.

    Put it around the whole optimizer: it averages the parameters that its own updates lead to. `eval_params(state,
    params)` gives the average. A decay of n / (n + 1) at the n-th update, `lambda n: n / (n + 1)`, is the plain mean.

    Units: the average has those of the parameters.

    Args:
        tx: a whole optimizer, gradtx's or optax's.
        decay: how much of the past is kept in each step that averages, in [0, 1); number, array or schedule of the
            count of updates.
        debias: whether the first parameters have no weight.
        every: how many steps to a step that averages, a whole number >= 1.

    State:
        `ParamsEmaState`: inner, count, weight, and the average, like the params, float32 or wider.

    Raises:
        ValueError: decay is out of its range, every < 1; at update, params missing, or a state of another transform.
        TypeError: tx is no transform.

    Cost: 1 array per parameter; one pass over it in a step that averages.

    References:
        Polyak & Juditsky 1992, https://doi.org/10.1137/0330046

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, p = gradtx.params_ema(gradtx.sgd(0.25), 0.5), jnp.array(8.0)
        >>> state = tx.init(p)
        >>> for _ in range(2):
        ...     updates, state = tx.update(2 * p, state, p)
        ...     p = p + updates
        >>> p.item(), round(gradtx.eval_params(state, p).item(), 4)  # 8 -> 4 -> 2: (4 + 2 2) / 3
        (2.0, 2.6667)
    """
    inner = member("params_ema", "tx", tx)
    check_count("params_ema", "every", every)
    settings = {"tx": inner, "decay": decay, "debias": debias, "every": every}
    body = ParamsEma(inner, "params_ema", None, decay, debias, every)
    return Transform.of(body, Info(settings, wrapped("params_ema", settings)))
