"""Schedule-free learning: where it is evaluated, what it holds, what it refuses."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import gradtx
from tests.registry.schedule_free import schedule_free

START = {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array(0.5), "none": None, "count": jnp.array(3)}


def gradient(y: Any) -> Any:
    return {"w": 2 * y["w"], "b": y["b"], "none": None, "count": None}


def descended(tx: Any, steps: int = 6) -> tuple[Any, Any]:
    y, state = START, tx.init(START)
    for _ in range(steps):
        updates, state = tx.update(gradient(y), state, y)
        y = gradtx.apply_updates(y, updates)
    return y, state


@pytest.mark.parametrize(
    "b1", [0.9, 0.3, 1.0, lambda count: 0.9 - 0.5 / (2.0 + count)], ids=["0.9", "0.3", "1.0", "rising"]
)
def test_the_average_is_that_of_the_iterates(b1: Any) -> None:
    """All weights are equal at a constant rate: x is the mean of all z but the first."""
    y, state = descended(gradtx.schedule_free_sgd(0.1, b1=b1))
    x = gradtx.schedule_free_eval_params(state, y)
    theta, z, iterates = (np.asarray(START["w"]),) * 2 + ([],)
    for t in range(6):
        z = z - 0.2 * theta
        iterates.append(z)
        share = b1(t) if callable(b1) else b1
        theta = share * np.mean(iterates, axis=0) + (1 - share) * z
    np.testing.assert_allclose(x["w"], np.mean(iterates, axis=0), rtol=1e-10)
    assert x["none"] is None
    assert x["count"] is y["count"]


def test_it_is_evaluated_as_optax_is() -> None:
    params = {"w": START["w"]}
    ours, theirs = gradtx.schedule_free_adamw(0.1), optax.contrib.schedule_free_adamw(0.1)
    found = []
    for tx, evaluate in ((ours, gradtx.schedule_free_eval_params), (theirs, optax.contrib.schedule_free_eval_params)):
        y, state = params, tx.init(params)
        for _ in range(5):
            with jax.numpy_dtype_promotion("standard"):  # optax relies on implicit promotion
                updates, state = tx.update({"w": 2 * y["w"]}, state, y)
            y = gradtx.apply_updates(y, updates)
        with jax.numpy_dtype_promotion("standard"):
            found.append(evaluate(state, y))
    chex.assert_trees_all_close(*found, rtol=1e-9)


def test_the_average_is_found_in_any_nesting() -> None:
    inner = gradtx.schedule_free_sgd(0.1)
    plain = gradtx.schedule_free_eval_params(*reversed(descended(inner)))
    label = optax.multi_transform({"all": inner}, "all")
    for tx in (
        gradtx.chain(gradtx.identity(), inner),
        gradtx.watch(inner),
        gradtx.named_chain(("free", inner)),
        optax.chain(optax.identity(), inner),
    ):
        y, state = descended(tx)
        chex.assert_trees_all_equal(gradtx.schedule_free_eval_params(state, y)["w"], plain["w"])
    params = {"w": START["w"]}
    assert gradtx.schedule_free_eval_params(label.init(params), params)["w"].tolist() == params["w"].tolist()


def test_half_precision_is_evaluated_in_float32() -> None:
    y = jnp.array([1.0, 3.0], jnp.bfloat16)
    tx = gradtx.schedule_free_sgd(1e-3)
    state = tx.init(y)
    x = gradtx.schedule_free_eval_params(state, y)
    assert x.dtype == jnp.bfloat16
    assert x.tolist() == y.tolist()
    assert state[1].z.dtype == jnp.float32
    assert gradtx.schedule_free_sgd(1e-3, state_dtype=jnp.bfloat16).init(y)[1].z.dtype == jnp.bfloat16


def test_any_optimizer_is_seen_through() -> None:
    tx = gradtx.schedule_free(optax.sgd(0.1), 0.1)
    assert str(tx) == "schedule_free(optax.chain, learning_rate=0.1, b1=0.9, weight_lr_power=2.0)"
    grads, theta = [np.asarray(START["w"])] * 4, {"w": START["w"]}
    state, updates = tx.init(theta), []
    for g in grads:
        u, state = tx.update({"w": g}, state, theta)
        theta = gradtx.apply_updates(theta, u)
        updates.append(u)
    wanted = schedule_free([{"w": g} for g in grads], {"w": np.asarray(START["w"])}, learning_rate=0.1)
    chex.assert_trees_all_close(updates, wanted, rtol=1e-9)
    free = gradtx.schedule_free_sgd(gradtx.linear_schedule(0.4, 0.0, 4))
    _, state = descended(free, 1)
    seen = gradtx.hyperparams(free, state)
    assert seen == {
        "scale_by_learning_rate.learning_rate": pytest.approx(0.3),
        "average_iterates.learning_rate": pytest.approx(0.3),
        "average_iterates.b1": 0.9,
        "average_iterates.weight_lr_power": 2.0,
    }


def test_base_and_average_run_as_one_kernel() -> None:
    tx = gradtx.schedule_free_adamw(0.1)
    assert len(tx.body.runs) == 1


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: gradtx.schedule_free(gradtx.sgd, 0.1), TypeError, "schedule_free: base_optimizer is function"),
        (lambda: gradtx.schedule_free_sgd(b1=0.0), ValueError, r"schedule_free_sgd: b1 = 0.0, expected .* \(0, 1\]"),
        (
            lambda: gradtx.schedule_free_eval_params(gradtx.sgd(0.1).init(1.0), 1.0),
            ValueError,
            "schedule_free_eval_params: state is tuple of 2 with 0 averages of iterates, expected one; give the state",
        ),
        (
            lambda: gradtx.schedule_free_eval_params([gradtx.schedule_free_sgd(0.1).init(1.0)] * 2, 1.0),
            ValueError,
            "with 2 averages",
        ),
        (
            lambda: gradtx.schedule_free_eval_params(gradtx.schedule_free_sgd(0.1).init({"w": 1.0}), {"v": 1.0}),
            ValueError,
            r"schedule_free_eval_params: params\['w'\] is missing, expected .* state.slots\['z'\]\['w'\]",
        ),
        (lambda: gradtx.schedule_free_sgd(0.1).update(1.0, gradtx.schedule_free_sgd(0.1).init(1.0)), ValueError,
         "average_iterates: params is None"),
    ],
)  # fmt: skip
def test_what_is_refused(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()
