"""`record_loss`: a record that is given its losses after the updates is the record that was given them with these."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.diagnosis.read.evidence import find
from tests.diagnosis.runs import feed, gradients, plain, start

STEPS = 70
LOSSES = np.linspace(2.0, 1.0, STEPS).astype(np.float32)
late = jax.jit(gradtx.record_loss)


@functools.cache
def with_value() -> Any:
    tx, step = plain()
    return feed(tx, gradients(STEPS), LOSSES, step=step).state


@functools.cache
def step_without() -> Any:
    tx, _ = plain()
    return jax.jit(lambda p, state, g: tx.update(g, state, p))


def afterwards(losses: Any, grads: Any = None, box: Any = lambda x: x) -> Any:
    p, tx = start(), plain()[0]
    state = tx.init(p)
    for t, g in enumerate(gradients(len(losses)) if grads is None else grads):
        u, state = step_without()(p, state, g)
        p = gradtx.apply_updates(p, u)
        state = late(box(state), losses[t])
        state = find_state(state)
    return state


def find_state(held: Any) -> Any:
    return next(x for x in jax.tree.leaves(held, is_leaf=is_state) if is_state(x))


def is_state(x: Any) -> bool:
    return isinstance(x, gradtx.WatchState)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class TrainState:
    step: Any
    opt_state: Any


BOXES = {
    "itself": lambda x: x,
    "a TrainState in a dict": lambda x: {"state": TrainState(jnp.int32(3), (x, ())), "other": [jnp.ones(2)]},
}


@pytest.mark.parametrize("box", BOXES)
def test_a_loss_given_afterwards_is_recorded_as_one_given_with_the_update(box):
    got, want = afterwards(LOSSES, box=BOXES[box]), with_value()
    for name, x in got.record._asdict().items():
        if name != "meta":
            np.testing.assert_allclose(x, getattr(want.record, name), rtol=1e-6, err_msg=name)
    assert gradtx.diagnose(got).to_dict() == gradtx.diagnose(want).to_dict()


def test_it_changes_nothing_but_the_record():
    state = with_value()
    got = gradtx.record_loss({"opt": state, "x": jnp.arange(3)}, 5.0)
    assert got["x"].tolist() == [0, 1, 2]
    assert jax.tree.structure(got["opt"]) == jax.tree.structure(state)
    # the loss of that step is known already, and stays
    for a, b in zip(jax.tree.leaves(got["opt"]), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_that_is_not_finite_ends_the_record():
    losses = LOSSES.copy()
    losses[30] = np.nan
    found = gradtx.diagnose(afterwards(losses))
    assert found.verdict == "non_finite"
    assert found.run.bad_step == 30


def test_before_the_first_step_there_is_no_loss_to_record():
    state = gradtx.record_loss(plain()[0].init(start()), 1.0)
    assert "loss" not in gradtx.metrics(state)


def test_each_of_a_batch_of_states_gets_its_own():
    tx, g = plain()[0], gradients(1)[0]
    _, one = tx.update(g, tx.init(start()), start())
    two = jax.tree.map(lambda x: jnp.stack([x, x]), one)
    for losses, want in ((jnp.array([1.0, 2.0]), [1.0, 2.0]), (3.0, [3.0, 3.0])):
        got = gradtx.record_loss(two, losses)
        assert [gradtx.metrics(jax.tree.map(lambda x, i=i: x[i], got))["loss"] for i in range(2)] == want


def test_it_refuses():
    with pytest.raises(TypeError, match=r"record_loss: state is .* without a record, .*; wrap it before training"):
        gradtx.record_loss({"w": jnp.ones(2)}, 1.0)
    state = plain()[0].init(start())
    with pytest.raises(ValueError, match=r"record_loss: loss has shape \(2,\), expected a scalar"):
        gradtx.record_loss(state, jnp.ones(2))
    with pytest.raises(TypeError, match="record_loss: loss is str, expected a scalar"):
        gradtx.record_loss(state, "low")


@dataclasses.dataclass
class Variable:
    """A box like nnx's: its value is set in place."""

    value: Any


@dataclasses.dataclass
class NewVariable:
    """A box like newer nnx's, which warns where `.value` is touched: warnings are errors here."""

    array: Any

    def get_value(self) -> Any:
        return self.array

    def set_value(self, array: Any) -> None:
        self.array = array

    @property
    def value(self) -> Any:
        raise DeprecationWarning("'.value' access is now deprecated")


@pytest.mark.parametrize("box", [Variable, NewVariable])
def test_variables_are_set_in_place(box):
    tx, g = plain()[0], gradients(1)[0]
    _, state = tx.update(g, tx.init(start()), start())
    record = state.record._replace(**{n: box(x) for n, x in state.record._asdict().items() if n != "meta"})
    assert gradtx.record_loss([record], 0.75)[0] is record
    assert gradtx.metrics([record])["loss"] == 0.75
    assert find([record]).meta == state.record.meta
