"""Gradient descent with noise that fades."""

from typing import Any

from gradtx.factors.noise import add_noise
from gradtx.rules import Finite, LearningRate, NonNegative, Transform, chain, factory
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def noisy_sgd(
    learning_rate: LearningRate,
    eta: NonNegative = 0.01,
    gamma: Finite = 0.55,
    key: Any = None,
    *,
    seed: int | None = None,
) -> Transform:
    """Descend along the gradient with noise whose variance falls as a power of the step.

    u_t = -learning_rate_t (g_t + N(0, eta / t^gamma)).

    Units: learning_rate has the units of p over those of g; eta those of g^2.
    Equivalent to: optax's `noisy_sgd`, which takes the key 0 where none is given; here that is an error.

    Args:
        {learning_rate}
        eta: the variance of the noise at the first step, >= 0.
        gamma: the power by which it falls, finite.
        key: an integer, a key of `jax.random.key`, or a raw one of `jax.random.PRNGKey`.
        seed: another name for key.

    State:
        a tuple: of `add_noise` (key) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, no key, both key and seed, or an array of keys.
        TypeError: key is neither an integer nor a key.

    Cost: no array; one pass.

    References:
        Neelakantan et al. 2015, section 3, https://arxiv.org/abs/1511.06807

    Examples:
        >>> import gradtx
        >>> gradtx.noisy_sgd(0.1, key=3)
        chain(add_noise(eta=0.01, gamma=0.55, key=3), scale_by_learning_rate(0.1))
    """
    return chain(add_noise(eta, gamma, key, seed=seed), scale_by_learning_rate(learning_rate))
