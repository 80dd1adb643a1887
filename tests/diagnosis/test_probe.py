"""The probe against dense Hessians, quadratics with a known spectrum and runs at both sides of the edge."""

import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import gradtx
from gradtx._core.contract.transform import Part
from gradtx.diagnosis.probing.curvature import Objective, Spectrum, spectrum
from gradtx.diagnosis.probing.edge import stability_edge
from gradtx.diagnosis.probing.probe import Probe, probe
from gradtx.diagnosis.record.rates import effective_rate, learning_rate

RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 6))
BATCH = (jnp.asarray(X), jnp.asarray(X[:, :1] * X[:, 1:2] > 0, jnp.float64))
PARAMS = {"a": jnp.asarray(0.5 * RNG.standard_normal((6, 8))), "c": jnp.asarray(0.5 * RNG.standard_normal((8, 1)))}


def mlp(p: Any, batch: Any) -> jax.Array:
    x, y = batch
    return jnp.mean((jnp.tanh(x.astype(p["a"].dtype) @ p["a"]) @ p["c"] - y.astype(p["a"].dtype)) ** 2)


def rotated(eigenvalues: Any, seed: int = 0) -> jax.Array:
    """Return a matrix with these eigenvalues and random eigenvectors."""
    n = len(eigenvalues)
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))
    return jnp.asarray((q * np.asarray(eigenvalues)) @ q.T)


def quadratic(p: jax.Array, h: jax.Array) -> jax.Array:
    return 0.5 * p @ h.astype(p.dtype) @ p


def ends_of(eigenvalues: Any, steps: int, dtype: Any = jnp.float64, memory: float = 1e9, seed: int = 0) -> Spectrum:
    p = jnp.ones(len(eigenvalues), dtype)
    h = rotated(eigenvalues, seed)
    return spectrum(Objective(quadratic, False), p, h, jax.random.key(seed), steps, memory)


SPECTRA = {
    "indefinite": np.concatenate([[-3.0], np.linspace(-0.5, 1, 37), [4.0, 9.0]]),
    "definite": np.linspace(1.0, 5.0, 40),
    "one": np.array([-2.5]),
    "two": np.array([5.6, 1.75e6]),
    "rank 3": np.concatenate([np.zeros(37), [1.0, 2.0, 7.0]]),
    "negative": -np.linspace(1.0, 5.0, 40),
    "zero": np.zeros(5),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_all_steps_give_both_ends_exactly(name):
    true = SPECTRA[name]
    found = ends_of(true, steps=100)
    size = max(np.abs(true).max(), 1.0)
    np.testing.assert_allclose([found.largest, found.smallest], [true.max(), true.min()], atol=1e-10 * size)
    assert found.hidden == 0.0
    assert max(found.largest_residual, found.smallest_residual) <= 1e-10 * size
    lowest = true.min()
    wanted = "negative" if lowest < 0 else "positive" if lowest > 0 else "undecided"
    assert found.sign == wanted


def test_a_rank_deficient_hessian_ends_early():
    assert ends_of(SPECTRA["rank 3"], steps=30).products <= 6
    assert ends_of(SPECTRA["zero"], steps=30).products == 1


@pytest.mark.parametrize("seed", range(3))
def test_the_residual_bounds_the_distance_to_an_eigenvalue(seed):
    true = np.concatenate([[-3.0], np.linspace(-0.5, 1, 197), [4.0, 9.0]])
    for steps in (3, 8, 15):
        found = ends_of(true, steps, seed=seed)
        assert np.abs(true - found.largest).min() <= found.largest_residual + 1e-10
        assert np.abs(true - found.smallest).min() <= found.smallest_residual + 1e-10
        assert found.largest <= true.max() + 1e-10
        assert found.smallest >= true.min() - 1e-10
    np.testing.assert_allclose(found.largest, 9.0, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_small_lowest_eigenvalue_is_never_called_positive(seed, dtype):
    for lowest in (-1e-5, 0.0, 1e-6):
        true = np.concatenate([[lowest], np.geomspace(1e-4, 10.0, 299)])
        assert ends_of(true, 20, dtype, seed=seed).sign == "undecided"


@pytest.mark.parametrize("seed", range(5))
def test_float32_never_makes_a_semidefinite_hessian_negative(seed):
    true = np.concatenate([np.zeros(200), np.geomspace(1e-3, 1e4, 20)])
    assert ends_of(true, 40, jnp.float32, seed=seed).sign == "undecided"


@pytest.mark.parametrize("seed", range(3))
def test_a_sign_that_is_resolved_is_said(seed):
    assert ends_of(np.concatenate([[-0.05], np.linspace(0, 1, 299)]), 20, jnp.float32, seed=seed).sign == "negative"
    assert ends_of(np.linspace(1.0, 3.0, 300), 20, jnp.float32, seed=seed).sign == "positive"


def test_power_iteration_takes_over_where_the_basis_does_not_fit():
    for true in (SPECTRA["indefinite"], -SPECTRA["indefinite"]):
        found = ends_of(true, 40, memory=10)
        assert found.method == "power"
        np.testing.assert_allclose([found.largest, found.smallest], [true.max(), true.min()], rtol=1e-2)
        assert np.abs(true - found.largest).min() <= found.largest_residual + 1e-10
        assert found.sign == "negative"
    assert ends_of(SPECTRA["definite"], 20, memory=10).sign == "undecided"


def test_lambda_matches_the_dense_hessian_of_a_network():
    flat, unravel = ravel_pytree(PARAMS)
    true = np.linalg.eigvalsh(jax.hessian(lambda z: mlp(unravel(z), BATCH))(flat))
    found = probe(mlp, PARAMS, BATCH, steps=100)
    np.testing.assert_allclose([found.lambda_max, found.lambda_min], [true[-1], true[0]], rtol=1e-9)
    assert found.curvature_sign == "negative"
    assert found.parameters == flat.size
    quick = probe(mlp, PARAMS, BATCH, steps=10)
    np.testing.assert_allclose(quick.lambda_max, true[-1], rtol=1e-3)


def test_sharpness_matches_the_dense_preconditioned_hessian():
    tx = gradtx.adam(0.02)
    state, p = tx.init(PARAMS), PARAMS
    for _ in range(5):
        updates, state = tx.update(jax.grad(mlp)(p, BATCH), state, p)
        p = gradtx.apply_updates(p, updates)
    found = probe(mlp, p, BATCH, tx=tx, state=state, steps=100)
    flat, unravel = ravel_pytree(p)
    g, _ = ravel_pytree(jax.grad(mlp)(p, BATCH))
    nu, _ = ravel_pytree(state[0].slots["nu"])
    sigma = jnp.sqrt((0.999 * nu + 0.001 * g**2) / (1 - 0.999**6)) + 1e-8
    root = jnp.sqrt(0.02 / sigma)
    h = jax.hessian(lambda z: mlp(unravel(z), BATCH))(flat)
    true = np.linalg.eigvalsh(root[:, None] * h * root[None])
    np.testing.assert_allclose(found.sharpness, true[-1], rtol=1e-8)
    assert (found.edge, found.learning_rate) == (38.0, 0.02)


def one(g: Any, slots: Any, p: Any, k: Any) -> Any:
    """Return a sigma of 1: the rule for one array."""
    return jnp.ones_like(g), {}


FLAT = gradtx.Rule("one", one)
SIGN = gradtx.leafwise(gradtx.Rule("sign", lambda g, slots, p, k: (jnp.sign(g), {})))
HALF = gradtx.leafwise(gradtx.Rule("half", lambda g, slots, p, k: (0.5 * g, {})))


def rated(*links: Any) -> Any:
    return lambda eta: gradtx.chain(*links, gradtx.scale_by_learning_rate(eta))


EDGES = {
    "sgd": (gradtx.sgd, 2.0),
    "heavy ball": (lambda eta: gradtx.sgd(eta, 0.9), 3.8),
    "nesterov": (lambda eta: gradtx.sgd(eta, 0.9, nesterov=True), 3.8 / 2.8),
    "ema": (rated(gradtx.ratio(gradtx.ema(0.9), FLAT)), 38.0),
    "ema, b1 = 0.5": (rated(gradtx.ema(0.5)), 6.0),
    "nesterov ema": (rated(gradtx.ratio(gradtx.ema(0.9, nesterov=True), FLAT)), 38.0 / 2.8),
    "adam": (lambda eta: gradtx.adam(eta, eps=1.0), 38.0),
    "nadam": (lambda eta: gradtx.nadam(eta, eps=1.0), 38.0 / 2.8),
    "amsgrad": (lambda eta: gradtx.amsgrad(eta, eps=1.0), 38.0),
    "rmsprop": (lambda eta: gradtx.rmsprop(eta, eps=1.0, momentum=0.9), 3.8),
    "user's": (rated(HALF, gradtx.add_decayed_weights(0.0)), 4.0),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_quadratic_converges_below_the_edge_and_not_above(name):
    make, expected = EDGES[name]
    edge = stability_edge(make(0.1), make(0.1).init(jnp.zeros(())))
    np.testing.assert_allclose(edge, expected, rtol=1e-5)

    def growth(eta: float) -> float:
        tx = make(eta)
        x = jnp.asarray(1e-150)  # so small that sigma is eps, or 1, to the end

        def step(carry: Any, _: Any) -> Any:
            x, state = carry
            u, state = tx.update(x, state, x)
            return (x + u, state), jnp.abs(x)

        path = jax.lax.scan(step, (x, tx.init(x)), None, length=1000)[1]
        return float(path[-20:].max() / path[-220:-200].max())

    assert growth(0.98 * edge) < 0.5
    assert growth(1.02 * edge) > 2.0


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.chain(SIGN, gradtx.scale(-0.1)),
        gradtx.chain(gradtx.trace(0.9), gradtx.ema(0.9)),
        optax.sgd(0.1),
        gradtx.chain(optax.scale(2.0), gradtx.sgd(0.1)),
    ],
)
def test_no_edge_is_claimed_for_what_is_not_one_linear_direction(tx):
    assert stability_edge(tx, tx.init(jnp.zeros(()))) is None


SCALES = {
    "sgd": gradtx.sgd(0.3),
    "schedule": gradtx.sgd(gradtx.schedules.linear(1.0, 0.1, 8)),
    "adagrad": gradtx.adagrad(0.1),
    "adagrad mean": gradtx.chain(gradtx.scale_by_adagrad(mean=True), gradtx.scale(-0.1)),
    "rmsprop": gradtx.rmsprop(0.1),
    "rmsprop centered": gradtx.rmsprop(0.1, centered=True, bias_correction=True),
    "adam, b1 = 0": gradtx.adam(0.1, b1=0.0),
    "amsgrad, b1 = 0": gradtx.amsgrad(0.1, b1=0.0),
    "radam, b1 = 0": gradtx.radam(0.1, b1=0.0, b2=0.9),
    "same slot names": gradtx.chain(gradtx.ratio(gradtx.ema(0.0), gradtx.scale_by_stddev()), gradtx.scale(-0.1)),
    "clipped": gradtx.chain(gradtx.clip_by_global_norm(0.01), gradtx.rmsprop(0.1)),
    "clipped sgd": gradtx.chain(gradtx.clip_by_global_norm(0.01), gradtx.sgd(0.1)),
    "two scales": gradtx.chain(gradtx.scale_by_rms(), gradtx.scale_by_adagrad(), gradtx.scale(-0.1)),
}


@pytest.mark.share(4)
@pytest.mark.parametrize("name", SCALES)
def test_without_memory_the_update_is_minus_the_effective_rate_times_the_gradient(name):
    tx = SCALES[name]
    params = {"w": jnp.asarray(RNG.standard_normal((3, 2))), "none": None, "b": jnp.asarray(0.5)}
    state = tx.init(params)
    for _ in range(8):
        grads = jax.tree.map(lambda p: jnp.asarray(RNG.standard_normal(p.shape)), params)
        updates, after = tx.update(grads, state, params)
        rate = effective_rate(tx, state, grads, params, limits=True)
        traced = jax.jit(lambda s, g: effective_rate(tx, s, g, params, limits=True))(state, grads)
        tree = rate if isinstance(rate, dict) else jax.tree.map(lambda _, rate=rate: jnp.asarray(rate), params)
        expected = jax.tree.map(lambda g, r: -r * g, grads, tree)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), updates, expected)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), rate, traced)
        state = after


def test_momentum_and_decay_leave_the_effective_rate_alone():
    g = jnp.asarray([2.0, -8.0])
    for tx in (gradtx.adam(0.5, b1=0.7, eps=0.0), gradtx.adamw(0.5, eps=0.0), gradtx.nadam(0.5, eps=0.0)):
        np.testing.assert_allclose(effective_rate(tx, tx.init(g), g, g), [0.25, 0.0625], rtol=1e-6)
    tx = gradtx.sgd(0.5, momentum=0.9)
    assert float(effective_rate(tx, tx.init(g), g, g)) == 0.5
    assert effective_rate(optax.sgd(0.1), optax.sgd(0.1).init(g), g, g) is None
    assert learning_rate(gradtx.identity(), gradtx.identity().init(g)) is None


def test_a_known_clip_replaces_the_computed_one():
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adagrad(1.0, 0.0, 0.0))
    g = jnp.asarray([3.0, 4.0])
    whole = effective_rate(tx, tx.init(g), g, g)
    part = effective_rate(tx, tx.init(g[:1]), g[:1], clip=jnp.asarray(0.2))
    np.testing.assert_allclose(part, whole[:1], rtol=1e-6)


class Wrapped(NamedTuple):
    inner: Any
    record: Any


class Wrapper:
    name, role = "wrapper", "container"

    def parts(self, state: Wrapped) -> list[Part]:
        return [Part(None, self.inner, state.inner)]

    def fits(self, state: Any) -> bool:
        return isinstance(state, Wrapped)

    def __init__(self, inner: Any) -> None:  # noqa: D107  # a stand-in
        self.inner = inner

    def init(self, params: Any) -> Wrapped:
        return Wrapped(self.inner.init(params), jnp.zeros(3))

    def update(self, updates: Any, state: Wrapped, params: Any = None, **extra: Any) -> Any:
        updates, inner = self.inner.update(updates, state.inner, params, **extra)
        return updates, state._replace(inner=inner)


def test_a_wrapper_is_looked_through():
    tx, params = gradtx.adam(0.1), jnp.ones(3)
    outer = gradtx.Transform.of(Wrapper(tx))
    bare = probe(quadratic, params, jnp.eye(3), tx=tx, state=tx.init(params))
    assert probe(quadratic, params, jnp.eye(3), tx=outer, state=outer.init(params)) == bare
    assert bare.edge == 38.0


def test_the_line_is_taken_along_the_next_update():
    tx = gradtx.sgd(0.5, momentum=0.9)
    h, p = jnp.diag(jnp.asarray([1.0, 4.0])), jnp.asarray([1.0, 1.0])
    _, state = tx.update(h @ p, tx.init(p), p)
    found = probe(quadratic, p, h, tx=tx, state=state)
    u = np.asarray(tx.update(h @ p, state, p)[0])
    expected = [quadratic(p + s * u, h) for s in found.scales]
    np.testing.assert_allclose(found.losses, expected, rtol=1e-12)
    np.testing.assert_allclose([found.slope, found.curvature], [(h @ p) @ u, u @ h @ u], rtol=1e-12)
    np.testing.assert_allclose(found.line_minimum, -found.slope / found.curvature, rtol=1e-12)
    np.testing.assert_allclose(found.best_learning_rate, 0.5 * found.line_minimum, rtol=1e-12)
    best = int(np.argmin(expected))
    assert found.best_scale == found.scales[best] == 0.3
    np.testing.assert_allclose(found.best_fall, 1 - expected[best] / 2.5, rtol=1e-12)
    assert found.edge == 3.8
    np.testing.assert_allclose(found.sharpness, 2.0, rtol=1e-12)


def test_the_direction_comes_from_what_is_given():
    h, p = jnp.eye(2), jnp.asarray([3.0, 4.0])
    plain = probe(quadratic, p, h)
    assert (plain.update_norm, plain.sharpness, plain.edge, plain.best_learning_rate) == (5.0, None, None, 1.0)
    assert probe(quadratic, p, h, learning_rate=0.1).edge == 2.0
    assert "AT the edge" in str(probe(quadratic, p, h, learning_rate=2.0))
    rated = probe(quadratic, p, h, rate=jnp.asarray([1.0, 0.25]))
    np.testing.assert_allclose([rated.update_norm, rated.sharpness], [np.sqrt(10.0), 1.0])
    given = probe(quadratic, p, h, update=jnp.asarray([1.0, 0.0]), directions={"down": -p})
    assert (given.slope, given.best_scale, given.line_minimum) == (3.0, 0.0, None)
    assert given.directions == {"down": (1.0, 1.0)}
    assert "climbs" in str(given)
    foreign = optax.sgd(0.5)
    found = probe(quadratic, p, h, tx=foreign, state=foreign.init(p))
    assert (found.update_norm, found.edge, found.sharpness, found.best_learning_rate) == (2.5, None, None, None)


def test_half_precision_mixed_dtypes_and_none_leaves():
    h = jnp.asarray([1.0, 3.0, 9.0], jnp.float32)

    def loss(p: Any, batch: Any) -> jax.Array:
        del batch
        return 0.5 * jnp.sum(h[:2] * p["half"] ** 2) + 0.5 * h[2] * p["wide"].astype(jnp.float32) ** 2

    params = {"half": jnp.asarray([1.0, 2.0], jnp.bfloat16), "wide": jnp.asarray(1.0), "none": None}
    tx = gradtx.rmsprop(0.01)
    found = probe(loss, params, None, tx=tx, state=tx.init(params))
    np.testing.assert_allclose([found.lambda_max, found.lambda_min], [9.0, 1.0], rtol=1e-6)
    assert found.curvature_sign == "positive"
    assert probe(loss, params, None, update={"half": None, "wide": 1.0, "none": None}).update_norm == 1.0


def test_sharded_params_are_probed_where_they_lie():
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("x",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    h = jnp.asarray(np.linspace(1.0, 3.0, 16))
    p = jax.device_put(jnp.ones(16), rows)
    tx = gradtx.adam(0.1)

    def loss(p: Any, h: Any) -> jax.Array:
        return 0.5 * jnp.sum(h * p**2)

    found = probe(loss, p, h, tx=tx, state=tx.init(p))
    alone = probe(loss, jnp.ones(16), h, tx=tx, state=tx.init(jnp.ones(16)))
    np.testing.assert_allclose(found.lambda_max, 3.0, rtol=1e-10)
    np.testing.assert_allclose(found.sharpness, alone.sharpness, rtol=1e-10)
    np.testing.assert_allclose(found.losses, alone.losses, rtol=1e-10)


def test_little_memory_makes_power_iteration():
    found = probe(quadratic, jnp.ones(3), jnp.diag(jnp.asarray([1.0, 2.0, 9.0])), steps=20, memory=5)
    assert found.method == "power"
    np.testing.assert_allclose([found.lambda_max, found.lambda_min], [9.0, 1.0], rtol=1e-2)
    assert "power iteration" in str(found)


def test_sharpness_counts_the_clip():
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.sgd(0.5))
    p = jnp.asarray([3.0, 4.0])
    found = probe(quadratic, p, jnp.eye(2), tx=tx, state=tx.init(p))
    np.testing.assert_allclose(found.sharpness, 0.1, rtol=1e-6)


def test_aux_is_dropped():
    def with_aux(p: Any, h: Any) -> Any:
        return quadratic(p, h), {"seen": p}

    h, p = jnp.diag(jnp.asarray([1.0, 2.0])), jnp.ones(2)
    assert probe(with_aux, p, h, has_aux=True) == probe(quadratic, p, h)


@pytest.mark.parametrize(("strength", "is_noise"), [(0.0, True), (0.3, False)])
def test_signal_is_told_from_noise(strength, is_noise):
    def linear(p: Any, g: Any) -> jax.Array:
        return p @ g

    d, n = 400, 16
    mean = strength * np.ones(d)
    batches = [jnp.asarray(mean + np.random.default_rng(i).standard_normal(d)) for i in range(n)]
    found = probe(linear, jnp.zeros(d), jnp.asarray(mean), batches=batches, steps=2)
    true = strength**2 / (strength**2 + 1)
    assert abs(found.signal - true) < 4 * found.signal_error
    assert found.signal_error < 0.02
    assert found.is_noise is is_noise
    assert ("no signal beyond the noise" in str(found)) is is_noise
    assert found.batches == n


def test_a_probe_reads_and_goes_to_json():
    found = probe(lambda p, b: -jnp.sum(jnp.log(p)), jnp.asarray([1.0, 2.0]), None, update=-jnp.ones(2))
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["losses"][3] is None  # log 0
    text = str(found)
    assert 4 <= len(text.splitlines()) <= 8
    assert text.startswith("PROBE")


def test_a_second_probe_of_the_same_function_compiles_nothing():
    calls = []

    def loss(p: Any, h: Any) -> jax.Array:
        calls.append(1)
        return quadratic(p, h)

    p, tx = jnp.ones(3), gradtx.adam(0.1)
    probe(loss, p, jnp.eye(3), tx=tx, state=tx.init(p))
    calls.clear()
    probe(loss, 2 * p, 2 * jnp.eye(3), tx=tx, state=tx.init(p))
    assert not calls


TX = gradtx.sgd(0.1)
STATE = TX.init(jnp.ones(2))
ERRORS = {
    "vector loss": (ValueError, "probe: loss_fn returned float64 of shape .*scalar", {"loss_fn": lambda p, b: p}),
    "aux": (ValueError, "probe: loss_fn .*has_aux=True", {"loss_fn": lambda p, b: (jnp.sum(p), p)}),
    "no aux": (ValueError, "probe: loss_fn .*drop has_aux", {"has_aux": True}),
    "integer loss": (TypeError, "probe: loss_fn returned int", {"loss_fn": lambda p, b: jnp.sum(p > 0)}),
    "no function": (TypeError, "probe: loss_fn is float", {"loss_fn": 1.0}),
    "integer params": (TypeError, r"probe: params\['n'\] is int64", {"params": {"n": jnp.arange(3)}}),
    "complex params": (TypeError, r"probe: params\['z'\] is complex128", {"params": {"z": jnp.ones(2, complex)}}),
    "no params": (ValueError, "probe: params holds no number", {"params": {"n": None}}),
    "nan loss": (
        ValueError,
        r"probe: the loss is not finite here .*nothing to probe",
        {"params": jnp.full(2, jnp.nan)},
    ),
    "nan gradient": (
        ValueError,
        "probe: grads is not finite here",
        {"loss_fn": lambda p, b: jnp.sum(jnp.sqrt(p)), "params": jnp.zeros(2)},
    ),
    "steps": (ValueError, "probe: steps is 0", {"steps": 0}),
    "fraction of a step": (ValueError, "probe: steps is 1.5", {"steps": 1.5}),
    "tx alone": (ValueError, "probe: state is None", {"tx": TX}),
    "state alone": (ValueError, "probe: tx is None", {"state": STATE}),
    "no transform": (TypeError, "probe: tx is function", {"tx": lambda x: x, "state": STATE}),
    "update tree": (ValueError, "probe: update is no array", {"update": {"w": jnp.ones(2)}}),
    "update key": (
        ValueError,
        r"probe: update\['v'\] has no counterpart in params",
        {"loss_fn": lambda p, b: p["w"], "params": {"w": 1.0}, "update": {"w": 1.0, "v": 1.0}},
    ),
    "update shape": (ValueError, r"probe: update has shape \(3,\)", {"update": jnp.ones(3)}),
    "direction": (ValueError, r"probe: directions\['d'\] has shape \(3,\)", {"directions": {"d": jnp.ones(3)}}),
    "rate shape": (ValueError, r"probe: rate has shape \(3,\)", {"rate": jnp.ones(3)}),
    "negative rate": (ValueError, "probe: rate is negative or not finite", {"rate": -0.1}),
    "nan rate": (ValueError, "probe: rate is negative or not finite", {"rate": jnp.full(2, jnp.nan)}),
    "learning rate": (ValueError, "probe: learning_rate = -1", {"learning_rate": -1.0}),
    "spoilt state": (
        ValueError,
        "probe: update is not finite",
        {"tx": gradtx.sgd(0.1, 0.9), "state": gradtx.sgd(0.1, 0.9).init(jnp.ones(2))},
    ),
    "one batch": (ValueError, "probe: batches holds 1", {"batches": [None]}),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_is_named(name):
    kind, match, change = ERRORS[name]
    given = {"loss_fn": lambda p, b: jnp.sum(p**2), "params": jnp.ones(2), "batch": None, **change}
    if name == "spoilt state":
        given["state"] = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan) if x.ndim else x, given["state"])
    loss_fn, params, batch = (given.pop(key) for key in ("loss_fn", "params", "batch"))
    with pytest.raises(kind, match=match):
        probe(loss_fn, params, batch, **given)


def test_a_hessian_that_is_not_finite_is_undecided():
    found = probe(lambda p, b: jnp.sum(jnp.abs(p) ** 1.5), jnp.asarray([0.0, 1.0]), None)
    assert found.curvature_sign == "undecided"
    assert "not finite" in str(found)
    assert found.to_dict()["lambda_max"] is None


def test_the_result_holds_plain_values():
    found = probe(quadratic, jnp.ones(2), jnp.eye(2), tx=TX, state=STATE)
    assert isinstance(found, Probe)
    for name, value in found.to_dict().items():
        assert type(value) in {bool, float, int, str, list, dict, type(None)}, name
