"""Lookahead, averages of the parameters, and the one function that finds where to evaluate."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

START = {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array(0.5)}


def gradient(p: Any) -> Any:
    return jax.tree.map(lambda x: 2 * x, p)


def trained(tx: Any, p: Any = START, steps: int = 7, *, jit: bool = False) -> tuple[Any, Any, list[Any]]:
    """Return the last state and params, and the params after each step; without jit operation by operation."""
    update = jax.jit(optax.with_extra_args_support(tx).update, donate_argnums=1)
    state, seen = tx.init(p), []
    with jax.disable_jit(not jit):
        for _ in range(steps):
            updates, state = update(gradient(p), state, p)
            p = gradtx.apply_updates(p, updates)
            seen.append(p)
    return state, p, seen


# --- lookahead --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["kept", "reset"])
def test_a_changed_import_gives_the_numbers_of_optax(reset: bool) -> None:
    """With the params side by side, and with plain params, which are the fast ones."""
    ends = []
    for library in (optax, gradtx):
        tx = library.lookahead(library.adam(0.1), 3, 0.4, reset_state=reset)
        params = library.LookaheadParams.init_synced(START)
        state = tx.init(params)
        for _ in range(7):
            with jax.numpy_dtype_promotion("standard"):  # optax relies on implicit promotion
                updates, state = tx.update(gradient(params.fast), state, params)
                params = library.apply_updates(params, updates)
        ends.append(params)
    plain = gradtx.lookahead(gradtx.adam(0.1), sync_period=3, slow_step_size=0.4, reset_state=reset)
    state, fast, _ = trained(plain)
    ends.append(gradtx.LookaheadParams(fast, gradtx.eval_params(state, fast)))
    for end in ends[1:]:
        for want, got in zip(jax.tree.leaves(ends[0]), jax.tree.leaves(end), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9)
    assert gradtx.eval_params(state, ends[1]) is ends[1].slow


def test_params_side_by_side_are_given_away_after_init() -> None:
    """Optax's share their buffers, so that a step which overwrites them fails."""
    tx = gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5)
    p = {"w": jnp.ones(3), "half": jnp.ones(2, jnp.bfloat16), "none": None, "count": jnp.array(3)}
    params = gradtx.LookaheadParams.init_synced(p)
    pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(params)]
    assert len(set(pointers)) == len(pointers)
    g = {"w": jnp.ones(3), "half": jnp.ones(2, jnp.bfloat16), "none": None, "count": None}

    def step(params: Any, state: Any) -> Any:
        updates, state = tx.update(g, state, params)
        return gradtx.apply_updates(params, updates), state

    run = jax.jit(step, donate_argnums=(0, 1))
    state = tx.init(params)
    for _ in range(4):
        params, state = run(params, state)
    np.testing.assert_allclose(params.fast["w"], 0.8, rtol=1e-6)
    np.testing.assert_array_equal(params.slow["w"], params.fast["w"])
    np.testing.assert_array_equal(params.slow["half"], params.fast["half"])
    assert params.slow["count"] == 3
    assert gradtx.LookaheadParams.init_synced(jax.ShapeDtypeStruct((2,), jnp.float32)).slow.shape == (2,)


def test_a_watched_lookahead_is_measured_at_the_fast_params() -> None:
    tx = gradtx.watch(gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5))
    params = gradtx.LookaheadParams.init_synced({"w": jnp.array([3.0, 4.0])})
    state = tx.init(params)
    _, state = tx.update(params.fast, state, params)
    assert gradtx.metrics(state)["param_norm"] == 5.0


def test_the_fast_optimizer_starts_anew_where_it_goes_on() -> None:
    """One that remembers where it began, such as `mechanize`, must not begin where the step did."""
    fast = gradtx.mechanize(gradtx.sgd(1.0), s_init=0.1)
    state, p, _ = trained(gradtx.lookahead(fast, 2, 0.5, reset_state=True), steps=2)
    np.testing.assert_array_equal(state.inner[1].x0["w"], p["w"])


@pytest.mark.parametrize("period", [0, -1, True, 2.0, None])
def test_a_period_is_a_whole_number(period: Any) -> None:
    with pytest.raises(
        ValueError, match=r"lookahead: sync_period = .*, expected a whole number >= 1; write sync_period=5"
    ):
        gradtx.lookahead(gradtx.sgd(0.1), period, 0.5)


def test_lookahead_refuses_what_it_cannot_take() -> None:
    with pytest.raises(ValueError, match=r"lookahead: slow_step_size = 1.5, expected a number in \[0, 1\]"):
        gradtx.lookahead(gradtx.sgd(0.1), 2, 1.5)
    with pytest.raises(TypeError, match="lookahead: fast_optimizer is float"):
        gradtx.lookahead(0.1, 2, 0.5)
    tx = gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5)
    with pytest.raises(ValueError, match="lookahead: state is tuple of 2, expected LookaheadState"):
        tx.update(START, gradtx.sgd(0.1).init(START), START)
    with pytest.raises(ValueError, match="lookahead: params is None, expected the params"):
        tx.update(START, tx.init(START))
    state = tx.init(gradtx.LookaheadParams.init_synced(START))
    with pytest.raises(ValueError, match="lookahead: params is dict of 2, expected the LookaheadParams that init was"):
        tx.update(START, state, START)
    other = {**START, "w": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"lookahead: grads\['w'\] has shape \(2,\), expected shape \(3,\)"):
        tx.update(other, tx.init(START), other)


# --- params_ema -------------------------------------------------------------------------------------------------------


def mean(seen: list[Any], decay: Any, debias: bool, every: int) -> np.ndarray:
    """Return the weighted sum that the average is, in float64."""
    a, total = np.asarray(START["w"], np.float64), 0.0 if debias else 1.0
    parts = [(a, total)]
    for t, p in enumerate(seen):
        if (t + 1) % every == 0:
            d = decay(t) if callable(decay) else decay
            parts = [(x, weight * d) for x, weight in parts] + [(np.asarray(p["w"], np.float64), 1 - d)]
    return sum(x * weight for x, weight in parts) / sum(weight for _, weight in parts)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("debias", [True, False], ids=["debiased", "from the start"])
@pytest.mark.parametrize("decay", [0.9, 0.0, lambda n: n / (n + 1.0)], ids=["0.9", "0", "rising"])
def test_the_average_is_its_formula(decay: Any, debias: bool, every: int) -> None:
    state, p, seen = trained(gradtx.params_ema(gradtx.adam(0.1), decay, debias=debias, every=every), jit=every > 1)
    np.testing.assert_allclose(gradtx.eval_params(state, p)["w"], mean(seen, decay, debias, every), rtol=1e-12)


def test_a_rising_decay_gives_the_plain_mean() -> None:
    state, p, seen = trained(gradtx.params_ema(gradtx.adam(0.1), lambda n: n / (n + 1.0)))
    np.testing.assert_allclose(gradtx.eval_params(state, p)["w"], np.mean([x["w"] for x in seen], axis=0), rtol=1e-12)


def test_the_average_is_that_of_optax_ema() -> None:
    """Optax's `ema`, given the parameters as if they were gradients."""
    state, p, seen = trained(gradtx.params_ema(gradtx.adam(0.1), 0.9))
    ema = optax.ema(0.9, debias=True)
    theirs = ema.init(START)
    with jax.numpy_dtype_promotion("standard"):  # optax relies on implicit promotion
        for x in seen:
            average, theirs = ema.update(x, theirs)
    np.testing.assert_allclose(gradtx.eval_params(state, p)["w"], average["w"], rtol=1e-12)


def test_a_slow_average_loses_no_digits() -> None:
    """In float32, 1 - 0.9999 has four of them."""
    p = {"w": jnp.array(1.0, jnp.float32)}
    tx = gradtx.params_ema(gradtx.sgd(0.0), 0.9999)
    with jax.enable_x64(False):
        state = tx.init(p)
        for _ in range(3):
            _, state = tx.update(p, state, p)
    np.testing.assert_allclose(state.weight, 1 - 0.9999**3, rtol=1e-6)
    assert state.average["w"] == 1.0


def test_half_precision_is_averaged_as_it_is_stored() -> None:
    """A step that half precision rounds away moves no average, and the average itself is float32."""
    p = {"w": jnp.ones(2, jnp.bfloat16)}
    tx = gradtx.params_ema(gradtx.sgd(1e-3), 0.5)
    state = tx.init(p)
    for _ in range(3):
        updates, state = tx.update({"w": jnp.ones(2, jnp.float32)}, state, p)
        p = gradtx.apply_updates(p, updates)
    assert state.average["w"].dtype == jnp.float32
    np.testing.assert_array_equal(state.average["w"], 1.0)
    state, p, seen = trained(gradtx.params_ema(gradtx.sgd(0.1), 0.5), p)
    assert gradtx.eval_params(state, p)["w"].dtype == jnp.bfloat16
    assert not np.all(state.average["w"] == np.asarray(seen[-1]["w"], np.float32))


def test_complex_parameters_are_averaged() -> None:
    state, p, seen = trained(gradtx.params_ema(gradtx.sgd(0.1), lambda n: n / (n + 1.0)), {"z": jnp.array([1 + 2j])}, 3)
    np.testing.assert_allclose(gradtx.eval_params(state, p)["z"], np.mean([x["z"] for x in seen], axis=0), rtol=1e-12)


def test_params_ema_refuses_what_it_cannot_take() -> None:
    with pytest.raises(ValueError, match=r"params_ema: decay = 1.0, expected a number in \[0, 1\)"):
        gradtx.params_ema(gradtx.sgd(0.1), 1.0)
    for every in (0, True, 1.5):
        with pytest.raises(ValueError, match=r"params_ema: every = .*, expected a whole number >= 1; write every=1"):
            gradtx.params_ema(gradtx.sgd(0.1), 0.9, every=every)
    with pytest.raises(TypeError, match="params_ema: tx is float"):
        gradtx.params_ema(0.1, 0.9)
    tx = gradtx.params_ema(gradtx.sgd(0.1), 0.9)
    state = tx.init(START)
    with pytest.raises(ValueError, match="params_ema: state is tuple of 2, expected ParamsEmaState"):
        tx.update(START, gradtx.sgd(0.1).init(START), START)
    with pytest.raises(ValueError, match="params_ema: params is None, expected the params"):
        tx.update(START, state)
    with pytest.raises(ValueError, match=r"params_ema: grads\['w'\] has shape \(2,\), expected shape \(3,\)"):
        tx.update({**START, "w": jnp.ones(2)}, state, {**START, "w": jnp.ones(2)})
    with pytest.raises(ValueError, match=r"params_ema: .*\['b'\]"):
        tx.update({"w": START["w"]}, state, {"w": START["w"]})


# --- eval_params ------------------------------------------------------------------------------------------------------

AVERAGED = gradtx.params_ema(gradtx.adam(0.1), 0.9)
KEPT = {
    "params_ema": AVERAGED,
    "lookahead": gradtx.lookahead(gradtx.adam(0.1), 2, 0.5),
    "schedule_free": gradtx.schedule_free_sgd(0.1),
}
ROUND = {
    "alone": lambda tx: tx,
    "chain": lambda tx: gradtx.chain(gradtx.zero_nans(), tx),
    "named chain": lambda tx: gradtx.named_chain(("own", tx)),
    "sam": lambda tx: gradtx.sam(tx, gradtx.sgd(0.1), sync_period=1),
    "optax chain": lambda tx: optax.chain(optax.identity(), optax.chain(tx)),
    "optax named chain": lambda tx: optax.named_chain(("own", tx)),
    "optax MultiSteps": lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
    "optax apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "optax masked": lambda tx: optax.masked(tx, {"w": True, "b": True}),
    "optax flatten": optax.flatten,
    "optax partition": lambda tx: optax.partition({"all": tx}, "all"),
}


@pytest.mark.parametrize("outer", ROUND)
@pytest.mark.parametrize("kind", KEPT)
def test_the_average_is_found_at_any_depth(kind: str, outer: str) -> None:
    state, p, _ = trained(KEPT[kind], steps=3)
    want = gradtx.eval_params(state, p)
    with jax.numpy_dtype_promotion("standard"):  # optax's wrappers rely on implicit promotion
        state, p, _ = trained(ROUND[outer](KEPT[kind]), steps=3)
        got = jax.jit(gradtx.eval_params)(state, p)
    for name in p:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-9)
        assert (got[name].shape, got[name].dtype) == (p[name].shape, p[name].dtype)


def test_the_average_of_a_watched_run_is_found() -> None:
    """A record is no average."""
    for tx in KEPT.values():
        watched = gradtx.watch(tx).init(START)
        np.testing.assert_allclose(gradtx.eval_params(watched, START)["w"], START["w"])


def test_schedule_free_learning_is_evaluated_as_ever() -> None:
    state, p, _ = trained(KEPT["schedule_free"])
    want = gradtx.schedule_free_eval_params(state, p)
    np.testing.assert_array_equal(gradtx.eval_params(state, p)["w"], want["w"])


def test_the_parts_of_complex_parameters_are_found() -> None:
    p = {"z": jnp.array([1 + 2j, -1j]), "x": jnp.array(1.0)}
    for kind in KEPT:
        one, first, _ = trained(KEPT[kind], {"re": p["z"].real, "im": p["z"].imag, "x": p["x"]}, 3)
        want = gradtx.eval_params(one, first)
        state, q, _ = trained(gradtx.split_real_and_imaginary(KEPT[kind]), p, 3)
        got = gradtx.eval_params(state, q)
        np.testing.assert_allclose(got["z"], np.asarray(want["re"]) + 1j * np.asarray(want["im"]), rtol=1e-9)
        np.testing.assert_allclose(got["x"], want["x"], rtol=1e-9)


def test_parameters_without_an_average_are_returned_as_they_are() -> None:
    tx = optax.chain(
        optax.masked(AVERAGED, {"w": True, "b": False}), optax.masked(optax.sgd(0.1), {"w": False, "b": True})
    )
    state, p, seen = trained(tx)
    got = gradtx.eval_params(state, p)
    assert got["b"] is p["b"]
    np.testing.assert_allclose(got["w"], mean(seen, 0.9, True, 1), rtol=1e-9)
    p = {"w": jnp.ones(2), "none": None, "count": jnp.array(3)}
    got = gradtx.eval_params(AVERAGED.init(p), p)
    assert got["none"] is None
    assert got["count"] is p["count"]


def test_two_averages_of_different_parameters_are_one() -> None:
    tx = optax.partition({"w": AVERAGED, "b": KEPT["lookahead"]}, {"w": "w", "b": "b"})
    state, p, seen = trained(tx)
    got = gradtx.eval_params(state, p)
    np.testing.assert_allclose(got["w"], mean(seen, 0.9, True, 1), rtol=1e-9)
    alone, fast, _ = trained(KEPT["lookahead"])
    np.testing.assert_allclose(got["b"], gradtx.eval_params(alone, fast)["b"], rtol=1e-9)


def test_eval_params_says_what_it_cannot_find() -> None:
    for state in (gradtx.adam(0.1).init(START), None, START):
        with pytest.raises(
            ValueError, match=r"eval_params: state is .* without an average, expected one of the params"
        ):
            gradtx.eval_params(state, START)
    state = gradtx.params_ema(KEPT["lookahead"], 0.9).init(START)
    with pytest.raises(ValueError, match=r"params\['b'\] has 2 averages, of params_ema and lookahead, expected one"):
        gradtx.eval_params(state, START)
    assert gradtx.eval_params(state.inner, START)["w"].tolist() == START["w"].tolist()
    state = AVERAGED.init(START)
    with pytest.raises(
        ValueError, match=r"eval_params: params\['w'\] has shape \(2,\), expected \(3,\) as its average"
    ):
        gradtx.eval_params(state, {**START, "w": jnp.ones(2)})
    with pytest.raises(ValueError, match=r"eval_params: params\['b'\] is missing, of which params_ema has an average"):
        gradtx.eval_params(state, {"w": START["w"]})
    with pytest.raises(ValueError, match=r"eval_params: state has an average of shape \(4,\), expected 5 numbers"):
        gradtx.eval_params(optax.flatten(AVERAGED).init(START), {**START, "c": jnp.array(1.0)})
