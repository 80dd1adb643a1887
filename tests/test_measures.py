"""Measurements inside a chain: optax's numbers, a state that keeps its form, and what is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

START = {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array(0.5)}


def norm(u: Any) -> jax.Array:
    return jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree.leaves(u)))


def is_large(u: Any) -> jax.Array:
    return norm(u) > 1.0


def chained(library: Any) -> Any:
    """Return a chain with measurements in the middle and at its end."""
    return library.chain(
        library.sgd(0.1, momentum=0.9),
        library.snapshot("norm_before_clip", norm),
        library.clip_by_global_norm(0.3),
        library.monitor(
            {
                "norm_after": norm,
                "large": library.measure_with_ema(is_large, 0.9),
                "biased": library.measure_with_ema(norm, 0.5, debias=False),
                "tree": lambda u: {"w": u["w"] * 2.0},
            }
        ),
    )


def test_measurements_are_those_of_optax() -> None:
    """Also read by `optax.tree.get`, by name."""
    found = []
    for library in (optax, gradtx):
        tx, p, rows = chained(library), START, []
        state = tx.init(p)
        for _ in range(4):
            with jax.numpy_dtype_promotion("standard"):  # optax relies on implicit promotion
                updates, state = tx.update(jax.tree.map(lambda x: 2 * x, p), state, p)
            p = gradtx.apply_updates(p, updates)
            names = ("norm_before_clip", "norm_after", "large", "biased")
            rows.append([optax.tree.get(state, name) for name in names] + [*state[3].measurements["tree"]["w"]])
        found.append(np.asarray(rows, np.float64))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)


def test_nothing_is_measured_before_the_first_update() -> None:
    state = chained(gradtx).init(START)
    assert state[1].measurement["norm_before_clip"] == 0.0
    assert state[3].measurements["large"] == 0.0
    assert state[3].measurements["tree"]["w"].tolist() == [0.0] * 3


def test_a_scan_carries_measurements() -> None:
    """Optax's monitor has none at first, and a measurement of its snapshot may change its dtype."""
    tx = chained(gradtx)
    p = jax.tree.map(lambda x: x.astype(jnp.bfloat16), START)
    grads = jax.tree.map(lambda x: jnp.stack([x, x]).astype(jnp.float32), START)

    def body(state: Any, g: Any) -> Any:
        updates, state = tx.update(g, state, p)
        return state, updates

    state, _ = jax.lax.scan(body, tx.init(p), grads)
    assert state[1].measurement["norm_before_clip"].dtype == jnp.float32
    assert state[3].measurements["norm_after"] > 0


def test_a_measure_sees_none_where_there_is_no_gradient() -> None:
    p = {"w": jnp.ones(3), "none": None, "count": jnp.array([1, 2])}
    g = {"w": jnp.full(3, 2.0), "none": None, "count": np.zeros(2, jax.dtypes.float0)}
    tx = gradtx.chain(gradtx.snapshot("sum", norm), gradtx.monitor({"mean": gradtx.measure_with_ema(norm, 0.5)}))
    updates, state = tx.update(g, tx.init(p), p)
    assert updates["count"].dtype == jax.dtypes.float0
    np.testing.assert_allclose(state[0].measurement["sum"], np.sqrt(12.0))
    np.testing.assert_allclose(state[1].measurements["mean"], np.sqrt(12.0))


def test_a_measure_is_given_extra_arguments() -> None:
    """A transform of a user's, which gives the loss in place of an update."""

    def update(updates: Any, state: Any, params: Any = None, *, value: Any = 0.0) -> Any:
        return jnp.asarray(value, jnp.float32), state

    loss = optax.GradientTransformationExtraArgs(lambda params: (), update)
    tx = gradtx.monitor({"loss": loss})
    _, state = tx.update(START, tx.init(START), START, value=3.0)
    assert state.measurements["loss"] == 3.0


def test_watch_and_hyperparams_see_through_measurements() -> None:
    """A chain that is looked at has the effective rate of the same chain unseen."""
    measured = gradtx.chain(gradtx.scale_by_adam(), gradtx.snapshot("norm", norm), gradtx.scale_by_learning_rate(0.1))
    rates = []
    for tx in (gradtx.adam(0.1), measured):
        watched = gradtx.watch(tx)
        state = watched.init(START)
        for _ in range(2):
            _, state = watched.update(START, state, START)
        rates.append({name: x for name, x in gradtx.metrics(state).items() if name.startswith("rate_")})
        assert gradtx.hyperparams(watched, state)["scale_by_learning_rate.learning_rate"] == 0.1
    assert rates[0].keys() == rates[1].keys()
    assert rates[0]
    for name, rate in rates[0].items():
        np.testing.assert_allclose(rates[1][name], rate, rtol=1e-5)
    average = gradtx.measure_with_ema(norm, 0.5)
    assert gradtx.hyperparams(average, average.init(START)) == {"measure_with_ema.decay": 0.5}


def test_they_print_as_their_calls() -> None:
    average = gradtx.measure_with_ema(norm, 0.5)
    assert repr(average) == "measure_with_ema(norm, 0.5)"
    assert repr(gradtx.snapshot("size", norm)) == "snapshot(measure_name='size', measure=norm)"
    assert repr(gradtx.monitor({"size": norm, "mean": average})) == f"monitor({{'size': norm, 'mean': {average}}})"


def test_they_say_what_they_cannot_take() -> None:
    for made, got in (
        (lambda: gradtx.snapshot(norm, "norm"), "snapshot: measure_name is function, expected a text"),
        (lambda: gradtx.snapshot("norm", 1.0), "snapshot: measure is float, expected a function of the updates"),
        (lambda: gradtx.measure_with_ema(1.0, 0.9), "measure_with_ema: measure is float, expected a function"),
        (lambda: gradtx.monitor([norm]), "monitor: measures is list of 1, expected a dict by name"),
        (lambda: gradtx.monitor({"norm": 1.0}), r"monitor: measures\['norm'\] is float, expected a transform"),
        (
            lambda: gradtx.snapshot("text", str).init(START),
            r"snapshot: measurement\['text'\] has a str in it, expected",
        ),
    ):
        with pytest.raises(TypeError, match=got):
            made()
    with pytest.raises(ValueError, match=r"measure_with_ema: decay = 1.0, expected a number in \[0, 1\)"):
        gradtx.measure_with_ema(norm, 1.0)


@pytest.mark.parametrize(
    ("other", "got"),
    [
        (lambda u: {"a": norm(u)}, "is dict of 1, expected float64 of shape \\(\\) as in the one at init"),
        (lambda u: u["w"], "is float64 of shape \\(3,\\), expected float64 of shape \\(\\) as at init"),
        (is_large, "is bool of shape \\(\\), expected float64 of shape \\(\\) as at init"),
    ],
    ids=["a dict", "an array", "a truth"],
)
def test_a_measurement_keeps_its_form(other: Any, got: str) -> None:
    for make, where in (
        (lambda measure: gradtx.snapshot("x", measure), r"snapshot: measurement\['x'\]"),
        (lambda measure: gradtx.monitor({"x": measure}), r"monitor: measurements\['x'\]"),
    ):
        state = make(norm).init(START)
        with pytest.raises(ValueError, match=f"{where} {got}"):
            make(other).update(START, state, START)


def test_a_measurement_stays_where_there_is_none() -> None:
    """That of a parameter frozen for this step."""
    tx = gradtx.snapshot("sizes", lambda u: jax.tree.map(jnp.size, u))
    _, state = tx.update(START, tx.init(START), START)
    _, state = tx.update({**START, "b": None}, state, START)
    assert jax.tree.map(int, state.measurement["sizes"]) == {"w": 3, "b": 1}


def test_the_state_of_another_is_refused() -> None:
    for make, got in (
        (lambda name: gradtx.snapshot(name, norm), "snapshot: state"),
        (lambda name: gradtx.monitor({name: norm}), "monitor: state"),
    ):
        with pytest.raises(ValueError, match=rf"{got} holds \['y'\], expected \['x'\]"):
            make("x").update(START, make("y").init(START), START)
        with pytest.raises(ValueError, match=f"{got} is EmptyState, expected"):
            make("x").update(START, optax.EmptyState(), START)
