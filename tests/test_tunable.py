"""Hyperparameters at run time: read, set, batched, under schedules; optax's inject_hyperparams; errors."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

P = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]], jnp.float32), "half": jnp.asarray([1.0, 2.0], jnp.bfloat16)}


def grads(i: int) -> Any:
    return jax.tree.map(lambda p: (p * (0.5 + i)).astype(p.dtype), P)


def falling(count: Any) -> jax.Array:
    return 0.5 / (1.0 + jnp.asarray(count).astype(jnp.float32))


def go(tx: Any, state: Any, steps: int, update: Any = None) -> tuple[list[Any], Any]:
    update, out = update or jax.jit(tx.update), []
    for i in range(steps):
        u, state = update(grads(i), state, P)
        out.append(u)
    return out, state


def traced_once(f: Callable[..., Any]) -> Any:
    """Return a function jitted, which fails where it is traced again."""
    traces: list[None] = []

    def run(*args: Any) -> Any:
        traces.append(None)
        assert len(traces) == 1, "it is compiled anew"
        return f(*args)

    return jax.jit(run)


def test_a_value_is_set_without_compiling() -> None:
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.tunable(gradtx.adamw, learning_rate=0.25, b1=0.5))
    update, state = traced_once(tx.update), tx.init(P)
    first, state = go(tx, state, 2, update)
    state = gradtx.set_hyperparams(state, learning_rate=0.125, b1=0.75)
    then, state = go(tx, state, 1, update)
    plain = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(jnp.float64(0.25), b1=jnp.float64(0.5)))
    wanted, own = go(plain, plain.init(P), 2)
    chex.assert_trees_all_close(first, wanted, rtol=1e-6)
    plain = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(jnp.float64(0.125), b1=jnp.float64(0.75)))
    chex.assert_trees_all_close(then, go(plain, own, 1)[0], rtol=1e-6)
    seen = gradtx.hyperparams(tx, state)
    assert seen["scale_by_learning_rate.learning_rate"] == seen["learning_rate"] == 0.125


def test_the_state_shows_a_schedule() -> None:
    tx = gradtx.tunable(gradtx.sgd, learning_rate=falling)
    state = tx.init(P)
    for t in range(3):
        assert float(state.hyperparams["learning_rate"]) == pytest.approx(0.5 / (1 + t), rel=1e-6)
        assert gradtx.hyperparams(tx, state)["learning_rate"] == pytest.approx(0.5 / (1 + t), rel=1e-6)
        u, state = tx.update(grads(0), state, P)
        np.testing.assert_allclose(u["w"], -0.5 / (1 + t) * grads(0)["w"], rtol=1e-6)


def test_a_value_that_is_set_stays() -> None:
    tx = gradtx.tunable(gradtx.sgd, learning_rate=falling)
    state = gradtx.set_hyperparams(tx.init(P), learning_rate=0.0625)
    updates, state = go(tx, state, 2)
    np.testing.assert_allclose(updates[1]["w"], -0.0625 * grads(1)["w"])
    assert float(state.hyperparams["learning_rate"]) == 0.0625


def test_the_others_move_on() -> None:
    tx = gradtx.tunable(gradtx.sgd, learning_rate=falling, momentum=falling)
    state = gradtx.set_hyperparams(tx.init(P), momentum=0.25)
    _, state = go(tx, state, 1)
    assert {k: float(v) for k, v in state.hyperparams.items()} == {"learning_rate": 0.25, "momentum": 0.25}
    _, state = go(tx, state, 2)
    assert {k: float(v) for k, v in state.hyperparams.items()} == {"learning_rate": 0.125, "momentum": 0.25}


@pytest.mark.parametrize("tree", [gradtx.tree, optax.tree], ids=["gradtx", "optax"])
def test_optaxs_tree_reads_and_sets_a_value(tree: Any) -> None:
    tx = gradtx.guard(gradtx.chain(gradtx.scale(1.0), gradtx.tunable(gradtx.adamw, learning_rate=0.5, b1=0.5)))
    state, update = tx.init(P), traced_once(tx.update)
    assert float(tree.get(state, "learning_rate")) == 0.5
    _, state = update(grads(0), state, P)
    state = tree.set(state, learning_rate=jnp.asarray(0.25, tree.get(state, "learning_rate").dtype))
    assert gradtx.hyperparams(tx, state)["scale_by_learning_rate.learning_rate"] == 0.25
    with pytest.raises(ValueError, match=r"learning_rate is -1.0, expected a number from 0 to"):
        gradtx.set_hyperparams(state, learning_rate=-1.0)
    update(grads(1), state, P)


@pytest.mark.parametrize(
    "value", [0.1, jnp.float32(0.1), np.float64(0.1), falling], ids=["float", "array", "NumPy", "schedule"]
)
def test_one_structure_whatever_the_value_is(value: Any) -> None:
    shapes = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), P)
    wanted = jax.eval_shape(gradtx.tunable(gradtx.adamw, learning_rate=0.3).init, shapes)
    tx = gradtx.tunable(gradtx.adamw, learning_rate=value)
    state = jax.eval_shape(tx.init, shapes)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, wanted)
    chex.assert_trees_all_equal_shapes_and_dtypes(jax.eval_shape(tx.update, shapes, state, shapes)[1], wanted)


def test_values_are_float32_beside_half_precision_params() -> None:
    """In bfloat16 0.999 is 1, and the second moment would never move."""
    p = jnp.ones(3, jnp.bfloat16)
    with jax.enable_x64(False):
        tx = gradtx.tunable(gradtx.adamw, learning_rate=1e-3, b2=0.999)
        state = tx.init(p)
        assert state.hyperparams["b2"].dtype == jnp.float32
        u, state = tx.update(p, state, p)
        assert bool(jnp.all(jnp.isfinite(u)))
        assert u.dtype == jnp.bfloat16


def test_a_population_is_one_program() -> None:
    tx = gradtx.tunable(gradtx.adam, learning_rate=0.1)
    rates = jnp.asarray([0.5, 0.25, 0.125])
    states = jax.vmap(lambda rate: gradtx.set_hyperparams(tx.init(P), learning_rate=rate))(rates)
    update = traced_once(jax.vmap(tx.update, in_axes=(None, 0, None)))
    for i in range(3):
        u, states = update(grads(i), states, P)
    for m, rate in enumerate(rates):
        alone, _ = go(tx, gradtx.set_hyperparams(tx.init(P), learning_rate=rate), 3)
        chex.assert_trees_all_close(jax.tree.map(lambda x, m=m: x[m], u), alone[-1], rtol=1e-6)
    np.testing.assert_allclose(gradtx.hyperparams(tx, states)["learning_rate"], rates)
    faster = gradtx.set_hyperparams(states, learning_rate=2 * rates)
    np.testing.assert_allclose(faster.hyperparams["learning_rate"], 2 * rates)


def own(rate: float, decay: float, nesterov: bool, steps: int) -> Any:
    """Return a chain as a user writes one."""
    return gradtx.chain(gradtx.trace(decay, nesterov=nesterov), gradtx.apply_every(steps), gradtx.scale(-rate))


def test_a_users_function() -> None:
    tx = gradtx.tunable(own, rate=0.5, decay=0.75, nesterov=True, steps=1)
    state = tx.init(P)
    assert sorted(state.hyperparams) == ["decay", "rate"]
    chex.assert_trees_all_close(
        go(tx, state, 3)[0], go(own(0.5, 0.75, True, 1), own(0.5, 0.75, True, 1).init(P), 3)[0], rtol=1e-6
    )


def test_outside_jit_nothing_is_compiled_anew() -> None:
    made: list[float] = []

    def factory(rate: float) -> Any:
        made.append(rate)
        return gradtx.adamw(rate)

    tx = gradtx.tunable(factory, rate=0.1)
    state = tx.init(P)
    _, state = tx.update(grads(0), state, P)
    before = len(made)
    for i in range(1, 4):
        state = gradtx.set_hyperparams(state, rate=0.1 / (i + 1))
        u, state = tx.update(grads(i), state, P)
        assert not np.any(np.isnan(u["w"]))
    assert len(made) == before


def test_a_schedule_outside_jit_may_be_a_plain_function() -> None:
    rate = [0.5]
    tx = gradtx.tunable(gradtx.sgd, learning_rate=lambda count: rate[0])
    state = tx.init(jnp.array(1.0))
    _, state = tx.update(jnp.array(1.0), state)
    rate[0] = 0.25
    assert tx.update(jnp.array(1.0), state)[0].item() == -0.25


def test_two_with_one_name_are_told_apart() -> None:
    tx = gradtx.named_chain(
        ("a", gradtx.tunable(gradtx.trace, decay=0.5)), ("b", gradtx.tunable(gradtx.trace, decay=0.25))
    )
    state = tx.init(P)
    with pytest.raises(ValueError, match=r"set_hyperparams: decay stands at \"\['a'\]\" and at \"\['b'\]\""):
        gradtx.set_hyperparams(state, decay=0.75)
    state = gradtx.set_hyperparams(state, "['b']", decay=0.75)
    assert [float(state[k].hyperparams["decay"]) for k in "ab"] == [0.5, 0.75]


def test_one_inside_another() -> None:
    tx = gradtx.tunable(
        lambda factor: gradtx.chain(gradtx.tunable(gradtx.sgd, learning_rate=0.5), gradtx.scale(factor)), factor=2.0
    )
    state = gradtx.set_hyperparams(tx.init(jnp.array(1.0)), learning_rate=0.25, factor=4.0)
    assert tx.update(jnp.array(1.0), state)[0].item() == -1.0


@pytest.mark.parametrize("rate", [0.1, falling], ids=["number", "schedule"])
@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop", "lion"])
def test_inject_is_optaxs(name: str, rate: Any) -> None:
    runs = []
    p = jnp.asarray([1.0, -2.0], jnp.float32)
    for lib in (gradtx, optax):
        tx = lib.inject_hyperparams(getattr(lib, name))(learning_rate=rate)
        state, out = tx.init(p), []
        with jax.numpy_dtype_promotion("standard"):
            for i in range(4):
                if i == 2 and not callable(rate):
                    state.hyperparams["learning_rate"] = jnp.float32(0.03)
                u, state = jax.jit(tx.update)(p * (1.0 + i), state, p)
                out.append((u, float(state.hyperparams["learning_rate"])))
        runs.append((out, set(state.hyperparams)))
    for (u, shown), (v, other) in zip(runs[0][0], runs[1][0], strict=True):
        np.testing.assert_allclose(u, v, rtol=2e-5)
        assert shown == pytest.approx(other, rel=1e-6)
    assert runs[1][1] <= runs[0][1] | {"nesterov"}


def test_what_must_be_known_needs_no_list() -> None:
    p = jnp.ones((256, 128), jnp.float32)
    for make in (gradtx.adafactor, gradtx.muon):
        tx = gradtx.inject_hyperparams(make)(learning_rate=0.1)
        u, state = jax.jit(tx.update)(p, tx.init(p), p)
        assert bool(jnp.all(jnp.isfinite(u)))
        assert "learning_rate" in state.hyperparams
    tx = gradtx.inject_hyperparams(gradtx.chain)(gradtx.trace(0.5), gradtx.scale(-1.0))
    assert tx.update(jnp.array(2.0), tx.init(jnp.array(0.0)))[0].item() == -2.0


def test_static_args_and_dtype() -> None:
    make = gradtx.inject_hyperparams(gradtx.sgd, static_args="momentum", hyperparam_dtype=jnp.bfloat16)
    tx = make(0.125, momentum=0.5)
    state = tx.init(P)
    assert list(state.hyperparams) == ["learning_rate"]
    assert state.hyperparams["learning_rate"].dtype == jnp.bfloat16
    assert str(tx) == f"inject_hyperparams({gradtx.sgd(0.125, momentum=0.5)})"


class Halves:
    """A schedule with a state, as optax has them."""

    def init(self) -> Any:
        return jnp.ones((), jnp.float32)

    def update(self, state: Any, **extra: Any) -> Any:
        del extra
        return state / 2

    def __call__(self, state: Any, **extra: Any) -> Any:
        del extra
        return state


def test_a_schedule_with_a_state() -> None:
    tx = gradtx.inject_stateful_hyperparams(gradtx.sgd)(learning_rate=Halves())
    state, seen = tx.init(jnp.array(0.0)), []
    for _ in range(3):
        u, state = jax.jit(tx.update)(jnp.array(1.0), state)
        seen.append(u.item())
    assert seen == [-1.0, -0.5, -0.25]
    assert state.hyperparams_states["learning_rate"].item() == 0.125


def test_a_watch_reads_the_rate() -> None:
    tx = gradtx.watch(gradtx.tunable(gradtx.adam, learning_rate=0.1))
    state = tx.init(P)
    for i in range(3):
        _, state = jax.jit(tx.update)(grads(i), state, P, value=1.0)
    assert gradtx.metrics(state)["learning_rate"] == pytest.approx(0.1, rel=1e-6)


def test_tuning_writes_no_array() -> None:
    p = {f"w{i}": jnp.ones((64, 128), jnp.float32) for i in range(4)}

    def step(tx: Any) -> Any:
        def one(p: Any, state: Any, g: Any) -> Any:
            u, state = tx.update(g, state, p)
            return gradtx.apply_updates(p, u), state

        compiled = jax.jit(one, donate_argnums=(0, 1)).lower(p, tx.init(p), p).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert step(gradtx.tunable(gradtx.adamw, learning_rate=0.1, b1=0.5)) <= step(gradtx.adamw(0.1)) + 2048


def tuned() -> Any:
    return gradtx.tunable(gradtx.adam, learning_rate=0.1, b1=0.5).init(P)


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a transform": (lambda: gradtx.tunable(gradtx.adam(0.1)), TypeError, "tunable: factory is"),
    "no such argument": (lambda: gradtx.tunable(gradtx.adam, rate=0.1), TypeError, "adam: .*rate"),
    "out of range": (lambda: gradtx.tunable(gradtx.adam, learning_rate=0.1, b1=1.5), ValueError, r"adam: b1 = 1.5"),
    "no hyperparameter": (
        lambda: gradtx.set_hyperparams(tuned(), b2=0.5),
        ValueError,
        r"b2 is not tunable.*\['b1', 'learning_rate'\]",
    ),
    "nothing tunable": (
        lambda: gradtx.set_hyperparams(gradtx.adam(0.1).init(P), b2=0.5),
        ValueError,
        r"b2 is not tunable.*tunable\(",
    ),
    "set out of range": (
        lambda: gradtx.set_hyperparams(tuned(), b1=1.0),
        ValueError,
        "set_hyperparams: b1 is 1.0, expected a number from 0 to",
    ),
    "set to NaN": (lambda: gradtx.set_hyperparams(tuned(), learning_rate=jnp.nan), ValueError, "learning_rate is nan"),
    "a schedule": (lambda: gradtx.set_hyperparams(tuned(), learning_rate=falling), TypeError, "learning_rate is"),
    "two numbers": (lambda: gradtx.set_hyperparams(tuned(), b1=jnp.ones(2)), ValueError, r"b1 has shape \(2,\)"),
    "a complex array": (
        lambda: gradtx.set_hyperparams(tuned(), b1=jnp.ones((), jnp.complex64)),
        TypeError,
        "set_hyperparams: b1 is complex64.*expected a real number",
    ),
    "a bool": (lambda: gradtx.set_hyperparams(tuned(), b1=jnp.array(True)), TypeError, "b1 is bool"),
    "no such path": (
        lambda: gradtx.set_hyperparams((tuned(), tuned()), "[2]", b1=0.5),
        ValueError,
        r"set_hyperparams: within is '\[2\]'.*choose from \['\[0\]', '\[1\]'\]",
    ),
    "makes no transform": (
        lambda: gradtx.tunable(lambda: 3),
        TypeError,
        "tunable: what the factory returned is int, expected a transform",
    ),
    "injected makes no transform": (
        lambda: gradtx.inject_hyperparams(lambda: gradtx.adam)(),
        TypeError,
        "inject_hyperparams: what the factory returned is function.*call it first",
    ),
    "another state": (
        lambda: gradtx.tunable(gradtx.adam, learning_rate=0.1).update(P, gradtx.adam(0.1).init(P), P),
        ValueError,
        "tunable: state is",
    ),
    "other values": (
        lambda: gradtx.tunable(gradtx.adam, learning_rate=0.1).update(P, tuned(), P),
        ValueError,
        r"tunable: state.hyperparams has the values \['b1', 'learning_rate'\]",
    ),
    "injected transform": (
        lambda: gradtx.inject_hyperparams(gradtx.adam(0.1)),
        TypeError,
        "inject_hyperparams: inner_factory is",
    ),
    "no such static": (
        lambda: gradtx.inject_hyperparams(gradtx.adam, static_args="b3"),
        ValueError,
        r"static_args has \['b3'\]",
    ),
}


@pytest.mark.parametrize(("call", "error", "says"), ERRORS.values(), ids=ERRORS)
def test_errors(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
