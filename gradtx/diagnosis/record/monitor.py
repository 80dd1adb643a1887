"""`watch`: a wrapper for any transform that records what only the optimizer sees, and changes no update."""

from typing import Any

import optax

from gradtx._core.arguments.ranges import Range, check
from gradtx._core.contract.transform import Info, Transform
from gradtx._core.contract.writing import shown
from gradtx._core.engine.members import check_member
from gradtx.diagnosis.record import axes
from gradtx.diagnosis.record.body import Watch, WatchState

__all__ = ["WatchState", "watch"]


def watch(
    tx: optax.GradientTransformation,
    *,
    every: int | None = None,
    groups: Any = None,
    learning_rate: Any = None,
    axis_name: Any = None,
) -> Transform:
    """Record what only the optimizer sees, so that `diagnose` can say why training is stuck.

    Wraps any transform, gradtx's or optax's. The updates are the transform's own, bit for bit; the state gains a record
    of fixed size (36 kB, 4 kB a group, 16 bytes a sampled coordinate) that needs no host sync, works under jit, scan,
    vmap and sharding, and travels in a checkpoint. Call `tx.update(grads, state, params, value=loss)`: without `value`
    the record has no loss and the verdicts are fewer, without `params` it has no update/parameter ratio and no
    straightness.

    With g_t the gradient, u_t the update (the change of the parameters) and all sums in float32, a measured step
    records |g|^2, |u|^2, |p|^2 per group and in all, the slope g_t.u_t, the end slope g_t.u_{t-1} of the last step and
    so rho_t = g_t.u_{t-1} / g_{t-1}.u_{t-1}, the cosines of g_t with g_{t-1} and g_{t-2} and of u_t with u_{t-1}, the
    straightness |sum of 64 u|^2 / sum |u|^2, the smallest, mean and largest effective rate eta/sigma, the clip factor
    and the share of exact zeros. Products between steps come from a sample of about 16,384 coordinates, exact below
    that.
    The loss is recorded at every step. A step whose gradient is not finite and whose update is (`apply_if_finite`) is
    counted as skipped where it is seen: at measured steps, and where the loss is not finite either. Recording stops at
    the first step whose update, or whose loss alone, is not finite, which keeps the evidence.

    Units: those of the quantities recorded.

    Args:
        tx: the transform to watch.
        every: a run of 3 steps is measured in every so many; 1 measures every step. None is 1 up to 65,536
            parameters and 96 above.
        groups: how the report groups parameters: None by the keys of the first level that has two or more, a function
            of the path, or a tree of labels like the params or a prefix of them.
        learning_rate: number or schedule to report for a chain that does not say it (optax's).
        axis_name: axis of `shard_map`, or a tuple of them, to sum over: norms, slopes and counts are then those of all
            devices, and a loss that differs by device is averaged. A leaf that is the same on all counts once; under
            `check_vma=False`, where types do not tell, every leaf is taken to be split.

    State:
        `WatchState(inner, record)`.

    Raises:
        TypeError: `tx` is no transform.
        ValueError: every < 1; a tree of labels that does not fit the params; a value that is not a scalar; a gradient
            that differs along an axis of `shard_map` that is not in `axis_name`.

    Cost: no array of the model's size; nearly nothing on the steps between, 1 to 2 more steps on a measured one.

    References:
        Schneider, Dangel & Hennig 2021 (the end slope, as Cockpit's alpha), https://arxiv.org/abs/2102.06604

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> tx = gradtx.watch(gradtx.sgd(0.9))
        >>> p = jnp.array(1.0)
        >>> state = tx.init(p)
        >>> for _ in range(3):
        ...     updates, state = tx.update(2 * p, state, p, value=p**2)
        ...     p = p + updates
        >>> round(gradtx.metrics(state)["rho"], 4)
        -0.8
    """
    check_member("watch", "tx", tx)
    if every is not None and (not isinstance(every, int) or isinstance(every, bool) or every < 1):
        raise ValueError(f"watch: every = {every!r}, expected a whole number >= 1; write every=1 to measure every step")
    names = axes.named(axis_name)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"watch: axis_name = {axis_name!r}, expected the name of an axis or a tuple of names; write 'x'"
        )
    if learning_rate is not None:
        check("watch", {"learning_rate": learning_rate}, {"learning_rate": Range("[0, inf)", event=True)})
    inner = optax.with_extra_args_support(tx)
    body = Watch("watch", tx if isinstance(tx, Transform) else inner, every, groups, learning_rate, names)
    return Transform.of(body, Info({"tx": tx}, f"watch({shown(tx)})"))
