"""What the methods say of each other, and the lecture's order of events for sigma."""

import itertools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from tests.batteries.test_reference import inputs, run
from tests.registry.numbers import halving, number

GRADS, PARAMS = inputs()
EXACT = 1e-12


def same(a: Any, b: Any, rtol: float = EXACT, grads: Any = GRADS) -> None:
    """Hold two transforms to the same updates over all steps."""
    chex.assert_trees_all_close(run(a, grads, PARAMS, jit=False), run(b, grads, PARAMS, jit=False), rtol=rtol, atol=0)


def scalars(tx: gradtx.Transform, grads: list[float]) -> tuple[list[float], list[Any]]:
    """Return the updates of one number and the states after them."""
    state = tx.init(jnp.array(0.0))
    updates, states = [], []
    for g in grads:
        u, state = tx.update(jnp.array(g), state)
        updates.append(u.item())
        states.append(state)
    return updates, states


def test_adam_without_momentum_is_corrected_rmsprop() -> None:
    rmsprop = gradtx.scale_by_rms(0.99, eps=1e-3, eps_in_sqrt=False, bias_correction=True)
    same(gradtx.scale_by_adam(b1=0.0, b2=0.99, eps=1e-3), rmsprop)


def test_adam_is_momentum_over_rmsprop() -> None:
    scale = gradtx.scale_by_rms(0.99, eps=1e-3, eps_in_sqrt=False, bias_correction=True)
    same(gradtx.ratio(gradtx.ema(0.9), scale), gradtx.scale_by_adam(0.9, 0.99, 1e-3))


def test_ratio_renames_a_slot_that_both_use() -> None:
    tx = gradtx.ratio(gradtx.ema(0.5, debias=False), gradtx.scale_by_stddev(0.9))
    state = tx.init(jnp.array(0.0))
    assert sorted(state.slots) == ["mu", "sigma_mu", "variance"]
    _, state = tx.update(jnp.array(1.0), state)
    chex.assert_trees_all_close(state.slots, {"mu": 0.5, "variance": 0.09, "sigma_mu": 0.1}, rtol=EXACT)


def test_ratio_divides_the_same_gradient() -> None:
    same(gradtx.ratio(gradtx.trace(0.0), gradtx.scale_by_rms(0.9)), gradtx.scale_by_rms(0.9))


def test_amsgrad_on_growing_gradients_is_adam() -> None:
    growing = [{name: g * 0 + (-1.0) ** t * 2.0**t for name, g in step.items()} for t, step in enumerate(GRADS)]
    same(gradtx.scale_by_amsgrad(), gradtx.scale_by_adam(), grads=growing)


def test_amsgrad_on_shrinking_gradients_keeps_its_sigma() -> None:
    _, states = scalars(gradtx.scale_by_amsgrad(b2=0.5), [4.0, 1.0, 0.5])
    assert [state.slots["nu_max"].item() for state in states] == [16.0, 16.0, 16.0]


def test_mean_adagrad_with_the_rate_over_root_t_is_sum_adagrad() -> None:
    mean = gradtx.chain(
        gradtx.scale_by_adagrad(0.0, eps=0.0, mean=True),
        gradtx.scale_by_learning_rate(lambda count: 0.1 / jnp.sqrt(number(count) + 1.0)),
    )
    same(mean, gradtx.adagrad(0.1, 0.0, eps=0.0), rtol=4 * np.finfo(np.float64).eps)


def test_adagrad_sigma_is_the_root_mean_square_so_far() -> None:
    gradients = [3.0, -4.0, 12.0]
    updates, _ = scalars(gradtx.scale_by_adagrad(0.0, eps=0.0, mean=True), gradients)
    sigma = [g / u for g, u in zip(gradients, updates, strict=True)]
    np.testing.assert_allclose(sigma, [3.0, np.sqrt(25 / 2), np.sqrt(169 / 3)], rtol=EXACT)


@pytest.mark.parametrize("nesterov", [False, True])
def test_no_decay_is_no_memory(nesterov: bool) -> None:
    same(gradtx.trace(0.0, nesterov=nesterov), gradtx.identity())
    same(gradtx.ema(0.0, nesterov=nesterov), gradtx.identity())


def test_nesterov_sees_one_step_ahead() -> None:
    """Its update is what plain momentum would give were the same gradient to come once more."""
    ahead, _ = scalars(gradtx.trace(0.9, nesterov=True), [1.0, -2.0])
    plain, _ = scalars(gradtx.trace(0.9), [1.0, -2.0, -2.0])
    np.testing.assert_allclose(ahead[-1], plain[-1], rtol=EXACT)


def test_no_weight_decay_is_adam() -> None:
    same(gradtx.adamw(0.1, weight_decay=0.0), gradtx.adam(0.1))
    same(gradtx.nadamw(0.1, weight_decay=0.0), gradtx.nadam(0.1))


def test_weight_decay_pulls_towards_zero() -> None:
    zero = jax.tree.map(np.zeros_like, PARAMS)
    tx = gradtx.adamw(0.1, weight_decay=0.5)
    (u,) = run(tx, [zero], PARAMS, jit=False)
    chex.assert_trees_all_close(u, jax.tree.map(lambda p: -0.05 * p, PARAMS), rtol=EXACT)


def test_weight_decay_only_where_the_mask_says() -> None:
    tx = gradtx.add_decayed_weights(1.0, mask={"gain": False, "bias": True, "kernel": False, "large": False})
    zero = jax.tree.map(np.zeros_like, PARAMS)
    (u,) = run(tx, [zero], PARAMS, jit=False)
    chex.assert_trees_all_equal(u, {**zero, "bias": PARAMS["bias"]})


def test_weight_decay_needs_the_parameters() -> None:
    tx = gradtx.chain(gradtx.trace(0.9), gradtx.add_decayed_weights(0.1))
    with pytest.raises(ValueError, match=r"add_decayed_weights: params is None, expected the params"):
        tx.update(PARAMS, tx.init(PARAMS))


def test_an_infinite_norm_never_clips() -> None:
    same(gradtx.clip_by_global_norm(np.inf), gradtx.identity(), rtol=0)


def test_ascent_is_minus_descent() -> None:
    up = gradtx.scale_by_learning_rate(halving, flip_sign=False)
    same(gradtx.chain(up, gradtx.scale(-1.0)), gradtx.scale_by_learning_rate(halving))


def test_a_steep_stretch_raises_sigma_at_once_and_a_flat_one_lowers_it_again() -> None:
    """The lecture's slide 2.2c: after small gradients a large one, then small ones again."""
    gradients = [1.0, 1.0, 10.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    updates, states = scalars(gradtx.scale_by_rms(0.5, eps=0.0, first_gradient=True), gradients)
    sigma = [state.slots["nu"].item() ** 0.5 for state in states]
    assert sigma[0] == sigma[1] == 1.0
    assert sigma[2] == pytest.approx(np.sqrt(0.5 + 50.0), rel=EXACT)  # at once, in the step that sees it
    flat = sigma[2:]
    assert all(later < earlier for earlier, later in itertools.pairwise(flat))
    np.testing.assert_allclose(np.square(flat) - 1.0, 49.5 * 0.5 ** np.arange(6), rtol=1e-12)
    small = updates[3:]  # the step just after is short, and grows back while sigma falls
    assert small[0] < 0.2
    assert all(later > earlier for earlier, later in itertools.pairwise(small))


def test_adagrad_never_comes_back() -> None:
    _, states = scalars(gradtx.scale_by_adagrad(0.0), [1.0, 10.0, 0.0, 0.0])
    assert [state.slots["sum_of_squares"].item() for state in states] == [1.0, 101.0, 101.0, 101.0]


@pytest.mark.parametrize("decay", [0.1, 0.9, 0.999])
def test_the_first_gradient_is_the_first_sigma(decay: float) -> None:
    """The lecture's slide 2.2b: sigma_0 = |g_0|, so the first step is the sign of the gradient."""
    tx = gradtx.scale_by_rms(decay, eps=0.0, first_gradient=True)
    g = jnp.array([3.0, -1e-3, 0.0, 1e4])
    u, state = tx.update(g, tx.init(g))
    np.testing.assert_allclose(u, jnp.sign(g), rtol=EXACT)
    np.testing.assert_allclose(state.slots["nu"], g * g, rtol=EXACT)
    _, state = tx.update(2 * g, state)
    np.testing.assert_allclose(state.slots["nu"], (decay + (1 - decay) * 4) * g * g, rtol=EXACT)


@pytest.mark.parametrize("bias_correction", [False, True])
def test_a_steady_gradient_has_no_variance_and_no_nan(bias_correction: bool) -> None:
    """Rounding may take the mean square below the square of the mean."""
    g = jnp.asarray(np.random.default_rng(0).normal(size=1000))
    tx = gradtx.scale_by_stddev(0.9, eps=0.0, bias_correction=bias_correction)
    state = tx.init(g)
    for _ in range(60):
        u, state = tx.update(g, state)
        assert jnp.isfinite(u).all()


def test_one_start_only() -> None:
    with pytest.raises(ValueError, match="scale_by_rms: first_gradient"):
        gradtx.scale_by_rms(first_gradient=True, bias_correction=True)
    with pytest.raises(ValueError, match="scale_by_rms: first_gradient"):
        gradtx.scale_by_rms(first_gradient=True, initial_scale=1.0)


def test_radam_tends_to_adam() -> None:
    """r_t -> 1: at b2 = 0.9 RAdam's step is half of Adam's at step 10 and within 1e-9 of it at step 300."""
    radam, adam = gradtx.scale_by_radam(b2=0.9), gradtx.scale_by_adam(b2=0.9)
    g = jnp.array(2.0)

    def gap(count: int) -> float:
        later = [tx.init(g)._replace(count=jnp.asarray(count, jnp.int32)) for tx in (radam, adam)]
        u, v = (tx.update(g, state)[0].item() for tx, state in zip((radam, adam), later, strict=True))
        return 1 - u / v

    assert 0.50 < gap(9) < 0.51
    assert 0 <= gap(299) < 1e-9


def test_radam_is_momentum_until_the_threshold() -> None:
    """At b2 = 0.999 rho is 4.996 at step 5 and 5.995 at step 6."""
    updates, _ = scalars(gradtx.scale_by_radam(), [2.0] * 6)
    np.testing.assert_allclose(updates[:5], 2.0, rtol=EXACT)
    assert updates[5] < 0.1


def test_chain_is_associative() -> None:
    a, b, c = gradtx.clip_by_global_norm(1.0), gradtx.scale_by_adam(), gradtx.scale_by_learning_rate(halving)
    same(gradtx.chain(gradtx.chain(a, b), c), gradtx.chain(a, gradtx.chain(b, c)), rtol=0)
    same(gradtx.chain(a, b, c), gradtx.chain(a, gradtx.chain(b, c)), rtol=EXACT)


def test_chain_order_matters() -> None:
    clip, scale = gradtx.clip_by_global_norm(1.0), gradtx.scale(3.0)
    after, before = (
        run(tx, GRADS[:1], PARAMS, jit=False)[0] for tx in (gradtx.chain(clip, scale), gradtx.chain(scale, clip))
    )
    chex.assert_trees_all_close(after, jax.tree.map(lambda u: 3.0 * u, before), rtol=EXACT)


def test_named_chain_is_chain() -> None:
    members = {"clip": gradtx.clip_by_global_norm(1.0), "direction": gradtx.trace(0.9), "rate": gradtx.scale(-0.1)}
    same(gradtx.named_chain(*members.items()), gradtx.chain(*members.values()), rtol=0)


def test_a_chain_within_a_chain_keeps_its_own_state() -> None:
    """Whatever runs together, each state stands where its transform stands."""
    inner = gradtx.named_chain(("nothing", gradtx.identity()), ("sum", gradtx.trace(0.9)), ("decay", gradtx.ema(0.5)))
    tx = gradtx.chain(gradtx.scale(2.0), gradtx.chain(optax.identity(), inner), gradtx.clip_by_global_norm(1.0))
    g = {"w": jnp.array([1.0, 2.0])}
    updates, state = tx.update(g, tx.init(g), g)
    chex.assert_trees_all_equal_structs(state, tx.init(g))
    own = state[1][1]
    np.testing.assert_allclose(own["sum"].slots["trace"]["w"], [2.0, 4.0])
    np.testing.assert_allclose(own["decay"].slots["mu"]["w"], [1.0, 2.0])
    assert [own["sum"].count, own["decay"].count, state[0].count, state[2].count] == [1, 1, 1, 1]
    np.testing.assert_allclose(updates["w"], np.array([1.0, 2.0]) / np.sqrt(5.0), rtol=EXACT)
    wrong = {**own, "nothing": own["sum"]}
    with pytest.raises(ValueError, match=r"identity: state"):
        tx.update(g, (state[0], (state[1][0], wrong), state[2]), g)


class Seen(NamedTuple):
    loss: jax.Array


def recorder() -> optax.GradientTransformationExtraArgs:
    """Return an optax transform that keeps the loss it is given and passes the gradients on."""

    def update(updates: Any, state: Seen, params: Any = None, *, loss: Any, **extra: Any) -> tuple[Any, Seen]:
        del state, params, extra
        return updates, Seen(jnp.asarray(loss, float))

    return optax.GradientTransformationExtraArgs(lambda params: Seen(jnp.zeros((), float)), update)


class BelowOne:
    """An event schedule: 0.01 until the loss is below 1, then 0.1."""

    argument = "loss"

    def happened(self, measured: Any) -> Any:
        return measured < 1.0

    def value(self, count: Any, switched: Any) -> Any:
        del count
        return jnp.where(switched >= 0, 0.1, 0.01)


@pytest.mark.parametrize("chain", [gradtx.chain, optax.chain])
def test_chains_hold_members_of_both_libraries(chain: Any) -> None:
    members = (gradtx.clip_by_global_norm(1.0), optax.scale(0.5), gradtx.adamw(halving), optax.scale(2.0))
    with jax.numpy_dtype_promotion("standard"):  # optax relies on implicit promotion
        mixed = run(chain(*members), GRADS, PARAMS, jit=False)
    ours = gradtx.chain(members[0], gradtx.scale(0.5), members[2], gradtx.scale(2.0))
    chex.assert_trees_all_close(mixed, run(ours, GRADS, PARAMS, jit=False), rtol=EXACT, atol=0)


@pytest.mark.parametrize("chain", [gradtx.chain, optax.chain])
def test_extra_arguments_reach_members_of_both_libraries(chain: Any) -> None:
    event = gradtx.chain(gradtx.trace(0.0), gradtx.scale_by_learning_rate(BelowOne()))
    tx = chain(recorder(), optax.scale(1.0), event)
    g = jnp.array(1.0)
    state = tx.init(g)
    rates = []
    for loss in (3.0, 2.0, 0.5, 0.4, 3.0):
        u, state = tx.update(g, state, g, loss=loss, unknown="ignored")
        rates.append(-u.item())
        assert state[0].loss == loss
    assert state[2][1].event == 2  # the count at which it came first
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.1, 0.1, 0.1], rtol=EXACT)  # at once, and for good


@pytest.mark.parametrize("chain", [gradtx.chain, optax.chain])
def test_a_missing_extra_argument_is_named(chain: Any) -> None:
    tx = chain(gradtx.sgd(BelowOne()))
    g = jnp.array(1.0)
    with pytest.raises(ValueError, match=r"scale_by_learning_rate: extra argument loss is missing.*loss=\.\.\."):
        tx.update(g, tx.init(g))


def test_the_first_update_sees_count_zero_and_the_count_saturates() -> None:
    tx = gradtx.scale_by_schedule(number)
    updates, states = scalars(tx, [1.0, 1.0, 1.0])
    assert updates == [0.0, 1.0, 2.0]
    assert [state.count.item() for state in states] == [1, 2, 3]
    last = jnp.asarray(np.iinfo(np.int32).max, jnp.int32)
    for each in (tx, gradtx.clip_by_global_norm(1.0)):
        _, state = each.update(jnp.array(1.0), each.init(jnp.array(0.0))._replace(count=last))
        assert state.count == last
        assert state.count.dtype == jnp.int32


def test_the_correction_of_a_mean_keeps_its_digits() -> None:
    from gradtx._core.arrays.numerics import unbias

    with jax.enable_x64(False):
        for decay in (0.9, 0.999, 0.999999):
            for t in (1, 7, 1000, 10**6):
                exact = -1.0 / np.expm1(t * np.log(decay))
                for given in (decay, jnp.float32(decay)):
                    got = unbias(given, jnp.float32(t)).item()
                    rounded = -1.0 / np.expm1(t * np.log(float(given)))
                    assert got == pytest.approx(exact if given is decay else rounded, rel=5e-7)
        assert unbias(0.0, jnp.float32(3)) == unbias(jnp.float32(0.0), jnp.float32(3)) == 1.0


def test_accumulators_of_half_precision_are_float32() -> None:
    p = jnp.ones(3, jnp.bfloat16)
    tx = gradtx.scale_by_adam()
    state = tx.init(p)
    u, after = tx.update(p, state, p)
    assert u.dtype == jnp.bfloat16
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    assert {slot.dtype.name for slot in state.slots.values()} == {"float32"}
    tiny = jnp.full(300, 0.01, jnp.bfloat16)
    clipped, _ = gradtx.clip_by_global_norm(1e9).update(tiny, gradtx.clip_by_global_norm(1e9).init(tiny))
    assert clipped.dtype == jnp.bfloat16


def test_narrow_gradients_of_wide_parameters_are_computed_wide() -> None:
    tx = gradtx.trace(0.9)
    p = jnp.zeros((), jnp.float64)
    u, state = tx.update(jnp.ones((), jnp.float32), tx.init(p), p)
    u, state = tx.update(jnp.ones((), jnp.float32), state, p)
    assert u.dtype == state.slots["trace"].dtype == jnp.float64
    assert u.item() == 1.9


def test_state_keeps_the_dtype_asked_for() -> None:
    tx = gradtx.scale_by_adam(mu_dtype="bfloat16")
    state = tx.init(jnp.ones(3))
    _, after = tx.update(jnp.ones(3), state)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    assert after.slots["mu"].dtype == jnp.bfloat16


def test_complex_gradients_have_a_real_sigma() -> None:
    g = jnp.array([3 + 4j, 0j])
    tx = gradtx.scale_by_rms(0.9, eps=0.0, first_gradient=True)
    u, state = tx.update(g, tx.init(g))
    np.testing.assert_allclose(u, [0.6 + 0.8j, 0], rtol=EXACT)
    np.testing.assert_allclose(state.slots["nu"], [25.0, 0.0], rtol=EXACT)


def test_a_root_has_half_its_inverse_as_slope() -> None:
    from gradtx._core.arrays.numerics import root

    assert [jax.grad(root)(x) for x in (4.0, 0.25, 0.0)] == [0.25, 1.0, 0.0]
    assert jax.grad(jax.grad(root))(4.0) == -1 / 32


def test_gradient_through_a_zero_is_finite() -> None:
    """The derivative of g / sqrt(v) at 0 is taken as 0, not as infinity."""
    tx = gradtx.scale_by_adam(eps=0.0)
    state = tx.init(jnp.zeros(2))
    slope = jax.grad(lambda g: tx.update(g, state)[0].sum())(jnp.array([0.0, 2.0]))
    assert jnp.isfinite(slope).all()


def test_members_of_a_chain_pass_float32_and_round_once() -> None:
    g = jnp.arange(1, 65, dtype=jnp.float32).astype(jnp.bfloat16)
    tx = gradtx.chain(gradtx.scale(1 / 3), gradtx.scale(3.0))
    updates, _ = jax.jit(tx.update)(g, tx.init(g), g)
    chex.assert_trees_all_equal(updates, g)  # rounded between, a third of the numbers would differ


def test_a_quotient_by_zero_has_finite_derivatives_of_every_order() -> None:
    from gradtx._core.arrays.numerics import divide

    slope = jax.grad(lambda sigma: divide(jnp.array(2.0), sigma))
    assert [slope(0.0), jax.grad(slope)(0.0), jax.grad(jax.grad(slope))(0.0)] == [0.0, 0.0, 0.0]
    assert [slope(2.0), jax.grad(slope)(2.0)] == [-0.5, 0.5]
