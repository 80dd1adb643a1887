"""The spec of each parameter: as the user gives it, or as its array lies."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from gradtx._core.arrays.masks import at_each_leaf
from gradtx._core.arrays.meshes import axis_kinds, full, named, parts_in, sharding_of
from gradtx._core.arrays.tree import flatten, is_float0, leaf_error
from gradtx._core.contract.errors import describe

REPLICATED = PartitionSpec()


def is_array(x: Any) -> bool:
    """Return True for an array, or the shape of one, that can be split: not for None, float0 and numbers."""
    return hasattr(x, "shape") and hasattr(x, "dtype") and not is_float0(x)


def own_specs(transform: str, specs: Any, tree: Any, root: str, axis: str | None, mesh: Any) -> list[Any]:
    """Return the spec of each leaf of a tree, of full length; None where it is no array.

    Args:
        transform: name in errors.
        specs: a tree of specs or shardings like `tree`, a prefix of it, or a function of it that returns one; None
            takes the specs of the leaves themselves.
        tree: the params, or gradients like them.
        root: name of the tree in errors.
        axis: the axis that is to be added, over which leaves of unknown specs are not split.
        mesh: the mesh.

    Raises:
        ValueError: a spec names an axis that the mesh lacks, or twice, has more entries than the leaf dimensions, or
            does not divide it; specs is None where the leaves do not tell.
        TypeError: a leaf of specs is no spec.
    """
    leaves = flatten(tree)[0]
    if specs is None:
        return [own_spec(transform, tree, root, i, x, axis, mesh) for i, x in enumerate(leaves)]
    fix = "give one PartitionSpec for each of the params, P() where one is replicated"
    given, found = at_each_leaf(transform, "specs", specs, tree, root, fix)
    out: list[Any] = []
    for i, ((spec, place, x), leaf) in enumerate(zip(found, leaves, strict=True)):
        del x
        spec = spec.spec if isinstance(spec, NamedSharding) else REPLICATED if spec is None else spec
        if not isinstance(spec, PartitionSpec):
            raise TypeError(
                leaf_error(transform, "specs", given, place, f"is {describe(spec)}", "a PartitionSpec", fix)
            )
        out.append(checked(transform, tree, root, i, leaf, spec, mesh) if is_array(leaf) else None)
    return out


def own_spec(transform: str, tree: Any, root: str, i: int, x: Any, axis: str | None, mesh: Any) -> Any:
    """Return the spec of one leaf as it lies, None where it is no array.

    Under jit the type of an array tells nothing of axes that are Auto. An array that lies on no mesh is taken to be
    replicated, and so is one under jit where the mesh has no other axis that it could be split over.

    Raises:
        ValueError: it may be split over an axis that its type does not tell.
    """
    if not is_array(x):
        return None
    sharding = sharding_of(x)
    spec = REPLICATED if sharding is None else sharding.spec
    if isinstance(x, jax.core.Tracer):
        kinds = axis_kinds(mesh)
        hidden = [name for name, n in mesh.shape.items() if kinds[name] == "Auto" and n > 1 and name != axis]
        if hidden:
            got = f"may be split over {', '.join(map(repr, hidden))}, which jit does not tell"
            fix = "give specs=, P() if all params are replicated"
            raise ValueError(leaf_error(transform, root, tree, i, got, "to be told its spec", fix))
    return PartitionSpec(*full(spec, len(x.shape)))


def checked(transform: str, tree: Any, root: str, i: int, x: Any, spec: PartitionSpec, mesh: Any) -> PartitionSpec:
    """Return the spec of a leaf in full length.

    Raises:
        ValueError: it does not fit the leaf or the mesh; the error names the path of the leaf.
    """
    shape, sizes, parts = tuple(x.shape), dict(mesh.shape), full(spec, len(x.shape))
    wrong = misfit(shape, parts, sizes)
    if wrong:
        got = f"has shape {shape} and the spec {spec}, {wrong[0]}"
        raise ValueError(leaf_error(transform, root, tree, i, got, wrong[1], "change the spec, or P() to replicate it"))
    return PartitionSpec(*parts)


def misfit(shape: tuple[int, ...], parts: Sequence[Any], sizes: Mapping[str, int]) -> tuple[str, str] | None:
    """Return what is wrong with a spec, and what is expected; None if it fits."""
    if len(parts) > len(shape):
        return f"which has {len(parts)} entries", f"at most {len(shape)}"
    axes = [axis for part in parts for axis in (named(part) if isinstance(part, (str, tuple)) else (part,))]
    axes = [axis for axis in axes if axis is not None]
    lacking = [axis for axis in axes if axis not in sizes]
    if lacking:
        return f"but the mesh has no axis {lacking[0]!r}", f"axes of {tuple(sizes)}"
    if len(axes) > len(set(axes)):
        return "which names an axis twice", "each axis once"
    for size, part in zip(shape, parts, strict=True):
        if size % parts_in(part, sizes):
            return f"which splits {size} into {parts_in(part, sizes)} parts", "a spec that divides it"
    return None
