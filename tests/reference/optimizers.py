"""The whole optimizers, each a scaled gradient times minus the rate; adam and adamw stand in adam.py."""

from tests.reference.adagrad import scale_by_adagrad
from tests.reference.amsgrad import scale_by_amsgrad
from tests.reference.momentum import trace
from tests.reference.multiply import scale_by_learning_rate
from tests.reference.radam import scale_by_radam
from tests.reference.rms import scale_by_rms, scale_by_stddev
from tests.reference.tree import Hyper, Tree


def sgd(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    momentum: Hyper | None = None,
    nesterov: bool = False,
) -> list[Tree]:
    """Step by -eta g, or by -eta m with m = momentum m + g."""
    if momentum is not None:
        grads = trace(grads, params, decay=momentum, nesterov=nesterov)
    return scale_by_learning_rate(grads, params, learning_rate=learning_rate)


def adagrad(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: float) -> list[Tree]:
    """Step by -eta g / sqrt(s + eps)."""
    scaled = scale_by_adagrad(grads, params, **settings)
    return scale_by_learning_rate(scaled, params, learning_rate=learning_rate)


def rmsprop(
    grads: list[Tree],
    params: Tree,
    *,
    learning_rate: Hyper,
    centered: bool = False,
    momentum: Hyper | None = None,
    nesterov: bool = False,
    **settings: float,
) -> list[Tree]:
    """Step by -eta g / sigma, or by the decaying sum of such steps."""
    sigma = scale_by_stddev if centered else scale_by_rms
    steps = scale_by_learning_rate(sigma(grads, params, **settings), params, learning_rate=learning_rate)
    return steps if momentum is None else trace(steps, params, decay=momentum, nesterov=nesterov)


def amsgrad(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: float) -> list[Tree]:
    """Step by -eta m / sqrt(v_hat)."""
    scaled = scale_by_amsgrad(grads, params, **settings)
    return scale_by_learning_rate(scaled, params, learning_rate=learning_rate)


def radam(grads: list[Tree], params: Tree, *, learning_rate: Hyper, **settings: float) -> list[Tree]:
    """Step by -eta times the rectified ratio."""
    scaled = scale_by_radam(grads, params, **settings)
    return scale_by_learning_rate(scaled, params, learning_rate=learning_rate)
