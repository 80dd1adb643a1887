"""Bad inputs: the error's kind, that it names transform, path and remedy, and that nothing of the caller's changed."""

import ast
import dataclasses
import functools
import inspect
import math
import re
import traceback
import typing
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx._core.arguments.factory import ranges_of
from gradtx._core.arguments.ranges import Range
from gradtx._core.arrays.matrices import layout_of

PACKAGE = Path(gradtx.__file__).parent
LONGEST = 600
PARAMS = {"w": jnp.ones((3, 2)), "b": [jnp.ones(3), jnp.ones(())]}
GRADS = jax.tree.map(lambda p: 2 * p, PARAMS)
CUBE = jnp.ones((2, 2, 2))


def without(tree: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in tree.items() if k != key}


def readable(error: BaseException, name: str, *says: str) -> None:
    """Assert that a message has the house's form: `name: where got, expected what; remedy`, short, without arrays."""
    text = str(error)
    assert text.startswith(f"{name}: "), text
    assert len(text) < LONGEST, f"{len(text)} characters: {text}"
    assert re.search(r"; \w+", text), f"no remedy: {text}"
    for fragment in says:
        assert fragment in text, f"{fragment!r} is not in: {text}"
    for dumped in ("Array(", "array(", "Traced<", " at 0x"):
        assert dumped not in text, text


# --- what is wrong with a tree, a state or a mask: found by init and update -------------------------------------------


@dataclasses.dataclass(frozen=True)
class Bad:
    """A call of `update` that must fail.

    Attributes:
        case: what is wrong.
        tx: makes the transform.
        error: kind of the error.
        name: transform that the message starts with.
        says: what the message must contain, the path first.
        grads, params: what update is given.
        state: makes the state from the params; None is the transform's own.
        extra: extra arguments.
    """

    case: str
    tx: Callable[[], Any]
    error: type[Exception]
    name: str
    says: tuple[str, ...]
    grads: Any = dataclasses.field(default_factory=lambda: GRADS)
    params: Any = dataclasses.field(default_factory=lambda: PARAMS)
    state: Callable[[], Any] | None = None
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


def decay(mask: Any = None) -> gradtx.Transform:
    return gradtx.add_decayed_weights(0.1, mask)


def named() -> gradtx.Transform:
    return gradtx.named_chain(("sum", gradtx.trace(0.9)), ("rate", gradtx.scale(-0.1)))


def two() -> gradtx.Transform:
    return gradtx.chain(gradtx.trace(0.9), gradtx.scale(-0.1))


def clip() -> gradtx.Transform:
    return gradtx.clip_by_global_norm(1.0)


def rule(**hyper: float) -> gradtx.Rule:
    return gradtx.Rule("r", lambda g, slots, p, k: (g, {}), hyper=hyper)


def ranged(**hyper: float) -> gradtx.Rule:
    ranges = {"eps": gradtx.rules.Range("[0, inf)")}
    return gradtx.Rule("r", lambda g, slots, p, k: (g, {}), hyper=hyper, ranges=ranges)


def held(init: Any = None, update: Any = None) -> gradtx.Rule:
    """Return a rule that declares a slot, and makes or returns something else."""
    return gradtx.Rule("r", lambda g, s, p, k: (g, update or s), lambda p: init or {"s": jnp.zeros_like(p)}, ("s",))


def backtracking() -> gradtx.Transform:
    return gradtx.scale_by_backtracking_linesearch(5)


def estimated(**extra: Any) -> Any:
    tx = gradtx.scale_by_sophia()
    return tx.update(VECTOR, tx.init(VECTOR), VECTOR, **extra)


def forgetful() -> gradtx.Rule:
    return gradtx.Rule("r", lambda g, s, p, k: (g, s), memory={"best": 0.0}, whole_tree=lambda k, tree: ({}, {}))


def matrix() -> gradtx.Transform:
    return gradtx.leafwise(gradtx.Rule("m", lambda g, s, p, k: (g, s), ndims=(2,)))


def sharded(f: Any) -> Any:
    mesh, spec = jax.make_mesh((2,), ("x",), devices=jax.devices()[:2]), jax.sharding.PartitionSpec("x")
    x = jax.device_put(VECTOR, jax.sharding.NamedSharding(mesh, spec))
    return jax.shard_map(f, mesh=mesh, in_specs=spec, out_specs=spec)(x)


def one(tx: gradtx.Transform, g: Any) -> Any:
    """Return the first update."""
    return tx.update(g, tx.init(g))[0]


def multi_steps(skip: Any = lambda *_: (0, ())) -> gradtx.Transform:
    return gradtx.MultiSteps(gradtx.sgd(0.1), 2, should_skip_update_fn=skip).gradient_transformation()


def guarded() -> gradtx.Transform:
    return gradtx.guard(gradtx.sgd(0.1), spikes=4.0)


def two_traces() -> Any:
    return gradtx.chain(gradtx.trace(0.5), gradtx.trace(0.25)).init(VECTOR)


def other_values() -> Any:
    tx = gradtx.tunable(gradtx.trace, decay=0.5)
    return tx.update(VECTOR, gradtx.tunable(gradtx.scale, step_size=0.5).init(VECTOR))


def at_times() -> gradtx.Transform:
    return gradtx.conditionally_mask(gradtx.sgd(0.1), lambda step: 1)


def sharded_update(tx: gradtx.Transform) -> Any:
    """Return the first update inside `shard_map`, of a state that was made outside it."""
    state = tx.init(VECTOR)
    return sharded(lambda g: tx.update(g, state)[0])


def split_rows(tx: gradtx.Transform) -> Any:
    """Return the first update of a matrix of two rows, one on each shard."""
    g, mesh, spec = jnp.ones((2, 3)), jax.sharding.Mesh(jax.devices()[:2], ("x",)), jax.sharding.PartitionSpec("x")
    state = tx.init(g)
    return jax.shard_map(lambda g: tx.update(g, state, g)[0], mesh=mesh, in_specs=spec, out_specs=spec)(g)


def over_layers(shape: tuple[int, ...] = (2, 3, 4), layers: Any = "x", *, on_mesh: bool = True) -> Any:
    """Return the start of a transform of matrices whose stacks are split over devices."""
    axes = gradtx.MuonDimensionNumbers(-2, -1)
    tx, w = gradtx.scale_by_shampoo(weight_dimension_numbers={"w": axes}, layers=layers), jnp.ones(shape)
    mesh = jax.sharding.Mesh(jax.devices()[:2], ("x",))
    w = jax.device_put(w, jax.sharding.NamedSharding(mesh, jax.P())) if on_mesh else w
    return tx.update({"w": w}, tx.init({"w": w}), {"w": w})


def layers_of_one_shard() -> Any:
    tx = gradtx.scale_by_shampoo(weight_dimension_numbers=gradtx.MuonDimensionNumbers(-2, -1), layers="x")
    return sharded(lambda g: tx.init(jnp.ones((2, 3, 4))) and g)


def run(rule: gradtx.Rule) -> Any:
    tx = gradtx.leafwise(rule)
    return tx.update(VECTOR, tx.init(VECTOR))


def first_of(tx: gradtx.Transform, g: Any) -> Any:
    return tx.update(g, tx.init(g))[0]


def private(*leaves: Any) -> Any:
    grads, tx = dict(zip("ab", leaves, strict=False)), gradtx.differentially_private_aggregate(1.0, 0.5, key=0)
    return tx.update(grads, tx.init(grads))[0]


def valued(value: Any, g: Any = None) -> Any:
    g, tx = VECTOR if g is None else g, gradtx.scale_by_polyak()
    return tx.update(g, tx.init(g), value=value)[0]


def jitted(rate: Any) -> Any:
    tx = gradtx.sgd(rate)
    return jax.jit(tx.update)(VECTOR, tx.init(VECTOR))


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Static:
    """A node with a static field."""

    x: jax.Array
    tag: str = dataclasses.field(default="b", metadata={"static": True})


def waiting() -> gradtx.Transform:
    return gradtx.scale_by_learning_rate(Plateau())


class Plateau:
    """An event schedule of the tests' own."""

    argument = "validation_loss"

    def happened(self, measured: jax.Array) -> jax.Array:
        return measured < 1.0

    def value(self, count: jax.Array, switched: jax.Array) -> jax.Array:
        del count
        return jnp.where(switched < 0, 0.1, 0.01)


def with_leaf(leaf: Any) -> dict[str, Any]:
    """Return gradients whose `b[0]` is this leaf."""
    return {**GRADS, "b": [leaf, GRADS["b"][1]]}


COMPLEX = jnp.ones(2, jnp.complex64)


def muon_at(axes: Any) -> gradtx.Transform:
    return gradtx.muon(0.1, muon_weight_dimension_numbers=axes and {"c": axes})


STACK = {"c": jnp.ones((2, 3, 3))}
INTEGER, BOOL = jnp.ones(3, jnp.int32), jnp.ones(3, bool)
FLOAT0 = jax.grad(lambda w: jnp.sum(w.astype(jnp.float32)), allow_int=True)(INTEGER)
VECTOR = jnp.ones(2)
OTHER = {"w": jnp.ones((3, 2)), "b": [jnp.ones(4), jnp.ones(())]}


def bad_trees(name: str, make: Callable[[], Any], like: str, state: Callable[[], Any] | None = None) -> list[Bad]:
    """Return what can be wrong with the gradients of a transform; `like` is the tree they are compared with."""
    params = PARAMS if like == "params" else None
    return [
        Bad(f"{name}: {case}", make, error, name, says, grads, params, state)
        for case, error, grads, says in [
            ("a missing key", ValueError, without(GRADS, "w"), ("grads['w'] is missing", f"{like}['w']")),
            ("an extra key", ValueError, {**GRADS, "z": VECTOR}, ("grads['z'] has no counterpart in", like)),
            (
                "another container",
                ValueError,
                {**GRADS, "b": tuple(GRADS["b"])},
                ("grads['b'] is tuple of 2", "list of 2"),
            ),
            ("a leaf for a subtree", ValueError, {**GRADS, "b": VECTOR}, ("grads['b'] is an array", "list of 2", like)),
            (
                "a list for an array",
                ValueError,
                {**GRADS, "w": [[1.0, 2.0]]},
                ("grads['w'] is list of 1", "(3, 2)", like),
            ),
            ("a list for a dict", ValueError, [*GRADS.values()], ("grads is list of 2", "dict of 2", like)),
            ("a wrong shape", ValueError, with_leaf(jnp.ones(4)), ("grads['b'][0] has shape (4,)", "(3,)", like)),
            ("an integer leaf", TypeError, with_leaf(INTEGER), ("grads['b'][0] is int32 of shape (3,)",)),
            ("a bool leaf", TypeError, with_leaf(BOOL), ("grads['b'][0] is bool of shape (3,)",)),
        ]
    ]


def mask_cases() -> list[Bad]:
    good = {"w": True, "b": [True, False]}
    return [
        Bad(
            f"mask {case}",
            lambda mask=mask: decay(mask),
            error,
            "add_decayed_weights",
            says,
            state=lambda: decay().init(PARAMS),
        )
        for case, mask, error, says in [
            ("without a key", without(good, "w"), ValueError, ("mask['w'] is missing", "params['w']")),
            ("with one too many", {**good, "z": True}, ValueError, ("mask['z'] has no counterpart in params",)),
            ("with a number", {**good, "w": 1.0}, TypeError, ("mask['w'] is float", "True or False")),
            ("with a vector", {**good, "w": jnp.ones(3, bool)}, TypeError, ("mask['w'] is bool of shape (3,)",)),
            ("with None", {**good, "w": None}, TypeError, ("mask['w'] is None", "True or False")),
            ("with a string", {**good, "b": ["no", False]}, TypeError, ("mask['b'][0] is str",)),
            ("from a function", lambda params: without(good, "w"), ValueError, ("mask['w'] is missing",)),
            ("of names", ["w"], ValueError, ("mask is list of 1", "dict of 2")),
        ]
    ]


def state_cases() -> list[Bad]:
    own = "use the state that this tx.init made, and tx.init(params) as the target when a checkpoint is restored"
    return [
        Bad(f"{case}", make, ValueError, name, (*says, own), state=state)
        for case, make, name, says, state in [
            ("leafwise, other slots", lambda: gradtx.trace(0.9), "trace", ("state", "['mu', 'nu']", "['trace']"),
             lambda: gradtx.scale_by_adam().init(PARAMS)),
            ("leafwise, a tuple", lambda: gradtx.trace(0.9), "trace", ("state is tuple",), lambda: two().init(PARAMS)),
            ("leafwise, None", lambda: gradtx.trace(0.9), "trace", ("state is None",), lambda: None),
            ("leafwise, optax's", lambda: gradtx.trace(0.9), "trace", ("state is TraceState",),
             lambda: optax.trace(0.9).init(PARAMS)),
            ("clip, None", clip, "clip_by_global_norm", ("state is None",), lambda: None),
            ("clip, other slots", clip, "clip_by_global_norm", ("state", "trace"),
             lambda: gradtx.trace(0.9).init(PARAMS)),
            ("identity, other slots", gradtx.identity, "identity", ("state",), lambda: gradtx.trace(0.9).init(PARAMS)),
            ("chain, longer", lambda: gradtx.sgd(0.1), "sgd", ("state is a tuple of 3", "a tuple of 2"),
             lambda: gradtx.adamw(0.1).init(PARAMS)),
            ("chain, a LeafState", two, "chain", ("state is LeafState",), lambda: gradtx.trace(0.9).init(PARAMS)),
            ("chain, a dict", two, "chain", ("state",), lambda: named().init(PARAMS)),
            ("chain, None", two, "chain", ("state is None",), lambda: None),
            ("chain, as long", lambda: gradtx.adam(0.1), "scale_by_adam", ("state", "['trace']"),
             lambda: gradtx.sgd(0.1, 0.9).init(PARAMS)),
            ("named_chain, other labels", named, "named_chain", ("state has the keys ['rate']", "['sum', 'rate']"),
             lambda: {"rate": gradtx.scale(-0.1).init(PARAMS)}),
            ("named_chain, a tuple", named, "named_chain", ("state is tuple",), lambda: two().init(PARAMS)),
        ]
    ]  # fmt: skip


def other_cases() -> list[Bad]:
    make = lambda: gradtx.trace(0.9)  # noqa: E731  # one line per case reads better
    return [
        Bad("the state of other params", make, ValueError, "trace", ("grads['b'][0] has shape (3,)", "(4,)", "state"),
            params=None, state=lambda: make().init(OTHER)),
        Bad("params of another shape", decay, ValueError, "add_decayed_weights", ("['b'][0]", "(3,)", "(4,)", "params"),
            params=OTHER, state=lambda: decay().init(PARAMS)),
        Bad("params missing", decay, ValueError, "add_decayed_weights",
            ("params is None", "call update(grads, state, params)"), params=None, state=lambda: decay().init(PARAMS)),
        Bad("params missing in a chain", lambda: gradtx.adamw(0.1), ValueError, "add_decayed_weights",
            ("params is None", "call update(grads, state, params)"),
            params=None, state=lambda: gradtx.adamw(0.1).init(PARAMS)),
        Bad("None among the params", decay, ValueError, "add_decayed_weights", ("params['w'] is None", "(3, 2)"),
            params={**PARAMS, "w": None}, state=lambda: decay().init(PARAMS)),
        Bad("integer params", decay, TypeError, "add_decayed_weights", ("params['b'][0] is int32 of shape (3,)",),
            params={**PARAMS, "b": [INTEGER, jnp.ones(())]}, state=lambda: decay().init(PARAMS)),
        Bad("an event without its measurement", waiting, ValueError, "scale_by_learning_rate",
            ("validation_loss", "update(grads, state, params, validation_loss=...)")),
        Bad("an event without its measurement in a chain", lambda: gradtx.adamw(Plateau()), ValueError,
            "scale_by_learning_rate", ("validation_loss",)),
        Bad("a schedule that gives a vector", lambda: gradtx.sgd(lambda count: jnp.ones(3) * 0.1), ValueError,
            "scale_by_learning_rate", ("learning_rate", "(3,)", "scalar")),
        Bad("a schedule that gives a vector to clip", lambda: gradtx.clip_by_global_norm(lambda count: jnp.ones(3)),
            ValueError, "clip_by_global_norm", ("max_norm", "(3,)", "scalar")),
        Bad("a schedule that gives text", lambda: gradtx.sgd(lambda count: "fast"), TypeError,
            "scale_by_learning_rate", ("learning_rate", "str")),
    ]  # fmt: skip


BAD = [
    *bad_trees("trace", lambda: gradtx.trace(0.9), "state.slots['trace']", lambda: gradtx.trace(0.9).init(PARAMS)),
    *bad_trees("scale", lambda: gradtx.scale(2.0), "params"),
    *bad_trees("add_decayed_weights", decay, "params"),
    *bad_trees("clip_by_global_norm", lambda: gradtx.clip_by_global_norm(1.0), "params"),
    *bad_trees("identity", gradtx.identity, "params"),
    *bad_trees("ratio", lambda: gradtx.ratio(gradtx.trace(0.9), gradtx.scale_by_rms()), "params"),
    *mask_cases(),
    *state_cases(),
    *other_cases(),
]


def call_eager(bad: Bad) -> Any:
    tx = bad.tx()
    state = tx.init(PARAMS) if bad.state is None else bad.state()
    return tx.update(bad.grads, state, bad.params, **bad.extra)


def call_traced(bad: Bad) -> Any:
    """Run `update` under jit; float0 leaves are no arrays and go in as constants."""
    tx = bad.tx()
    state = tx.init(PARAMS) if bad.state is None else bad.state()
    if any(getattr(g, "dtype", None) == jax.dtypes.float0 for g in jax.tree.leaves(bad.grads)):
        return jax.jit(lambda s, p: tx.update(bad.grads, s, p))(state, bad.params)
    return jax.jit(tx.update)(bad.grads, state, bad.params, **bad.extra)


@pytest.mark.parametrize("call", [call_eager, call_traced], ids=["eager", "jit"])
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.case)
def test_bad_update(bad: Bad, call: Callable[[Bad], Any]) -> None:
    given = (bad.grads, bad.params)
    before = jax.tree.map(np.array, given)
    with pytest.raises(bad.error) as caught:
        call(bad)
    readable(caught.value, bad.name, *bad.says)
    assert jax.tree.structure(given) == jax.tree.structure(before)
    chex.assert_trees_all_equal(given, before)


def test_the_order_of_keys_is_named() -> None:
    params, grads = OrderedDict(w=VECTOR, b=VECTOR), OrderedDict(b=VECTOR, w=VECTOR)
    with pytest.raises(ValueError, match=r"grads has 'b' as key 0, expected 'w' there as in params; .* order"):
        gradtx.clip_by_global_norm(1.0).update(grads, gradtx.clip_by_global_norm(1.0).init(params), params)


def test_failed_update_leaves_the_state_usable() -> None:
    """A state handed to a call that failed still gives what it would have given."""
    tx = gradtx.adamw(0.1)
    state = tx.init(PARAMS)
    before = jax.tree.map(np.array, state)
    with pytest.raises(ValueError, match=r"grads\['w'\] is missing"):
        tx.update(without(GRADS, "w"), state, PARAMS)
    chex.assert_trees_all_equal(state, before)
    chex.assert_trees_all_equal(tx.update(GRADS, state, PARAMS), gradtx.adamw(0.1).update(GRADS, state, PARAMS))


# --- what is wrong with what init, apply_updates, hyperparams and the combinators are given ---------------------------


def one_mesh() -> Any:
    """Return a mesh of one device."""
    return jax.make_mesh((1,), ("x",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])


def shard_inside() -> Any:
    """Split a state inside the shard_map over the same axis."""
    init, mesh = gradtx.shard_state(gradtx.adam(0.1), "x", mesh=one_mesh()).init, one_mesh()
    return jax.shard_map(init, mesh=mesh, in_specs=jax.P(), out_specs=jax.P())(jnp.ones(4))


CALLS: list[tuple[str, Callable[[], Any], type[Exception], str, tuple[str, ...]]] = [
    ("init, params of text", lambda: gradtx.trace(0.9).init({"w": "ones"}), TypeError, "trace",
     ("params['w'] is str",)),
    ("init, mask without a key", lambda: decay({"w": True}).init(PARAMS), ValueError, "add_decayed_weights",
     ("mask['b'][0] is missing",)),
    ("init, mask with a number", lambda: decay({"w": 1, "b": True}).init(PARAMS), TypeError, "add_decayed_weights",
     ("mask['w'] is int", "True or False")),
    ("init, two rates at a leaf", lambda: gradtx.chain(*[gradtx.masked(gradtx.sgd(0.1), True)] * 2).init(PARAMS),
     ValueError, "chain", ("params['b'][0] gets the learning rates", "by partition or by masks")),
    ("init, a factor after a residue", lambda: gradtx.chain(gradtx.masked(gradtx.keep_residue(), True),
     gradtx.scale(0.5)).init(PARAMS), ValueError, "chain", ("keep_residue(16)", "which acts on params['b'][0] too")),
    ("state over no mesh", lambda: gradtx.shard_state(gradtx.sgd(0.1)).init(PARAMS), ValueError, "shard_state",
     ("mesh is None", "expected a mesh of devices")),
    ("state over no axis of the mesh", lambda: gradtx.shard_state(gradtx.sgd(0.1), "y", mesh=one_mesh()), ValueError,
     "shard_state", ("axis = 'y' is no axis of the mesh",)),
    ("state over an axis of shard_map", lambda: shard_inside(), ValueError, "shard_state",
     ("axis = 'x' is an axis of the shard_map", "outside shard_map")),
    ("apply, missing key", lambda: gradtx.apply_updates(PARAMS, without(GRADS, "w")), ValueError, "apply_updates",
     ("updates['w'] is missing", "params['w']")),
    ("apply, shape", lambda: gradtx.apply_updates(PARAMS, with_leaf(jnp.ones(4))), ValueError, "apply_updates",
     ("updates['b'][0] has shape (4,)", "(3,)")),
    ("apply, integer", lambda: gradtx.apply_updates(PARAMS, with_leaf(INTEGER)), TypeError, "apply_updates",
     ("updates['b'][0] is int32",)),
    ("apply, swapped", lambda: gradtx.apply_updates(None, GRADS), ValueError, "apply_updates", ("params is None",)),
    ("hyperparams of a number", lambda: gradtx.hyperparams(0.1, ()), TypeError, "hyperparams", ("tx is a float",)),
    ("hyperparams, other state", lambda: gradtx.hyperparams(gradtx.sgd(0.1), ()), ValueError, "sgd",
     ("state is a tuple of 0", "a tuple of 2")),
    ("chain of a factory", lambda: gradtx.chain(gradtx.adam), TypeError, "chain", ("argument 0", "call it first")),
    ("chain of a number", lambda: gradtx.chain(gradtx.sgd(0.1), 0.1), TypeError, "chain", ("argument 1 is float",)),
    ("chain of a list", lambda: gradtx.chain([gradtx.sgd(0.1), gradtx.sgd(0.1)]), TypeError, "chain",
     ("argument 0 is list", "write chain(a, b), not chain([a, b])")),
    ("chain of a rule", lambda: gradtx.chain(rule()), TypeError, "chain",
     ("argument 0 is Rule", "leafwise")),
    ("named_chain without labels", lambda: gradtx.named_chain(gradtx.sgd(0.1)), TypeError, "named_chain",
     ("argument 0", "pair (label, transform)")),
    ("named_chain, number", lambda: gradtx.named_chain(("a", 0.1)), TypeError, "named_chain", ("argument 0 ('a')",)),
    ("named_chain, label twice", lambda: gradtx.named_chain(("a", gradtx.identity()), ("a", gradtx.identity())),
     ValueError, "named_chain", ("label 'a'", "rename")),
    ("ratio, direction", lambda: gradtx.ratio(gradtx.identity(), gradtx.scale_by_rms()), TypeError, "ratio",
     ("direction", "identity", "ema")),
    ("ratio, global direction", lambda: gradtx.ratio(gradtx.clip_by_global_norm(1.0), gradtx.scale_by_rms()),
     ValueError, "ratio", ("direction has a look at all leaves at once", "chain")),
    ("ratio, matrices", lambda: gradtx.ratio(gradtx.scale_by_muon(), gradtx.scale_by_rms()), ValueError, "ratio",
     ("direction has a look at all leaves at once", "chain")),
    ("quotient, together", lambda: gradtx.quotient(gradtx.Rule("all", len, together=len)), ValueError, "quotient",
     ("rule all has together", "leafwise")),
    ("divide_by, global", lambda: gradtx.divide_by(gradtx.Rule("all", len, whole_tree=len)),
     ValueError, "divide_by", ("rule all has whole_tree", "leafwise")),
    ("ratio, scale", lambda: gradtx.ratio(gradtx.ema(0.9), gradtx.trace(0.9)), TypeError, "ratio",
     ("scale", "trace", "scale_by_rms()")),
    ("ratio, masked direction", lambda: gradtx.ratio(decay({"w": True}), gradtx.scale_by_rms()), ValueError, "ratio",
     ("direction has a mask", "chain")),
    ("ratio, waiting direction", lambda: gradtx.ratio(waiting(), gradtx.scale_by_rms()), ValueError, "ratio",
     ("direction has an event schedule", "chain")),
    ("leafwise of a transform", lambda: gradtx.leafwise(gradtx.trace(0.9)), TypeError, "leafwise", ("rule", "Rule")),
    ("divide_by of a transform", lambda: gradtx.divide_by(gradtx.trace(0.9)), TypeError, "divide_by", ("rule", "Rule")),
    ("leafwise, hyperparameter", lambda: gradtx.leafwise(rule(b1=math.nan)), ValueError, "r", ("b1 = nan",)),
    ("divide_by, hyperparameter", lambda: gradtx.divide_by(ranged(eps=-1)), ValueError, "r", ("eps = -1", "[0, inf)")),
    ("quotient of a transform", lambda: gradtx.quotient(gradtx.trace(0.9)), TypeError, "quotient", ("rule", "Rule")),
    ("rule without names of slots", lambda: gradtx.Rule("r", len, init=len), ValueError, "Rule r", ("slots",)),
    ("init of other slots", lambda: gradtx.leafwise(held(init={"a": 1})).init(VECTOR), ValueError, "r",
     ("['a']", "['s']")),
    ("update of other slots", lambda: run(held(update={"a": 1})), ValueError, "r", ("['a']", "['s'] as it declares")),
    ("update of another shape", lambda: run(held(update={"s": jnp.ones(5)})), ValueError, "r", ("slot 's'", "(5,)")),
    ("update of integers", lambda: run(held(update={"s": jnp.ones(2, int)})), TypeError, "r", ("slot 's'", "int")),
    ("whole_tree of other memory", lambda: run(forgetful()), ValueError, "r", ("the memory []", "['best']")),
    ("a vector for a matrix", lambda: matrix().init({"w": {"b": VECTOR}}), ValueError, "m",
     ("params['w']['b'] has shape (2,)", "2 dimensions", "with partition")),
    ("a vector for a matrix later", lambda: matrix().update({"b": VECTOR}, matrix().init({"b": jnp.ones((2, 2))})),
     ValueError, "m", ("grads['b'] has shape (2,)", "2 dimensions")),
    ("a count under jit", lambda: jitted(lambda count: 0.1 if count < 5 else 0.01), TypeError, "scale_by_learning_rate",
     ("learning_rate", "jit", "jnp.where", "TracerBoolConversionError")),
    ("a list under jit", lambda: jitted(lambda count: [0.1, 0.2][int(count)]), TypeError, "scale_by_learning_rate",
     ("learning_rate", "jit", "jnp.take")),
    ("a slot that is not there", lambda: gradtx.trace(0.9).init(VECTOR).nu, AttributeError, "LeafState",
     ("'nu'", "['trace']")),
    ("a clip inside shard_map", lambda: sharded(lambda g: clip().update(g, clip().init(g))[0]), ValueError,
     "clip_by_global_norm", ("grads varies over the mesh axis 'x'", "axis_name='x'")),
    ("a guard inside shard_map", lambda: sharded_update(gradtx.guard(gradtx.sgd(0.1))), ValueError, "guard",
     ("grads varies over the mesh axis 'x'", "axis_name='x'")),
    ("a norm inside shard_map", lambda: sharded(lambda g: g * gradtx.global_norm(g)), ValueError, "global_norm",
     ("updates varies over the mesh axis 'x'", "axis_name='x'")),
    ("centralize inside shard_map", lambda: sharded_update(gradtx.centralize()), ValueError, "centralize",
     ("grads varies over the mesh axis 'x'", "axis_name='x'")),
    ("lamb inside shard_map", lambda: sharded(lambda g: gradtx.lamb(0.1).init(g) and g), ValueError,
     "scale_by_trust_ratio", ("params varies over the mesh axis 'x'", "axis_name='x'")),
    ("a normalisation inside shard_map", lambda: sharded_update(gradtx.normalize_by_update_norm()), ValueError,
     "normalize_by_update_norm", ("grads varies over the mesh axis 'x'", "axis_name='x'")),
    ("units of 6 dimensions", lambda: gradtx.adaptive_grad_clip(0.1).init({"w": jnp.ones((2,) * 6)}), ValueError,
     "adaptive_grad_clip", ("params['w'] has shape (2, 2, 2, 2, 2, 2)", "at most 5 dimensions", "axis=(0, 1)")),
    ("units of a dimension that is not there", lambda: gradtx.adaptive_grad_clip(0.1, axis=1).init({"b": VECTOR}),
     ValueError, "adaptive_grad_clip", ("params['b'] has shape (2,)", "dimensions (1,)")),
    ("units of half a dimension", lambda: gradtx.adaptive_grad_clip(0.1, axis=0.5), TypeError, "adaptive_grad_clip",
     ("axis = 0.5", "axis=0")),
    ("units whose shape a shard does not tell", lambda: split_rows(gradtx.adaptive_grad_clip(0.1, axis_name="x")),
     ValueError, "adaptive_grad_clip", ("grads has shape (1, 3) on each shard", "axis=0")),
    ("a norm of units of 6 dimensions", lambda: gradtx.unitwise_norm(jnp.ones((2,) * 6)), ValueError, "unitwise_norm",
     ("x has shape (2, 2, 2, 2, 2, 2)", "at most 5 dimensions")),
    ("a clip of units by one norm", lambda: gradtx.unitwise_clip(VECTOR, 1.0, VECTOR), ValueError, "unitwise_clip",
     ("max_norm has shape ()", "(2,) as grad")),
    ("examples of two numbers", lambda: gradtx.per_example_global_norm_clip({"w": jnp.ones((3, 2)), "b": VECTOR}, 1.0),
     ValueError, "per_example_global_norm_clip", ("grads['w'] has shape (3, 2)", "number of examples", "jax.vmap")),
    ("no examples", lambda: gradtx.per_example_layer_norm_clip({"w": jnp.ones(())}, 1.0), ValueError,
     "per_example_layer_norm_clip", ("grads['w'] has shape ()", "number of examples")),
    ("a schedule for a number", lambda: gradtx.per_example_global_norm_clip(VECTOR, lambda count: 1.0), TypeError,
     "per_example_global_norm_clip", ("l2_norm_clip is a schedule", "a number")),
    ("a bound below 0", lambda: gradtx.per_example_layer_norm_clip(VECTOR, -1.0), ValueError,
     "per_example_layer_norm_clip", ("global_l2_norm_clip = -1.0", "[0, inf]")),
    ("an average, missing key", lambda: gradtx.incremental_update(PARAMS, without(PARAMS, "w"), 0.1), ValueError,
     "incremental_update", ("new_tensors['w'] has no counterpart in old_tensors",)),
    ("an average, shape", lambda: gradtx.incremental_update(PARAMS, OTHER, 0.1), ValueError, "incremental_update",
     ("new_tensors['b'][0] is float64 of shape (3,)", "shape (4,) as old_tensors['b'][0]")),
    ("an average, imaginary parts", lambda: gradtx.incremental_update(COMPLEX, VECTOR, 0.1), ValueError,
     "incremental_update", ("new_tensors is complex64", "old_tensors")),
    ("an average, step", lambda: gradtx.incremental_update(PARAMS, PARAMS, 1.5), ValueError, "incremental_update",
     ("step_size = 1.5", "[0, 1]")),
    ("a copy, period", lambda: gradtx.periodic_update(PARAMS, PARAMS, 1, 0), ValueError, "periodic_update",
     ("update_period = 0", "[1, inf)")),
    ("a copy, half a period", lambda: gradtx.periodic_update(PARAMS, PARAMS, 1, 2.5), TypeError, "periodic_update",
     ("update_period is float", "a whole number")),
    ("zero_nans inside shard_map", lambda: sharded(lambda g: one(gradtx.zero_nans(), g)), ValueError, "zero_nans",
     ("params varies over the mesh axis 'x'", "axis_name='x'")),
    ("zero_nans inside shard_map later", lambda: sharded_update(gradtx.zero_nans()), ValueError, "zero_nans",
     ("grads varies over the mesh axis 'x'", "axis_name='x'")),
    ("a complex parameter to keep above 0", lambda: gradtx.keep_params_nonnegative().init({"w": COMPLEX}), ValueError,
     "keep_params_nonnegative", ("params['w'] is complex", "real numbers")),
    ("stateless of a number", lambda: gradtx.stateless(0.1), TypeError, "stateless", ("f is float", "lambda g, p")),
    ("stateless, another tree", lambda: one(gradtx.stateless(lambda g, p: {"a": g["w"]}), {"w": VECTOR}), ValueError,
     "stateless", ("f(grads, params)['w'] is missing", "return a tree like")),
    ("stateless, another shape", lambda: one(gradtx.stateless(lambda g, p: {"w": g["w"][0]}), {"w": VECTOR}),
     ValueError, "stateless", ("f(grads, params)['w'] is float", "of shape ()", "shape (2,)")),
    ("stateless, a leaf of another shape", lambda: one(gradtx.stateless_with_tree_map(lambda g, p: g[0]), VECTOR),
     ValueError, "stateless_with_tree_map", ("f returned shape ()", "shape (2,)")),
    ("prodigy's start", lambda: gradtx.prodigy(1.0, estim_lr0=lambda count: 1e-6), TypeError, "prodigy",
     ("estim_lr0 is a schedule",)),
    ("lbfgs's memory", lambda: gradtx.lbfgs(memory_size=0), ValueError, "scale_by_lbfgs", ("memory_size = 0",)),
    ("lbfgs's state", lambda: gradtx.scale_by_lbfgs().update(VECTOR, (), VECTOR), ValueError, "scale_by_lbfgs",
     ("state is tuple of 0", "LBFGSState")),
    ("lbfgs's memory of another shape",
     lambda: gradtx.scale_by_lbfgs(2).update(VECTOR, gradtx.scale_by_lbfgs(3).init(VECTOR), VECTOR), ValueError,
     "scale_by_lbfgs", ("state.diff_params_memory is", "(3, 2)", "(2, 2)")),
    ("lbfgs inside shard_map",
     lambda: sharded(lambda p: gradtx.scale_by_lbfgs().update(p, gradtx.scale_by_lbfgs().init(p), p)[0]), ValueError,
     "scale_by_lbfgs", ("grads varies over the mesh axis 'x'", "average the gradients")),
    ("a search without its objective",
     lambda: backtracking().update(VECTOR, backtracking().init(VECTOR), VECTOR, value=0.0, grad=VECTOR), ValueError,
     "scale_by_backtracking_linesearch", ("extra argument value_fn is missing", "value=..., grad=..., value_fn=...")),
    ("sophia's interval", lambda: gradtx.sophia(0.1, update_interval=0), ValueError, "scale_by_sophia",
     ("update_interval = 0", "a whole number >= 1")),
    ("sophia's estimate", lambda: gradtx.sophia(0.1, hessian_diagonal_fn=3), TypeError, "scale_by_sophia",
     ("hessian_diagonal_fn is int",)),
    ("sophia's objective", lambda: estimated(obj_fn=VECTOR), TypeError, "hutchinson_estimator_diag_hessian",
     ("obj_fn is", "a function of the params")),
    ("sophia without an objective", lambda: estimated(), ValueError, "hutchinson_estimator_diag_hessian",
     ("extra argument obj_fn is missing",)),
    ("galore's rank", lambda: gradtx.galore(0.1, rank=0), ValueError, "scale_by_galore", ("rank = 0", "integer >= 1")),
    ("galore's axes", lambda: gradtx.galore(0.1, weight_dimension_numbers={"b": 1}).init({"b": VECTOR}), TypeError,
     "scale_by_galore", ("weight_dimension_numbers['b'] is int",)),
    ("galore's axes of a vector",
     lambda: gradtx.galore(0.1, weight_dimension_numbers=gradtx.GaLoreDimensionNumbers()).init({"b": VECTOR}),
     ValueError, "scale_by_galore", ("params['b'] has shape (2,)",)),
    ("galore's tree of axes",
     lambda: gradtx.galore(0.1, weight_dimension_numbers={"a": None}).init({"b": VECTOR}), ValueError,
     "scale_by_galore", ("weight_dimension_numbers['b'] is missing",)),
    ("a stack without its axes", lambda: layout_of("m", "axes", None, "leave it", small=True)({"c": CUBE}, "p"),
     ValueError, "m", ("p['c'] has shape (2, 2, 2)", "give axes")),
    ("galore's axes twice",
     lambda: gradtx.galore(0.1, weight_dimension_numbers=gradtx.GaLoreDimensionNumbers(0, 0)).init(jnp.ones((2, 2))),
     ValueError, "scale_by_galore", ("all different",)),
    ("rprop's bounds", lambda: gradtx.rprop(0.1, min_step_size=2.0, max_step_size=1.0), ValueError, "scale_by_rprop",
     ("min_step_size = 2.0", "max_step_size = 1.0")),
    ("noise without a key", lambda: gradtx.noisy_sgd(0.1), ValueError, "add_noise", ("key is missing", "random.key")),
    ("noise of two keys", lambda: gradtx.add_noise(0.1, 0.5, 1, seed=2), ValueError, "add_noise", ("beside seed",)),
    ("noise of a float", lambda: gradtx.add_noise(0.1, 0.5, 1.5), TypeError, "add_noise", ("key is float", "integer")),
    ("noise of many keys", lambda: gradtx.add_noise(0.1, 0.5, jax.random.split(jax.random.key(0), 3)), ValueError,
     "add_noise", ("key is key<fry> of shape (3,)", "one key")),
    ("polyak's variant", lambda: gradtx.polyak_sgd(variant="sps-"), ValueError, "scale_by_polyak",
     ("variant = 'sps-'", "'sps+'")),
    ("polyak's loss of a batch", lambda: valued(VECTOR), ValueError, "scale_by_polyak", ("value has shape (2,)",)),
    ("polyak's loss, None", lambda: valued(None), TypeError, "scale_by_polyak", ("value is None", "value=loss")),
    ("polyak's loss, complex", lambda: valued(jnp.ones((), jnp.complex64)), TypeError, "scale_by_polyak",
     ("value is complex64",)),
    ("polyak inside shard_map", lambda: sharded(lambda g: valued(1.0, g)), ValueError, "scale_by_polyak",
     ("grads varies over the mesh axis 'x'", "axis_name='x'")),
    ("private, no batch", lambda: private(VECTOR, jnp.ones(())), ValueError, "differentially_private_aggregate",
     ("grads['b'] has shape ()", "jax.vmap")),
    ("private, shards", lambda: sharded(lambda g: private(g)), ValueError, "differentially_private_aggregate",
     ("grads['a'] varies over the mesh axis 'x'", "outside shard_map")),
    ("split, another's state", lambda: gradtx.split_real_and_imaginary(gradtx.sgd(0.1)).update(VECTOR, ()), ValueError,
     "split_real_and_imaginary", ("state is tuple of 0", "SplitState")),
    ("mars inside shard_map", lambda: sharded(lambda g: first_of(gradtx.scale_by_mars(), g)), ValueError,
     "scale_by_mars", ("grads varies over the mesh axis 'x'", "axis_name='x'")),
    ("lion's mode", lambda: gradtx.scale_by_lion(mode="soft"), ValueError, "scale_by_lion",
     ("mode = 'soft'", "hard, smooth")),
    ("layers by number", lambda: over_layers(layers=3), TypeError, "scale_by_shampoo", ("layers is int", '"fsdp"')),
    ("layers named twice", lambda: over_layers(layers=("x", "x")), ValueError, "scale_by_shampoo", ("each axis once",)),
    ("layers of no stack", lambda: over_layers((3, 4)), ValueError, "scale_by_shampoo",
     ("params['w'] has shape (3, 4)", "stack the layers")),
    ("layers over no axis", lambda: over_layers(layers="rows"), ValueError, "scale_by_shampoo",
     ("params['w']", "no axis of the mesh ('x',)")),
    ("layers inside shard_map", layers_of_one_shard, ValueError, "scale_by_shampoo", ("params", "outside shard_map")),
    ("layers that do not divide", lambda: over_layers((3, 3, 4)), ValueError, "scale_by_shampoo",
     ("params['w'] has 3 layers", "pad the stack")),
    ("layers on no mesh", lambda: over_layers(on_mesh=False), ValueError, "scale_by_shampoo",
     ("params['w']", "jax.set_mesh")),
    ("muon's steps", lambda: gradtx.muon(0.1, ns_steps=2.5), ValueError, "muon", ("ns_steps = 2.5",)),
    ("muon's coefficients", lambda: gradtx.muon(0.1, ns_coeffs=(1.0, 2.0)), ValueError, "muon",
     ("ns_coeffs = (1.0, 2.0)",)),
    ("dadapt's start", lambda: gradtx.dadapt_adamw(1.0, estim_lr0=lambda count: 1e-6), TypeError, "dadapt_adamw",
     ("estim_lr0 is a schedule",)),
    ("dog's start, no pair", lambda: gradtx.dog(init_step=0.1), ValueError, "dog", ("init_step is 0.1", "a pair")),
    ("dog's start, a tag", lambda: gradtx.scale_by_dog(("far", 0.1)), ValueError, "scale_by_dog", ("init_step", "far")),
    ("dog's start, a schedule", lambda: gradtx.dog(init_step=("distance", lambda count: 0.1)), TypeError, "dog",
     ("init_step, distance, is a schedule", "a number > 0")),
    ("dog's start, 0", lambda: gradtx.dog(init_step=("heuristic", 0.0)), ValueError, "dog", ("init_step = 0.0",)),
    ("dowg's start", lambda: gradtx.dowg(eps=lambda count: 1e-4), TypeError, "scale_by_dowg",
     ("eps is a schedule", "init_estim_sq_dist")),
    ("momo's loss", lambda: gradtx.momo().update(VECTOR, gradtx.momo().init(VECTOR), VECTOR, value=VECTOR), ValueError,
     "momo", ("value is", "of shape (2,)", "a scalar")),
    ("a learned rate inside shard_map", lambda: sharded(lambda p: gradtx.dowg().update(p, gradtx.dowg().init(p), p)[0]),
     ValueError, "scale_by_dowg", ("grads varies over the mesh axis 'x'", "axis_name='x'")),
    ("cautious inside shard_map", lambda: sharded_update(gradtx.cautious(gradtx.sgd(0.1))), ValueError, "cautious",
     ("grads varies over the mesh axis 'x'", "axis_name='x'")),
    ("muon inside shard_map", lambda: split_rows(gradtx.muon(0.1)), ValueError, "scale_by_muon",
     ("grads varies over the mesh axis 'x'", "axis_name=()")),
    ("galore inside shard_map", lambda: split_rows(gradtx.galore(0.1)), ValueError, "scale_by_galore",
     ("grads varies over the mesh axis 'x'", "axis_name=()")),
    ("muon over an axis", lambda: gradtx.muon(0.1, axis_name="x"), ValueError, "muon",
     ("axis_name = 'x'", "()", "outside shard_map")),
    ("another loss on each device",
     lambda: sharded(lambda x: gradtx.momo().update(VECTOR, gradtx.momo().init(VECTOR), VECTOR, value=x[0])[0] + x),
     ValueError, "momo", ("value varies over the mesh axis 'x'", "pmean")),
    ("another spike on each device",
     lambda: sharded(lambda x: guarded().update(VECTOR, guarded().init(VECTOR), VECTOR, value=x[0])[0] + x),
     ValueError, "guard", ("value varies over the mesh axis 'x'", "pmean")),
    ("another objective on each device",
     lambda: sharded(lambda x: backtracking().update(VECTOR, backtracking().init(VECTOR), VECTOR, value=0.0,
                                                     grad=VECTOR, value_fn=lambda p: jnp.sum(p) * x[0])[0] + x),
     ValueError, "scale_by_backtracking_linesearch",
     ("what value_fn returned varies over the mesh axis 'x'", "pmean")),
    ("a decision of another skip",
     lambda: multi_steps(gradtx.skip_not_finite).update(VECTOR, gradtx.accumulate(gradtx.sgd(0.1), 2).init(VECTOR)),
     ValueError, "MultiSteps", ("state.skip_state is tuple of 0", "dict of 2")),
    ("the state of three in sam's place", lambda: gradtx.sam(gradtx.sgd(0.1), gradtx.sgd(0.1)).update(
        VECTOR, gradtx.galore(0.1).init(VECTOR), VECTOR), ValueError, "sam", ("state is tuple of 3", "a tuple of 3")),
    ("another skip on each device", lambda: sharded(lambda g: one(multi_steps(lambda g, *_: (g[0] > 0, ())), g)),
     ValueError, "MultiSteps", ("what should_skip_update_fn returned varies over the mesh axis 'x'", "pmean")),
    ("a skip inside shard_map", lambda: sharded(lambda g: one(multi_steps(gradtx.skip_not_finite), g)), ValueError,
     "skip_not_finite", ("updates varies over the mesh axis 'x'", "axis_name='x'")),
    ("muon's preset", lambda: gradtx.scale_by_muon("fast"), ValueError, "scale_by_muon",
     ("ns_coeffs = 'fast'", "['dion', 'standard']")),
    ("muon's preconditioning", lambda: gradtx.muon(0.1, preconditioning="fro"), ValueError, "muon",
     ("preconditioning = 'fro'", "'aol'")),
    ("muon of a stack", lambda: muon_at(None).init(STACK), ValueError, "muon",
     ("params['c'] has shape (2, 3, 3)", "give muon_weight_dimension_numbers", "leave it to Adam")),
    ("scale_by_muon of a vector", lambda: gradtx.scale_by_muon().init({"b": VECTOR}), ValueError, "scale_by_muon",
     ("params['b'] has shape (2,)", "2 dimensions")),
    ("muon, no axis", lambda: muon_at(gradtx.MuonDimensionNumbers(1, 3)).init(STACK), ValueError, "muon",
     ("params['c'] has shape (2, 3, 3) and the axes [1, 3]", "axes from -3 to 2")),
    ("muon, an axis twice", lambda: muon_at(gradtx.MuonDimensionNumbers((0, 1), -2)).init(STACK), ValueError, "muon",
     ("params['c'] has the reduction axes [0, 1] and the output axes [-2]", "all different")),
    ("muon, text for axes", lambda: muon_at("last two").init(STACK), TypeError, "muon",
     ("muon_weight_dimension_numbers['c'] is str", "MuonDimensionNumbers or None")),
    ("muon, another tree", lambda: gradtx.muon(0.1, muon_weight_dimension_numbers={"w": None}).init(STACK), ValueError,
     "muon", ("muon_weight_dimension_numbers['c'] is missing", "params['c']")),
    ("Newton-Schulz of a stack", lambda: gradtx.orthogonalize_via_newton_schulz(STACK["c"], "dion"), ValueError,
     "orthogonalize_via_newton_schulz", ("x has shape (2, 3, 3)", "dimension_numbers")),
    ("soap's frequency", lambda: gradtx.soap(0.1, precondition_frequency=0), ValueError, "scale_by_soap",
     ("precondition_frequency = 0", "an integer >= 1")),
    ("soap's largest side", lambda: gradtx.soap(0.1, max_precond_dim=2.5), ValueError, "scale_by_soap",
     ("max_precond_dim = 2.5",)),
    ("shampoo of a stack", lambda: gradtx.shampoo(0.1).init(STACK), ValueError, "scale_by_shampoo",
     ("params['c'] has shape (2, 3, 3)", "give weight_dimension_numbers", "leave it to Adagrad")),
    ("cautious of a number", lambda: gradtx.cautious(0.1), TypeError, "cautious", ("inner is float", "a transform")),
    ("a name met twice", lambda: gradtx.tree.get(two_traces(), "trace"), KeyError, "tree.get", ("2 values",)),
    ("a name met never", lambda: gradtx.tree.set(two_traces(), mean=1), KeyError, "tree.set", ("no 'mean'",)),
    ("a map of a number", lambda: gradtx.tree_map_params(3, str, ()), TypeError, "tree_map_params", ("initable",)),
    ("map of no state", lambda: gradtx.tree_map_params(gradtx.sgd(1.0), str, 0), ValueError, "tree_map_params", ("",)),
    ("values of another", other_values, ValueError, "tunable", ("state.hyperparams", "['decay']")),
    ("micro-batches of 2.5", lambda: gradtx.accumulate(gradtx.sgd(0.1), 2.5), TypeError, "accumulate", ("k is",)),
    ("no micro-batch", lambda: gradtx.accumulate(gradtx.sgd(0.1), 0), ValueError, "accumulate", ("k is 0",)),
    ("micro-batches", lambda: gradtx.apply_every(VECTOR.astype(int)), ValueError, "apply_every", ("k has shape (2,)",)),
    ("a skip of 0", lambda: one(multi_steps(), VECTOR), ValueError, "MultiSteps", ("should_skip_update_fn", "bool")),
    ("a condition of 1", lambda: one(at_times(), VECTOR), ValueError, "conditionally_mask", ("should_transform_fn",)),
    ("no condition", lambda: gradtx.conditionally_mask(gradtx.sgd(1.0), 3), TypeError, "conditionally_mask", ("int",)),
    ("cautious of a factory", lambda: gradtx.cautious(gradtx.adam), TypeError, "cautious", ("inner", "call it first")),
    ("adamc of a schedule", lambda: gradtx.adamc(lambda count: 0.1), ValueError, "adamc",
     ("max_learning_rate is missing", "the peak")),
    ("rmsprop like another", lambda: gradtx.rmsprop(0.1, like="jax"), ValueError, "rmsprop",
     ("like = 'jax'", "['torch']")),
    ("rmsprop, contradictory", lambda: gradtx.rmsprop(0.1, eps_in_sqrt=True, like="torch"), ValueError, "rmsprop",
     ("eps_in_sqrt = True contradicts like='torch'", "False")),
    ("rmsprop, contradictory by place", lambda: gradtx.rmsprop(0.1, 0.9, 1e-8, 1.0, like="torch"), ValueError,
     "rmsprop", ("initial_scale = 1.0 contradicts",)),
    ("amsgrad, contradictory", lambda: gradtx.amsgrad(0.1, bias_correction_nu=False, like="torch"), ValueError,
     "amsgrad", ("bias_correction_nu = False contradicts like='torch'",)),
    ("adafactor's size", lambda: gradtx.adafactor(0.1, min_dim_size_to_factor=0), ValueError, "scale_by_factored_rms",
     ("min_dim_size_to_factor = 0",)),
    ("adafactor's size, a float", lambda: gradtx.adafactor(0.1, min_dim_size_to_factor=2.5), TypeError,
     "scale_by_factored_rms", ("min_dim_size_to_factor = 2.5",)),
    ("a static field that is a tuple",
     lambda: gradtx.trace(0.9).update(Static(VECTOR, (1, 2)), gradtx.trace(0.9).init(Static(VECTOR, (1, 3)))),
     ValueError, "trace", ("grads.tag is another tuple of 2", "the same as in state.slots['trace'].tag", "static")),
    ("an integer beyond all floats", lambda: gradtx.sgd(10**400), ValueError, "sgd",
     ("learning_rate = inf", "[0, inf)")),
    ("a static field", lambda: gradtx.trace(0.9).update(Static(VECTOR, "a"), gradtx.trace(0.9).init(Static(VECTOR))),
     ValueError, "trace", ("grads.tag is 'a'", "'b'")),
    ("two starts", lambda: gradtx.scale_by_rms(first_gradient=True, initial_scale=1.0), ValueError, "scale_by_rms",
     ("first_gradient", "initial_scale")),
    ("two starts, corrected", lambda: gradtx.scale_by_rms(first_gradient=True, bias_correction=True), ValueError,
     "scale_by_rms", ("first_gradient", "bias_correction")),
    ("an event where none can be", lambda: gradtx.adam(0.1, b2=Plateau()), TypeError, "adam", ("b2", "event")),
    ("a dtype that is none", lambda: gradtx.adam(0.1, mu_dtype="float33"), TypeError, "adam", ("mu_dtype", "float33")),
    ("an integer accumulator", lambda: gradtx.trace(0.9, accumulator_dtype="int8"), TypeError, "trace",
     ("accumulator_dtype", "int8")),
    ("a name of two values", lambda: gradtx.tree.get([{"x": 1}, {"x": 2}], "x"), KeyError, "tree.get",
     ("at [0]['x'], [1]['x']", "filtering=lambda path, value")),
    ("a name of none", lambda: gradtx.tree.set({"x": 1}, y=2), KeyError, "tree.set", ("has no 'y'", "print(state)")),
    ("a map without a transform", lambda: gradtx.tree_map_params(3, abs, ()), TypeError, "tree_map_params",
     ("initable is int",)),
    ("a map of another's state", lambda: gradtx.tree_map_params(gradtx.trace(0.9), abs, ()), ValueError,
     "tree_map_params", ("state is tuple of 0", "one of the structure that init makes")),
    ("something behind a rounding", lambda: gradtx.chain(gradtx.keep_residue(), gradtx.scale(0.5)), ValueError,
     "chain", ("keep_residue(16)", "the last place", "move it")),
    ("float16 params", lambda: gradtx.keep_residue().init({"w": [jnp.ones(2, jnp.float16)]}), TypeError,
     "keep_residue", ("params['w'][0]", "bfloat16")),
    ("float16 params at update", lambda: round_half(), TypeError,
     "stochastic_rounding", ("params['w'][0]", "bfloat16")),
    ("a complex slot in 8 bits", lambda: gradtx.store(gradtx.adam(0.1), mu="fp8").init({"w": CUBE.astype(complex)}),
     TypeError, "scale_by_adam", ("params['w']", "complex128", "partition")),
    ("a factored slot", lambda: gradtx.store(gradtx.adafactor(0.1), v="bfloat16").init(jnp.ones((128, 128))),
     ValueError, "scale_by_factored_rms", ("params", "slot 'v'", "leave this slot")),
    ("a map of a mask with keys", lambda: gradtx.tree_map_params(optax.masked(optax.trace(0.9), {"w": True}), abs, ()),
     ValueError, "tree_map_params", ("init raises ValueError", "pass a tree of several params in rest")),
]  # fmt: skip


def round_half() -> Any:
    half, tx = {"w": [jnp.ones(2, jnp.float16)]}, gradtx.stochastic_rounding()
    return tx.update(half, tx.init(half), half)


@pytest.mark.parametrize(("call", "error", "name", "says"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_bad_call(call: Callable[[], Any], error: type[Exception], name: str, says: tuple[str, ...]) -> None:
    for run in (call, lambda: jax.jit(lambda: (call(), 0)[1])()):
        with pytest.raises(error) as caught:
            run()
        readable(caught.value, name, *says)


# --- hyperparameters: every numeric argument of every public factory, by signature and the table of ranges ------------

REQUIRED: dict[str, Any] = {
    "l2_norm_clip": 1.0,
    "noise_multiplier": 0.5,
    "eta": 0.01,
    "gamma": 0.55,
    "learning_rate": 0.1,
    "decay": 0.9,
    "max_norm": 1.0,
    "max_delta": 1.0,
    "clipping": 0.1,
    "f": lambda g, p: g,
    "threshold": 1.0,
    "step_size": 1.0,
    "step_size_fn": 1.0,
    "max_backtracking_steps": 5,
    "max_linesearch_steps": 5,
    "inner": gradtx.identity(),
    "init_step": ("distance", 0.1),
    "base_optimizer": gradtx.sgd(0.1),
    "optimizer": gradtx.sgd(0.1),
    "adv_optimizer": gradtx.sgd(0.1),
    "tx": gradtx.sgd(0.1),
    "fast_optimizer": gradtx.sgd(0.1),
    "sync_period": 5,
    "slow_step_size": 0.5,
    "measure_name": "norm",
    "measure": gradtx.global_norm,
    "measures": {"norm": gradtx.global_norm},
    "max_consecutive_errors": 3,
    "k": 2,
    "should_transform_fn": lambda step: step > 0,
    "mask": True,
    "freeze_mask": True,
    "transforms": {"all": gradtx.sgd(0.1)},
    "param_labels": "all",
    "rules": [("", gradtx.sgd(0.1))],
}
NEEDED: dict[str, Any] = {"key": 0}  # arguments without which nothing is made although they have a default
COMBINATORS = {
    "chain",
    "named_chain",
    "leafwise",
    "divide_by",
    "quotient",
    "ratio",
    "multi_transform",  # partition by its other name, which its errors do not say
    "split_real_and_imaginary",
    "store",
    "tunable",
    "watch",
    "with_extra_args_support",
}  # they take transforms and rules, no numbers


@functools.cache
def factories() -> dict[str, inspect.Signature]:
    """Return the public factories of transforms, with their signatures."""
    functions = {n: getattr(gradtx, n) for n in gradtx.__all__ if inspect.isroutine(getattr(gradtx, n))}
    signatures = {name: inspect.signature(f) for name, f in functions.items()}
    return {n: s for n, s in signatures.items() if s.return_annotation is gradtx.Transform and n not in COMBINATORS}


def numeric_arguments() -> list[tuple[str, str, Any]]:
    """Return (factory, argument, default) for every hyperparameter: an argument with a range at its annotation."""
    return [
        (name, argument, signature.parameters[argument].default)
        for name, signature in factories().items()
        for argument in ranges_of(inspect.unwrap(getattr(gradtx, name)))
    ]


def test_every_number_has_a_range() -> None:
    """An argument whose default is a float takes schedules too, and says its range at the annotation."""
    known = {(name, argument) for name, argument, _ in numeric_arguments()}
    for name, signature in factories().items():
        for argument, parameter in signature.parameters.items():
            assert not isinstance(parameter.default, float) or (name, argument) in known, f"{name}({argument})"


ARGUMENTS = numeric_arguments()
IDS = [f"{name}({argument})" for name, argument, _ in ARGUMENTS]


def make_with(name: str, argument: str, value: Any) -> gradtx.Transform:
    """Call the factory with this argument, the required others at usual values."""
    parameters = factories()[name].parameters
    required = {k: REQUIRED[k] for k, p in parameters.items() if p.default is p.empty}
    needed = {k: value for k, value in NEEDED.items() if k in parameters}
    return getattr(gradtx, name)(**{**required, **needed, argument: value})


def test_required_arguments_are_known() -> None:
    for signature in factories().values():
        for argument, parameter in signature.parameters.items():
            assert parameter.default is not parameter.empty or argument in REQUIRED


def ends(name: str, argument: str) -> tuple[float, float, bool, bool]:
    """Return the ends of an argument's range, and whether each is in it."""
    allowed: Range = ranges_of(inspect.unwrap(getattr(gradtx, name)))[argument]
    low, high = (float(end) for end in allowed.text[1:-1].split(","))
    return low, high, allowed.text[0] == "[", allowed.text[-1] == "]"


def outside(name: str, argument: str) -> list[float]:
    """Return numbers outside the range of an argument."""
    low, high, low_in, high_in = ends(name, argument)
    below = [] if low == -math.inf else [low - 1.0, *([] if low_in else [low])]
    above = [] if high == math.inf else [high + 1.0, *([] if high_in else [high])]
    infinite = [x for x, allowed in ((-math.inf, False), (math.inf, high == math.inf and high_in)) if not allowed]
    return [math.nan, *infinite, *below, *above]


@pytest.mark.parametrize(("name", "argument", "default"), ARGUMENTS, ids=IDS)
def test_number_out_of_range(name: str, argument: str, default: Any) -> None:
    del default
    traced = lambda *a: jax.eval_shape(lambda: (make_with(*a), 0)[1])  # noqa: E731
    for i, value in enumerate(outside(name, argument)):
        for form in (value, np.float32(value), np.float64(value), jnp.float32(value), np.array(value)):
            for run in (make_with, traced) if i == 0 else (make_with,):  # a trace sees any number as it sees the first
                with pytest.raises(ValueError, match=argument) as caught:
                    run(name, argument, form)
                readable(caught.value, name, argument, f"{float(value)!r}"[:4])


@pytest.mark.parametrize(("name", "argument", "default"), ARGUMENTS, ids=IDS)
def test_ends_of_the_range_pass(name: str, argument: str, default: Any) -> None:
    del default
    low, high, low_in, high_in = ends(name, argument)
    inside = [low] * low_in + [high] * high_in + ([0.0] if low < 0.0 < high else [])
    for value in inside:
        make_with(name, argument, value)


@pytest.mark.parametrize(("name", "argument", "default"), ARGUMENTS, ids=IDS)
def test_no_number(name: str, argument: str, default: Any) -> None:
    del default
    for value in ("0.1", True, [0.1], {"a": 0.1}, 1j):
        with pytest.raises(TypeError, match=argument) as caught:
            make_with(name, argument, value)
        readable(caught.value, name, argument, "number", "schedule")


@pytest.mark.parametrize(("name", "argument", "default"), ARGUMENTS, ids=IDS)
def test_none_only_where_it_is_the_default(name: str, argument: str, default: Any) -> None:
    made = inspect.unwrap(getattr(gradtx, name))  # `help` shows annotations in short
    annotation = inspect.signature(made).parameters[argument].annotation
    if default is None or type(None) in typing.get_args(annotation):  # None is "no sum", "no scaling", "no bound"
        make_with(name, argument, None)
        return
    with pytest.raises(TypeError, match=argument) as caught:
        make_with(name, argument, None)
    readable(caught.value, name, argument, "None", "number", "schedule")


@pytest.mark.parametrize(("name", "argument", "default"), ARGUMENTS, ids=IDS)
def test_array_that_is_no_scalar(name: str, argument: str, default: Any) -> None:
    del default
    for value in (jnp.full(3, 0.5), np.full((1,), 0.5)):
        with pytest.raises(ValueError, match=argument) as caught:
            make_with(name, argument, value)
        readable(caught.value, name, f"{argument} has shape {value.shape}", "scalar")


@pytest.mark.parametrize("name", factories())
def test_missing_or_unknown_argument(name: str) -> None:
    required = [k for k, p in factories()[name].parameters.items() if p.default is p.empty]
    known = {k: REQUIRED[k] for k in required}
    for wrong in [{**known, "lr": 0.1}, *({k: v for k, v in known.items() if k != left} for left in required)]:
        with pytest.raises(TypeError) as caught:
            getattr(gradtx, name)(**wrong)
        readable(caught.value, name, "lr" if "lr" in wrong else required[0])


@pytest.mark.parametrize(("name", "argument", "default"), ARGUMENTS, ids=IDS)
def test_tracers_pass(name: str, argument: str, default: Any) -> None:
    """A traced value cannot be checked; it is taken as it is, also where a number would be out of range."""
    del default
    jax.eval_shape(lambda value: (make_with(name, argument, value), 0)[1], jnp.float32(-1.0))


# --- every raise of the package is one that a test above provokes -----------------------------------------------------


def raises_of(path: Path) -> list[tuple[Path, range]]:
    """Return the lines of every raise statement of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [(path, range(n.lineno, (n.end_lineno or n.lineno) + 1)) for n in nodes if isinstance(n, ast.Raise)]


def no_devices() -> Any:
    """Split arrays over a mesh that has no devices: an error outside jit alone."""
    mesh = jax.sharding.AbstractMesh((2,), ("x",))
    return gradtx.shard_state(gradtx.sgd(0.1), "x", mesh=mesh, specs=jax.P()).init({"w": jnp.ones(2)})


def test_a_mesh_without_devices_takes_no_arrays() -> None:
    with pytest.raises(ValueError, match="mesh has no devices") as caught:
        no_devices()
    readable(caught.value, "shard_state", "pass a Mesh")


def test_every_raise_is_provoked() -> None:
    calls: list[Callable[[], Any]] = [lambda bad=bad: call_eager(bad) for bad in BAD]
    calls += [call for _, call, *_ in CALLS]
    calls += [
        no_devices,
        lambda: gradtx.adam(),
        lambda: gradtx.adam("x"),
        lambda: gradtx.adam(VECTOR),
        lambda: gradtx.adam(-1.0),
    ]
    hit: set[tuple[str, int]] = set()
    for call in calls:
        try:
            call()
        except Exception as error:
            for raised in (error, error.__context__):  # an error that was given its path has the first one as context
                frames = traceback.extract_tb(raised.__traceback__) if raised else []
                hit |= {(frame.filename, frame.lineno or 0) for frame in frames}
    rooms = ["_core", "factors", "methods", "limits"]  # the other rooms' errors stand beside their values
    statements = [found for room in rooms for path in (PACKAGE / room).rglob("*.py") for found in raises_of(path)]
    assert statements
    missed = [
        f"{path.relative_to(PACKAGE)}:{lines.start}"
        for path, lines in statements
        if not any((str(path), line) in hit for line in lines)
    ]
    assert not missed, "\n".join(missed)
