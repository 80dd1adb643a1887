"""The two usual schedule-free optimizers: SGD and AdamW whose iterates are averaged, after a warm-up."""

from typing import Any

from jax.typing import DTypeLike

from gradtx.factors.rms import scale_by_rms
from gradtx.factors.weight_decay import add_decayed_weights
from gradtx.methods.sgd import sgd
from gradtx.rules import Decay, Finite, LearningRate, NonNegative, Transform, chain, factory
from gradtx.schedules.apply import scale_by_learning_rate
from gradtx.schedules.optax_names import warmup_constant_schedule
from gradtx.wrappers.schedule_free import Share, averaged, schedule_free


def after_warmup(learning_rate: Any, warmup_steps: int | None) -> Any:
    """Return the rate, after a straight line from 0 where there is a warm-up."""
    return learning_rate if warmup_steps is None else warmup_constant_schedule(0.0, learning_rate, warmup_steps)


@factory
def schedule_free_sgd(
    learning_rate: LearningRate = 1.0,
    warmup_steps: int | None = None,
    b1: Share = 0.9,
    weight_decay: Finite | None = None,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: DTypeLike | None = None,
) -> Transform:
    """Descend the gradient, averaging the iterates in place of momentum and of a decaying rate.

    z_{t+1} = z_t - eta_t (g_t + weight_decay y_t), with g_t the gradient at the parameters y_t, which lie between z and
    its average x by b1; u_t = y_{t+1} - y_t, see `schedule_free`.

    Units: eta has those of p over those of g.
    Differs from: optax's as `schedule_free` does, with warmup_steps alone.

    Args:
        {learning_rate}
        warmup_steps: the rate rises from 0 to learning_rate, a number, in so many steps; None is at once.
        b1: how near y is to x, in (0, 1].
        weight_decay: decoupled decay, finite; None is none.
        weight_lr_power: weights count for more where the rate is larger, >= 0.
        state_dtype: dtype z is stored in; None is the parameter's, float32 or wider.

    State:
        a tuple: of the base optimizer and of the average: z, like params; b1, max_lr and weight_sum.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, params missing.

    Cost: 1 array per parameter; one pass.

    References:
        Defazio et al. 2024, Section 3, https://arxiv.org/abs/2405.15682

    Examples:
        >>> import gradtx
        >>> gradtx.schedule_free_sgd(0.1)
        schedule_free(chain(identity(), scale_by_learning_rate(0.1)), learning_rate=0.1, b1=0.9, weight_lr_power=2.0)
    """
    rate = after_warmup(learning_rate, warmup_steps)
    base = sgd(rate) if weight_decay is None else chain(add_decayed_weights(weight_decay), sgd(rate))
    return schedule_free(base, rate, b1, weight_lr_power, state_dtype)


@factory
def schedule_free_adamw(
    learning_rate: LearningRate = 0.0025,
    warmup_steps: int | None = None,
    b1: Share = 0.9,
    b2: Decay = 0.999,
    eps: NonNegative = 1e-8,
    weight_decay: Finite = 0.0,
    weight_lr_power: NonNegative = 2.0,
    state_dtype: DTypeLike | None = None,
) -> Transform:
    """Descend as AdamW does, averaging the iterates in place of momentum and of a decaying rate.

    v_t = b2 v_{t-1} + (1-b2) g_t^2, v_0 = 0; z_{t+1} = z_t - eta_t (g_t / (sqrt(v_t / (1-b2^t)) + eps) +
    weight_decay y_t), with g_t the gradient at the parameters y_t, which lie between z and its average x by b1;
    u_t = y_{t+1} - y_t, see `schedule_free`.

    Units: eta has the units of p; eps those of g.
    Differs from: optax's as `schedule_free` does, with warmup_steps alone.

    Args:
        {learning_rate}
        warmup_steps: the rate rises from 0 to learning_rate, a number, in so many steps; None is at once.
        b1: how near y is to x, in (0, 1].
        {b2}
        {eps}
        {weight_decay}
        weight_lr_power: weights count for more where the rate is larger, >= 0.
        state_dtype: dtype z is stored in; None is the parameter's, float32 or wider.

    State:
        a tuple: of the base optimizer (nu, like params) and of the average: z, like params; b1, max_lr and weight_sum.

    Raises:
        ValueError: a hyperparameter is out of its range; at update, params missing.

    Cost: 2 arrays per parameter; one pass.

    References:
        Defazio et al. 2024, Algorithm 1, https://arxiv.org/abs/2405.15682

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx, y = gradtx.schedule_free_adamw(0.5), jnp.array(8.0)
        >>> state = tx.init(y)
        >>> for _ in range(3):
        ...     updates, state = tx.update(2 * y, state, y)
        ...     y = y + updates
        >>> round(float(gradtx.schedule_free_eval_params(state, y)), 4)
        7.0186
    """
    rate = after_warmup(learning_rate, warmup_steps)
    scaled = scale_by_rms(b2, eps, eps_in_sqrt=False, bias_correction=True)
    base = chain(scaled, add_decayed_weights(weight_decay), scale_by_learning_rate(rate))
    decays = not (isinstance(weight_decay, (int, float)) and weight_decay == 0)  # then its update reads the parameters
    return averaged(base, rate, b1, weight_lr_power, state_dtype, reads_old=not decays)
