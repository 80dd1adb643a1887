"""`watch` itself: it changes no bit, passes everything on, and refuses what it cannot take."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gradtx
from tests.batteries.watched import units
from tests.diagnosis.runs import feed, gradients, plain, start
from tests.flags import QUICK
from tests.registry import ROWS

ROOT = Path(__file__).parents[2]
NO_FMA = "--xla_cpu_max_isa=AVX"  # the last x86 instruction set without a fused multiply-add

MIXED = """
import sys
import jax
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
from tests.batteries.mixes import MIXES
from tests.batteries.watched import differences
from tests.registry import ROWS
rows = [row for row in ROWS if row.fused][:int(sys.argv[1])]
print(len(rows), max(x for row in rows for xs in differences(row, list(MIXES), jit=True).values() for x in xs))
"""

FLOAT32 = """
import jax
from tests.batteries.watched import units
from tests.registry import ROWS
from tests.diagnosis.test_watch import bare_and_watched, same_bits
rows = [row for row in ROWS if row.name in ("sgd[nesterov]", "chain")]
for row in rows:
    same_bits(*bare_and_watched(row.make))
print(len(rows), 0.0)
"""


def printed(script: str, flags: str, rows: int = len(ROWS)) -> tuple[int, float]:
    """Run a script under these XLA flags alone and return the number of rows and the number that it prints."""
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", script, str(rows)], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows, number = done.stdout.split()
    return int(rows), float(number)


def bare_and_watched(make: Any) -> list[Any]:
    """Return updates, last params and own state of a bare and of a watched float32 run under jit."""
    shapes = {"b": (64,), "s": (), "w": (64, 33)}
    out = []
    for tx in (make(), gradtx.watch(make())):
        run = feed(tx, gradients(5, shapes=shapes), p=start(shapes=shapes))
        out.append((run.updates, run.params[-1], getattr(run.state, "inner", run.state)))
    return out


def same_bits(a: Any, b: Any) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(np.asarray(x), np.asarray(y)), a, b)


@pytest.mark.exhaustive
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other processors have no set without it")
def test_rows_that_may_round_otherwise_are_exact_without_fused_multiply_add(exhaustive: bool):
    wanted = sum(bool(row.fused) for row in ROWS) if exhaustive else 2
    rows, most = printed(MIXED, " ".join([*QUICK, NO_FMA]), wanted)
    assert rows == wanted > 0
    assert most == 0.0


@pytest.mark.exhaustive
def test_float32_is_exact_with_the_default_compiler():
    assert printed(FLOAT32, "") == (2, 0.0)


@pytest.mark.share(3)
@pytest.mark.parametrize(
    ("make", "fused"),
    [
        (lambda: optax.adamw(0.1), 1),
        (lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9, nesterov=True)), 0),
        (lambda: optax.chain(optax.clip_by_global_norm(1.0), gradtx.watch(gradtx.rmsprop(0.1))), 0),
    ],
    ids=["adamw", "clip + momentum", "inside"],
)
def test_transforms_of_optax_are_exact(make, fused):
    """Hold optax's to the same bits; adamw may round one fused multiply-add otherwise, as rows of the registry do."""
    with jax.numpy_dtype_promotion("standard"):
        (bare, params, _), (watched, watched_params, _) = bare_and_watched(make)
    for step, (a, b) in enumerate(zip([*bare, params], [*watched, watched_params], strict=True), 1):
        far = jax.tree.map(lambda x, y: units(np.asarray(x), np.asarray(y)), a, b)
        assert max(far.values()) <= fused * step, (step, far)


def test_it_prints_what_it_watches():
    assert str(gradtx.watch(gradtx.sgd(0.5))) == f"watch({gradtx.sgd(0.5)})"


def test_it_is_a_transform_in_either_kind_of_chain():
    p, g = start(), gradients(1)[0]
    for chain in (gradtx.chain, optax.chain):
        tx = chain(gradtx.clip_by_global_norm(1.0), gradtx.watch(gradtx.sgd(0.5)))
        _, state = tx.update(g, tx.init(p), p, value=jnp.float32(3.0))
        got = gradtx.metrics(state)
        assert got["loss"] == 3.0
        assert got["grad_norm"] == pytest.approx(1.0, rel=1e-5)
        assert got["update_norm"] == pytest.approx(0.5, rel=1e-5)


def test_extra_arguments_reach_the_transform():
    seen = {}

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        seen.update(extra)
        return jax.tree.map(lambda g: g * extra["factor"], grads), state

    inner = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    tx = gradtx.watch(inner)
    p = start()
    updates, state = tx.update(p, tx.init(p), p, value=1.0, factor=jnp.float32(2.0), mode="quiet", names=["w"])
    assert set(seen) == {"value", "factor", "mode", "names"}
    assert seen["mode"] == "quiet"
    same_bits(updates, jax.tree.map(lambda x: 2 * x, p))
    got = gradtx.metrics(state)
    assert got["update_norm"] == pytest.approx(2 * got["grad_norm"])


def test_eager_and_jit_agree():
    tx, step = plain()
    grads, p = gradients(4), start()
    state = tx.init(p)
    for g in grads:
        _, state = tx.update(g, state, p, value=jnp.float32(1.0))
    eager, jitted = gradtx.metrics(state), gradtx.metrics(feed(tx, grads, np.ones(4), step=step).state)
    for name in ("grad_norm", "cosine", "learning_rate", "zeros", "step"):
        assert eager[name] == pytest.approx(jitted[name], rel=1e-5), name


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "all"])
def test_every_must_be_a_whole_number(every):
    with pytest.raises(ValueError, match=r"watch: every = .*whole number >= 1; write every=1"):
        gradtx.watch(gradtx.sgd(0.1), every=every)


@pytest.mark.parametrize("tx", [None, 3, gradtx.sgd, {"tx": gradtx.sgd(0.1)}])
def test_only_a_transform_can_be_watched(tx):
    with pytest.raises(TypeError, match="watch: tx"):
        gradtx.watch(tx)


@pytest.mark.parametrize("rate", [-1.0, float("nan")])
def test_learning_rate_must_be_one(rate):
    with pytest.raises(ValueError, match="watch: learning_rate"):
        gradtx.watch(gradtx.sgd(0.1), learning_rate=rate)


def test_a_state_of_the_bare_transform_is_refused():
    tx, p = gradtx.sgd(0.1), start()
    with pytest.raises(ValueError, match=r"watch: state .*expected a WatchState; use the state that this tx.init made"):
        gradtx.watch(tx).update(p, tx.init(p), p)


@pytest.mark.parametrize("value", [jnp.ones(3, jnp.float32), (jnp.float32(1.0), {}), "low", None])
def test_a_loss_must_be_a_scalar(value):
    tx, _ = plain()
    p = start()
    with pytest.raises((ValueError, TypeError), match="watch: value"):
        tx.update(p, tx.init(p), p, value=value)


def test_an_integer_loss_is_taken():
    tx, _ = plain()
    p = start()
    _, state = tx.update(p, tx.init(p), p, value=3)
    assert gradtx.metrics(state)["loss"] == 3.0


def test_gradients_of_another_tree_are_refused_as_by_the_transform():
    tx, _ = plain()
    p = start()
    with pytest.raises((ValueError, TypeError), match="grads"):
        tx.update({"b": p["b"]}, tx.init(p), p)
