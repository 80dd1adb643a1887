"""What `diagnose`, `probe` and a report say when they are called with the wrong thing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from tests.diagnosis.runs import plain, short, start


def loss_fn(p: Any, batch: Any) -> Any:
    return jnp.sum(p["w"] ** 2) + jnp.sum(p["b"] ** 2)


DIAGNOSE: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "the function for its result": (
        TypeError,
        "probe is function, .*; pass what gradtx.probe",
        {"probe": gradtx.probe},
    ),
    "its dict": (TypeError, "probe is dict of 1, expected the result of a probe", {"probe": {"loss": 1.0}}),
    "a word": (TypeError, "full_batch is str, expected True, False or None", {"full_batch": "yes"}),
    "an array": (TypeError, r"full_batch is float64 of shape \(2,\)", {"full_batch": np.ones(2)}),
    "no number": (ValueError, "loss_floor is str, expected a finite number", {"loss_floor": "0"}),
    "nan": (ValueError, "loss_floor is nan, expected a finite number", {"loss_floor": float("nan")}),
    "several": (ValueError, r"loss_floor is float64 of shape \(2,\)", {"loss_floor": np.ones(2)}),
}


@pytest.mark.parametrize("name", DIAGNOSE)
def test_diagnose_refuses(name):
    kind, words, arguments = DIAGNOSE[name]
    with pytest.raises(kind, match=f"^diagnose: {words}"):
        gradtx.diagnose(short(30).state, **arguments)


def test_diagnose_takes_numbers_of_any_kind():
    state = short(30).state
    want = gradtx.diagnose(state, full_batch=True, loss_floor=1.0).to_dict()
    assert gradtx.diagnose(state, full_batch=np.bool_(True), loss_floor=jnp.float32(1.0)).to_dict() == want


def test_diagnose_of_a_report():
    with pytest.raises(TypeError, match=r"^diagnose: state is a report already, .*; print it"):
        gradtx.diagnose(gradtx.diagnose(short(3).state))


PROBE: dict[str, tuple[type[Exception], str, dict[str, Any]]] = {
    "a loss of one argument": (
        TypeError,
        r"loss_fn has too many positional arguments, expected a function \(params, batch\); wrap it",
        {"loss_fn": lambda p: jnp.sum(p["w"])},
    ),
    "a loss that asks for more": (
        TypeError,
        r"loss_fn has missing a required argument: 'key', expected a function \(params, batch\)",
        {"loss_fn": lambda p, batch, key: jnp.sum(p["w"])},
    ),
    "params for the loss": (TypeError, "loss_fn is dict of 1, expected a function", {"loss_fn": {"w": 1.0}}),
    "a number for the key": (TypeError, r"key is int, expected a random key; pass jax.random.key\(0\)", {"key": 0}),
    "a generator": (TypeError, "batches is generator, expected a list of minibatches", {"batches": (x for x in "ab")}),
    "one array": (TypeError, r"batches is float32 of shape \(4, 3\)", {"batches": jnp.ones((4, 3), jnp.float32)}),
    "how many": (TypeError, "batches is int, expected a list of minibatches", {"batches": 8}),
    "directions in a list": (TypeError, "directions is list of 1, expected a dict; pass {name", {"directions": [1]}),
    "extra in a list": (TypeError, "extra is list of 1, expected a dict; pass the arguments", {"extra": [1]}),
    "words for memory": (ValueError, "memory is '1G', expected a number of elements >= 0", {"memory": "1G"}),
    "less than no memory": (ValueError, "memory is -1, expected a number of elements", {"memory": -1}),
    "a schedule": (TypeError, "learning_rate is function, .*; pass the value", {"learning_rate": lambda count: 0.1}),
    "a state of another": (
        ValueError,
        r"state is tuple of 2, not as tx.init\(params\) makes it, .*; pass the state that belongs to tx",
        {"tx": gradtx.adam(0.1), "state": gradtx.sgd(0.1).init(start())},
    ),
    "a state that was not watched": (
        ValueError,
        "state is tuple of 2, not as tx.init",
        {"tx": gradtx.watch(gradtx.sgd(0.1)), "state": gradtx.sgd(0.1).init(start())},
    ),
}


@pytest.mark.parametrize("name", PROBE)
def test_probe_refuses(name):
    kind, words, arguments = PROBE[name]
    with pytest.raises(kind, match=f"^probe: {words}"):
        gradtx.probe(**{"loss_fn": loss_fn, "params": start(), "batch": None, **arguments})


def test_probe_inside_jit():
    with pytest.raises(ValueError, match=r"^probe: params or batch is traced, .*; call it outside jit"):
        jax.eval_shape(lambda p: gradtx.probe(loss_fn, p, None), start())


def test_an_error_of_the_users_own_is_left_as_it_is():
    def broken(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        raise RuntimeError("mine")

    tx = gradtx.Transform(lambda p: (), broken)
    with pytest.raises(RuntimeError, match="mine"):
        gradtx.probe(loss_fn, start(), None, tx=tx, state=())


@pytest.mark.parametrize("path", [3, {}])
def test_a_report_is_drawn_to_a_path(path):
    with pytest.raises(TypeError, match=r"^report.plot: path is .*, expected a path; write report.plot"):
        gradtx.diagnose(short(3).state).plot(path)


def test_a_report_in_the_interpreter_is_one_line():
    found = gradtx.diagnose(short(30).state)
    assert repr(found) == f"<Report {found.verdict}: {found.headline} 30 steps; print() shows the evidence>"
    assert "\n" not in repr(found)


def test_a_watched_state_fits_its_probe():
    run = short(5)
    assert gradtx.probe(loss_fn, run.params[-1], None, tx=plain()[0], state=run.state).edge == 2.0
