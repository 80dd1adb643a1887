"""Matrices with all their singular values brought near 1, by Newton-Schulz steps on stacks of equal shapes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx._core.arrays.compat import explicit_sharding
from gradtx._core.arrays.layers import Names, from_layers, has_layers, to_layers
from gradtx._core.arrays.matrices import MATRIX, Axes, MuonDimensionNumbers, as_stack, axes_of, from_stack, stacked
from gradtx._core.arrays.numerics import abs_sq, accumulator, divide, root
from gradtx._core.contract.errors import describe, message

Coefficients = tuple[Any, Any, Any]
JORDAN: Coefficients = (3.4445, -4.775, 2.0315)
DION = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
PRESETS: dict[str, Any] = {"standard": JORDAN, "dion": DION}
PRECONDITIONINGS = ("frobenius", "spectral", "aol", "schatten")


def orders(transform: str, ns_coeffs: Any, ns_steps: int) -> tuple[Coefficients, ...]:
    """Return the three coefficients of each Newton-Schulz step.

    Raises:
        ValueError: they are no preset, three numbers, or three numbers for each step; ns_steps is no whole number.
    """
    if not isinstance(ns_steps, int) or isinstance(ns_steps, bool) or ns_steps < 0:
        raise ValueError(f"{transform}: ns_steps = {ns_steps!r}, expected a whole number >= 0; the paper's is 5")
    given = PRESETS.get(ns_coeffs, ns_coeffs) if isinstance(ns_coeffs, str) else ns_coeffs
    try:
        rows = (given,) * ns_steps if not np.ndim(given[0]) else tuple(given)
        traced = isinstance(given, jax.core.Tracer)
        return tuple((a, b, c) if traced else (float(a), float(b), float(c)) for a, b, c in rows)
    except (TypeError, ValueError, IndexError, KeyError):
        got = repr(ns_coeffs) if isinstance(ns_coeffs, (str, tuple)) else describe(ns_coeffs)
        raise ValueError(
            f"{transform}: ns_coeffs = {got}, expected three numbers, a tuple of three for each step, or one of "
            f"{sorted(PRESETS)}; the paper's are {JORDAN}"
        ) from None


def check_preconditioning(transform: str, preconditioning: Any) -> None:
    """Raise ValueError unless `preconditioning` is one that is known."""
    if preconditioning not in PRECONDITIONINGS:
        got, fix = f"= {preconditioning!r}", "the usual one is 'frobenius'"
        raise ValueError(message(transform, "preconditioning", got, f"one of {PRECONDITIONINGS}", fix))


def square_of(x: jax.Array) -> jax.Array:
    """Return x x^H of each matrix of a stack."""
    return x @ jnp.swapaxes(x.conj(), -1, -2)


def bounded(x: jax.Array, eps: Any, preconditioning: str) -> tuple[jax.Array, jax.Array | None]:
    """Return each matrix divided by what bounds its singular values by 1, and its square where that is known then."""
    if preconditioning in ("aol", "schatten"):
        square = square_of(x)
        size = root(abs_sq(square)) if jnp.iscomplexobj(x) else jnp.abs(square)
        if preconditioning == "aol":
            norm = root(jnp.sum(size, -1, keepdims=True))
        else:
            norm = root(root(jnp.sum(size * size, (-2, -1), keepdims=True)))
        per = lax.convert_element_type(divide(jnp.ones_like(norm), jnp.maximum(norm, eps)), x.dtype)
        return x * per, square * (per * jnp.swapaxes(per, -1, -2))
    if preconditioning == "spectral":
        norm = jnp.linalg.svd(x, compute_uv=False)[..., :1, None]
    else:
        norm = root(jnp.sum(abs_sq(x), (-2, -1), keepdims=True))
    return x * lax.convert_element_type(divide(jnp.ones_like(norm), norm + eps), x.dtype), None


def plain_step(x: jax.Array, square: jax.Array | None, row: Coefficients) -> jax.Array:
    """Return one Newton-Schulz step, a X + (b S + c S^2) X, where S is the square of x, None if it is not known yet."""
    a, b, c = row
    square = square_of(x) if square is None else square
    new: jax.Array = a * x + (b * square + c * (square @ square)) @ x
    return new


step_of_numbers = jax.jit(plain_step, static_argnums=2)  # traced once where the same numbers come again


def step(x: jax.Array, square: jax.Array | None, row: Coefficients) -> jax.Array:
    """Return one Newton-Schulz step with coefficients that are numbers or arrays."""
    if isinstance(row[0], float):
        known: jax.Array = step_of_numbers(x, square, row)
        return known
    a, b, c = (lax.convert_element_type(number, x.dtype) for number in row)
    return plain_step(x, square, (a, b, c))


def orthogonalised(x: jax.Array, rows: Sequence[Coefficients], eps: Any, preconditioning: str) -> jax.Array:
    """Return a stack of wide matrices with singular values near 1, 0 for a matrix of zeros."""
    if not x.size:
        return x

    # The result does not depend on the unit except through eps, so neither does its derivative. Without it the squares
    # of float32 gradients above 1.8e19 overflow and those of gradients below 1e-23 vanish.
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), (-2, -1), keepdims=True))
    unit = jnp.where(largest > 0, largest, jnp.ones_like(largest))
    eps = lax.convert_element_type(eps, unit.dtype) / unit
    x, square = bounded(x / lax.convert_element_type(unit, x.dtype), eps, preconditioning)
    for i, row in enumerate(rows):
        x = step(x, square if i == 0 else None, row)
    return x


def equals(arrays: Sequence[jax.Array], keys: Sequence[Any]) -> list[list[int]]:
    """Return the places of arrays that may be joined along their first axis: of one key and type."""
    groups: dict[Any, list[int]] = {}
    for i, (x, key) in enumerate(zip(arrays, keys, strict=True)):
        explicit, sharding = explicit_sharding(x)
        groups.setdefault((key, x.shape[1:], x.dtype, sharding if explicit else None), []).append(i)
    return list(groups.values())


def joined(arrays: Sequence[jax.Array]) -> jax.Array:
    """Return arrays joined along their first axis."""
    return arrays[0] if len(arrays) == 1 else lax.concatenate(arrays, 0)


def parted(x: jax.Array, like: Sequence[jax.Array]) -> Sequence[jax.Array]:
    """Return what was joined."""
    return [x] if len(like) == 1 else lax.split(x, [part.shape[0] for part in like])


def all_orthogonalised(
    values: Sequence[jax.Array],
    layouts: Sequence[Axes],
    rows: Sequence[Coefficients],
    eps: Any,
    preconditioning: str,
    layers: Names = (),
) -> list[jax.Array]:
    """Return arrays, each with one axis more in front, with their matrices orthogonalised.

    Those of one shape go through one chain of products, joined along the axis in front. Where `layers` are axes of a
    mesh, stacks are split along their first batch axis over these meanwhile.

    A tall matrix is transposed, which makes x x^H the smaller of its two products, and goes with the wide ones.
    """
    groups = equals(values, layouts)
    arrays = [joined([values[i] for i in group]) for group in groups]
    axes = [stacked(layouts[group[0]]) for group in groups]
    whole = [as_stack(x, own) for x, own in zip(arrays, axes, strict=True)]
    move = [bool(layers) and has_layers(layouts[group[0]]) for group in groups]
    stacks = [to_layers(stack, layers, 1) if moves else stack for stack, moves in zip(whole, move, strict=True)]
    tall = [stack.shape[-2] > stack.shape[-1] for stack in stacks]
    wide = [jnp.swapaxes(stack, -1, -2) if turn else stack for stack, turn in zip(stacks, tall, strict=True)]
    for same in equals(wide, [None] * len(wide)):
        before = [wide[i] for i in same]
        after = orthogonalised(joined(before), rows, eps, preconditioning)
        for i, part in zip(same, parted(after, before), strict=True):
            wide[i] = part
    out: list[Any] = [None] * len(values)
    for group, x, own, turn, stack, like, moves in zip(groups, arrays, axes, tall, wide, whole, move, strict=True):
        stack = jnp.swapaxes(stack, -1, -2) if turn else stack
        back = from_stack(from_layers(stack, like, layers, 1) if moves else stack, own, x.shape)
        for i, part in zip(group, parted(back, [values[i] for i in group]), strict=True):
            out[i] = part
    return out


def orthogonalize_via_newton_schulz(
    x: jax.Array,
    ns_coeffs: Any,
    ns_steps: int = 5,
    preconditioning: str = "frobenius",
    eps: float = 1e-8,
    dimension_numbers: MuonDimensionNumbers | None = None,
) -> jax.Array:
    """Return a matrix with its singular vectors kept and its singular values brought near 1.

    X_0 = x / s; X_i = a X + (b X X^H + c (X X^H)^2) X for each step i, where X = X_{i-1}. s is |x|_F + eps for
    "frobenius", the largest singular value + eps for "spectral", |X X^H|_F^(1/2), at least eps, for "schatten", and for
    "aol" a number for each row, the root of the sum of |x x^H| along it, at least eps.

    Units: dimensionless; eps has the units of x.
    Differs from: optax's, which holds the sums of "aol" and "schatten" to 1e-8, whatever eps is, so that matrices of
    entries of 1e-8 and less are not brought near 1 there, and which computes in half precision where x has it.

    Args:
        x: the matrix, or an array with `dimension_numbers`.
        ns_coeffs: a, b and c; three numbers for each step, which then counts the steps; or "standard" or "dion".
        ns_steps: the number of steps.
        preconditioning: what to divide by first: "frobenius", "spectral", "aol" or "schatten".
        eps: added to the norm, >= 0.
        dimension_numbers: which axes are the rows and the columns; all others are a batch of matrices.

    Returns:
        An array like x.

    Raises:
        ValueError: x is no matrix and there are no dimension numbers; coefficients, steps or preconditioning that are
            not known.

    Cost: 3 matrix products per step, one less in the first of "aol" and "schatten"; "spectral" takes an SVD.

    References:
        Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/
        Boissin et al. 2025, https://arxiv.org/abs/2512.04632
        Grishina et al. 2025, https://arxiv.org/abs/2506.10935

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> x = jnp.array([[3.0, 0.0], [0.0, -0.5]])
        >>> y = gradtx.orthogonalize_via_newton_schulz(x, (1.5, -0.5, 0.0), 20, "aol")
        >>> y.round(4).tolist()
        [[1.0, 0.0], [0.0, -1.0]]
    """
    name = "orthogonalize_via_newton_schulz"
    rows = orders(name, ns_coeffs, ns_steps)
    check_preconditioning(name, preconditioning)
    if dimension_numbers is None and x.ndim != 2:  # a matrix
        fix = "give dimension_numbers=MuonDimensionNumbers(-2, -1) for a stack of matrices"
        raise ValueError(message(name, "x", f"has shape {tuple(x.shape)}", "2 dimensions", fix))
    axes = MATRIX if dimension_numbers is None else axes_of(name, lambda: "x", dimension_numbers, x.shape)
    wide = lax.convert_element_type(x, accumulator(x.dtype))
    out = all_orthogonalised([wide[None]], [axes], rows, eps, preconditioning)[0][0]
    return lax.convert_element_type(out, x.dtype)
