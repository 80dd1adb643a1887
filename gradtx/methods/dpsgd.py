"""Gradient descent with differential privacy."""

from typing import Any

from gradtx.factors.momentum import trace
from gradtx.limits.privacy import differentially_private_aggregate
from gradtx.rules import LearningRate, Momentum, NonNegative, Positive, Transform, chain, factory, identity
from gradtx.schedules.apply import scale_by_learning_rate


@factory
def dpsgd(
    learning_rate: LearningRate,
    l2_norm_clip: Positive,
    noise_multiplier: NonNegative,
    key: Any = None,
    momentum: Momentum | None = None,
    nesterov: bool = False,
    *,
    seed: int | None = None,
) -> Transform:
    """Descend along the noisy mean of clipped gradients of single examples.

    m_t = momentum m_{t-1} + a_t, m_0 = 0, a_t as in `differentially_private_aggregate`; u_t = -eta_t m_t, with
    `nesterov` u_t = -eta_t (a_t + momentum m_t). The gradients have one axis more than the parameters, in front: the
    examples.

    Units: eta has the units of p over those of g; l2_norm_clip those of g.
    Equivalent to: optax's `dpsgd`.

    Args:
        {learning_rate}
        l2_norm_clip: the largest norm of the gradient of one example, > 0.
        noise_multiplier: the deviation of the noise over l2_norm_clip, >= 0.
        key: an integer, a key of `jax.random.key`, or a raw one of `jax.random.PRNGKey`.
        momentum: decay of the sum of past gradients, in [0, 1]; None keeps no sum.
        {nesterov}
        seed: another name for key.

    State:
        a tuple: of `differentially_private_aggregate` (key), of the momentum (trace; empty without) and of the rate.

    Raises:
        ValueError: a hyperparameter is out of its range, no key, both key and seed; at update, a leaf that is no batch
            of gradients of its parameter.
        TypeError: key is neither an integer nor a key.

    Cost: 1 array per parameter with momentum, else none; two passes over the gradients of the examples.

    References:
        Abadi et al. 2016, Algorithm 1, https://arxiv.org/abs/1607.00133

    Examples:
        >>> import gradtx
        >>> gradtx.dpsgd(0.1, 1.0, 0.5, key=0)  # doctest: +ELLIPSIS
        chain(differentially_private_aggregate(l2_norm_clip=1.0, noise_multiplier=0.5, key=0), identity(), ...)
    """
    aggregate = differentially_private_aggregate(l2_norm_clip, noise_multiplier, key, seed=seed)
    direction = identity() if momentum is None else trace(momentum, nesterov)
    return chain(aggregate, direction, scale_by_learning_rate(learning_rate))
