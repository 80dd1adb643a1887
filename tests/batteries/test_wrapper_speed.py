"""What wrappers cost without a clock: the arrays that a step moves inside one, beside those of the bare step."""

import json
import os
import sys
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import gradtx
from tests.batteries.test_speed import LEAF, LEAVES, SCALARS, compiled_step, in_a_process, shapes

RATE = 1e-3


def adamw() -> Any:
    """Return what is wrapped."""
    return gradtx.adamw(RATE)


def every_other(step: jax.Array, **extra: Any) -> jax.Array:
    """Return True in every other step."""
    del extra
    return step % 2 == 0


# the wrapper round adamw; the arrays as large as the model that its step moves beyond the bare one's, both branches of
# a choice counted; and those that it writes into memory of their own
WRAPPERS: dict[str, tuple[Any, float, float]] = {
    "bare": (adamw, 0, 0),
    "masked": (lambda: gradtx.masked(adamw(), True), 0, 0),
    "partition": (lambda: gradtx.partition({"all": adamw()}, "all"), 0, 0),
    "by_path": (lambda: gradtx.by_path([(r"", adamw())]), 0, 0),
    "selective_transform": (lambda: gradtx.selective_transform(adamw(), freeze_mask=False), 0, 0),
    "tunable": (lambda: gradtx.tunable(gradtx.adamw, learning_rate=RATE), 0, 0),
    "inject_hyperparams": (lambda: gradtx.inject_hyperparams(gradtx.adamw)(learning_rate=RATE), 0, 0),
    "split_real_and_imaginary": (lambda: gradtx.split_real_and_imaginary(adamw()), 0, 0),
    "guard": (lambda: gradtx.guard(adamw()), 1, 0),  # g is read once more
    "guard, spikes": (lambda: gradtx.guard(adamw(), spikes=10.0), 1, 0),
    "apply_if_finite": (lambda: gradtx.apply_if_finite(adamw(), 5), 1, 0),
    "loss_scale": (lambda: gradtx.loss_scale(adamw(), init_scale=1.0), 1, 0),
    "zero_nans": (lambda: gradtx.chain(gradtx.zero_nans(), adamw()), 1, 0),
    "zero_nans, infinities": (lambda: gradtx.chain(gradtx.zero_nans(infinities=True), adamw()), 1, 0),
    "params_ema": (lambda: gradtx.params_ema(adamw(), 0.999), 3, 0),  # reads the average and p, writes the average
    "lookahead": (lambda: gradtx.lookahead(adamw(), 6, 0.5), 4, 0),  # p + u reads the slow ones too
    "schedule_free": (lambda: gradtx.schedule_free(gradtx.rmsprop(RATE), RATE), 2, 0),  # rmsprop, and z
    "accumulate": (lambda: gradtx.accumulate(adamw(), 8), 7, 0),
    "cautious": (lambda: gradtx.cautious(adamw()), 5, 1 / LEAVES),
    "conditionally_mask": (lambda: gradtx.conditionally_mask(adamw(), every_other), 3, 1),  # what a branch returns
    "conditionally_transform": (lambda: gradtx.conditionally_transform(adamw(), every_other), 5, 1),
}


def half_square(params: Any) -> Any:
    """Return an objective for methods that ask for one."""
    return sum(0.5 * jnp.vdot(p, p) for p in jax.tree.leaves(params))


# methods that are given more than a gradient: the arrays as large as the model that their step writes into memory of
# its own; dpsgd one leaf of the gradients of 2 examples, sophia its random signs and the Hessian's product with them,
# which the user's objective writes as it writes a gradient
GIVEN_MORE: dict[str, tuple[Any, dict[str, Any], int, float]] = {
    "dpsgd": (lambda: gradtx.dpsgd(RATE, 1.0, 1.0, 0), {}, 2, 2 / LEAVES),
    "sophia": (lambda: gradtx.sophia(RATE), {"obj_fn": half_square}, 0, 2 + 2 / LEAVES),
}


def temporary_of(make: Any, extra: dict[str, Any], examples: int) -> int:
    """Return the temporary bytes of a step that is given more than a gradient."""
    tx = make()
    params, state = shapes(tx, LEAVES, (LEAF,))
    lead = (examples,) if examples else ()
    grads = {key: jax.ShapeDtypeStruct((*lead, *x.shape), x.dtype) for key, x in params.items()}

    def one(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params, **extra)
        return gradtx.apply_updates(params, updates), state

    compiled = jax.jit(one, donate_argnums=(0, 1)).lower(params, state, grads).compile()
    return int(compiled.memory_analysis().temp_size_in_bytes)


def measured(names: list[str]) -> dict[str, dict[str, float]]:
    """Compile these steps and the bare one, and return their temporary and moved bytes over those of the model."""
    model, out = 4 * LEAVES * LEAF, {}
    for name, (make, *_) in WRAPPERS.items():
        if name not in {*names, "bare"}:
            continue
        compiled, _ = compiled_step(make(), (LEAF,))
        temporary, moved = compiled.memory_analysis().temp_size_in_bytes, compiled.cost_analysis()["bytes accessed"]
        out[name] = {"temporary": max(temporary - SCALARS, 0) / model, "moved": moved / model}
    for name, (make, extra, examples, _) in GIVEN_MORE.items():
        if name not in names:
            continue
        out[name] = {"temporary": max(temporary_of(make, extra, examples) - SCALARS, 0) / model}
    return out


@pytest.fixture(scope="module")
def compiled(request: pytest.FixtureRequest) -> dict[str, dict[str, float]]:
    return in_a_process("", request, {*WRAPPERS, *GIVEN_MORE}, "tests.batteries.test_wrapper_speed")


@pytest.mark.share(3, "speed")
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_moves_what_it_must(name: str, compiled: dict[str, dict[str, float]]):
    _, more, written = WRAPPERS[name]
    assert compiled[name]["moved"] <= 1.01 * (compiled["bare"]["moved"] + more)
    assert compiled[name]["temporary"] <= 1.001 * written


@pytest.mark.parametrize("name", GIVEN_MORE)
def test_a_step_that_is_given_more_writes_what_it_must(name: str, compiled: dict[str, dict[str, float]]):
    assert compiled[name]["temporary"] <= 1.001 * GIVEN_MORE[name][-1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_the_sums_find_what_is_not_finite(bad: float, dtype: str):
    """They take differences and the largest number, where a comparison would be written out."""
    largest = float(jnp.finfo(dtype).max)
    fine = {"w": jnp.full(1000, largest, dtype).at[::2].multiply(-1), "none": jnp.zeros((0, 3), dtype)}
    broken = {**fine, "w": fine["w"].at[7].set(bad)}
    for tree, found in ((fine, False), (broken, True)):
        tx = gradtx.accumulate(gradtx.sgd(0.1), 2)
        assert jax.jit(tx.update)(tree, tx.init(tree), tree)[1].left_out == int(found)
        for infinities in (False, True):
            clean = gradtx.zero_nans(infinities=infinities)
            seen = found and (infinities or bool(jnp.isnan(bad)))
            assert jax.jit(clean.update)(tree, clean.init(tree))[1].found_nan["w"] == seen


if __name__ == "__main__":
    assert not os.environ["XLA_FLAGS"]
    print(json.dumps(measured(sys.argv[1:])))
