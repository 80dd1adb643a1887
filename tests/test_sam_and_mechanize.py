"""SAM and Mechanic: what they hold is seen, what they need is asked for, and any optimizer fits."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx.diagnosis.probing.edge import stability_edge

START = {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array(0.5)}


def uphill(rho: float = 0.1) -> gradtx.Transform:
    return gradtx.chain(gradtx.normalize(), gradtx.sgd(rho))


def twice(params: Any, i: Any = 0) -> Any:
    del i
    return jax.tree.map(lambda p: 2 * p, params)


def descended(tx: Any, steps: int, **extra: Any) -> tuple[Any, Any]:
    theta, state = START, tx.init(START)
    for _ in range(steps):
        u, state = tx.update(twice(theta), state, theta, **extra)
        theta = gradtx.apply_updates(theta, u)
    return theta, state


def test_both_modes_are_one_method() -> None:
    in_turn, _ = descended(gradtx.sam(gradtx.adam(0.1), uphill(), sync_period=3), 12)
    at_once, _ = descended(gradtx.sam(gradtx.adam(0.1), uphill(), sync_period=3, opaque_mode=True), 4, grad_fn=twice)
    chex.assert_trees_all_close(in_turn, at_once, rtol=1e-6)


def test_a_period_of_one_step_is_the_optimizer_alone() -> None:
    alone, _ = descended(gradtx.adamw(0.1), 5)
    for opaque in (False, True):
        tx = gradtx.sam(gradtx.adamw(0.1), uphill(), sync_period=1, opaque_mode=opaque)
        chex.assert_trees_all_close(descended(tx, 5, grad_fn=twice)[0], alone, rtol=1e-12)


def test_gradients_uphill_are_averaged_over_devices() -> None:
    tx = gradtx.sam(gradtx.sgd(1.0), uphill(0.0), opaque_mode=True, batch_axis_name="batch")

    def update(share: jax.Array) -> Any:
        return tx.update(START, tx.init(START), START, grad_fn=lambda p, i: jax.tree.map(lambda x: share + 0 * x, p))[0]

    u = jax.vmap(update, axis_name="batch")(jnp.array([1.0, 3.0]))
    np.testing.assert_allclose(u["w"], np.full((2, 3), -2.0))


def test_optimizers_inside_are_seen() -> None:
    tx = gradtx.sam(gradtx.sgd(gradtx.linear_schedule(1.0, 0.0, 4)), uphill())
    assert str(tx).startswith("sam(chain(identity(), scale_by_learning_rate(linear_schedule(")
    assert "adv_optimizer=chain(normalize(), chain(identity(), scale_by_learning_rate(0.1)))" in str(tx)
    _, state = descended(tx, 2)  # one period: the optimizer has made one step
    assert gradtx.hyperparams(tx, state) == {
        "optimizer.scale_by_learning_rate.learning_rate": pytest.approx(0.75),
        "adv_optimizer.scale_by_learning_rate.learning_rate": 0.1,
    }
    opaque = gradtx.sam(gradtx.sgd(1.0), uphill(), opaque_mode=True)
    assert gradtx.hyperparams(opaque, opaque.init(START)) == {
        "optimizer.scale_by_learning_rate.learning_rate": 1.0,
        "adv_optimizer.scale_by_learning_rate.learning_rate": 0.1,
    }
    tuned = gradtx.mechanize(gradtx.sgd(1.0))
    text = "mechanize(chain(identity(), scale_by_learning_rate(1.0)), weight_decay=0.01, eps=1e-08, s_init=1e-06"
    assert str(tuned).startswith(text)
    assert gradtx.hyperparams(tuned, tuned.init(START)) == {
        "scale_by_learning_rate.learning_rate": 1.0,
        "mechanize.weight_decay": 0.01,
        "mechanize.eps": 1e-8,
        "mechanize.s_init": 1e-6,
    }


def test_watch_reads_no_rate_where_two_optimizers_take_turns() -> None:
    """The product of both rates is the rate of neither."""
    for make, rate in ((lambda: gradtx.sam(gradtx.sgd(0.5), uphill()), None), (lambda: gradtx.sgd(0.5), 0.5)):
        tx = gradtx.watch(make())
        _, state = descended(tx, 3)
        assert gradtx.metrics(state).get("learning_rate") == rate
        assert (stability_edge(tx, state) is None) == (rate is None)


def test_optax_optimizers_fit() -> None:
    for tx in (
        gradtx.sam(optax.sgd(0.1), optax.sgd(0.1)),
        gradtx.mechanize(optax.sgd(1.0)),
    ):
        theta, state = descended(tx, 4)
        assert np.all(np.isfinite(theta["w"]))
        assert tx.body.fits(state)
    assert str(tx) == "mechanize(optax.chain, weight_decay=0.01, eps=1e-08, s_init=1e-06, num_betas=6)"


def test_states_are_found_in_wrappers_of_optax() -> None:
    for tx in (gradtx.sam(gradtx.sgd(0.5), uphill()), gradtx.mechanize(gradtx.sgd(0.5))):
        wrapper = optax.chain(optax.identity(), tx)
        rates = [x for key, x in gradtx.hyperparams(wrapper, wrapper.init(START)).items() if "learning_rate" in key]
        assert 0.5 in rates


def test_mechanic_learns_a_scale() -> None:
    """From a millionth to what a bowl takes: the distance to its floor is a few units of p."""
    theta, state = descended(gradtx.mechanize(gradtx.sgd(1.0)), 100)
    assert state[1].s.sum() > 1e-2
    assert float(jnp.sum(theta["w"] ** 2)) < 0.5 * 14.0


def test_mechanic_meets_no_gradient_and_an_integer() -> None:
    tx = gradtx.mechanize(gradtx.adam(1.0))
    params = {"w": START["w"], "n": jnp.array(3), "none": None}
    float0 = np.zeros((), jax.dtypes.float0)
    u, state = tx.update({"w": jnp.zeros(3), "n": float0, "none": None}, tx.init(params), params)
    assert not np.any(u["w"])
    assert u["none"] is None
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(state))


def made(make: Callable[..., Any], **settings: Any) -> Callable[[], Any]:
    return lambda: make(gradtx.sgd(0.1), *([uphill()] if make is gradtx.sam else []), **settings)


def updated(tx: Any, *, params: Any = START, state: Any = None, **extra: Any) -> Callable[[], Any]:
    return lambda: tx.update(START, tx.init(START) if state is None else state, params, **extra)


SAM = gradtx.sam(gradtx.sgd(0.1), uphill())
OPAQUE = gradtx.sam(gradtx.sgd(0.1), uphill(), opaque_mode=True)
TUNED = gradtx.mechanize(gradtx.sgd(0.1))
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no optimizer": (lambda: gradtx.sam(0.1, uphill()), TypeError, "sam: optimizer is float, expected a transform"),
    "no adversary": (lambda: gradtx.sam(uphill(), gradtx.sgd), TypeError, "sam: adv_optimizer is function"),
    "no base": (lambda: gradtx.mechanize(0.1), TypeError, "mechanize: base_optimizer is float, expected a transform"),
    "a period of 0": (
        made(gradtx.sam, sync_period=0),
        ValueError,
        "sam: sync_period = 0, expected a whole number >= 1",
    ),
    "half a period": (made(gradtx.sam, sync_period=2.5), ValueError, "sam: sync_period = 2.5"),
    "an axis": (made(gradtx.sam, batch_axis_name="b"), ValueError, "sam: batch_axis_name is 'b', expected None unless"),
    "no betas": (made(gradtx.mechanize, num_betas=0), ValueError, "mechanize: num_betas = 0, expected a whole number"),
    "no start": (made(gradtx.mechanize, s_init=0.0), ValueError, r"mechanize: s_init = 0.0, expected .* \(0, inf\)"),
    "params missing": (updated(SAM, params=None), ValueError, "sam: params is None, expected the params; call"),
    "params missing, opaque": (updated(OPAQUE, params=None, grad_fn=twice), ValueError, "sam: params is None"),
    "params missing, tuned": (updated(TUNED, params=None), ValueError, "mechanize: params is None"),
    "no grad_fn": (updated(OPAQUE), ValueError, "sam: extra argument grad_fn is missing, expected a function; call"),
    "gradients for grad_fn": (updated(OPAQUE, grad_fn=START), TypeError, "sam: grad_fn is dict of 2, expected a func"),
    "another state": (updated(SAM, state=TUNED.init(START)), ValueError, "sam: state is tuple of 2, expected a tuple"),
    "another state, tuned": (updated(TUNED, state=()), ValueError, "mechanize: state is tuple of 0, expected a tuple"),
}


@pytest.mark.parametrize(("call", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
