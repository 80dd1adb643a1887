"""Measure the loss itself: curvature, sharpness relative to the edge of stability, and the loss along the update."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gradtx.diagnosis.probing.arguments import check_arguments, check_extras, check_point, state_is_of
from gradtx.diagnosis.probing.curvature import Spectrum, inner, spectrum, vector_dtype
from gradtx.diagnosis.probing.edge import growth, stability_edge
from gradtx.diagnosis.probing.line import SCALES, Line, Way, falls_without_end, gradient_noise, line_probe, way_down
from gradtx.diagnosis.probing.point import Point
from gradtx.diagnosis.probing.probed import Probe
from gradtx.diagnosis.record import rates


def probe(
    loss_fn: Callable[..., Any],
    params: Any,
    batch: Any,
    *,
    tx: optax.GradientTransformation | None = None,
    state: Any = None,
    learning_rate: float | None = None,
    rate: Any = None,
    update: Any = None,
    steps: int = 20,
    key: jax.Array | None = None,
    has_aux: bool = False,
    batches: Sequence[Any] | None = None,
    directions: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    memory: float = 2e8,
) -> Probe:
    """Measure the curvature of the loss at a point and the loss along the optimizer's next update.

    H is the Hessian of the loss on the batch, lambda_max and lambda_min its extreme eigenvalues, by Lanczos with full
    reorthogonalisation. Sharpness is the largest eigenvalue of D^1/2 H D^1/2 with D = eta / sigma; above the edge (2
    for plain descent, 2 (1 + b) for the heavy ball, (2 + 2b) / (1 - b) for an average of gradients as Adam's) the
    optimizer diverges on a quadratic. With u the next update, the loss is taken at p + s u for s from 0.03 to 10,000;
    where lambda_min is negative, also along its eigenvector, both ways.
    Everything is computed in float32 or wider, half-precision params too.

    Units: lambda has those of the loss over those of p squared; sharpness, edge and scales are dimensionless.

    Args:
        loss_fn: `(params, batch) -> scalar loss`, twice differentiable; the same function object is compiled once.
        params: tree of real floating arrays; None leaves pass.
        batch: second argument of `loss_fn`, large and fixed: on a small batch the eigenvalues are noise.
        tx: the optimizer, for its update, effective rate and edge; of optax's only the update is known.
        state: its state.
        learning_rate: eta; without tx, u = -learning_rate g; with tx it is only reported, in place of tx's.
        rate: D itself, a tree like the params or a number >= 0; None reads it from tx. Without tx, u = -rate g.
        update: the direction u to probe; None is tx's, else minus rate or learning_rate times g, else -g.
        steps: Lanczos steps, >= 1; 10 resolve lambda_max, 20 mostly lambda_min.
        key: random key of the start; None is `jax.random.key(0)`.
        has_aux: whether `loss_fn` returns (loss, aux).
        batches: list of 2 minibatches or more, to measure how much of the gradient is noise.
        directions: further directions to take the loss along, by name, each like the params.
        extra: extra arguments of `tx.update`; `value`, the loss, is given anyway.
        memory: elements the Lanczos basis may hold; above it power iteration takes over, with 2 vectors.

    Returns:
        `Probe`; print it.

    Raises:
        ValueError: a loss that is not a scalar; a loss or gradient that is not finite here; a tree that does not fit
            the params; a state that is not tx's; traced params; steps < 1.
        TypeError: an argument of the wrong kind; params or a loss that are not real floating.

    Cost: steps + 1 products of about 2 gradients each, as many again for the sharpness of a chain with a sigma, and 10
        losses, 40 where lambda_min is negative; memory of steps x parameters.

    References:
        Lanczos 1950, https://doi.org/10.6028/jres.045.026
        Cohen et al. 2021 (edge of stability), https://arxiv.org/abs/2103.00065
        Cohen et al. 2022 (adaptive methods), https://arxiv.org/abs/2207.14484

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> saddle = lambda p, batch: 5 * p[0] ** 2 - p[1] ** 2
        >>> found = gradtx.probe(saddle, jnp.array([1.0, 0.0]), None, learning_rate=0.19)
        >>> round(found.lambda_max, 3), round(found.lambda_min, 3), found.curvature_sign
        (10.0, -2.0, 'negative')
        >>> round(found.sharpness, 3), found.edge, round(found.line_minimum, 4)
        (1.9, 2.0, 0.5263)
    """
    check_arguments(tx, state, learning_rate, steps, batches)
    check_extras(key, directions, extra, memory)
    check_point(loss_fn, params, batch)
    point = Point.at(loss_fn, params, batch, has_aux)
    given = {"value": jnp.asarray(point.loss), **(extra or {})}
    if rate is None:
        rate = learning_rate
        if tx is not None:
            with state_is_of(tx, state, params):
                rate = rates.effective_rate(tx, state, point.narrow_grads(), params, limits=True, **given)
    rate = point.rate(rate)
    if update is None:
        with state_is_of(tx, state, params):
            u = point.next_update(tx, state, rate, given)
    else:
        u = point.like_params("update", update)
    line = line_of(point, u)
    lines = {
        name: line_of(point, point.like_params(f"directions[{name!r}]", x)) for name, x in (directions or {}).items()
    }
    start = jax.random.key(0) if key is None else key
    ends = spectrum(point.objective, point.wide, batch, start, steps, memory)
    sharpness, residual, more = ends.largest, ends.largest_residual, 0
    if not (rate is None or isinstance(rate, float)):
        scaled = spectrum(point.objective, point.wide, batch, start, steps, memory, root=jax.tree.map(jnp.sqrt, rate))
        sharpness, residual, more = scaled.largest, scaled.largest_residual, scaled.products
    elif rate is not None:
        sharpness, residual = rate * sharpness, rate * residual
    eta = rates.learning_rate(tx, state) if learning_rate is None and tx is not None else learning_rate
    down = way_down(*point.here, ends.lowest) if ends.sign == "negative" else None
    minimum = -line.slope / line.curvature if line.slope < 0 < line.curvature else None
    is_gradient = tx is None and update is None and rate is None  # u = -g, whose multiples are learning rates
    unit = 1.0 if is_gradient else None if eta is None else float(eta)
    noise = None if batches is None else gradient_noise(point.objective, point.wide, batches)
    return Probe(
        loss=point.loss,
        gradient_norm=float(rates.norm(point.grads)),
        parameters=sum(x.size for x in jax.tree.leaves(point.wide)),
        method=ends.method,
        products=ends.products + more + 1 + len(lines) + (0 if down is None else 3 if down.fall > 0 else 2),
        lambda_max=ends.largest,
        lambda_max_residual=ends.largest_residual,
        lambda_min=ends.smallest,
        lambda_min_residual=ends.smallest_residual,
        curvature_sign=ends.sign,
        lambda_min_fall=None if down is None else down.fall,
        lambda_min_steps=None if down is None or rate is None else steps_away(point, tx, state, rate, ends, down),
        sharpness=None if rate is None else sharpness,
        sharpness_residual=None if rate is None else residual,
        edge=stability_edge(tx, state) if tx is not None else None if rate is None else 2.0,
        learning_rate=None if eta is None else float(eta),
        update_norm=float(rates.norm(u)),
        slope=line.slope,
        curvature=line.curvature,
        line_minimum=minimum,
        best_learning_rate=None if minimum is None or unit is None else unit * minimum,
        scales=SCALES,
        losses=tuple(x if math.isfinite(x) else None for x in line.losses),
        best_scale=line.best_scale,
        best_fall=line.best_fall,
        signal=None if noise is None else noise.signal,
        signal_error=None if noise is None else noise.error,
        noise_scale=None if noise is None or noise.signal <= 0 else (1.0 - noise.signal) / noise.signal,
        batches=len(batches or ()),
        endless=line.best_scale == SCALES[-1] and falls_without_end(*point.here, u),
        directions={name: (x.best_scale, x.best_fall) for name, x in lines.items()},
    )


def steps_away(point: Point, tx: Any, state: Any, rate: Any, ends: Spectrum, way: Way) -> float | None:
    """Return after how many steps at this rate the run has left along its lowest eigenvector, None if it is not known.

    What of the gradient leads there is a displacement |g.v| / |lambda|, and each step multiplies it by the same factor.
    Where it is no more than rounding of the gradient, it may be nothing.
    """
    v = ends.lowest
    along_v = rate if isinstance(rate, float) else float(inner(v, jax.tree.map(jnp.multiply, rate, v)))
    factor = growth(tx, state, along_v * ends.smallest) if tx is not None else 1.0 - along_v * ends.smallest
    rounding = float(jnp.finfo(vector_dtype(point.wide)).eps) * float(rates.norm(point.grads))
    if not (factor > 1.0 and way.length > 0.0 and way.slope > rounding):
        return None
    return max(math.log(way.length * -ends.smallest / way.slope), 0.0) / math.log(factor)


def line_of(point: Point, u: Any) -> Line:
    """Return the loss along u."""
    return line_probe(*point.here, u)
