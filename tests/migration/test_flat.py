"""`export_state` and `import_state`: names, a changed chain, and what does not fit."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from tests.migration.runs import assert_close, go, gradients, start
from tests.registry import ROWS

SLOW, FAST = "slow/trace/trace", "fast/trace/trace"
ADAMW = gradtx.adamw(0.1)
CLIPPED = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_transform_comes_back(row: Any) -> None:
    """Each row's state has one distinct key for each array, and is itself again, bit for bit."""
    tx = row.make()
    params = {"a": jnp.full((3, 2) if "vector" not in row.shapes else (3,), 0.5, jnp.float32)}
    state = tx.init(params)
    flat = gradtx.export_state(tx, state)
    assert len(flat) == len(jax.tree.leaves(state))
    assert all(isinstance(key, str) and not key.startswith("/") and "//" not in key for key in flat)
    back, report = gradtx.import_state(tx, params, dict(reversed(flat.items())))
    assert (set(report.kept), report.added, report.dropped) == (set(flat), (), ())
    assert jax.tree.structure(back) == jax.tree.structure(state)
    assert all(x is y for x, y in zip(jax.tree.leaves(back), jax.tree.leaves(state), strict=True))


def test_keys_are_readable() -> None:
    flat = gradtx.export_state(ADAMW, ADAMW.init(start()))
    assert [key for key in flat if "/mu" in key] == [
        "adamw/scale_by_adam/mu/mlp/0/b",
        "adamw/scale_by_adam/mu/mlp/0/w",
        "adamw/scale_by_adam/mu/mlp/1/w",
        "adamw/scale_by_adam/mu/scale",
    ]


@pytest.mark.parametrize(
    ("tx", "keys"),
    [
        (gradtx.chain(gradtx.trace(0.9), gradtx.trace(0.8)), {"trace/trace", "trace#2/trace"}),
        (gradtx.chain(gradtx.chain(gradtx.trace(0.9)), gradtx.trace(0.8)), {"trace/trace", "trace#2/trace"}),
        (gradtx.named_chain(("slow", gradtx.trace(0.9)), ("fast", gradtx.trace(0.8))), {SLOW, FAST}),
        (gradtx.chain(optax.trace(0.9), optax.trace(0.8)), {"TraceState/trace", "TraceState#2/trace"}),
        (optax.chain(optax.trace(0.9), optax.scale(0.1)), {"TraceState/trace"}),
        (optax.chain(gradtx.trace(0.9), optax.trace(0.8)), {"trace/trace", "TraceState/trace"}),
        (optax.apply_if_finite(gradtx.trace(0.9), 3), {"trace/trace"}),
        (gradtx.watch(gradtx.trace(0.9)), {"trace/trace"}),
        (gradtx.cautious(gradtx.trace(0.9)), {"trace/trace"}),
        (optax.GradientTransformation(jnp.zeros_like, lambda g, s, p=None: (g, s)), {"transform/state"}),
    ],
)
def test_names(tx: Any, keys: set[str]) -> None:
    flat = gradtx.export_state(tx, tx.init(jnp.zeros(2)))
    assert {key for key in flat if "trace" in key.split("/")[-1] or "state" in key} <= keys
    assert any(key in flat for key in keys)


def test_a_chain_that_changed_takes_its_state_along() -> None:
    """A transform added in front: the numbers are those of the clipped run with Adam's moments."""
    params, state = go(ADAMW, start(), ADAMW.init(start()), 0)
    flat = gradtx.export_state(ADAMW, state)
    new, report = gradtx.import_state(CLIPPED, params, flat, may_add=["clip_by_global_norm"])
    assert report == (tuple(flat), ("clip_by_global_norm/count",), ())
    assert jax.tree.structure(new) == jax.tree.structure(CLIPPED.init(params))
    expected = (CLIPPED.init(params)[0], state)
    assert_close(go(CLIPPED, params, new, 5)[0], go(CLIPPED, params, expected, 5)[0])
    # and back, without it
    back, report = gradtx.import_state(
        ADAMW, params, gradtx.export_state(CLIPPED, new), may_drop=["clip_by_global_norm"]
    )
    assert report.dropped == ("clip_by_global_norm/count",)
    assert_close(back, state)


@pytest.mark.parametrize(
    "around",
    [gradtx.watch, gradtx.cautious, lambda tx: optax.apply_if_finite(tx, 3)],
    ids=["watch", "cautious", "optax"],
)
def test_a_wrapper_may_come_and_go(around: Any) -> None:
    params, state = go(ADAMW, start(), ADAMW.init(start()), 0)
    flat, wrapped = gradtx.export_state(ADAMW, state), around(ADAMW)
    new, report = gradtx.import_state(wrapped, params, flat, may_add=["watch", "ApplyIfFiniteState"])
    assert set(report.kept) == set(flat)
    both = gradtx.export_state(wrapped, new)
    assert all(both[key] is flat[key] for key in flat)
    back, _ = gradtx.import_state(ADAMW, params, both, may_drop=["watch", "ApplyIfFiniteState"])
    assert_close(go(ADAMW, params, back, 5)[0], go(ADAMW, params, state, 5)[0])


def test_members_may_change_places() -> None:
    one = gradtx.chain(gradtx.trace(0.9), gradtx.scale_by_adam(), gradtx.scale(-0.1))
    other = gradtx.chain(gradtx.scale_by_adam(), gradtx.trace(0.9), gradtx.scale(-0.1))
    params, state = go(one, start(), one.init(start()), 0)
    new, report = gradtx.import_state(other, params, gradtx.export_state(one, state))
    assert (report.added, report.dropped) == ((), ())
    assert_close(new, (state[1], state[0], state[2]))


def test_a_change_that_is_not_allowed_raises() -> None:
    params = start()
    flat = gradtx.export_state(ADAMW, ADAMW.init(params))
    with pytest.raises(ValueError, match=r"^import_state: the state lacks clip_by_global_norm/count, .*may_add"):
        gradtx.import_state(CLIPPED, params, flat)
    with pytest.raises(ValueError, match=r"holds what no transform keeps: clip_by_global_norm/count, expected"):
        gradtx.import_state(ADAMW, params, gradtx.export_state(CLIPPED, CLIPPED.init(params)), may_drop=["clip"])
    with pytest.raises(ValueError, match=r"lacks sgd.*what no transform keeps: adamw/scale_by_adam/.* and 6 more"):
        gradtx.import_state(gradtx.sgd(0.1, 0.9), params, flat)
    state, report = gradtx.import_state(gradtx.sgd(0.1, 0.9), params, flat, strict=False)
    assert_close(state, gradtx.sgd(0.1, 0.9).init(params))
    assert (len(report.kept), len(report.added), len(report.dropped)) == (0, 7, 12)
    assert str(report).splitlines()[0] == "kept 0: none"
    assert str(report).splitlines()[2].endswith(" and 6 more")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((2, 3)), r"is float64 of shape \(2, 3\), expected float64 of shape \(3, 2\)"),
        (np.zeros((3, 2), np.float32), r"is float32 of shape \(3, 2\), expected float64 of shape \(3, 2\)"),
        (1.0, r"is float, expected float64 of shape"),
        (None, r"is None, expected float64"),
        ("x", r"is str, expected float64"),
    ],
)
def test_an_array_that_does_not_fit_is_named(value: Any, text: str) -> None:
    params = start()
    flat = gradtx.export_state(ADAMW, ADAMW.init(params))
    with pytest.raises(ValueError, match=rf"^import_state: the key 'adamw/scale_by_adam/mu/mlp/0/w' {text}.*; give"):
        gradtx.import_state(ADAMW, params, flat | {"adamw/scale_by_adam/mu/mlp/0/w": value})


def test_a_count_may_be_a_number_and_an_array_numpy() -> None:
    params = start()
    params, state = go(ADAMW, params, ADAMW.init(params), 0)
    flat = {key: np.asarray(x) for key, x in gradtx.export_state(ADAMW, state).items()}
    flat["adamw/scale_by_adam/count"] = 5
    new, _ = gradtx.import_state(ADAMW, params, pickle.loads(pickle.dumps(flat)))
    kinds = jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), new) == kinds
    assert_close(go(ADAMW, params, new, 5)[0], go(ADAMW, params, state, 5)[0])
    with pytest.raises(ValueError, match=r"count' is float, expected int32 of shape \(\)"):
        gradtx.import_state(ADAMW, params, flat | {"adamw/scale_by_adam/count": 5.5})


def test_what_is_given_is_copied() -> None:
    """It may change later; jax would share the memory of an array that is aligned."""
    room = np.zeros(64 + 16, np.float32)
    given = room[(-room.ctypes.data // 4) % 16 :][:64]
    state, _ = gradtx.import_state(
        gradtx.trace(0.9), jnp.zeros(64, "float32"), {"trace/count": 1, "trace/trace": given}
    )
    given[...] = 9.0
    assert float(state.trace.sum()) == 0.0


def test_weak_types_do_not_come_in() -> None:
    tx = gradtx.scale_by_rms()
    flat = gradtx.export_state(tx, tx.init(jnp.float64(1.0)))
    weak = jnp.sin(1.0)
    assert weak.weak_type
    state, _ = gradtx.import_state(tx, jnp.float64(1.0), flat | {"scale_by_rms/nu": weak})
    assert not state.nu.weak_type


def test_a_restored_state_may_be_donated() -> None:
    params, state = go(ADAMW, start(), ADAMW.init(start()), 0)
    flat = {key: np.asarray(x) for key, x in gradtx.export_state(ADAMW, state).items()}
    new, _ = gradtx.import_state(CLIPPED, params, flat, may_add=["clip_by_global_norm"])
    update = jax.jit(CLIPPED.update, donate_argnums=(1,))
    update(gradients(params, 0), new, params)
    assert all(x.is_deleted() for x in jax.tree.leaves(new))


def test_arrays_go_where_the_parameters_are() -> None:
    mesh = jax.make_mesh((8,), ("x",))
    where = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    params = {"w": jax.device_put(jnp.ones(16), where)}
    flat = {key: np.asarray(x) for key, x in gradtx.export_state(ADAMW, ADAMW.init(params)).items()}
    state, _ = gradtx.import_state(ADAMW, params, flat)
    assert state[0].mu["w"].sharding.is_equivalent_to(where, 1)


def test_shapes_alone_have_keys_too() -> None:
    """What a checkpoint library asks for before it reads."""
    flat = gradtx.export_state(ADAMW, jax.eval_shape(ADAMW.init, start()))
    assert flat["adamw/scale_by_adam/nu/mlp/1/w"] == jax.ShapeDtypeStruct((2, 4), jnp.float64)


def test_two_arrays_with_one_key_are_refused() -> None:
    params = {"a/b": jnp.zeros(2), "a": {"b": jnp.zeros(2)}}
    with pytest.raises(ValueError, match=r"^export_state: the key 'adamw/scale_by_adam/mu/a/b' stands for two arrays"):
        gradtx.export_state(ADAMW, ADAMW.init(params))


def test_the_state_of_another_transform_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^export_state: state is LeafState, expected a state of trace; use"):
        gradtx.export_state(gradtx.trace(0.9), gradtx.scale_by_adam().init(jnp.zeros(2)))
    with pytest.raises(ValueError, match="chain"):
        gradtx.export_state(gradtx.chain(gradtx.scale(1.0)), CLIPPED.init(jnp.zeros(2)))
    for function in (gradtx.export_state, lambda tx, x: gradtx.import_state(tx, x, {})):
        with pytest.raises(TypeError, match=r"^(export|import)_state: tx is int, expected a transform"):
            function(3, {})
    with pytest.raises(TypeError, match=r"^import_state: flat is tuple of 2, expected a mapping .*; write it with exp"):
        gradtx.import_state(CLIPPED, jnp.zeros(2), CLIPPED.init(jnp.zeros(2)))


def test_arrays_without_numbers_may_be_missing() -> None:
    """A file that cannot hold them has lost nothing."""
    tx = gradtx.store(gradtx.adam(0.1), mu="fp8")
    params = {"small": jnp.ones(7, jnp.float32), "w": jnp.ones((2, 64), jnp.float32)}
    state = tx.init(params)
    flat = gradtx.export_state(tx, state)
    held = {key: x for key, x in flat.items() if x.size}
    assert flat.keys() - held.keys() == {"adam/scale_by_adam/mu/small/scale"}
    back, report = gradtx.import_state(tx, params, held)
    assert (set(report.kept), report.added, report.dropped) == (set(flat), (), ())
    assert jax.tree.structure(back) == jax.tree.structure(state)
