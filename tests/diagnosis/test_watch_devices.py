"""`watch` on several devices: what it sums over inside `shard_map`, and what it gathers from sharded arrays."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import gradtx
from gradtx.diagnosis.read.evidence import read
from gradtx.diagnosis.record import sample
from tests.diagnosis.runs import feed, gradients, start

SHAPES = {"b": (8,), "c": (3,), "w": (16, 4)}
SPLIT = {"b": P("x"), "c": P(), "w": P("x")}


def mesh(kind: str = "Auto") -> Any:
    return jax.make_mesh((8,), ("x",), (AxisType[kind],), devices=jax.devices()[:8])


def specs(tx: Any, p: Any, split: Any) -> Any:
    """Return how a watched state is split: slots as the params, the record not at all."""
    shapes = jax.eval_shape(tx.init, p)
    return optax.tree_map_params(tx, lambda _, spec: spec, shapes, split, transform_non_params=lambda _: P())


@pytest.mark.share(2)
@pytest.mark.parametrize(
    ("checked", "inside"),
    [
        pytest.param(True, True, id="check_vma-init inside"),
        pytest.param(False, False, id="unchecked-init outside"),
        pytest.param(True, False, id="check_vma-init outside", marks=pytest.mark.exhaustive),
        pytest.param(False, True, id="unchecked-init inside", marks=pytest.mark.exhaustive),
    ],
)
def test_shard_map_records_what_one_device_would(checked, inside):
    shapes = SHAPES if checked else {name: SHAPES[name] for name in "bw"}  # unchecked, every leaf is taken to be split
    grads, losses, p = gradients(6, shapes=shapes), np.linspace(2.0, 1.0, 6), start(shapes=shapes)
    split = {name: SPLIT[name] for name in shapes}
    single = feed(gradtx.watch(gradtx.adam(0.1)), grads, losses, p=p)
    tx = gradtx.watch(gradtx.adam(0.1), axis_name="x")
    states = specs(tx, p, split)

    def step(p: Any, state: Any, g: Any, loss: Any) -> Any:
        updates, state = tx.update(g, state, p, value=loss)
        return gradtx.apply_updates(p, updates), state

    def spread(f: Any, inputs: Any, outputs: Any) -> Any:
        return jax.jit(jax.shard_map(f, mesh=mesh(), in_specs=inputs, out_specs=outputs, check_vma=checked))

    state = spread(tx.init, (split,), states)(p) if inside else jax.jit(tx.init)(p)
    run = spread(step, (split, states, split, P()), (split, states))
    for g, loss in zip(grads, losses, strict=True):
        p, state = run(p, state, g, jnp.float32(loss))
    got, want = gradtx.metrics(state), gradtx.metrics(single.state)
    assert got.keys() == want.keys()
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, err_msg=name)
    assert read(state).sizes == {name: int(np.prod(shape)) for name, shape in shapes.items()}
    for column, numbers in read(single.state).rows.items():
        np.testing.assert_allclose(read(state).rows[column], numbers, rtol=1e-4, atol=1e-6, err_msg=column)


def test_losses_of_the_devices_are_averaged_and_entries_counted():
    tx = gradtx.watch(gradtx.sgd(0.1), axis_name=("x",))
    p = jnp.arange(16, dtype=jnp.float32)

    def step(p: Any, loss: Any) -> Any:
        g = jnp.where(p == 9, jnp.nan, p)
        _, state = tx.update(p, tx.init(p), p, value=loss[0])
        _, bad = tx.update(g, state, p, value=loss[0])
        return state, bad

    inputs = (P("x"), P("x"))
    state, bad = jax.jit(jax.shard_map(step, mesh=mesh(), in_specs=inputs, out_specs=P()))(
        p, jnp.arange(8, dtype=jnp.float32)
    )
    assert gradtx.metrics(state)["loss"] == 3.5
    assert gradtx.metrics(state)["zeros"] == pytest.approx(1 / 16)
    assert read(bad).bad == {"params": 1}


def test_a_leaf_that_differs_by_device_is_refused_by_name():
    tx = gradtx.watch(gradtx.sgd(0.1))
    p = {"w": jnp.ones((8, 2), jnp.float32)}

    def step(p: Any) -> Any:
        return tx.update(p, tx.init(p), p)[0]

    def with_loss(p: Any) -> Any:
        same = jnp.ones(2, jnp.float32)
        return tx.update(same, tx.init(same), same, value=jnp.sum(p["w"]))[0]

    for f, named in ((step, r"grads\['w'\]"), (with_loss, "value")):
        fix = r"watch\(..., axis_name='x'\) sums over it"
        with pytest.raises(ValueError, match=rf"watch: {named} differs along the axis 'x' of shard_map, .*{fix}"):
            jax.jit(jax.shard_map(f, mesh=mesh(), in_specs=P("x"), out_specs=P()))(p)


def test_the_error_adds_to_the_axes_that_are_named():
    tx = gradtx.watch(gradtx.sgd(0.1), axis_name="y")
    both = jax.make_mesh((4, 2), ("x", "y"), (AxisType.Auto,) * 2, devices=jax.devices()[:8])
    f = jax.shard_map(lambda p: tx.update(p, tx.init(p), p)[0], mesh=both, in_specs=P("x", "y"), out_specs=P("x", "y"))
    with pytest.raises(ValueError, match=r"axis_name=\('y', 'x'\)"):
        jax.jit(f)(jnp.ones((8, 2), jnp.float32))


def test_leaves_that_are_the_same_everywhere_need_no_axis():
    p, tx = start(), gradtx.watch(gradtx.sgd(0.1))

    def step(p: Any) -> Any:
        return tx.update(p, tx.init(p), p, value=jnp.float32(1.0))

    f = jax.jit(jax.shard_map(step, mesh=mesh(), in_specs=P(), out_specs=P()))
    got, want = gradtx.metrics(f(p)[1]), gradtx.metrics(step(p)[1])
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("axis", [3, ("x", 1)])
def test_an_axis_is_a_name(axis):
    with pytest.raises(TypeError, match=r"watch: axis_name = .*expected the name of an axis"):
        gradtx.watch(gradtx.sgd(0.1), axis_name=axis)


def gathered(text: str) -> int:
    """Return the bytes that all-gathers of a compiled program write."""
    shapes = re.findall(r"= \(?f32\[([\d,]*)\][^=]*? all-gather(?:-start)?\(", text)
    return sum(4 * int(np.prod([int(n) for n in shape.split(",") if n])) for shape in shapes)


@pytest.mark.share(4)
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("spec", [P("x"), P(None, "x")], ids=["rows", "columns"])
def test_a_sharded_model_gathers_its_sample_alone(kind, spec):
    p = {"a": jnp.ones((1024, 512), jnp.float32), "b": jnp.ones((512, 1024), jnp.float32)}
    devices = mesh(kind)
    p = jax.device_put(p, NamedSharding(devices, spec))
    tx = gradtx.watch(gradtx.sgd(0.1))
    state = tx.init(p)

    def step(p: Any, state: Any) -> Any:
        updates, state = tx.update(p, state, p, value=jnp.float32(1.0))
        return gradtx.apply_updates(p, updates), state

    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(p, state).compile()
    trees = 4  # the samples of gradient, update and parameters, and the share of zeros
    assert gathered(compiled.as_text()) <= trees * 4 * 2 * sample.SAMPLE
    assert gathered("  %x = f32[8,4]{1,0} all-gather(%y), dimensions={0}") == 128
    _, state = compiled(p, state)
    assert gradtx.metrics(state)["grad_norm"] == pytest.approx(1024, rel=1e-5)
    assert 0.5 * sample.SAMPLE <= state.record.meta.sampled <= 2 * sample.SAMPLE


@pytest.mark.parametrize(
    "shape", [(4096,), (4096, 1024), (50257, 768), (512, 512), (3, 3, 512, 512), (7, 11, 13), (1, 100_000), (997, 991)]
)
@pytest.mark.parametrize("step", [3, 19, 1000])
def test_strides_reach_their_share_and_stay_in_the_array(shape, step):
    total = int(step * sample.SAMPLE)
    steps = sample.strides(shape, total)
    lengths = [-(-n // s) for n, s in zip(shape, steps, strict=True)]
    drawn, size = np.prod(lengths), np.prod(shape)
    assert size / step / 2.5 <= drawn <= max(size / step * 2.5, 1)
    if size > 2**20:
        return
    x = jnp.arange(size, dtype=jnp.int32).reshape(shape)
    taken = np.asarray(sample.take(x, total))
    assert len(set(taken.tolist())) == drawn
    places = np.unravel_index(taken, shape)
    assert [len(set(axis.tolist())) for axis in places] == lengths


def test_a_sample_meets_rows_and_columns_alike():
    assert sample.strides((512, 512), 64 * sample.SAMPLE) == (8, 8)
    assert sample.strides((16,), 64 * sample.SAMPLE) == (1,)
    assert sample.strides((64,), 2**24, copies=8) != (1,)  # one of 8 parts of a leaf of 512
