"""Masks, partitions, rules by path and frozen leaves beyond their rows: odd trees, errors, what others see."""

import dataclasses
import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from gradtx._core.engine.parts import walk

PARAMS = {
    "mlp": [{"w": jnp.ones((2, 3)), "b": jnp.zeros(3)}, {"w": jnp.ones((3, 2)), "b": jnp.zeros(2)}],
    "head": {"w": jnp.ones((2, 2)), "scale": jnp.array(1.0)},
}
GRADS = jax.tree.map(lambda p: jnp.full_like(p, 0.5), PARAMS)
HEAD = {"mlp": False, "head": True}
MADE = {
    "masked": lambda library: library.masked(library.adamw(0.1), matrices),
    "masked prefix": lambda library: library.masked(library.adamw(0.1), HEAD),
    "decay": lambda library: library.chain(
        library.scale_by_adam(), library.masked(library.add_decayed_weights(0.1), matrices), library.scale(-0.1)
    ),
    "overlap": lambda library: library.chain(
        library.masked(library.scale(-0.5), HEAD), library.masked(library.adam(0.1), matrices)
    ),
    "partition": lambda library: library.partition(
        {"m": library.adamw(0.1), "v": library.chain(library.clip_by_global_norm(0.1), library.sgd(0.1, 0.9))}, kinds
    ),
    "partition prefix": lambda library: library.partition(
        {1: library.adamw(0.1), 2: library.set_to_zero(), 3: library.adam(1.0)}, {"mlp": 1, "head": 2}
    ),
    "multi_transform": lambda library: library.multi_transform({"m": library.adamw(0.1), "v": library.sgd(1.0)}, kinds),
    "freeze": lambda library: library.chain(library.adamw(0.1), library.freeze(HEAD)),
    "selective": lambda library: library.selective_transform(library.adamw(0.1), freeze_mask=HEAD),
    "frozen whole": lambda library: library.selective_transform(library.adamw(0.1), freeze_mask=True),
}


def matrices(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim > 1, params)


def kinds(params: Any) -> Any:
    return jax.tree.map(lambda p: "m" if p.ndim > 1 else "v", params)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Module:
    """A callable that is a tree, as equinox's modules are."""

    w: Any
    b: Any

    def __call__(self, x: Any) -> Any:
        raise AssertionError("a module is no function of params")


def run(tx: Any, steps: int = 6) -> list[Any]:
    params, state, out = PARAMS, tx.init(PARAMS), []
    rng = np.random.default_rng(0)
    update = jax.jit(tx.update)
    for _ in range(steps):
        grads = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), params)
        u, state = update(grads, state, params)
        params = gradtx.apply_updates(params, u)
        out.append(u)
    return out


@pytest.mark.parametrize("name", MADE)
def test_the_numbers_are_those_of_optax(name: str) -> None:
    with jax.numpy_dtype_promotion("standard"):  # optax adds a float to an integer
        wanted = run(MADE[name](optax))
    chex.assert_trees_all_close(run(MADE[name](gradtx)), wanted, rtol=2e-5, atol=1e-7)


def test_what_is_left_out_has_no_state() -> None:
    tx = gradtx.masked(gradtx.adam(0.1), HEAD)
    mu = tx.init(PARAMS).inner_state[0].mu
    assert jax.tree.leaves(mu["mlp"]) == []
    assert mu["head"]["w"].shape == (2, 2)
    selective = gradtx.selective_transform(gradtx.adam(0.1), freeze_mask=HEAD).init(PARAMS)
    assert jax.tree.leaves(selective.inner_state[0].nu["head"]) == []
    parts = gradtx.partition({"m": gradtx.adam(0.1), "v": gradtx.adam(0.1)}, kinds).init(PARAMS).inner_states
    assert parts["m"][0].mu["head"]["scale"] is None
    assert len(jax.tree.leaves([state[0].mu for state in parts.values()])) == len(jax.tree.leaves(PARAMS))
    frozen = gradtx.freeze(True).init(PARAMS)
    assert len(jax.tree.leaves(frozen)) == 1


@pytest.mark.parametrize("outer", [gradtx, optax])
@pytest.mark.parametrize("inner", [gradtx, optax])
def test_nested_masks_have_the_keys_of_all_params(outer: Any, inner: Any) -> None:
    bias = {"mlp": [{"w": False, "b": True}, {"w": False, "b": True}], "head": {"w": False, "scale": True}}
    tx = gradtx.masked(gradtx.masked(inner.sgd(1.0), bias), HEAD)
    if outer is optax:
        tx = optax.masked(gradtx.masked(inner.sgd(1.0), bias), matrices_not)
    u, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert u["head"]["scale"].item() == -0.5
    assert float(u["head"]["w"][0, 0]) == 0.5
    assert float(u["mlp"][0]["b"][0]) == (0.5 if outer is gradtx else -0.5)


def matrices_not(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim < 2, params)


def test_a_callable_tree_is_a_mask_and_no_function() -> None:
    params = Module(jnp.ones(2), jnp.ones(2))
    tx = gradtx.masked(gradtx.scale(-1.0), Module(True, False))
    u, _ = tx.update(params, tx.init(params), params)
    assert (u.w[0].item(), u.b[0].item()) == (-1.0, 1.0)
    tx = gradtx.partition({"x": gradtx.scale(2.0), "y": gradtx.scale(3.0)}, Module("x", "y"))
    u, _ = tx.update(params, tx.init(params), params)
    assert (u.w[0].item(), u.b[0].item()) == (2.0, 3.0)


def test_a_function_sees_the_params_and_then_the_gradients() -> None:
    seen: list[Any] = []
    tx = gradtx.masked(gradtx.sgd(0.1), lambda tree: seen.append(tree) or True)
    state = tx.init(PARAMS)
    tx.update(GRADS, state, PARAMS)
    assert seen[0] is PARAMS
    assert seen[1] is GRADS


@pytest.mark.parametrize("divides", [True, False])
def test_extra_arguments_are_masked_on_request(divides: bool) -> None:
    seen: dict[str, Any] = {}

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        seen.update(extra)
        return updates, state

    inner = optax.GradientTransformationExtraArgs(lambda params: (), update)
    for tx in (
        gradtx.masked(inner, HEAD, mask_compatible_extra_args=divides),
        gradtx.partition({False: gradtx.identity(), True: inner}, HEAD, mask_compatible_extra_args=divides),
    ):
        tx.update(GRADS, tx.init(PARAMS), PARAMS, tags=PARAMS, value=jnp.array(1.0))
        assert seen["value"].item() == 1.0
        assert len(jax.tree.leaves(seen["tags"]["mlp"])) == (0 if divides else 4)
        assert len(jax.tree.leaves(seen["tags"]["head"])) == 2


def test_each_transform_owns_its_leaves_once() -> None:
    tx = gradtx.partition({"a": gradtx.scale(2.0), "b": gradtx.scale(3.0)}, {"mlp": "a", "head": "b"})
    u, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert float(u["mlp"][0]["w"][0, 0]) == 1.0
    assert float(u["head"]["w"][0, 0]) == 1.5
    params = {"n": None, "w": jnp.ones(2)}
    tx = gradtx.partition({"a": gradtx.adam(0.1)}, {"n": "nobody", "w": "a"})  # None belongs to nobody
    assert tx.update(params, tx.init(params), params)[0]["n"] is None
    tx = gradtx.partition({"a": gradtx.keep_params_nonnegative(), "b": gradtx.identity()}, {"n": "a", "w": "b"})
    assert tx.update(params, tx.init(params), params)[0]["w"].tolist() == [1.0, 1.0]


def test_frozen_leaves_stay_where_they_are() -> None:
    bad = jax.tree.map(lambda g: g * jnp.nan, GRADS)
    for tx in (gradtx.freeze(True), gradtx.selective_transform(gradtx.adamw(0.1), freeze_mask=True)):
        u, _ = tx.update(bad, tx.init(PARAMS), PARAMS)
        chex.assert_trees_all_equal(u, jax.tree.map(jnp.zeros_like, PARAMS))
    params = {"w": jnp.ones(2, jnp.bfloat16), "i": jnp.arange(2), "n": None}
    grads = {"w": jnp.ones(2, jnp.float32), "i": np.zeros(2, jax.dtypes.float0), "n": None}
    u, _ = tx.update(grads, tx.init(params), params)
    assert u["w"].dtype == jnp.float32
    assert u["i"].dtype == jax.dtypes.float0
    assert u["n"] is None
    tx = gradtx.selective_transform(gradtx.adam(0.1), freeze_mask=True)
    bare, _ = tx.update(grads, tx.init(params))
    assert bare["w"].tolist() == [0.0, 0.0]


def test_the_first_rule_decides() -> None:
    rules = [
        (r"0/w", gradtx.scale(2.0)),
        (re.compile("^MLP/", re.IGNORECASE), gradtx.scale(3.0)),
        ("", gradtx.scale(4.0)),
    ]
    tx = gradtx.by_path(rules)
    u, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert [float(x.ravel()[0]) for x in (u["mlp"][0]["w"], u["mlp"][1]["w"], u["head"]["w"])] == [1.0, 1.5, 2.0]
    rule = gradtx.assigned(tx, jax.eval_shape(lambda: PARAMS))
    assert rule == {
        "head/scale": "", "head/w": "", "mlp/0/b": "^MLP/", "mlp/0/w": "0/w", "mlp/1/b": "^MLP/", "mlp/1/w": "^MLP/",
    }  # fmt: skip
    assert gradtx.assigned(gradtx.partition({"a": gradtx.sgd(0.1)}, "a"), {"w": 1.0, "n": None}) == {"w": "a"}
    lone = gradtx.by_path([("", gradtx.scale(2.0))])
    assert lone.update(jnp.array(1.0), lone.init(jnp.array(1.0)))[0].item() == 2.0


def test_a_leaf_left_out_by_a_mask_needs_no_rule() -> None:
    tx = gradtx.masked(gradtx.by_path([("^head/", gradtx.scale(2.0))]), HEAD)
    u, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert float(u["head"]["w"][0, 0]) == 1.0
    some = {**GRADS, "head": {"w": None, "scale": None}}  # gradients may lack what the params have
    tx = gradtx.by_path([("^head/", gradtx.scale(2.0)), ("", gradtx.scale(3.0))])
    assert tx.update(some, tx.init(PARAMS), PARAMS)[0]["head"]["w"] is None


RULES = {
    "leaf": ([("^mlp/", gradtx.sgd(0.1))], ("params 'head/scale', 'head/w' match no rule", "(r'', transform)")),
    "rule": (
        [("^tail/", gradtx.sgd(0.1)), ("", gradtx.sgd(0.1))],
        ("rule '^tail/' matches none of the paths 'head/scale', 'head/w', 'mlp/0/b'", "re.search"),
    ),
    "covered": (
        [("", gradtx.sgd(0.1)), ("^head/", gradtx.sgd(0.1))],
        ("rule '^head/' takes no leaf", "earlier rules take 'head/scale', 'head/w'", "move it up"),
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_rules_and_leaves_without_each_other_are_errors(case: str) -> None:
    rules, says = RULES[case]
    with pytest.raises(ValueError, match=r"^by_path: ") as caught:
        gradtx.by_path(rules).init(PARAMS)
    assert all(text in str(caught.value) for text in says)
    with pytest.raises(ValueError, match=r"by_path: params 'w0', .* and 8 more match no rule"):
        gradtx.by_path([("x", gradtx.sgd(0.1))]).init({f"w{i}": 1.0 for i in range(20)})


BAD = {
    "no list": (lambda: gradtx.by_path("x"), TypeError, "by_path: rules is str"),
    "no pair": (lambda: gradtx.by_path([gradtx.sgd(0.1)]), TypeError, r"by_path: rules\[0\] is Transform"),
    "no regex": (lambda: gradtx.by_path([("(", gradtx.sgd(0.1))]), ValueError, r"by_path: rules\[0\] is '\('"),
    "twice": (lambda: gradtx.by_path([("a", gradtx.sgd(0.1))] * 2), ValueError, r"rules\[1\] has the regex 'a'"),
    "no rule": (lambda: gradtx.by_path([("a", 0.1)]), TypeError, r"by_path: transforms\['a'\] is float"),
    "no mapping": (lambda: gradtx.partition([gradtx.sgd(0.1)], "a"), TypeError, "partition: transforms is list of 1"),
    "no transform": (lambda: gradtx.partition({"a": 1.0}, "a"), TypeError, r"partition: transforms\['a'\] is float"),
    "mixed": (lambda: gradtx.partition(dict.fromkeys(("a", 1), gradtx.sgd(0.1)), "a"), TypeError, "labels of int, str"),
    "masked": (lambda: gradtx.masked(0.1, True), TypeError, "masked: inner is float"),
    "selective": (lambda: gradtx.selective_transform(0.1, freeze_mask=True), TypeError, "optimizer is float"),
    "assigned": (lambda: gradtx.assigned(gradtx.sgd(0.1), PARAMS), TypeError, "assigned: tx is sgd"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_calls(case: str) -> None:
    call, error, says = BAD[case]
    with pytest.raises(error, match=says):
        call()


def test_overlapping_wrappers_give_no_leaf_two_rates() -> None:
    """The second would turn the descent of the first into ascent; limits, decays and factors may overlap."""
    vectors = {"mlp": True, "head": False}
    one, other = gradtx.masked(gradtx.adam(0.1), HEAD), gradtx.masked(gradtx.sgd(0.2), matrices)
    says = r"params\['head'\]\['w'\] gets the learning rates of masked\(.* and of masked\(.*; give each leaf to one"
    apart = gradtx.partition({True: gradtx.adam(0.1), False: gradtx.set_to_zero()}, HEAD)
    for tx in (
        gradtx.chain(one, other),
        gradtx.guard(gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.chain(one), other)),
        gradtx.named_chain(("one", one), ("other", other)),
    ):
        with pytest.raises(ValueError, match="chain: " + says):
            tx.init(PARAMS)
        with pytest.raises(ValueError, match="chain: " + says):
            jax.eval_shape(tx.init, PARAMS)
    for pair in ((one, gradtx.sgd(0.1)), (apart, other)):
        with pytest.raises(ValueError, match=r"chain: params\['head'\]\['(scale|w)'\] gets the learning rates"):
            gradtx.chain(*pair).init(PARAMS)
    up = gradtx.scale_by_learning_rate(0.5, flip_sign=False)
    gradtx.chain(one, gradtx.masked(gradtx.sgd(0.2), vectors)).init(PARAMS)
    gradtx.chain(gradtx.masked(gradtx.clip(1.0), matrices), one, gradtx.masked(up, matrices)).init(PARAMS)


LACKS, MORE = {"mlp": True}, {"mlp": True, "head": True, "tail": False}


@pytest.mark.parametrize("make", [
    lambda mask: gradtx.masked(gradtx.sgd(0.1), mask),
    lambda mask: gradtx.selective_transform(gradtx.sgd(0.1), freeze_mask=mask),
    lambda mask: gradtx.freeze(mask),
    lambda mask: gradtx.partition({True: gradtx.sgd(0.1), False: gradtx.sgd(0.1)}, mask),
], ids=["masked", "selective_transform", "freeze", "partition"])  # fmt: skip
def test_a_key_too_few_or_too_many_is_an_error(make: Any) -> None:
    name = make(True).name
    what = {"partition": "param_labels", "selective_transform": "freeze_mask"}.get(name, "mask")
    with pytest.raises(ValueError, match=rf"^{name}: {what}\['head'\]\['scale'\] is missing"):
        make(LACKS).init(PARAMS)
    with pytest.raises(ValueError, match=rf"^{name}: {what}\['tail'\] has no counterpart in params"):
        make(MORE).init(PARAMS)
    tx = make(True)
    state = tx.init(PARAMS)
    with pytest.raises(ValueError, match=rf"^{name}: params\['tail'\]|^{name}: grads"):
        tx.update(GRADS, state, {**PARAMS, "tail": jnp.ones(2)})
    with pytest.raises(ValueError, match=rf"^{name}: state is"):
        tx.update(GRADS, (), PARAMS)


def test_masks_hold_bools_and_labels_are_labels() -> None:
    with pytest.raises(TypeError, match=r"masked: mask\['head'\] is int, expected True or False"):
        gradtx.masked(gradtx.sgd(0.1), {"mlp": True, "head": 1}).init(PARAMS)
    with pytest.raises(TypeError, match=r"partition: param_labels\['head'\] is int32 of shape \(1,\)"):
        gradtx.partition({"a": gradtx.sgd(0.1)}, {"mlp": "a", "head": np.zeros(1, np.int32)}).init(PARAMS)


def test_a_label_without_a_transform_is_an_error() -> None:
    tx = gradtx.partition({"a": gradtx.sgd(0.1), "unused": gradtx.sgd(0.1)}, {"mlp": "a", "head": "b"})
    with pytest.raises(
        ValueError, match=r"partition: params\['head'\]\['scale'\], params\['head'\]\['w'\] has the"
    ) as e:
        tx.init(PARAMS)
    assert "one of ['a', 'unused']" in str(e.value)
    other = gradtx.partition({"a": gradtx.sgd(0.1)}, "a")
    with pytest.raises(ValueError, match=r"partition: state has the labels \['a'\]"):
        tx.update(GRADS, other.init(PARAMS), PARAMS)


def test_print_and_hyperparams_see_through() -> None:
    tx = gradtx.partition({"a": gradtx.sgd(0.1), "b": gradtx.sgd(0.2)}, {"mlp": "a", "head": "b"})
    assert str(tx).startswith("partition({'a': chain(")
    assert str(tx).endswith("}, {'head': 'b', 'mlp': 'a'})")
    names = gradtx.hyperparams(tx, tx.init(PARAMS))
    assert names == {"a.scale_by_learning_rate.learning_rate": 0.1, "b.scale_by_learning_rate.learning_rate": 0.2}
    tx = gradtx.by_path([("^head/", gradtx.scale(2.0)), ("", optax.sgd(0.1))])
    assert str(tx) == "by_path([('^head/', scale(2.0)), ('', optax.chain)])"
    assert gradtx.hyperparams(tx, tx.init(PARAMS)) == {"^head/.scale.step_size": 2.0}
    outer = optax.chain(tx, optax.scale(1.0))
    assert gradtx.hyperparams(outer, outer.init(PARAMS)) == {"^head/.scale.step_size": 2.0}
    assert str(gradtx.masked(gradtx.scale(2.0), HEAD)) == "masked(scale(2.0), mask={'head': True, 'mlp': False})"


def measured(tx: Any) -> dict[str, float]:
    watched = gradtx.watch(tx)
    state = watched.init(PARAMS)
    update = jax.jit(watched.update)
    for _ in range(2):
        _, state = update(GRADS, state, PARAMS)
    return gradtx.metrics(state)


def test_a_watch_sees_through() -> None:
    """The learning rate where it is one for all that moves, the rates of the leaves that a scale has, and the clip."""
    decay = gradtx.masked(gradtx.add_decayed_weights(0.1), matrices)
    chain = gradtx.chain(decay, gradtx.scale_by_rms(decay=0.0, eps=0.0), gradtx.scale_by_learning_rate(0.1))
    plain = gradtx.chain(gradtx.add_decayed_weights(0.1, matrices(PARAMS)), *(chain.body.links[1:]))
    got, wanted = measured(chain), measured(plain)
    assert got["learning_rate"] == pytest.approx(0.1)
    assert {k: v for k, v in got.items() if "rate" in k} == pytest.approx(
        {k: v for k, v in wanted.items() if "rate" in k}
    )
    assert measured(gradtx.selective_transform(gradtx.sgd(0.1), freeze_mask=HEAD))["learning_rate"] == pytest.approx(
        0.1
    )
    assert "learning_rate" not in measured(gradtx.masked(gradtx.sgd(0.1), HEAD))  # the others go by their gradient
    by_shape = gradtx.masked(gradtx.scale_by_rms(), matrices)  # of the parameters themselves, and not of a sample
    assert measured(gradtx.chain(by_shape, gradtx.scale_by_learning_rate(0.1)))["rate_max"] > 0
    groups = gradtx.partition({"m": gradtx.adam(0.1), "v": gradtx.sgd(0.1)}, kinds)
    assert "learning_rate" not in measured(groups)
    clipped = measured(gradtx.chain(gradtx.clip_by_global_norm(0.5), groups))
    bare = measured(gradtx.chain(gradtx.clip_by_global_norm(0.5), gradtx.sgd(0.1)))
    assert {k: v for k, v in clipped.items() if "clip" in k} == {k: v for k, v in bare.items() if "clip" in k} != {}
    assert not [k for k in measured(gradtx.masked(gradtx.clip_by_global_norm(0.5), HEAD)) if "clip" in k]


def test_the_walk_shows_each_part_its_own_leaves() -> None:
    tx = gradtx.partition({"m": gradtx.scale(2.0), "v": gradtx.scale(3.0)}, kinds)
    for link in walk(tx, tx.init(PARAMS)):
        own = link.into(GRADS)
        assert {x.ndim > 1 for x in jax.tree.leaves(own)} == {link.labels == ("m",)}
        made, _ = link.tx.update(own, link.state)
        whole = link.out(made, GRADS)
        assert float(whole["head"]["w"][0, 0]) == (1.0 if link.labels == ("m",) else 0.5)


def test_a_placeholder_of_optax_passes() -> None:
    for tx in (MADE["masked"](gradtx), MADE["partition"](gradtx), gradtx.by_path([("", gradtx.adam(0.1))])):
        state = optax.tree_map_params(tx, lambda x: x + 1, tx.init(PARAMS))
        assert jax.tree.structure(state) == jax.tree.structure(tx.init(PARAMS))


@pytest.mark.parametrize("library", [gradtx, optax])
def test_a_lone_array_may_be_left_out(library: Any) -> None:
    """What is inside is not told that there are no params."""
    g = jnp.ones(2)
    for tx, wanted in (
        (gradtx.masked(library.adamw(0.1), False), 1.0),
        (gradtx.selective_transform(library.adamw(0.1), freeze_mask=True), 0.0),
        (gradtx.partition({"a": library.adamw(0.1), "b": library.scale(2.0)}, "b"), 2.0),
    ):
        with jax.numpy_dtype_promotion("standard"):  # optax adds a float to an integer
            assert tx.update(g, tx.init(g), g)[0].tolist() == [wanted, wanted]
