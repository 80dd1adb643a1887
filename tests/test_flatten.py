"""`flatten` beyond its rows: dtypes, what has no gradient, extra arguments; and `with_extra_args_support`."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx._core.engine.parts import walk

MIXED = {
    "a": jnp.arange(6, dtype=jnp.float32).reshape(2, 3),
    "b": jnp.ones(2, jnp.bfloat16),
    "c": jnp.array(2.0, jnp.float32),
    "none": None,
    "steps": jnp.arange(3),
}


def grads_like(params: Any) -> Any:
    """Return gradients that are the parameters plus 1, as `jax.grad` gives them for integers too."""

    def one(p: Any) -> Any:
        inexact = jnp.issubdtype(p.dtype, jnp.inexact)
        return p + jnp.ones_like(p) if inexact else np.zeros(p.shape, jax.dtypes.float0)

    return jax.tree.map(one, params)


def slots(state: Any) -> Any:
    """Return the mean of Adam."""
    return gradtx.tree.get(state, "mu")


def test_each_dtype_has_its_vector() -> None:
    tx, inner, grads = gradtx.flatten(gradtx.adam(0.1)), gradtx.adam(0.1), grads_like(MIXED)
    state, own = tx.init(MIXED), inner.init(MIXED)
    assert {name: x.shape for name, x in slots(state).items()} == {"bfloat16": (2,), "float32": (7,)}
    for _ in range(2):
        u, state = tx.update(grads, state, MIXED)
        want, own = inner.update(grads, own, MIXED)
        chex.assert_trees_all_equal_shapes_and_dtypes(u["a"], MIXED["a"])
        assert u["b"].dtype == jnp.bfloat16
        assert u["none"] is None
        assert u["steps"].dtype == jax.dtypes.float0
        chex.assert_trees_all_close({k: u[k] for k in "abc"}, {k: want[k] for k in "abc"}, rtol=1e-6)
    np.testing.assert_allclose(slots(state)["float32"][:6], slots(own)["a"].ravel(), rtol=1e-6)
    np.testing.assert_allclose(slots(state)["float32"][6], slots(own)["c"], rtol=1e-6)


def test_leaves_of_one_dtype_are_one_vector_as_in_optax() -> None:
    params = {"a": jnp.ones((2, 2)), "b": jnp.zeros(3)}
    ours, theirs = (library.flatten(library.adam(0.1)).init(params) for library in (gradtx, optax))
    assert slots(ours).shape == slots(theirs).shape == (7,)


@pytest.mark.parametrize("params_too", [True, False])
def test_gradients_of_other_dtypes(params_too: bool) -> None:
    """The vectors are those of the params that init saw, also without them."""
    params = {"a": jnp.ones(2, jnp.float32), "b": jnp.ones(3, jnp.float32)}
    grads = {"a": jnp.ones(2, jnp.float32), "b": jnp.ones(3, jnp.bfloat16)}
    tx = gradtx.flatten(gradtx.trace(0.9))
    u, state = tx.update(grads, tx.init(params), params if params_too else None)
    assert (u["a"].dtype, u["b"].dtype) == (jnp.float32, jnp.float32 if params_too else jnp.bfloat16)
    np.testing.assert_allclose(gradtx.tree.get(state, "trace"), np.ones(5))
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    u, _ = tx.update({"a": jnp.ones(2, jnp.float32), "b": jnp.ones(3, jnp.bfloat16)}, tx.init(half), half)
    assert (u["a"].dtype, u["b"].dtype) == (jnp.float32, jnp.bfloat16)


def test_a_gradient_of_none_counts_as_zero() -> None:
    params = {"a": jnp.ones(2), "b": jnp.ones(3)}
    tx = gradtx.flatten(gradtx.trace(0.5))
    _, state = tx.update(params, tx.init(params), params)
    u, state = tx.update({"a": jnp.ones(2), "b": None}, state, params)
    assert u["b"] is None
    np.testing.assert_allclose(u["a"], [1.5, 1.5])
    np.testing.assert_allclose(gradtx.tree.get(state, "trace"), [1.5, 1.5, 0.5, 0.5, 0.5])


def test_shapes_alone_and_trees_without_leaves() -> None:
    tx = gradtx.flatten(gradtx.adam(0.1))
    structs = {"a": jax.ShapeDtypeStruct((2, 3), jnp.float32), "b": jax.ShapeDtypeStruct((), jnp.bfloat16)}
    abstract = jax.eval_shape(tx.init, structs)
    assert slots(abstract)["float32"].shape == (6,)
    chex.assert_trees_all_equal_shapes_and_dtypes(tx.init(structs), abstract)
    for empty in ({}, {"a": None}, ()):
        u, _ = tx.update(empty, tx.init(empty), empty)
        assert u == empty


def test_parts_see_vectors() -> None:
    tx = gradtx.chain(gradtx.flatten(gradtx.clip_by_block_rms(1.0)), gradtx.flatten(gradtx.sgd(lambda count: 0.5)))
    state = tx.init(MIXED)
    link = next(iter(walk(tx, state)))
    grads = jax.tree.map(lambda x: x.astype(jnp.float16) if x.dtype == jnp.float32 else x, MIXED)
    seen = link.into(grads)
    assert {name: (x.shape, x.dtype) for name, x in seen.items()} == {
        "bfloat16": ((2,), jnp.bfloat16),
        "float32": ((7,), jnp.float16),
    }
    chex.assert_trees_all_equal(link.out(seen, grads), grads)
    unknown = next(iter(walk(tx, None)))
    lone = {"a": jnp.ones(2), "b": jnp.zeros((2, 2))}
    assert unknown.into(lone).shape == (6,)
    chex.assert_trees_all_equal(unknown.out(unknown.into(lone), lone), lone)
    assert list(gradtx.hyperparams(tx, state).values())[-1] == 0.5
    assert repr(tx).count("flatten(") == 2


def test_many_are_watched() -> None:
    """So many that the record takes a sample of each leaf, which is none of the vectors."""
    params = {"a": jnp.ones((300, 200)), "b": jnp.ones(5), "c": jnp.ones((7, 1000), jnp.float32)}
    tx = gradtx.watch(gradtx.flatten(gradtx.adam(0.1)))
    state = tx.init(params)
    for _ in range(2):
        u, state = jax.jit(tx.update)(params, state, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(u, params)
    seen = gradtx.metrics(state)
    assert seen["learning_rate"] == pytest.approx(0.1)
    assert "rate_mean" not in seen  # not known of leaves that are joined


def valley(p: Any) -> jax.Array:
    """Return a badly scaled quadratic of a tree."""
    return jnp.sum(p["x"] ** 2 * jnp.array([1.0, 10.0])) + jnp.sum((p["y"] - 1.0) ** 2)


@pytest.mark.parametrize("library", [gradtx, optax], ids=["gradtx", "optax"])
def test_a_line_search_calls_the_function_of_trees(library: Any) -> None:
    start = {"x": jnp.ones(2), "y": jnp.zeros((2, 2))}
    runs = []
    for tx in (gradtx.flatten(library.lbfgs()), library.lbfgs()):
        p, state = start, tx.init(start)
        for _ in range(4):
            value, grad = jax.value_and_grad(valley)(p)
            with jax.numpy_dtype_promotion("standard"):  # optax's needs it
                u, state = tx.update(grad, state, p, value=value, grad=grad, value_fn=valley)
            p = gradtx.apply_updates(p, u)
        runs.append(p)
    chex.assert_trees_all_close(*runs, rtol=1e-3, atol=1e-4)


def test_a_lone_scalar() -> None:
    """Its value has the structure of the gradient, and is none."""
    seen = {}

    def update(g: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        seen.update(extra)
        return g, state

    tx = gradtx.flatten(optax.GradientTransformationExtraArgs(lambda p: (), update))
    p = jnp.array(3.0)
    tx.update(p, tx.init(p), p, value=p, grad=p, name="text")
    assert (seen["value"].shape, seen["grad"].shape, seen["name"]) == ((), (1,), "text")


def test_a_transform_of_matrices_says_that_it_got_a_vector() -> None:
    with pytest.raises(ValueError, match=r"scale_by_muon: params has shape \(6,\), expected 2 dimensions"):
        gradtx.flatten(gradtx.scale_by_muon()).init({"w": jnp.ones((2, 3))})


def test_wrong_trees_are_errors() -> None:
    tx = gradtx.flatten(gradtx.adam(0.1))
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"flatten: grads\['w'\] has shape \(3, 2\), expected .*params\['w'\]"):
        tx.update({"w": jnp.ones((3, 2)), "b": jnp.ones(2)}, tx.init(params), params)
    with pytest.raises(
        ValueError, match=r"flatten: grads\['w'\] is float\d\d of shape \(3, 2\), expected shape \(2, 3\)"
    ):
        tx.update({"w": jnp.ones((3, 2)), "b": None}, tx.init(params))
    for b in (jnp.ones(2), jnp.ones(())):
        with pytest.raises(ValueError, match=r"flatten: grads\['b'\] is float64 of shape \(.*\), expected None"):
            tx.update({**params, "b": b}, tx.init({**params, "b": None}))
    with pytest.raises(ValueError, match=r"flatten: grads has 1 leaves, expected 2"):
        tx.update({"w": params["w"]}, tx.init(params))
    with pytest.raises(ValueError, match=r"flatten: state is tuple of 0, expected FlattenState"):
        tx.update(params, ())
    with pytest.raises(TypeError, match=r"flatten: params\['w'\] is str"):
        tx.init({"w": "text"})
    with pytest.raises(TypeError, match=r"flatten: inner is float"):
        gradtx.flatten(0.1)


@pytest.mark.parametrize("wrapper", [gradtx.params_ema, gradtx.lookahead], ids=["params_ema", "lookahead"])
def test_an_average_of_vectors_is_found(wrapper: Any) -> None:
    own = (lambda tx: wrapper(tx, 0.5)) if wrapper is gradtx.params_ema else (lambda tx: wrapper(tx, 2, 0.5))
    params = {k: MIXED[k] for k in "abc"}
    found = []
    for tx in (gradtx.flatten(own(gradtx.sgd(0.5))), own(gradtx.sgd(0.5))):
        p, state = params, tx.init(params)
        for _ in range(3):
            u, state = tx.update(grads_like(p), state, p)
            p = gradtx.apply_updates(p, u)
        found.append(gradtx.eval_params(state, p))
    chex.assert_trees_all_equal_shapes_and_dtypes(*found)
    chex.assert_trees_all_close(*found, rtol=1e-2)


def test_extra_arguments_are_ignored_round_a_plain_pair() -> None:
    plain = optax.GradientTransformation(lambda p: (), lambda g, state, params=None: (-g, state))
    tx, g = gradtx.with_extra_args_support(plain), jnp.array(2.0)
    assert tx.update(g, tx.init(g), g, value=1.0, unknown="text")[0] == -2.0
    assert isinstance(tx, gradtx.Transform)
    assert repr(gradtx.with_extra_args_support(optax.trace(0.9))) == "with_extra_args_support(optax.trace)"


def test_extra_arguments_reach_whom_they_concern() -> None:
    theirs = optax.contrib.reduce_on_plateau(patience=1)
    tx, g = gradtx.with_extra_args_support(theirs), jnp.array(1.0)
    state = tx.init(g)
    for _ in range(4):
        with jax.numpy_dtype_promotion("standard"):  # optax's needs it
            u, state = tx.update(g, state, g, value=1.0)
    assert u < 1.0
    ours = gradtx.adam(0.1)
    assert gradtx.with_extra_args_support(ours) is ours
    rebuilt = optax.GradientTransformationExtraArgs(ours.init, ours.update)
    assert repr(gradtx.with_extra_args_support(rebuilt)) == repr(ours)
    with pytest.raises(TypeError, match="with_extra_args_support: tx is int"):
        gradtx.with_extra_args_support(3)
