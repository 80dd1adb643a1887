"""`gradtx.tree` and `tree_map_params`: find, replace and map what a state of gradtx's or optax's holds."""

import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import gradtx
from tests.registry import ROWS, Row
from tests.registry.base import SHAPES

PARAMS = {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}
TWICE = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adam(0.1), gradtx.trace(0.9))


def after(tx: Any, steps: int = 2) -> Any:
    """Return the state after a few updates."""
    state = tx.init(PARAMS)
    for _ in range(steps):
        with jax.numpy_dtype_promotion("standard"):  # optax's needs it
            _, state = tx.update(PARAMS, state, PARAMS)
    return state


def starts(start: str) -> Any:
    """Return a filter for what stands below this path."""
    return lambda path, value: jax.tree_util.keystr(path).startswith(start)


@pytest.mark.parametrize("library", [gradtx, optax], ids=["gradtx", "optax"])
def test_slots_are_found_by_their_names(library: Any) -> None:
    state = after(library.chain(library.clip(1.0), library.adam(0.1)))
    other = after(optax.adam(0.1))
    for name in ("mu", "nu"):
        chex.assert_trees_all_close(gradtx.tree.get(state, name), optax.tree_utils.tree_get(other, name), rtol=1e-6)
    assert gradtx.tree.get(state, "count") == 2
    assert gradtx.tree.get(state, "nothing") is None
    assert gradtx.tree.get(state, "nothing", 3) == 3
    (path, value), *_ = gradtx.tree.get_all_with_path(state, "mu")
    assert "mu" in jax.tree_util.keystr(path)
    assert value is gradtx.tree.get(state, "mu")


def test_fields_and_kinds_of_named_tuples_are_found() -> None:
    state = after(gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5))
    chex.assert_trees_all_equal_shapes(gradtx.tree.get(state, "slow"), PARAMS)
    assert gradtx.tree.get(state, "LookaheadState") is state
    assert gradtx.tree.get(state, "slow", filtering=lambda path, value: False) is None


def test_several_values_are_an_error_that_lists_paths_and_no_arrays() -> None:
    state = gradtx.chain(gradtx.trace(0.9), gradtx.trace(0.5)).init(PARAMS)
    with pytest.raises(KeyError, match=r"tree.get: tree has 2 values of 'trace', at .*filtering=lambda path") as caught:
        gradtx.tree.get(state, "trace")
    text = str(caught.value)
    assert "[0]LeafState.slots['trace'], [1]LeafState.slots['trace'], expected one" in text
    assert "Array" not in text
    assert gradtx.tree.get(state, "trace", filtering=starts("[1]")) is state[1].trace
    many = gradtx.chain(*[gradtx.trace(0.1 * i) for i in range(10)]).init(PARAMS)
    with pytest.raises(KeyError, match=r"10 values of 'trace'.*\[7\]LeafState.slots\['trace'\] and 2 more, expected"):
        gradtx.tree.get(many, "trace")


def test_equal_counts_are_one() -> None:
    state = after(TWICE)
    assert gradtx.tree.get(state, "count") == 2
    ahead = gradtx.tree.set(state, starts("[0]"), count=jnp.asarray(5, jnp.int32))
    with pytest.raises(KeyError, match=r"4 values of 'count'"):
        gradtx.tree.get(ahead, "count")
    assert gradtx.tree.get(ahead, "count", filtering=starts("[0]")) == 5
    for value in (np.float32(2.0), 2, True, np.ones(())):
        assert gradtx.tree.get([{"x": value}, {"x": value}, {"x": 1 * value}], "x") == value
    with pytest.raises(KeyError):
        gradtx.tree.get([{"x": jnp.ones(2)}, {"x": jnp.ones(2)}], "x")
    shared = jnp.ones(2)
    assert gradtx.tree.get([{"x": shared}, {"x": shared}], "x") is shared


def test_counts_that_are_not_known_are_several() -> None:
    state = after(TWICE)
    with pytest.raises(KeyError, match="4 values of 'count'"):
        jax.jit(lambda state: gradtx.tree.get(state, "count"))(state)
    assert jax.jit(lambda state: gradtx.tree.get(state, "count", filtering=starts("[0]")))(state) == 2


@pytest.mark.parametrize("library", [gradtx, optax], ids=["gradtx", "optax"])
def test_set_replaces_in_a_copy(library: Any) -> None:
    tx = library.chain(library.adam(0.1), library.trace(0.9))
    state = after(tx)
    zeros = jax.tree.map(jnp.zeros_like, gradtx.tree.get(state, "mu"))
    new = gradtx.tree.set(state, mu=zeros, count=jnp.asarray(7, jnp.int32))
    assert jax.tree.structure(new) == jax.tree.structure(state)
    chex.assert_trees_all_equal(gradtx.tree.get(new, "mu"), zeros)
    chex.assert_trees_all_equal(gradtx.tree.get(new, "nu"), gradtx.tree.get(state, "nu"))
    assert (gradtx.tree.get(new, "count"), gradtx.tree.get(state, "count")) == (7, 2)
    with jax.numpy_dtype_promotion("standard"):  # optax's needs it
        tx.update(PARAMS, new, PARAMS)


def test_set_is_optax_own_on_its_states() -> None:
    state = optax.chain(optax.add_noise(1.0, 0.9, key=0), optax.scale_by_adam(), optax.identity()).init(PARAMS)

    def by_name(path: Any, value: Any) -> bool:
        return path[-1].tuple_name == "ScaleByAdamState"

    for filtering, new in (
        (None, {"count": 3}),
        (by_name, {"count": 3}),
        (None, {"ScaleByAdamState": 1.0, "count": 2}),
    ):
        ours = gradtx.tree.set(state, filtering, **new)
        chex.assert_trees_all_equal(
            jax.tree.map(str, ours), jax.tree.map(str, optax.tree_utils.tree_set(state, filtering, **new))
        )


def test_set_keeps_containers_and_their_order() -> None:
    tree = {"z": [{"a": 1}, None, ()], "a": 2, 3: {"a": {"a": 4}}}
    tree = {str(key): value for key, value in tree.items()}
    assert gradtx.tree.set(tree, a=9) == {"z": [{"a": 9}, None, ()], "a": 9, "3": {"a": 9}}
    assert tree["a"] == 2


def test_set_says_what_is_not_there() -> None:
    state = after(TWICE)
    with pytest.raises(KeyError, match=r"tree.set: tree has no 'mean', expected one at least"):
        gradtx.tree.set(state, mean=1.0)
    with pytest.raises(
        KeyError, match=r"has 'mu' at \[1\]\[0\]LeafState.slots\['mu'\], of which filtering leaves none"
    ):
        gradtx.tree.set(state, starts("[2]"), mu=1.0)


def test_the_rest_of_the_module_is_optax_own() -> None:
    names = {name for name in dir(optax.tree) if not name.startswith("_")}
    assert names <= set(dir(gradtx.tree))
    own = {"get", "get_all_with_path", "map_params", "set"}
    assert all(getattr(gradtx.tree, name) is getattr(optax.tree, name) for name in names - own)
    assert all(getattr(gradtx.tree, name) is not getattr(optax.tree, name) for name in own)
    assert set(gradtx.tree.__all__) <= names
    assert gradtx.tree.map_params is gradtx.tree_map_params
    with pytest.raises(AttributeError, match=r"module 'gradtx.tree' has no attribute 'nrom'"):
        gradtx.tree.nrom  # noqa: B018


def structs(row: Row) -> Any:
    """Return the shapes of params of every kind that a row takes, None and integers among them."""
    first = SHAPES[row.shapes[0]]
    return {
        "a": [jax.ShapeDtypeStruct(SHAPES[kind], jnp.bfloat16) for kind in row.shapes],
        "none": None,
        "steps": jax.ShapeDtypeStruct((7,), jnp.int32),
        "z": jax.ShapeDtypeStruct(first, jnp.float32),
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_state_is_mapped(row: Row) -> None:
    """Each array in the shape of its parameter meets what `rest` has there; all others the other function."""
    params, tx = structs(row), row.make()
    state = jax.eval_shape(tx.init, params)
    keys = jax.tree_util.tree_map_with_path(lambda path, _: jax.tree_util.keystr(path), params)
    met = []

    def own(x: Any, p: Any, key: str) -> Any:
        assert x.shape == p.shape
        assert key != "['steps']"
        met.append(key)
        return ("own", key)

    def other(x: Any) -> Any:
        return ("other", x.shape)

    mapped = gradtx.tree_map_params(tx, own, state, params, keys, transform_non_params=other)
    pairs = jax.tree.structure(state).flatten_up_to(mapped)
    assert [kind for kind, _ in pairs].count("own") == len(met)
    for (path, x), (kind, what) in zip(jax.tree_util.tree_flatten_with_path(state)[0], pairs, strict=True):
        where = re.sub(r"\.(fp8|fp8_root|scale)$", "", jax.tree_util.keystr(path))  # parts of one slot
        same = {key for key in jax.tree.leaves(keys) if where.endswith(key)}
        if kind == "own":
            assert same == {what}, where
        elif same and x.shape != ():  # a factor, or a number of one array
            assert x.shape != jax.tree.leaves(params)[jax.tree.leaves(keys).index(same.pop())].shape, where


def test_the_state_alone_tells_which_arrays_are_like_params() -> None:
    """Without shapes in `rest`, such as for shardings."""
    for tx in (
        gradtx.adafactor(0.1, min_dim_size_to_factor=2, momentum=0.9),
        optax.novograd(0.1),
        gradtx.novograd(0.1),
    ):
        state, shapes = jax.eval_shape(tx.init, PARAMS), []
        specs = {"w": PartitionSpec("x"), "b": PartitionSpec()}

        def own(x: Any, spec: Any, shapes: Any = shapes) -> Any:
            shapes.append(x.shape)
            return spec

        gradtx.tree_map_params(tx, own, state, specs)
        assert set(shapes) == {(3, 2), (2,)}


def test_flags_of_arrays_are_not_like_params() -> None:
    tx, seen = gradtx.zero_nans(), []
    specs = {"w": PartitionSpec("x"), "b": PartitionSpec()}
    gradtx.tree_map_params(tx, lambda x, spec: seen.append(x), jax.eval_shape(tx.init, PARAMS), specs)
    assert seen == []


@pytest.mark.parametrize("library", [gradtx, optax], ids=["gradtx", "optax"])
def test_doubled_as_by_optax(library: Any) -> None:
    tx = library.chain(library.clip(1.0), library.adamw(0.1))
    state = after(tx)
    ours = gradtx.tree_map_params(tx, lambda x: 2 * x, state, transform_non_params=lambda x: -x)
    theirs = optax.tree_map_params(tx, lambda x: 2 * x, state, transform_non_params=lambda x: -x)
    chex.assert_trees_all_equal(ours, theirs)
    assert gradtx.tree.get(ours, "count") == -2
    kept = gradtx.tree_map_params(tx.init, lambda x: 2 * x, state)
    chex.assert_trees_all_equal(gradtx.tree.get(kept, "count"), gradtx.tree.get(state, "count"))


def test_a_state_is_placed_by_it() -> None:
    mesh = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2])
    spread, whole = NamedSharding(mesh, PartitionSpec(None, "x")), NamedSharding(mesh, PartitionSpec())
    tx = gradtx.guard(
        gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.masked(gradtx.adam(0.1), {"w": True, "b": False}))
    )
    state = jax.eval_shape(tx.init, PARAMS)
    shardings = gradtx.tree_map_params(
        tx, lambda _, s: s, state, {"w": spread, "b": whole}, transform_non_params=lambda _: whole
    )
    placed = jax.jit(tx.init, out_shardings=shardings)(PARAMS)
    assert gradtx.tree.get(placed, "mu")["w"].sharding.is_equivalent_to(spread, 2)
    assert gradtx.tree.get(placed, "mu")["b"] is None
    again = gradtx.tree_map_params(tx, lambda place: place.spec, shardings, transform_non_params=lambda _: None)
    assert gradtx.tree.get(again, "mu")["w"] == PartitionSpec(None, "x")


def test_what_optax_masks_stays_unless_it_is_a_leaf() -> None:
    tx = optax.masked(optax.trace(0.9), lambda tree: jax.tree.map(lambda x: x.ndim == 2, tree))
    state = tx.init(PARAMS)
    doubled = gradtx.tree_map_params(tx, lambda x, p: x + p, state, PARAMS)
    assert isinstance(doubled.inner_state.trace["b"], optax.MaskedNode)
    np.testing.assert_array_equal(doubled.inner_state.trace["w"], PARAMS["w"])
    seen = []

    def masked(x: Any) -> bool:
        return isinstance(x, optax.MaskedNode)

    gradtx.tree_map_params(tx, lambda x, p: seen.append(type(x)), state, PARAMS, is_leaf=masked)
    assert optax.MaskedNode in seen


def test_partitioned_params_are_put_together() -> None:
    tx = gradtx.partition({"m": gradtx.trace(0.9), "f": gradtx.novograd(0.1)}, {"w": "m", "b": "f"})
    shapes = []
    gradtx.tree_map_params(tx, lambda x: shapes.append(x.shape), jax.eval_shape(tx.init, PARAMS))
    assert sorted(shapes) == [(2,), (3, 2)]


def test_masks_of_optax_with_keys_are_mapped_by_the_structure_of_rest() -> None:
    """Their init takes no placeholder."""
    labels = {"w": "m", "b": "f"}
    for tx in (
        optax.masked(optax.trace(0.9), {"w": True, "b": False}),
        optax.multi_transform({"m": optax.trace(0.9), "f": optax.sgd(0.1)}, labels),
    ):
        state = tx.init(PARAMS)
        mapped = gradtx.tree_map_params(tx, lambda x, label: label, state, labels)
        assert gradtx.tree.get(mapped, "trace")["w"] == "m"
        assert isinstance(gradtx.tree.get(mapped, "trace")["b"], optax.MaskedNode)
        with pytest.raises(ValueError, match="tree_map_params: init raises ValueError for a tree without leaves, exp"):
            gradtx.tree_map_params(tx, lambda x: x, state)


def test_wrong_calls_are_errors() -> None:
    with pytest.raises(TypeError, match="tree_map_params: initable is int, expected a transform or its init"):
        gradtx.tree_map_params(3, lambda x: x, ())
    with pytest.raises(ValueError, match="tree_map_params: state is tuple of 0 of another structure, expected one"):
        gradtx.tree_map_params(TWICE, lambda x: x, ())
    for is_leaf in (None, lambda x: False):
        with pytest.raises(ValueError, match=r"tree_map_params: \w+\['b'\] has no counterpart in rest\[0\]"):
            gradtx.tree_map_params(TWICE, lambda x, y: x, TWICE.init(PARAMS), {"w": 1}, is_leaf=is_leaf)
