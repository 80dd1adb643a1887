"""Schedule-free learning: gradients at a point between the iterates and their average, in place of momentum and decay.

The parameters of the training loop are the point y at which gradients are taken. The state holds the iterates z of the
base optimizer; the average x, at which to evaluate, is what y and z say it is.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.typing import DTypeLike

from gradtx._core.arrays.numerics import wider
from gradtx._core.arrays.tree import align, flatten, is_trainable
from gradtx._core.contract.errors import describe, message
from gradtx._core.contract.transform import Info
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.finite import links_of
from gradtx._core.engine.lift import Leafwise
from gradtx._core.engine.members import check_member
from gradtx.rules import (
    Hyper,
    LeafState,
    LearningRate,
    NonNegative,
    Range,
    Rule,
    Slots,
    Transform,
    Tree,
    chain,
    divide,
    factory,
    leafwise,
    own_copy,
    scalar_dtype,
)

Share = Annotated[Hyper, Range("(0, 1]")]
RANGES = {
    "learning_rate": Range("[0, inf)", event=True),
    "b1": Range("(0, 1]"),
    "weight_lr_power": Range("[0, inf)"),
}


def average_iterates(
    learning_rate: Any, b1: Any, weight_lr_power: Any, state_dtype: Any, *, reads_old: bool = False
) -> Transform:
    """Return the transform that turns an update of z into one of y, and keeps z.

    y' = b1 x' + (1-b1) z', x' = (1-c) x + c z' and z' = z + d give y' - y = (1 - q) (z' - y) + q (1-B) d, with B the b1
    of the last step and q = (1-c) b1 / B: no x is needed, nor the old z.

    With `reads_old` it is (1 - q) (z - y) + (1 - q B) d, where d stands once: a quotient that is read twice is written
    out by XLA:CPU. z then waits for y, and d must not read y, which z would find overwritten.
    """

    def whole_tree(k: SimpleNamespace, tree: Tree) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        rate, share, power = (jnp.asarray(x, scalar_dtype()) for x in (k.learning_rate, k.b1, k.weight_lr_power))
        largest = jnp.maximum(tree.memory["max_lr"], rate)
        weight = largest**power
        total = tree.memory["weight_sum"] + weight
        before = jnp.where(tree.count == 0, share, tree.memory["b1"])  # x, y and z are one at the start
        kept = (1.0 - divide(weight, total)) * share / before
        scalars = {"to_z": 1.0 - kept, "along": kept * (1.0 - before), "of_step": 1.0 - kept * before}
        return scalars, {"b1": share, "max_lr": largest, "weight_sum": total}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        z = slots["z"] + g
        if reads_old:
            return k.to_z * (slots["z"] - p) + k.of_step * g, {"z": z}
        return k.to_z * (z - p) + k.along * g, {"z": z}

    rule = Rule(
        "average_iterates",
        update,
        lambda p: {"z": own_copy(p, state_dtype)},
        ("z",),
        {"learning_rate": learning_rate, "b1": b1, "weight_lr_power": weight_lr_power},
        RANGES,
        needs_params=True,
        event="learning_rate",
        whole_tree=whole_tree,
        memory={"b1": 1.0, "max_lr": 0.0, "weight_sum": 0.0},
        looks=False,
        reads_old=reads_old,
    )
    return leafwise(rule)


@factory
def schedule_free(
    base_optimizer: optax.GradientTransformation,
    learning_rate: LearningRate,
    b1: Share = 0.9,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: DTypeLike | None = None,
) -> Transform:
    """Average the iterates of an optimizer as it goes, in place of a decaying rate.

    with y the parameters, z_1 = x_1 = y_1 and eta_t the rate: z_{t+1} = z_t + d_t, d_t the base optimizer's update for
    the gradient at y_t; w_t = (max_{i<=t} eta_i)^weight_lr_power, c_t = w_t / sum_{i<=t} w_i, 0 where no rate was > 0
    yet; x_{t+1} = (1-c_t) x_t + c_t z_{t+1}; y_{t+1} = b1 x_{t+1} + (1-b1) z_{t+1}; u_t = y_{t+1} - y_t.

    Evaluate at x, which `schedule_free_eval_params(state, params)` gives. The base optimizer is to have no momentum.

    Units: those of the base optimizer's.
    Differs from: optax's where the rate is a schedule: there the weight of a step has the rate of the next one.

    Args:
        base_optimizer: gradtx's or optax's, without momentum: `sgd`, `adam` with b1 = 0, ...
        learning_rate: the base optimizer's, >= 0, with a warm-up but no decay; number, array, schedule or event
            schedule.
        b1: how near y is to x, in (0, 1]; at 0 the state could not tell x.
        weight_lr_power: weights count for more where the rate is larger, >= 0; 0 weighs all steps alike.
        state_dtype: dtype z is stored in; None is the parameter's, float32 or wider.

    State:
        a tuple: the base optimizer's and that of the average: z, like params; b1, max_lr and weight_sum.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, params missing.
        TypeError: base_optimizer is no transform, or state_dtype no floating dtype.

    Cost: 1 array per parameter beside the base optimizer's; no pass beside its last.

    References:
        Defazio et al. 2024, Section 3, https://arxiv.org/abs/2405.15682

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.schedule_free(gradtx.sgd(0.25), 0.25, b1=0.5)
        >>> y = jnp.array(8.0)
        >>> state = tx.init(y)
        >>> for _ in range(2):
        ...     updates, state = tx.update(2 * y, state, y)
        ...     y = y + updates
        >>> y.item(), gradtx.schedule_free_eval_params(state, y).item()
        (2.5, 3.0)
    """
    check_member("schedule_free", "base_optimizer", base_optimizer)
    reads_old = not reads_params(base_optimizer)
    return averaged(base_optimizer, learning_rate, b1, weight_lr_power, state_dtype, reads_old=reads_old)


def reads_params(base: Any) -> bool:
    """Return True if the update of a base optimizer may depend on the params beside the gradients."""
    bodies = [body for body, _ in links_of(base)]
    return not all(isinstance(body, Leafwise) and not body.rule.needs_params for body in bodies)


def averaged(
    base: Any, learning_rate: Any, b1: Any, weight_lr_power: Any, state_dtype: Any, *, reads_old: bool = False
) -> Transform:
    """Return `schedule_free` of a base optimizer; `reads_old` as in `average_iterates`."""
    settings = {"base_optimizer": base, "learning_rate": learning_rate, "b1": b1, "weight_lr_power": weight_lr_power}
    average = average_iterates(learning_rate, b1, weight_lr_power, state_dtype, reads_old=reads_old)
    return Transform.of(chain(base, average).body, Info(settings, wrapped("schedule_free", settings)))


def average_at(y: jax.Array, z: jax.Array, b1: jax.Array) -> jax.Array:
    """Return x of one parameter, in the wider dtype."""
    dtype = wider(y.dtype, z.dtype)
    y, z, b1 = (lax.convert_element_type(x, dtype) for x in (y, z, b1))
    return z + (y - z) / b1


def averages_iterates(state: Any) -> bool:
    """Return True for the state of an average of iterates."""
    return (
        isinstance(state, LeafState)
        and set(state.memory) == {"b1", "max_lr", "weight_sum"}
        and set(state.slots) == {"z"}
    )


def averages_in(state: Any) -> list[LeafState]:
    """Return the states of averages of iterates inside any state."""
    if isinstance(state, LeafState):
        return [state] if averages_iterates(state) else []
    children = state.values() if isinstance(state, dict) else state if isinstance(state, (tuple, list)) else ()
    return [found for child in children for found in averages_in(child)]


def schedule_free_eval_params(state: Any, params: Any) -> Any:
    """Return the average x of schedule-free learning, the parameters to evaluate at.

    x = z + (y - z) / b1, in float32 or wider, rounded once to the parameter's dtype.

    Args:
        state: of `schedule_free`, alone or inside chains, `watch` and other wrappers.
        params: y, the parameters of the training loop.

    Returns:
        A tree of the structure, shapes and dtypes of the params.

    Raises:
        ValueError: no such state is in `state`, or more than one; the params are another tree than it was made for.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> free = gradtx.schedule_free_sgd(1.0, b1=0.5)
        >>> tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), free)
        >>> y = jnp.array(8.0)
        >>> gradtx.schedule_free_eval_params(tx.init(y), y).item()
        8.0
    """
    name, found = "schedule_free_eval_params", averages_in(state)
    if len(found) != 1:
        got = f"is {describe(state)} with {len(found)} averages of iterates"
        raise ValueError(message(name, "state", got, "one", "give the state of one schedule_free transform"))
    (average,) = found
    leaves, treedef = flatten(params)

    def evaluated(p: Any, z: Any) -> Any:
        if z is None or p is None or not is_trainable(p):
            return p
        p = jnp.asarray(p)
        return lax.convert_element_type(average_at(p, z, average.memory["b1"]), p.dtype)

    slots = align(name, "params", params, treedef, "state.slots['z']", average.slots["z"])
    return treedef.unflatten([evaluated(p, z) for p, z in zip(leaves, slots, strict=True)])
