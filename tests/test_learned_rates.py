"""Methods that learn their rate from the whole tree: where it grows, where nothing moves, and what they refuse."""

import math
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx._core.arrays import sums
from tests.registry.dadapt_adamw import dadapt_adamw
from tests.registry.momo import momo, momo_adam

STEPS = 12
START = {"w": jnp.array([1.0, -2.0, 3.0]), "b": jnp.array(0.5)}


def down_a_bowl(tx: gradtx.Transform, steps: int = STEPS, **extra: Any) -> tuple[list[Any], list[Any], Any]:
    """Return the gradients, the updates and the last state of steps down a bowl, where gradients agree."""
    theta, state, grads, updates = START, tx.init(START), [], []
    for _ in range(steps):
        grads.append({"w": theta["w"] * jnp.array([2.0, 4.0, 1.0]), "b": 2 * theta["b"]})
        u, state = tx.update(grads[-1], state, theta, **extra)
        updates.append(u)
        theta = gradtx.apply_updates(theta, u)
    return grads, updates, state


@pytest.mark.parametrize(
    ("make", "reference", "settings"),
    [(gradtx.dadapt_adamw, dadapt_adamw, {"eps": 0.1, "estim_lr0": 1e-3})],
    ids=["dadapt_adamw"],
)
def test_a_rate_grows_as_the_paper_says(make: Any, reference: Any, settings: dict[str, Any]) -> None:
    """On gradients that agree from step to step every term of the estimate counts."""
    grads, updates, state = down_a_bowl(make(**settings))
    assert state.estim_lr > 2 * settings["estim_lr0"]
    wanted = reference([jax.tree.map(np.asarray, g) for g in grads], START, **settings)
    chex.assert_trees_all_close(updates, wanted, rtol=1e-9)


LOSSES = [9.0, 7.0, 6.5, 4.0, 4.2, 3.0, 1.0, 1.1, 0.3, 0.2, -0.5, -0.6]


@pytest.mark.parametrize(("make", "reference", "rate"), [(gradtx.momo, momo, 2.0), (gradtx.momo_adam, momo_adam, 30.0)])
@pytest.mark.parametrize("adapts", [False, True])
def test_momo_steps_by_losses_that_fall(make: Any, reference: Any, rate: float, adapts: bool) -> None:
    """Down to below the lower bound, where nothing moves unless the bound is adapted."""
    settings = {"learning_rate": rate, "lower_bound": -0.4, "weight_decay": 0.1, "adapt_lower_bound": adapts}
    tx, theta = make(**settings), START
    state, grads, updates = tx.init(theta), [], []
    assert ("lb" in state.memory) == adapts
    for value in LOSSES:
        grads.append(jax.tree.map(lambda p: 0.5 * p + 0.1, theta))
        u, state = tx.update(grads[-1], state, theta, value=jnp.float32(value))
        updates.append(u)
        theta = gradtx.apply_updates(theta, u)
    losses = [float(np.float32(value)) for value in LOSSES]
    wanted = reference([jax.tree.map(np.asarray, g) for g in grads], START, value=losses, **settings)
    chex.assert_trees_all_close(updates, wanted, rtol=1e-9, atol=1e-12)


STILL = {
    "dadapt_adamw": gradtx.dadapt_adamw,
    "dog": gradtx.dog,
    "momo": gradtx.momo,
    "momo_adam": gradtx.momo_adam,
    "dowg": gradtx.dowg,
    "prodigy": gradtx.prodigy,
}


@pytest.mark.parametrize("make", STILL.values(), ids=STILL)
def test_a_gradient_of_0_leaves_all_as_it_was(make: Callable[[], gradtx.Transform]) -> None:
    tx, zero = make(), jax.tree.map(jnp.zeros_like, START)
    u, state = tx.update(zero, tx.init(START), START, value=1.0)
    assert not any(map(np.any, jax.tree.leaves(u)))
    u, state = tx.update(START, state, START, value=1.0)
    assert all(map(np.all, jax.tree.map(jnp.isfinite, jax.tree.leaves((u, state)))))
    assert any(map(np.any, jax.tree.leaves(u)))


@pytest.mark.parametrize("make", [*STILL.values(), gradtx.scale_by_cocob], ids=[*STILL, "cocob"])
def test_params_missing_are_named(make: Callable[[], gradtx.Transform]) -> None:
    tx = make()
    with pytest.raises(ValueError, match=r"\w+: params is None, expected the params; call update"):
        tx.update(START, tx.init(START), value=1.0)


def test_prodigys_mask_must_fit() -> None:
    with pytest.raises(ValueError, match=r"prodigy: mask\['b'\] is missing, expected .* params\['b'\]"):
        gradtx.prodigy(weight_decay_mask={"w": True}).init(START)
    masked = gradtx.prodigy(weight_decay=0.1, weight_decay_mask=lambda params: {"w": False, "b": True})
    zero, state = jax.tree.map(jnp.zeros_like, START), masked.init(START)
    u, _ = jax.jit(masked.update)(zero, state, START)
    assert not np.any(u["w"])
    assert u["b"] < 0


@pytest.mark.parametrize("make", [gradtx.momo, gradtx.momo_adam])
def test_momo_needs_its_loss(make: Callable[[], gradtx.Transform]) -> None:
    tx, name = make(), make.__name__
    missing = rf"{name}: extra argument value is missing, expected a number; call .*value="
    with pytest.raises(ValueError, match=missing):
        tx.update(START, tx.init(START), START)
    with pytest.raises(
        ValueError, match=rf"{name}: value is float64 of shape \(2,\), expected a scalar; give the loss"
    ):
        tx.update(START, tx.init(START), START, value=jnp.ones(2))


@pytest.mark.parametrize("make", STILL.values(), ids=STILL)
def test_a_shard_alone_is_refused(make: Callable[[], gradtx.Transform]) -> None:
    """Each shard would learn a rate of its own."""
    mesh, spec = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2]), jax.sharding.PartitionSpec("x")
    tx, p = make(), jax.device_put(jnp.ones(2), jax.sharding.NamedSharding(mesh, spec))
    step = jax.shard_map(lambda p: tx.update(p, tx.init(p), p, value=1.0)[0], mesh=mesh, in_specs=spec, out_specs=spec)
    with pytest.raises(ValueError, match=r"\w+: grads varies over the mesh axis 'x', expected .*; give axis_name='x'"):
        step(p)


def test_dog_moves_on_after_a_warm_up_from_0() -> None:
    """Its first update is 0, so that no distance says how far the next may go."""
    tx = gradtx.dog(gradtx.linear_schedule(0.0, 1.0, 4), init_step=("learning_rate", 0.01))
    _, updates, state = down_a_bowl(tx)
    assert not np.any(updates[0]["w"])
    assert math.isclose(updates[1]["w"][0], -0.25 * 0.01 * 2.0, rel_tol=1e-6)
    assert state[1].max_dist > 0


def test_dog_and_dowg_hold_sums_beyond_float32() -> None:
    params = jnp.ones(2, jnp.float32)
    for tx in (gradtx.dog(), gradtx.dowg()):
        state = tx.init(params)
        for g in (jnp.full(2, 1e30, jnp.float32), jnp.ones(2, jnp.float32)):
            u, state = tx.update(g, state, params)
            assert np.all(np.isfinite(u))


COMPLEX: dict[str, Callable[[], gradtx.Transform]] = {
    **STILL,
    "cocob": gradtx.cocob,
    "mechanize": lambda: gradtx.mechanize(gradtx.adam(1.0)),
    "sam": lambda: gradtx.sam(gradtx.sgd(0.1), gradtx.chain(gradtx.normalize(), gradtx.sgd(0.01))),
    "schedule_free_adamw": lambda: gradtx.schedule_free_adamw(0.1),
    "schedule_free_sgd": lambda: gradtx.schedule_free_sgd(0.1),
}


@pytest.mark.share(3)
@pytest.mark.parametrize("make", COMPLEX.values(), ids=COMPLEX)
def test_a_turn_of_the_complex_plane_turns_the_updates(make: Callable[[], gradtx.Transform]) -> None:
    """Parameters and gradients times i give updates times i; slots of magnitudes are real."""
    tx, p = make(), jnp.array([1.0 + 2.0j, -0.5j, 3.0], jnp.complex64)
    found = []
    for turn in (1.0, 1j):
        theta, updates = (turn * p).astype(jnp.complex64), []
        state = tx.init(theta)
        for _ in range(6):
            u, state = tx.update(2 * theta, state, theta, value=jnp.sum(jnp.abs(theta) ** 2))
            assert u.dtype == jnp.complex64
            theta = gradtx.apply_updates(theta, u)
            updates.append(u / turn)
        found.append(updates)
        real = {"exp_avg_sq", "subgradients", "scale", "reward", "nu"}
        for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
            if any(getattr(key, "key", None) in real for key in path):
                assert leaf.dtype == jnp.float32, path
    chex.assert_trees_all_close(*found, rtol=1e-4, atol=1e-6)
    assert all(map(np.all, map(np.isfinite, found[0])))


SUMMED = {
    "dog": gradtx.dog,
    "dowg": gradtx.dowg,
    "prodigy": gradtx.prodigy,
    "dadapt_adamw": gradtx.dadapt_adamw,
    "momo": lambda: gradtx.momo(0.1),
    "momo_adam": lambda: gradtx.momo_adam(0.1),
    "mechanize": lambda: gradtx.mechanize(gradtx.sgd(0.1)),
    "scale_by_lbfgs": lambda: gradtx.scale_by_lbfgs(3),
}


def down_many_bowls(tx: gradtx.Transform) -> Any:
    """Return where six steps lead from leaves of several shapes and dtypes."""
    rng = np.random.default_rng(2)
    dtypes = {"half": jnp.bfloat16, "imaginary": jnp.complex64}
    shapes = {"a": (3, 4), "b": (5,), "c": (3, 4), "half": (4,), "imaginary": (3,), "none": (0, 2), "scalar": ()}
    start = {key: rng.normal(size=shape) for key, shape in shapes.items()}
    theta = {key: jnp.asarray(x, dtypes.get(key, jnp.float32)) for key, x in start.items()}

    @jax.jit
    def step(theta: Any, state: Any) -> tuple[Any, Any]:
        grads = jax.tree.map(lambda x: 2 * x, theta)
        value = sum(jnp.sum(jnp.abs(x.astype(jnp.complex64)) ** 2) for x in theta.values())
        updates, state = tx.update(grads, state, theta, value=value)
        return gradtx.apply_updates(theta, updates), state

    state = tx.init(theta)
    for _ in range(6):
        theta, state = step(theta, state)
    return theta


@pytest.mark.parametrize("make", SUMMED.values(), ids=SUMMED)
def test_small_leaves_are_summed_as_one_to_the_same(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one device; the suite has 8, on which joining leaves would gather what is split."""
    alone = down_many_bowls(make())
    monkeypatch.setattr(sums, "on_one_device", lambda: True)
    together = down_many_bowls(make())
    half, half_alone = together.pop("half"), alone.pop("half")
    chex.assert_trees_all_close(together, alone, rtol=1e-5)
    np.testing.assert_allclose(half.astype(float), half_alone.astype(float), rtol=1e-2)


def test_many_small_leaves_take_one_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "on_one_device", lambda: True)
    trees = [jnp.ones(40) for _ in range(30)], [jnp.ones(40)] * 30
    text = jax.jit(sums.products).lower(*trees).as_text()
    assert text.count("stablehlo.reduce(") == 1
    monkeypatch.setattr(sums, "SMALL", 39)
    text = jax.jit(lambda *trees: sums.products(*trees)).lower(*trees).as_text()
    assert text.count("stablehlo.reduce(") == 30
