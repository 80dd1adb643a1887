"""The contract of shardings, found by the types of an abstract mesh, or by a compiled step where these do not tell."""

from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from gradtx._core.arrays.meshes import full, named, with_axis
from gradtx._core.contract.errors import structure
from gradtx._core.engine.placed import tree_map_params
from gradtx.memory.findings import Finding, NotRun, paths_without_none
from gradtx.memory.placing import with_sharding, without_sharding
from gradtx.memory.trial import Trial

ALIKE = "make it with jnp.zeros_like(p), which lies where p does, or jax.reshard it to jax.typeof(p).sharding"

LIES = "compute it element by element from arrays that lie as the parameter, or jax.reshard it"


def shardings(trial: Trial) -> list[Finding] | NotRun:
    """Check that slots lie as their params after init, and that update leaves them so and its updates too."""
    placed, mesh = split(trial)
    if mesh is None:
        return NotRun("no parameter has a dimension that 2 divides; pass specs= and mesh=")
    grads = jax.tree.map(lambda g, p: typed(g, p.sharding), trial.grads, placed)
    with jax.sharding.use_abstract_mesh(mesh):
        try:
            made = jax.eval_shape(trial.tx.init, placed)
        except Exception as error:
            own = "" if trial.placed.mesh is not None else "; pass specs= and mesh= if it has a mesh of its own"
            return NotRun(f"init is not written for meshes with Explicit axes ({type(error).__name__}){own}")
        found = [
            Finding(path, f"lies as {spec_of(x)}", f"{spec_of(p)} as params{own}", ALIKE)
            for path, x, own, p in slots(trial.tx.init, made, placed)
            if not covers(x, p)
        ]
        refused = ""
        try:
            updates, after = jax.eval_shape(trial.update, grads, made, placed)
        except Exception as error:  # sums and products that an Explicit mesh wants told
            refused = type(error).__name__
    if refused:
        return found or where_a_step_leaves_them(trial, refused)
    for path, x, own, p in of_params("updates", updates, placed):
        if not covers(x, p):
            found.append(Finding(path, f"lies as {spec_of(x)}", f"{spec_of(p)} as params{own}", LIES))
    if structure(after) != structure(made):
        return found
    for path, x, old in zip(
        paths_without_none("state", after), jax.tree.leaves(after), jax.tree.leaves(made), strict=True
    ):
        if spec_of(x) != spec_of(old):
            found.append(Finding(path, f"lies as {spec_of(x)} after update", f"{spec_of(old)} as after init", LIES))
    return found


def where_a_step_leaves_them(trial: Trial, error: str) -> list[Finding] | NotRun:
    """Check the arrays of a compiled step, where the params lie on several devices."""
    if trial.arrays is None or not any(isinstance(x.sharding, NamedSharding) for x in jax.tree.leaves(trial.params)):
        return NotRun(f"update is not written for meshes with Explicit axes ({error}); pass params that lie on a mesh")
    start = trial.fresh()
    _, after, updates = trial.run(start, trial.tx.init(start), trial.gradients())
    return [
        Finding(path, f"lies in shards of {shard(x)}", f"{shard(p)} as params{own}", LIES)
        for path, x, own, p in [
            *slots(trial.tx.init, after, trial.params),
            *of_params("updates", updates, trial.params),
        ]
        if any(had > wanted for had, wanted in zip(shard(x), shard(p), strict=True))
    ]


def shard(x: Any) -> tuple[int, ...]:
    """Return the shape of an array's part on one device."""
    sharding = getattr(x, "sharding", None)
    return tuple(x.shape) if sharding is None else tuple(sharding.shard_shape(x.shape))


def split(trial: Trial) -> tuple[Any, Any]:
    """Return the params on an abstract mesh: the user's, or one of two devices that splits what it divides."""
    if trial.placed.mesh is not None:
        return trial.placed.params, trial.placed.mesh
    mesh = AbstractMesh((2,), ("check",), axis_types=(AxisType.Explicit,))

    def one(p: Any) -> Any:
        return with_sharding(p, NamedSharding(mesh, with_axis(p.shape, PartitionSpec(), "check", {"check": 2})))

    made = jax.tree.map(one, jax.tree.map(without_sharding, trial.placed.params))
    divided = any(any(map(named, p.sharding.spec)) for p in jax.tree.leaves(made))
    return made, mesh if divided else None


def typed(g: Any, sharding: Any) -> Any:
    """Return the shape of a gradient with a sharding; what stands for no gradient as it is."""
    return with_sharding(g, sharding) if isinstance(g, jax.ShapeDtypeStruct) else g


def spec_of(x: Any) -> Any:
    """Return how an array is divided, in full length."""
    spec = x.sharding.spec if isinstance(getattr(x, "sharding", None), NamedSharding) else ()
    return PartitionSpec(*full(spec, len(x.shape)))


def covers(x: Any, p: Any) -> bool:
    """Return True if an array is split over all axes, dimension by dimension, over which its parameter is."""
    return all(set(named(q)) <= set(named(s)) for q, s in zip(spec_of(p), spec_of(x), strict=True))


def of_params(root: str, tree: Any, params: Any) -> list[tuple[str, Any, str, Any]]:
    """Return the leaves at the path of a parameter and in its shape: path, leaf, the parameter's path, parameter."""
    owners = sorted(zip(paths_without_none("", params), jax.tree.leaves(params), strict=True), key=lambda x: -len(x[0]))
    found = []
    for path, x in zip(paths_without_none(root, tree), jax.tree.leaves(tree), strict=True):
        own = next((owner for owner in owners if path.endswith(owner[0]) and owner[1].shape == x.shape), None)
        if own is not None:
            found.append((path, x, *own))
    return found


def slots(init: Any, state: Any, params: Any) -> list[tuple[str, Any, str, Any]]:
    """Return the same for a state: by what it holds in place of the params, where that can be told."""
    names = jax.tree.unflatten(structure(params), paths_without_none("", params))
    owners = dict(zip(jax.tree.leaves(names), jax.tree.leaves(params), strict=True))
    try:
        shapes = jax.tree.map(without_sharding, params)
        held = tree_map_params(init, lambda _, name, p: name, state, names, shapes, transform_non_params=lambda _: "no")
        own = [name if name in owners else None for name in jax.tree.leaves(held)]
    except Exception:  # an init that takes no tree without leaves
        return of_params("state", state, params)
    rows = zip(paths_without_none("state", state), jax.tree.leaves(state), own, strict=True)
    return [
        (path, x, name, owners[name]) for path, x, name in rows if name is not None and x.shape == owners[name].shape
    ]
