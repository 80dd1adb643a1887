"""`check`: a transform broken on purpose for each contract is found, by contract, leaf and remedy."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx.memory.contracts import CONTRACTS, program
from tests.registry import ROWS

P = jax.P
MESH = jax.make_mesh((2,), ("x",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
SPLIT = jax.NamedSharding(MESH, P(None, "x"))


def params() -> Any:
    return {"w": jnp.ones((4, 2), jnp.float32), "b": jnp.ones((), jnp.float32)}


def zeros(p: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, p)


def averaged(g: Any, mean: Any) -> Any:
    return jax.tree.map(lambda g, m: 0.5 * m + 0.5 * g, g, mean)


def momentum(g: Any, state: Any, p: Any = None) -> Any:
    del p
    mean = averaged(g, state)
    return mean, mean


# --- one transform for each contract ----------------------------------------------------------------------------------


def reads_values() -> Any:
    return lambda p: {"far": jnp.array(float(p["w"].sum()) > 1.0)}, lambda g, s, p=None: (g, s)


def decides_by_values() -> Any:
    def update(g: Any, s: Any, p: Any = None) -> Any:
        del p
        return (g, s) if float(g["b"]) > 0 else (zeros(g), s)

    return lambda p: (), update


def sees_whether_it_is_traced() -> Any:
    def init(p: Any) -> Any:
        return jnp.zeros((), jnp.float32 if isinstance(p["w"], jax.core.Tracer) else jnp.int32)

    return init, lambda g, s, p=None: (g, s)


def drifts_in_dtype() -> Any:
    def update(g: Any, s: Any, p: Any = None) -> Any:
        del p
        return g, {"mean": averaged(g, jax.tree.map(lambda x: x.astype(jnp.float32), s["mean"]))}

    return lambda p: {"mean": jax.tree.map(lambda x: x.astype(jnp.bfloat16), p)}, update


def counts_weakly() -> Any:
    def update(g: Any, s: Any, p: Any = None) -> Any:
        del p
        return g, {"count": jax.lax.convert_element_type(s["count"] + 1, s["count"].dtype)}

    return lambda p: {"count": jnp.asarray(0)}, update


def grows() -> Any:
    return lambda p: {}, lambda g, s, p=None: (g, {"last": g})


def changes_container() -> Any:
    return lambda p: [zeros(p)], lambda g, s, p=None: (g, (s[0],))


def sums_up() -> Any:
    return lambda p: (), lambda g, s, p=None: (jax.tree.map(jnp.sum, g), s)


def drops_a_leaf() -> Any:
    return lambda p: (), lambda g, s, p=None: ({"w": g["w"]}, s)


def rounds_to_integers() -> Any:
    return lambda p: (), lambda g, s, p=None: (jax.tree.map(lambda x: x.astype(jnp.int32), g), s)


def counts_in_python() -> Any:
    calls: list[int] = []

    def update(g: Any, s: Any, p: Any = None) -> Any:
        del p
        calls.append(1)
        return {**g, "w": g["w"] / len(calls)}, s

    return lambda p: (), update


def remembers_in_python() -> Any:
    last: dict[str, Any] = {}

    def update(g: Any, s: Any, p: Any = None) -> Any:
        del p
        out = averaged(g, last.get("g", g))
        last["g"] = g
        return out, s

    return lambda p: (), update


def keeps_the_params() -> Any:
    return lambda p: {"slow": p, "step": jnp.zeros((), jnp.int32)}, lambda g, s, p=None: (g, s)


def has_one_array_twice() -> Any:
    def init(p: Any) -> Any:
        mean = zeros(p)
        return {"mu": mean, "nu": mean}

    return init, lambda g, s, p=None: (g, s)


def reads_the_first_params() -> Any:
    kept: dict[str, Any] = {}

    def init(p: Any) -> Any:
        kept["w"] = p["w"]
        return ()

    return init, lambda g, s, p=None: ({**g, "w": kept["w"] - p["w"]}, s)


def makes_bare_zeros() -> Any:
    return lambda p: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), p), momentum


def gathers_its_update() -> Any:
    def update(g: Any, s: Any, p: Any = None) -> Any:
        del p
        whole = jax.tree.map(lambda x: jax.sharding.reshard(x, P()) if jax.typeof(x).sharding.mesh.axis_names else x, g)
        return whole, s

    return lambda p: (), update


def divides_by_its_norm() -> Any:
    def update(g: Any, s: Any, p: Any = None) -> Any:
        del p, s
        scaled = {**g, "w": g["w"] / jnp.linalg.norm(g["w"])}
        return scaled, scaled

    return zeros, update


BROKEN: list[tuple[Any, str, str, str]] = [
    (reads_values, "abstract", "params['w']", "has to be known in init (ConcretizationTypeError)"),
    (decides_by_values, "abstract", "grads['b']", "use jnp.where"),
    (sees_whether_it_is_traced, "abstract", "state", "is int32 of shape () for arrays, expected float32 of shape ()"),
    (drifts_in_dtype, "state", "state['mean']['b']", "is float32 of shape () after update, expected bfloat16"),
    (counts_weakly, "state", "state['count']", " weakly typed as after init"),
    (grows, "state", "state['last']['b']", "is a leaf after update, expected none as after init"),
    (changes_container, "state", "state", "is tuple of 1 after update, expected list of 1"),
    (sums_up, "params", "updates['w']", "has shape (), expected (4, 2) as its parameter"),
    (drops_a_leaf, "params", "updates['b']", "is missing in the updates, expected a leaf there as in the params"),
    (rounds_to_integers, "params", "updates['b']", "is int32, expected what can be added to float32"),
    (counts_in_python, "scan", "updates['w']", "keep what changes from step to step in the state"),
    (remembers_in_python, "scan", "tx.update", "reads what was computed in another trace"),
    (keeps_the_params, "donation", "state['slow']['b']", "is the array of params['b'], expected an array of its own"),
    (has_one_array_twice, "donation", "state['nu']['b']", "is the array of state['mu']['b']"),
    (reads_the_first_params, "donation", "params['w']", "let init return it in the state, and copy it"),
    (makes_bare_zeros, "shardings", "state['w']", "lies as P(None, None), expected P('check', None) as params['w']"),
    (gathers_its_update, "shardings", "updates['w']", "lies as P(None, None), expected P('check', None)"),
    (divides_by_its_norm, "zero gradients", "updates['w']", "is not finite after a gradient of 0, expected finite"),
]  # fmt: skip


def text(finding: Any) -> str:
    """Return a finding with specs as the newest jax prints them."""
    return str(finding).replace("PartitionSpec(", "P(")


@pytest.mark.parametrize(("make", "contract", "path", "words"), BROKEN, ids=[case[0].__name__ for case in BROKEN])
def test_a_broken_contract_is_named_with_leaf_and_remedy(make: Any, contract: str, path: str, words: str) -> None:
    report = gradtx.check(make(), params())
    assert not report
    assert [name for name, found in report.failures.items() if found] == [contract]
    first = report.failures[contract][0]
    assert first.path == path
    assert words in text(first)
    assert f"  {contract:<15} BROKEN" in str(report)
    assert str(first) in str(report)
    assert repr(report) == f"<CheckReport: broken: {contract}; print() shows it>"


def test_each_contract_has_a_transform_that_breaks_it() -> None:
    assert {case[1] for case in BROKEN} == set(CONTRACTS)


@pytest.mark.parametrize("make", [keeps_the_params, has_one_array_twice])
def test_arrays_that_are_shared_are_found_on_shapes_too(make: Any) -> None:
    """Of a size that nobody could compute with here."""
    shapes = {"w": jax.ShapeDtypeStruct((80_000, 40_000), jnp.bfloat16), "b": jax.ShapeDtypeStruct((), jnp.float32)}
    report = gradtx.check(make(), shapes)
    assert [name for name, found in report.failures.items() if found] == ["donation"]
    assert {"state['slow']['w']", "state['nu']['w']"} & {found.path for found in report.failures["donation"]}
    assert set(report.not_run) == {"zero gradients"}
    assert "not run  the shapes are too large" in str(report)


def test_what_needs_values_is_found_on_shapes_alone() -> None:
    shapes = {"w": jax.ShapeDtypeStruct((80_000, 40_000), jnp.float32), "b": jax.ShapeDtypeStruct((), jnp.float32)}
    for make, leaf in ((reads_values, "params['w']"), (decides_by_values, "grads['b']")):
        report = gradtx.check(make(), shapes)
        assert [found.path for found in report.failures["abstract"]] == [leaf]
        assert report.not_run["scan"] == "abstract first"
    for make, words in (
        (counts_in_python, "gives another program"),
        (reads_the_first_params, "reads what was"),
    ):
        assert gradtx.check(make(), shapes).failures["scan"][0].got.startswith(words)


SOUND: dict[str, Any] = {
    "optax": optax.adamw(1e-3),
    "optax in a chain of ours": gradtx.chain(gradtx.clip_by_global_norm(1.0), optax.adam(1e-3)),
    "a pair": (zeros, momentum),
    "fp8": gradtx.chain(gradtx.store(gradtx.adam(1e-3), mu="fp8", nu="fp8_root"), gradtx.keep_residue()),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_transforms_pass(name: str) -> None:
    with jax.numpy_dtype_promotion("standard"):  # for optax
        report = gradtx.check(SOUND[name], jax.eval_shape(params))
    assert report, str(report)
    assert not report.not_run
    assert repr(report).startswith("<CheckReport: all hold")
    assert str(report).count(" holds ") == len(CONTRACTS)


def test_a_program_is_the_same_wherever_its_functions_lie() -> None:
    assert program("jvp=<function f at 0x7f1a>") == program("jvp=<function f at 0x602b>") != program("jvp=<function g>")


SAMPLE = ["adafactor", "lookahead", "accumulate"]


@pytest.mark.parametrize("row", [row for row in ROWS if row.name in SAMPLE], ids=lambda row: row.name)
def test_rows_of_the_registry_pass(row: Any) -> None:
    report = gradtx.check(row.make(), params(), extra=row.given, grads_dtype=jnp.bfloat16)
    assert report, str(report)


def test_params_on_a_mesh_stay_there_and_are_not_changed() -> None:
    given = {"w": jax.device_put(jnp.ones((4, 2), jnp.float32), jax.NamedSharding(MESH, P(None, "x")))}
    assert gradtx.check(gradtx.adamw(1e-3), given)
    assert given["w"].tolist() == [[1.0, 1.0]] * 4
    report = gradtx.check(makes_bare_zeros(), given)
    assert "expected P(None, 'x') as params['w']" in text(report.failures["shardings"][0])
    shapes = {"w": jax.ShapeDtypeStruct((4, 2), jnp.float32)}
    assert gradtx.check(gradtx.shard_state(gradtx.adam(1e-3), "x", mesh=MESH), shapes, {"w": P()}, mesh=MESH)


def gathers_its_mean(mesh: Any) -> Any:
    def update(g: Any, s: Any, p: Any = None) -> Any:
        del p
        mean = jax.lax.with_sharding_constraint(averaged(g, s), jax.NamedSharding(mesh, P()))
        return jax.tree.map(jax.lax.with_sharding_constraint, mean, jax.tree.map(lambda x: SPLIT, mean)), mean

    return zeros, update


def test_what_is_not_written_for_explicit_axes_is_measured_in_a_step() -> None:
    """`with_sharding_constraint` on an Auto mesh, as most programs have it, has no types to read."""
    given = {"w": jax.device_put(jnp.ones((4, 2), jnp.float32), SPLIT)}
    (found,) = gradtx.check(gathers_its_mean(MESH), given).failures["shardings"]
    assert text(found).startswith("state['w'] lies in shards of (4, 2), expected (4, 1) as params['w']; compute it")
    report = gradtx.check(gathers_its_mean(MESH), jax.eval_shape(lambda: given))
    assert "update is not written for meshes with Explicit axes" in report.not_run["shardings"]


def test_a_transform_is_named_by_the_function_that_made_it() -> None:
    assert "gradtx check   divides_by_its_norm\n" in str(gradtx.check(divides_by_its_norm(), params()))
    assert "gradtx check   optax.trace\n" in str(gradtx.check(optax.trace(0.1), params()))
    nameless = gradtx.check((zeros, functools.partial(momentum)), params())
    assert "gradtx check   a pair (init, update)\n" in str(nameless)


def test_shardings_are_not_checked_where_nothing_can_be_split() -> None:
    report = gradtx.check(gradtx.adam(1e-3), jnp.ones(3, jnp.float32))
    assert report
    assert "pass specs= and mesh=" in report.not_run["shardings"]
    joins = gradtx.check(gradtx.flatten(gradtx.adam(1e-3)), params())
    assert "not written for meshes with Explicit axes" in joins.not_run["shardings"]


def test_params_that_are_bound_to_no_device_are_computed_with_beside_a_state_on_a_mesh() -> None:
    """`jnp.ones` leaves it to jax where its array lies; copied to be donated it is left to jax too."""
    tx = gradtx.shard_state(gradtx.guard(gradtx.adam(1e-3)), "x", mesh=MESH)
    report = gradtx.check(tx, params())
    assert report, str(report)
    assert list(report.not_run) == ["shardings"]
    assert "pass specs= and mesh= if it has a mesh of its own" in report.not_run["shardings"]


def test_what_has_no_gradient_is_left_alone() -> None:
    mixed = {"w": np.ones(4, np.float32), "b": 1.0, "none": None, "steps": jnp.arange(3), "key": jax.random.key(0)}
    assert gradtx.check(gradtx.adam(1e-3), mixed)


def test_extra_arguments() -> None:
    tx = gradtx.polyak_sgd()
    with pytest.raises(ValueError, match="value is missing") as raised:
        gradtx.check(tx, params())
    assert "what its update needs besides goes into extra=" in raised.value.__notes__[0]
    assert gradtx.check(tx, params(), extra={"value": 1.0})
    with pytest.raises(TypeError, match="check: extra is int, expected a mapping"):
        gradtx.check(tx, params(), extra=3)


def one_result(g: Any, s: Any, p: Any = None) -> Any:
    del s, p
    return g


WRONG: list[tuple[Any, str]] = [
    (3, "check: tx is int, expected a transform with init and update"),
    (gradtx.adam, "check: tx is function, expected a transform with init and update; call it first"),
    ((zeros, 3), "check: tx is tuple of 2, expected a transform"),
    ((lambda key, p: p, momentum), r"check: tx.init is init\(key, p\), expected init\(params\)"),
    ((zeros, lambda g: g), r"check: tx.update is update\(g\), expected update\(updates, state, params=None\)"),
    ((zeros, one_result), r"check: tx.update returns dict of 2, expected the pair \(updates, state\)"),
]


@pytest.mark.parametrize(("tx", "words"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_what_is_no_transform_is_told(tx: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        gradtx.check(tx, params())


def test_an_error_of_the_transforms_own_comes_through() -> None:
    def init(p: Any) -> Any:
        raise KeyError("no such layer")

    with pytest.raises(KeyError, match="no such layer"):
        gradtx.check((init, momentum), params())
    with pytest.raises(KeyError, match="no such layer"):
        gradtx.check((init, momentum), {"w": jax.ShapeDtypeStruct((80_000, 40_000), jnp.float32)})
    with pytest.raises(TypeError, match=r"check: params\['w'\] is str, expected an array"):
        gradtx.check(gradtx.adam(1e-3), {"w": "text"})
