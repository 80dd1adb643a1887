"""What the core holds beyond what is shipped: a user's rules, wrappers round transforms, and rules of matrices.

Each of them goes through the contracts of the registry without a line of the core made for it.
"""

import dataclasses
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from jax import lax

import gradtx
from gradtx._core.contract.transform import Info, Part
from gradtx.methods.muon import scale_by_muon
from gradtx.rules import Decay, Rule, Slots, Transform, factory, leafwise, zeros
from tests.batteries import table
from tests.batteries.mixes import mixes_of
from tests.registry import Row
from tests.registry.muon import scale_by_muon as reference
from tests.registry.prodigy import prodigy

RNG = np.random.default_rng(3)
MATRICES = {"tall": (4, 2), "wide": (2, 5), "row": (1, 3)}


# A user's own rules.


@factory
def scale_by_lion(b1: Decay = 0.9, b2: Decay = 0.99) -> Transform:
    """Move by the sign of a look ahead, Chen et al. 2023; written after gradtx's `trace`."""

    def init(p: jax.Array) -> Slots:
        return {"mu": zeros(p)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        ahead = k.b1 * slots["mu"] + (1 - k.b1) * g
        return jnp.sign(ahead), {"mu": k.b2 * slots["mu"] + (1 - k.b2) * g}

    return leafwise(Rule("scale_by_lion", update, init, ("mu",), {"b1": b1, "b2": b2}, role="direction"))


@factory
def trace_8bit(decay: Decay = 0.5) -> Transform:
    """Momentum in 8 bits: one code per number, one scale per leaf, decoded and encoded inside the rule."""

    def init(p: jax.Array) -> Slots:
        return {"codes": zeros(p, jnp.int8), "scale": jnp.zeros((), jnp.float32)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        old = lax.convert_element_type(slots["codes"], g.dtype) * lax.convert_element_type(slots["scale"], g.dtype)
        m = k.decay * old + g
        scale = jnp.max(jnp.abs(m), initial=0.0) / 127
        codes = jnp.round(m / jnp.where(scale > 0, scale, 1.0))
        return m, {"codes": lax.convert_element_type(codes, jnp.int8), "scale": scale}

    return leafwise(Rule("trace_8bit", update, init, ("codes", "scale"), {"decay": decay}, elementwise=False))


# Wrappers round transforms.


@dataclasses.dataclass(frozen=True, eq=False)
class Alternate:
    """Two transforms in turn, even steps by one and odd ones by the other."""

    first: Transform
    second: Transform
    name: str = "alternate"
    info: Info | None = None
    role: str = "container"

    def init(self, params: Any) -> dict[str, Any]:
        """Start both."""
        states = {"first": self.first.init(params), "second": self.second.init(params)}
        return {**states, "odd": jnp.zeros((), bool)}

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Run the one whose turn it is."""

        def run(key: str, tx: Transform) -> Callable[[Any], Any]:
            def branch(own: Any) -> Any:
                u, new = tx.update(updates, own[key], params, **extra)
                return u, {**own, key: new, "odd": ~own["odd"]}

            return branch

        out: tuple[Any, Any] = lax.cond(state["odd"], run("second", self.second), run("first", self.first), state)
        return out

    def parts(self, state: Any) -> list[Part]:
        """Return both."""
        return [Part("first", self.first, state["first"]), Part("second", self.second, state["second"])]

    def renamed(self, name: str) -> "Alternate":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True for a state of both."""
        return isinstance(state, dict) and set(state) == {"first", "second", "odd"}


@dataclasses.dataclass(frozen=True, eq=False)
class Guard:
    """A transform whose steps are left out where a gradient is not finite."""

    inner: Transform
    name: str = "guard"
    info: Info | None = None
    role: str = "container"

    def init(self, params: Any) -> dict[str, Any]:
        """Start the inner one, with no step left out."""
        return {"inner": self.inner.init(params), "skipped": jnp.zeros((), jnp.int32)}

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Run the inner one, or nothing."""
        finite = jnp.array(True)
        for g in jax.tree.leaves(updates):
            finite &= jnp.all(jnp.isfinite(g))

        def taken(own: Any) -> Any:
            u, new = self.inner.update(updates, own["inner"], params, **extra)
            return u, {**own, "inner": new}

        def left_out(own: Any) -> Any:
            shapes = jax.eval_shape(taken, own)[0]
            return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes), {**own, "skipped": own["skipped"] + 1}

        out: tuple[Any, Any] = lax.cond(finite, taken, left_out, state)
        return out

    def parts(self, state: Any) -> list[Part]:
        """Return the inner one."""
        return [Part("inner", self.inner, state["inner"])]

    def renamed(self, name: str) -> "Guard":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True for a state of this form."""
        return isinstance(state, dict) and set(state) == {"inner", "skipped"}


def alternate(first: Transform, second: Transform) -> Transform:
    """Return two transforms in turn."""
    return Transform.of(Alternate(first, second), Info({}, f"alternate({first}, {second})"))


def guard(inner: Transform) -> Transform:
    """Return a transform that leaves out the steps that are not finite."""
    return Transform.of(Guard(inner), Info({}, f"guard({inner})"))


def two_rates() -> Transform:
    """Return a wrapper with two transforms inside a chain."""
    return gradtx.chain(gradtx.trace(0.9), alternate(gradtx.adam(0.1), gradtx.sgd(0.01)))


# The names are those of shipped rows with the same arguments: the contracts read a signature by it.
PROOFS = [
    Row("leafwise", "lion", maker=lambda _, **given: scale_by_lion(**given), differentiable=False),
    Row("leafwise", "8 bits", maker=lambda _, **given: trace_8bit(**given), differentiable=False),
    Row("chain", "alternate", maker=lambda _: two_rates()),
    Row("chain", "guard", maker=lambda _: guard(gradtx.adamw(0.1, weight_decay=0.01))),
]


@pytest.mark.share(4)
@pytest.mark.parametrize("contract", table.CONTRACTS)
@pytest.mark.parametrize("row", PROOFS, ids=lambda row: row.variant)
def test_contract(row: Row, contract: int, exhaustive: bool) -> None:
    cell = table.run(row, contract, exhaustive=exhaustive)
    assert cell.checked == set(mixes_of(row, exhaustive=exhaustive))
    for error in cell.failures.values():
        raise error


def grads_and_params(shapes: dict[str, tuple[int, ...]] = MATRICES) -> tuple[list[Any], Any]:
    def tree() -> Any:
        return {name: jnp.asarray(RNG.standard_normal(shape)) for name, shape in shapes.items()}

    return [tree() for _ in range(12)], tree()


def run(tx: Any, grads: list[Any], params: Any) -> list[Any]:
    state, out, update = tx.init(params), [], jax.jit(tx.update)
    for g in grads:
        u, state = update(g, state, params)
        out.append(u)
    return out


@pytest.mark.parametrize("settings", [{}, {"nesterov": False}, {"adaptive": True, "ns_steps": 2}], ids=str)
def test_muon_of_matrices(settings: dict[str, Any]) -> None:
    grads, params = grads_and_params()
    got = run(scale_by_muon(**settings), grads, params)
    chex.assert_trees_all_close(got, reference(grads, params, **settings), rtol=1e-10, atol=1e-10)
    dims = {name: optax.contrib.MuonDimensionNumbers() for name in params}
    with jax.numpy_dtype_promotion("standard"):
        theirs = run(optax.contrib.scale_by_muon(**settings, weight_dimension_numbers=dims), grads, params)
    chex.assert_trees_all_close(got, theirs, rtol=1e-9, atol=1e-9)


def test_large_matrices_do_not_overflow() -> None:
    tx = scale_by_muon(eps=0.0)
    g = jnp.asarray(RNG.standard_normal((3, 5)), jnp.float32)
    wanted, _ = tx.update(g, tx.init(g))
    for size in (1e19, 1e30, 1e-25):
        u, state = tx.update(g * jnp.float32(size), tx.init(g))
        assert state.slots["mu"].dtype == jnp.float32
        chex.assert_trees_all_close(u, wanted, rtol=1e-4, atol=1e-5)


def test_no_gradient_moves_no_matrix() -> None:
    zero = jnp.zeros((3, 2))
    for eps in (0.0, 1e-8):
        tx = scale_by_muon(eps=eps)
        u, _ = tx.update(zero, tx.init(zero))
        assert not np.any(u)
        assert np.all(np.isfinite(jax.jacobian(lambda g, tx=tx: tx.update(g, tx.init(zero))[0])(zero)))


def test_half_precision_matrices_have_float32_momentum() -> None:
    g = jnp.ones((3, 2), jnp.bfloat16)
    state = scale_by_muon().init(g)
    assert state.slots["mu"].dtype == jnp.float32


def test_vector_is_no_matrix() -> None:
    with pytest.raises(ValueError, match=r"scale_by_muon: params\['b'\]"):
        scale_by_muon().init({"w": jnp.ones((2, 2)), "b": jnp.ones(2)})


def averaged(seen: list[Any] | None = None) -> Transform:
    """Return a user's rule: each leaf of a layer gets the mean of its layer's leaves of that shape, times a factor."""

    def layout(tree: Any, root: str) -> list[str | None]:
        del root
        return [
            path[0].key if path[0].key != "head" else None for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]
        ]

    def init(p: jax.Array, layer: str) -> Slots:
        return {"size": jnp.full((), float(len(layer)) + 0 * p.size)}

    def update(g: jax.Array, slots: Slots, p: jax.Array | None, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        del p
        return g * len(k.layout), slots

    def together(values: list[jax.Array], layouts: list[Any], k: SimpleNamespace) -> list[jax.Array]:
        if seen is not None:
            seen.append([x.shape for x in values])
        alike = [[y for y, b in zip(values, layouts, strict=True) if b == a] for a in layouts]
        return [k.factor * sum(ys) / len(ys) for ys in alike]

    hyper = {"factor": lambda count: 10.0 + 0 * count}
    return leafwise(
        Rule("averaged", update, init, ("size",), hyper, layout=layout, together=together, elementwise=False)
    )


@pytest.mark.parametrize("compiled", [True, False])
def test_a_users_rule_sees_all_leaves_and_what_they_are(compiled: bool) -> None:
    seen: list[Any] = []
    tx = gradtx.chain(gradtx.scale(2.0), averaged(seen), gradtx.scale(-1.0), gradtx.add_decayed_weights(0.5))
    params = {"a": {"w": jnp.ones(2), "v": jnp.full(2, 3.0)}, "bb": {"w": jnp.ones(2)}, "head": {"w": jnp.ones(2)}}
    state = tx.init(params)
    assert state[1].slots["size"]["bb"]["w"] == 2.0
    assert state[1].slots["size"]["head"]["w"] is None
    assert len([run for run, _ in tx.body.runs]) == 1
    for _ in range(2):
        u, state = (jax.jit(tx.update) if compiled else tx.update)(params, state, params)
        got = {name: {key: x.tolist() for key, x in leaves.items()} for name, leaves in u.items()}
        assert got["a"] == {"w": [-39.5] * 2, "v": [-38.5] * 2}  # -10 times the mean of 2 and 6, and half of p
        assert got["bb"] == {"w": [-39.5] * 2}
        assert got["head"] == {"w": [-1.5] * 2}
    assert all(shape == (1, 2) for shapes in seen for shape in shapes)
    assert all(len(shapes) == 3 for shapes in seen)


def test_leaves_on_two_devices_come_together_with_their_own() -> None:
    one, two = jax.devices()[:2]
    grads = {"a": jax.device_put(jnp.ones((2, 3)), one), "b": jax.device_put(jnp.ones((2, 3)), two)}
    tx = scale_by_muon()
    u, state = tx.update(grads, tx.init(grads))
    assert (u["a"].devices(), u["b"].devices()) == ({one}, {two})
    chex.assert_trees_all_equal(jax.device_get(u["a"]), jax.device_get(u["b"]))
    assert state.slots["mu"]["b"].devices() == {two}


def dots(lowered: Any) -> int:
    """Return the products of a compiled program, those of functions that are called more than once each time."""
    return len(re.findall(r" dot\(| custom-call\(.*matmul", lowered.compile().as_text()))


def test_muon_joins_equal_shapes() -> None:
    """Matrices of one shape, transposed ones too, share one chain of 15 products, and so do stacks."""
    shapes = {"a": (4, 6), "b": (6, 4), "c": (4, 6), "stack": (3, 4, 6), "turned": (3, 6, 4), "other": (4, 4)}
    grads, params = grads_and_params(shapes)
    tx = scale_by_muon(weight_dimension_numbers=gradtx.MuonDimensionNumbers(-2, -1))
    got = run(tx, grads, params)
    chex.assert_trees_all_close(got, reference(grads, params), rtol=1e-10, atol=1e-10)
    assert dots(jax.jit(tx.update).lower(grads[0], tx.init(params))) == 3 * 15


def test_muon_of_many_matrices_is_traced_soon() -> None:
    """64 equal matrices: one chain of products, and an eighth of optax's time to trace and lower, with some room."""
    params = {f"w{i}": jax.ShapeDtypeStruct((64, 128), jnp.float32) for i in range(64)}

    def lowered(tx: Any) -> tuple[float, Any]:
        state = jax.eval_shape(tx.init, params)
        start = time.perf_counter()
        program = jax.jit(tx.update).lower(params, state, params)
        return time.perf_counter() - start, program

    with jax.numpy_dtype_promotion("standard"):
        theirs = min(lowered(optax.contrib.muon(0.1))[0] for _ in range(2))
    runs = [lowered(gradtx.muon(0.1)) for _ in range(3)]
    assert dots(runs[0][1]) == 15
    assert min(seconds for seconds, _ in runs) < 0.2 * theirs


@pytest.mark.parametrize("mode", ["Auto", "Explicit"])
def test_muon_of_stacks_sharded_by_layer_sends_nothing(mode: str) -> None:
    kind = getattr(jax.sharding.AxisType, mode)
    mesh = jax.make_mesh((8,), ("layer",), axis_types=(kind,))
    spread = jax.NamedSharding(mesh, jax.P("layer"))
    plain = {name: jnp.asarray(RNG.standard_normal((8, 4, 6)), jnp.float32) for name in ("q", "k", "v")}
    numbers = gradtx.MuonDimensionNumbers(-2, -1)
    tx = gradtx.muon(0.1, muon_weight_dimension_numbers=numbers, adaptive=True)
    wanted, _ = tx.update(plain, tx.init(plain), plain)
    with jax.set_mesh(mesh):
        params = jax.device_put(plain, spread)
        state = tx.init(params)
        compiled = jax.jit(tx.update).lower(params, state, params).compile()
        assert not re.search("all-gather|all-reduce|all-to-all|collective-permute", compiled.as_text())
        got, new = compiled(params, state, params)
    chex.assert_trees_all_close(jax.device_get(got), jax.device_get(wanted), rtol=1e-4, atol=1e-5)
    assert new[0].slots["mu"]["q"].sharding.is_equivalent_to(spread, 3)


def test_muon_leaves_no_stack_to_adam_unsaid() -> None:
    params = {"layers": {"w": jnp.ones((12, 8, 8))}, "b": jnp.ones(8)}
    with pytest.raises(
        ValueError, match=r"muon: params\['layers'\]\['w'\] has shape \(12, 8, 8\).* muon_weight_dimension"
    ):
        gradtx.muon(0.1).init(params)
    stack = gradtx.muon(0.1, muon_weight_dimension_numbers={"layers": gradtx.MuonDimensionNumbers(1, 2), "b": None})
    adam = gradtx.muon(0.1, muon_weight_dimension_numbers={"layers": None, "b": None})
    assert stack.init(params)[0].slots["mu"]["layers"]["w"].shape == (12, 8, 8)
    assert adam.init(params)[0].slots["mu"]["layers"]["w"] is None
    assert adam.init(params)[2].slots["nu"]["layers"]["w"].shape == (12, 8, 8)


def test_muon_takes_optax_dimension_numbers() -> None:
    grads, params = grads_and_params({"w": (3, 4, 2)})
    numbers = [package.MuonDimensionNumbers((0, 2), 1) for package in (gradtx, optax.contrib)]
    ours, theirs = (run(scale_by_muon(weight_dimension_numbers={"w": own}), grads, params) for own in numbers)
    chex.assert_trees_all_equal(ours, theirs)


@pytest.mark.parametrize("how", ["frobenius", "spectral", "aol", "schatten"])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_newton_schulz_has_no_unit(how: str, dtype: str) -> None:
    x = jnp.asarray(RNG.standard_normal((3, 5)) + (1j * RNG.standard_normal((3, 5)) if "c" in dtype else 0), dtype)
    steps = ((1.5, -0.5, 0.0),) * 25
    for size in (1e-12, 1.0, 1e15):
        u = gradtx.orthogonalize_via_newton_schulz(x * jnp.asarray(size, dtype), steps, 0, how, 1e-30)
        chex.assert_trees_all_close(u @ u.conj().T, np.eye(3, dtype=dtype), atol=1e-5)
        assert u.dtype == dtype


def test_newton_schulz_takes_coefficients_of_any_form() -> None:
    x = jnp.asarray(RNG.standard_normal((2, 4, 3)))
    numbers = gradtx.MuonDimensionNumbers(-2, -1)

    def of(coefficients: Any) -> jax.Array:
        return gradtx.orthogonalize_via_newton_schulz(x, coefficients, dimension_numbers=numbers)

    want = of((3.4445, -4.775, 2.0315))
    for same in ("standard", jnp.array([3.4445, -4.775, 2.0315]), np.tile([3.4445, -4.775, 2.0315], (5, 1))):
        chex.assert_trees_all_close(of(same), want, rtol=1e-6)
        if not isinstance(same, str):
            chex.assert_trees_all_close(jax.jit(of)(jnp.asarray(same)), want, rtol=1e-6)


def test_muon_has_slots_where_it_works_only() -> None:
    tx = gradtx.muon(0.1)
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    of_muon, _, of_adam, *_ = tx.init(params)
    assert of_muon.slots["mu"]["b"] is None
    assert of_adam.slots["nu"]["w"] is None
    assert [positions for _, positions in tx.body.runs] == [[0, 1, 2, 3, 4, 5]]  # one segment


def test_prodigy_learns_its_rate_on_donated_state() -> None:
    tx = gradtx.prodigy()
    params = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(3.0)}
    state = tx.init(params)
    assert state.estim_lr == 1e-6

    def step(params: Any, state: Any) -> Any:
        u, state = tx.update(jax.tree.map(lambda p: 2 * p, params), state, params)
        return gradtx.apply_updates(params, u), state

    step = jax.jit(step, donate_argnums=(0, 1))
    for _ in range(100):
        params, state = step(params, state)
    assert 1e-3 < state.estim_lr < 10
    assert abs(params["b"]) < 3.0


def test_prodigy_where_its_rate_grows() -> None:
    """The gradients of a bowl agree from step to step, so that every term of the two sums counts."""
    tx, params = gradtx.prodigy(eps=0.1, estim_lr0=1e-3), {"w": jnp.array([1.0, -2.0, 3.0])}
    state, theta, grads, updates = tx.init(params), params, [], []
    for _ in range(12):
        grads.append(jax.tree.map(lambda p: p * jnp.array([2.0, 4.0, 1.0]), theta))
        u, state = tx.update(grads[-1], state, theta)
        updates.append(u)
        theta = gradtx.apply_updates(theta, u)
    assert state.estim_lr > 5e-3
    wanted = prodigy([jax.tree.map(np.asarray, g) for g in grads], params, eps=0.1, estim_lr0=1e-3)
    chex.assert_trees_all_close(updates, wanted, rtol=1e-9)


def test_prodigy_without_gradient_keeps_d() -> None:
    tx, zero = gradtx.prodigy(weight_decay=0.1), jnp.zeros(3)
    u, state = tx.update(zero, tx.init(zero + 1), zero + 1)
    assert state.estim_lr == 1e-6
    assert np.all(np.isfinite(u))


def test_prodigy_starts_at_a_number() -> None:
    with pytest.raises(TypeError, match="prodigy: estim_lr0"):
        gradtx.prodigy(estim_lr0=lambda count: 1e-6)


def test_8_bits_are_near_the_plain_sum_and_smaller() -> None:
    grads, params = grads_and_params({"w": (64,)})
    for got, wanted in zip(run(trace_8bit(0.5), grads, params), run(gradtx.trace(0.5), grads, params), strict=True):
        chex.assert_trees_all_close(got, wanted, atol=0.1)
    state = trace_8bit(0.5).init(params)
    assert state.slots["codes"]["w"].dtype == jnp.int8
    assert state.slots["scale"]["w"].shape == ()


def test_8_bits_given_floats_are_an_error() -> None:
    rule = Rule("bad", lambda g, slots, p, k: (g, {"q": g}), lambda p: {"q": jnp.zeros(p.shape, jnp.int8)}, ("q",))
    tx = leafwise(rule)
    with pytest.raises(TypeError, match="bad: slot 'q' returned"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_lion_agrees_with_optax() -> None:
    grads, params = grads_and_params({"w": (5,)})
    theirs = run(optax.scale_by_lion(0.9, 0.99), grads, params)
    chex.assert_trees_all_equal(run(scale_by_lion(), grads, params), theirs)


def test_two_inside_are_seen() -> None:
    tx, params = two_rates(), jnp.ones(3)
    assert "alternate(chain(scale_by_adam(" in str(tx)
    state = tx.init(params)
    seen = gradtx.hyperparams(tx, state)
    assert sorted(float(value) for key, value in seen.items() if key.endswith("learning_rate")) == [0.01, 0.1]
    ours = gradtx.chain(gradtx.trace(0.9), gradtx.adam(0.1))
    u, state = tx.update(params, state, params)
    chex.assert_trees_all_close(u, ours.update(params, ours.init(params), params)[0])
    momentum = params * 1.9
    chex.assert_trees_all_close(tx.update(params, state, params)[0], -0.01 * momentum, rtol=1e-6)


def test_watch_looks_into_wrappers() -> None:
    tx = gradtx.watch(gradtx.chain(guard(gradtx.adamw(0.1)), alternate(gradtx.identity(), gradtx.scale(0.5))))
    params = {"w": jnp.ones(3)}
    state = tx.init(params)
    for _ in range(2):
        _, state = tx.update(params, state, params)
    assert gradtx.metrics(state)


def test_guard_leaves_out_what_is_not_finite() -> None:
    tx, params = guard(gradtx.adam(0.1)), jnp.ones(2)
    state = tx.init(params)
    _, one = tx.update(params, state, params)
    u, two = jax.jit(tx.update)(jnp.array([jnp.nan, 1.0]), one, params)
    assert not np.any(u)
    assert two["skipped"] == 1
    chex.assert_trees_all_equal(two["inner"], one["inner"])
