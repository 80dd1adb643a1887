"""Adafactor's factored slots: against optax, at the ends of float32, and what they look like."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx

SHAPES = {
    "scalar": (),
    "vector": (4,),
    "wide": (130, 140),
    "tall": (140, 130),
    "stack": (3, 129, 128),
    "thin": (2, 200),
}
FACTORED = gradtx.scale_by_factored_rms(min_dim_size_to_factor=2)


def tree(seed: int) -> dict[str, jax.Array]:
    generator = np.random.default_rng(seed)
    return {name: jnp.asarray(generator.normal(size=shape) * 10.0**-seed) for name, shape in SHAPES.items()}


def run(tx: Any, steps: int) -> list[Any]:
    """Return the updates of some steps, the parameters moving on."""
    params = tree(0)
    state, out = tx.init(params), []
    for t in range(steps):
        updates, state = tx.update(tree(1 + t % 5), state, params)
        params = optax.apply_updates(params, updates)
        out.append(updates)
    return out


def capped(step: Any, exponent: Any) -> Any:
    """Return the decay of Zhai et al. 2021, in float64, in which optax computes it only where it is told to."""
    return jnp.minimum(1.0 - (jnp.asarray(step).astype(jnp.float64) + 1.0) ** -exponent, 0.5)


def exact(step: Any, exponent: Any) -> Any:
    return 1.0 - (jnp.asarray(step).astype(jnp.float64) + 1.0) ** -exponent


@pytest.mark.share(3)
@pytest.mark.parametrize("smallest", [128, 3])
@pytest.mark.parametrize("decay", [capped, exact, None])
def test_factored_rms_is_that_of_optax(decay: Any, smallest: int) -> None:
    """Without a function of the caller's, our own decay is compared with optax's made exact."""
    ours = {} if decay is None else {"decay_rate_fn": decay}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        wanted = run(optax.scale_by_factored_rms(True, 0.7, 0, smallest, 1e-3, decay or exact), 12)
    got = run(gradtx.scale_by_factored_rms(True, 0.7, 0, smallest, 1e-3, **ours), 12)
    chex.assert_trees_all_close(got, wanted, rtol=1e-9, atol=0)


OPTAX: list[dict[str, Any]] = [
    {},
    {"learning_rate": 0.1},
    {"learning_rate": 0.1, "multiply_by_parameter_scale": False, "clipping_threshold": None, "factored": False},
    {"learning_rate": 0.1, "momentum": 0.9, "dtype_momentum": jnp.float64, "weight_decay_rate": 0.01},
    {
        "learning_rate": 0.1,
        "min_dim_size_to_factor": 3,
        "weight_decay_rate": 0.01,
        "weight_decay_mask": {name: name == "wide" for name in SHAPES},
        "clipping_threshold": 2.0,
    },
]


@pytest.mark.share(3)
@pytest.mark.parametrize("settings", OPTAX, ids=lambda settings: ", ".join(settings) or "defaults")
def test_adafactor_is_that_of_optax(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Optax computes its decay in float32: it is given the exact one here."""
    monkeypatch.setattr(optax.scale_by_factored_rms, "__defaults__", (True, 0.8, 0, 128, 1e-30, exact))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        wanted = run(optax.adafactor(**settings), 12)
    chex.assert_trees_all_close(run(gradtx.adafactor(**settings), 12), wanted, rtol=1e-9, atol=1e-300)


def test_three_dimensions_are_a_stack_of_matrices() -> None:
    stack = tree(1)["stack"]
    whole, _ = FACTORED.update(stack, FACTORED.init(stack))
    each = [FACTORED.update(g, FACTORED.init(g))[0] for g in stack]
    chex.assert_trees_all_close(whole, jnp.stack(each), rtol=1e-12)


def test_slots_are_small_and_wide_enough() -> None:
    params = {"w": jnp.zeros((128, 200), jnp.bfloat16), "b": jnp.zeros(200, jnp.bfloat16)}
    tx = gradtx.adafactor(0.1)
    state = tx.init(params)
    _, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
    slots = state[0].slots
    assert {key: (slots[key]["w"].shape, slots[key]["b"].shape) for key in slots} == {
        "v_row": ((128,), (1,)),
        "v_col": ((200,), (1,)),
        "v": ((1,), (200,)),
    }
    assert {x.dtype for x in jax.tree.leaves(slots)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("tx", [FACTORED, gradtx.scale_by_factored_rms(), gradtx.adafactor(0.1, 2)], ids=str)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e19, 1e38])
def test_updates_stay_finite(tx: gradtx.Transform, size: float) -> None:
    params = {"w": jnp.ones((260, 270), jnp.float32), "b": jnp.ones(5, jnp.float32)}  # w is no small leaf
    grads = jax.tree.map(lambda p: p * size, params)
    grads["w"] = grads["w"].at[:, 0].set(size * 1e-6).at[0].set(0.0)
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(grads, state, params)
        chex.assert_tree_all_finite((updates, state))
    if size == 1e19:
        assert abs(updates["w"][5, 5].item()) == pytest.approx(abs(updates["b"][0].item()), rel=0.02)


def test_no_epsilon_gives_zero_where_nothing_was_seen() -> None:
    tx = gradtx.scale_by_factored_rms(epsilon=0.0, min_dim_size_to_factor=2)
    g = {"w": jnp.zeros((3, 2)).at[0, 0].set(2.0), "none": jnp.zeros((2, 2))}
    u, _ = tx.update(g, tx.init(g))
    chex.assert_trees_all_equal(u, {"w": jnp.zeros((3, 2)).at[0, 0].set(1.0), "none": jnp.zeros((2, 2))})


def test_complex_leaves_have_real_slots() -> None:
    g = jnp.asarray([[3.0 + 4.0j, 5.0], [5.0j, -5.0]], jnp.complex64)
    tx = gradtx.adafactor(0.1, 2, momentum=0.5)
    u, state = tx.update(g, tx.init(g), g)
    assert u.dtype == jnp.complex64
    assert state[0].slots["v_row"].dtype == jnp.float32
    np.testing.assert_allclose(u, -0.1 * 5.0 * 0.5 * g / 5.0, rtol=1e-5)


def test_one_infinity_makes_its_array_nan() -> None:
    g = {"bad": jnp.array([1.0, np.inf]), "good": jnp.array([3.0, 4.0])}
    tx = gradtx.clip_by_block_rms(1.0)
    u, _ = tx.update(g, tx.init(g))
    assert jnp.isnan(u["bad"]).all()
    np.testing.assert_allclose(u["good"], g["good"] / np.sqrt(12.5))


def test_the_decay_keeps_its_digits_late() -> None:
    """1 - b_t is t^-0.8 itself, not the rest of 1 - b_t in float32."""
    with jax.enable_x64(False):
        tx = gradtx.scale_by_factored_rms()
        state = tx.init(jnp.zeros(1))._replace(count=jnp.asarray(10**6 - 1, jnp.int32))
        _, state = tx.update(jnp.ones(1), state)
    assert state.slots["v"][0].item() == pytest.approx(1e6**-0.8, rel=1e-5)


@pytest.mark.parametrize(("size", "kind"), [(1.5, TypeError), ("2", TypeError), (0, ValueError)])
def test_a_size_that_is_none_is_refused(size: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"scale_by_factored_rms: min_dim_size_to_factor = .*, expected an integer >= 1; "):
        gradtx.adafactor(0.1, size)


def test_other_mistakes_name_the_argument() -> None:
    with pytest.raises(TypeError, match=r"adafactor: dtype_momentum = 'int', expected a floating dtype"):
        gradtx.adafactor(0.1, dtype_momentum="int")
    with pytest.raises(ValueError, match=r"adafactor: clipping_threshold = 0, expected a number in \(0, inf\]"):
        gradtx.adafactor(0.1, clipping_threshold=0)
    with pytest.raises(TypeError, match=r"adafactor: eps is None, expected a number"):
        gradtx.adafactor(0.1, eps=None)
    with pytest.raises(ValueError, match="scale_by_param_block_rms: params"):
        gradtx.scale_by_param_block_rms().update(jnp.ones(2), gradtx.scale_by_param_block_rms().init(jnp.ones(2)))
