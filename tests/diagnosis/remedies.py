"""What a report's action says, carried out on a scenario: its words are read, and the run goes on or starts again."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gradtx
from tests.diagnosis.scenarios import Run, resume, run_scenario
from tests.diagnosis.scenarios.base import plain
from tests.diagnosis.scenarios.measures import last

NUMBER = r"([\d.,]+(?:e[+-]?\d+)?)"
Remedy = Callable[[Run, gradtx.Report, Any], Run]
ROUNDS = 5  # of 3 times the rate, while the report goes on to say that the steps are too short


def number(found: str) -> float:
    """Return a number as reports write it."""
    return float(found.replace(",", "").rstrip("."))


def anew(run: Run, tx: Any, **changes: Any) -> Run:
    """Return the run from its start with another transform, under watch."""
    return run_scenario(dataclasses.replace(run.scenario, **changes), tx=gradtx.watch(tx))


def on(run: Run, tx: Any, params: Any = None) -> Run:
    """Return the run from where it ended, with another transform under watch, for as many steps again."""
    return resume(run, gradtx.watch(tx), params=params)


def smaller_from_start(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Start again at a part of the rate."""
    return anew(run, run.scenario.make_tx(number(found[1])))


def other_rate(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Go on at a multiple of the rate, again while that is what is said; start again where the run is lost."""
    factor = number(found[1])
    if report.verdict in ("diverging", "always_clipped"):
        return anew(run, run.scenario.make_tx(factor))
    after = on(run, run.scenario.make_tx(factor))
    for i in range(2, ROUNDS + 1):
        if "repeat while" not in report.action or diagnosed(after).verdict != report.verdict:
            break
        after = on(after, run.scenario.make_tx(factor**i))
    return after


def longer_steps(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Raise the rate 3 times, and again while the report says that the steps are too short."""
    after = run
    for i in range(1, ROUNDS + 1):
        tried = on(run, run.scenario.make_tx(3.0**i))
        if not np.isfinite(tried.losses).all() or (i > 1 and tried.losses[-9:].mean() > after.losses[-9:].mean()):
            break
        after = tried
        if diagnosed(after).verdict != "crawling":
            break
    return after


def up_to(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Raise the rate as far as is said; where that alone may not do, take a sigma, or momentum if there is one."""
    most = number(found[1])
    tx = run.scenario.make_tx(most)
    if "as well" not in report.action:
        return on(run, tx) if report.features.one_loss else in_stages(run, most)
    return on(run, gradtx.chain(tx, gradtx.trace(0.9))) if report.features.scaled else with_sigma(run, report, found)


def in_stages(run: Run, most: float) -> Run:
    """Raise the rate 10 times, and 10 times again up to a most while the loss ends lower: minibatches bear less."""
    after, factor = run, 1.0
    while factor < most:
        factor = min(10 * factor, most)
        tried = on(run, run.scenario.make_tx(factor))
        if not last(tried.losses) < last(after.losses):
            break
        after = tried
    return after


def with_sigma(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Take Adagrad, its first step a tenth of the params' usual size."""
    size = float(np.sqrt(np.mean(np.concatenate([np.ravel(x) ** 2 for x in jax.tree.leaves(run.params)]))))
    return on(run, gradtx.adagrad(0.1 * (size or 1.0)))


def warmed_up(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Start again with a warm-up over 1 / (1 - b2) steps, 100 where the sigma has no decay."""
    tx, times = run.scenario.make_tx(), number(found[1])
    known = [
        float(x) for name, x in gradtx.hyperparams(tx, tx.init(run.params)).items() if name.endswith((".decay", ".b2"))
    ]
    length = min(1 / (1 - max(known)), 0.5 * run.scenario.steps) if known and max(known) < 1 else 100.0

    def share(count: Any) -> jax.Array:
        return jnp.minimum(1 / times + jnp.asarray(count, jnp.float32) / length, 1.0)

    return anew(run, gradtx.chain(tx, gradtx.scale_by_schedule(share)))


def skipping(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Start again with steps skipped that are not finite."""
    return anew(run, gradtx.guard(run.scenario.make_tx()))


def initialised(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Draw the named groups anew, with variance 2 / fan-in and biases of 0, and start again."""
    names, rng = set(report.features.dead) | set(report.features.gone), np.random.default_rng(0)

    def drawn(x: Any) -> Any:
        scale = np.sqrt(2 / np.prod(x.shape[:-1])) if x.ndim > 1 else 0.0
        return (scale * rng.normal(size=x.shape)).astype(x.dtype)

    old = run.scenario.init()
    fresh = {k: jax.tree.map(drawn, x) if k in names else x for k, x in old.items()}
    return anew(run, run.scenario.make_tx(), init=lambda: fresh)


@plain
def off_the_saddle(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Move the params by noise of a hundredth of their size, and go on with momentum."""
    leaves, treedef = jax.tree.flatten(run.params)
    rng = np.random.default_rng(0)
    size = np.sqrt(sum(float(jnp.sum(jnp.square(x))) for x in leaves) / sum(x.size for x in leaves)) or 1.0
    moved = [x + jnp.asarray(0.01 * size * rng.normal(size=x.shape), x.dtype) for x in leaves]
    return on(run, gradtx.chain(run.scenario.make_tx(), gradtx.trace(0.9)), treedef.unflatten(moved))


def less_decay(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Start again with a tenth of the weight decay, by adding the other nine tenths back."""
    tx = run.scenario.make_tx()
    hyper = gradtx.hyperparams(tx, tx.init(run.params))
    of = lambda word: next(float(x) for name, x in hyper.items() if name.endswith(word))  # noqa: E731
    back = 0.9 * of("learning_rate") * of("weight_decay")
    return anew(run, gradtx.chain(tx, gradtx.add_decayed_weights(back)))


def before_the_jump(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Go back to before the jump, and pass it with clipped gradients and a part of the rate."""
    start = run_scenario(run.scenario, steps=max(int(number(found[1])) - 32, 1))
    bound = gradtx.clip_by_global_norm(report.features.g_first)
    tx = gradtx.watch(gradtx.chain(bound, run.scenario.make_tx(number(found[2]))))
    return resume(start, tx, steps=run.count - start.count)


def wide(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Start again with the params in float32."""
    init = run.scenario.init
    return anew(
        run, run.scenario.make_tx(), init=plain(lambda: jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), init()))
    )


def some_rate(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Go on at the rate that is named."""
    return on(run, gradtx.sgd(number(found[1])))


def schedule_again(run: Run, report: gradtx.Report, found: Any) -> Run:
    """Go on with the schedule begun again, three times."""
    tx, after = run.scenario.make_tx(), run
    for _ in range(3):
        after = on(after, tx)
    return after


REMEDIES: tuple[tuple[str, Remedy], ...] = (
    (rf"restart from before step [\d,]+ with learning rate x {NUMBER}", smaller_from_start),
    (rf"start again with learning rate x {NUMBER}", smaller_from_start),
    (rf"go back to before step {NUMBER} with learning rate x {NUMBER}", before_the_jump),
    (r"skip such steps with gradtx.guard", skipping),
    (rf"warm up over about 1/\(1-b2\) steps from learning rate / {NUMBER}", warmed_up),
    (r"else initialise .* anew", initialised),
    (r"momentum or noise|noise or momentum", off_the_saddle),
    (r"weight decay x 0\.1", less_decay),
    (r"keep the parameters in float32", wide),
    (rf"set a rate above 0, such as {NUMBER}", some_rate),
    (r"lengthen the schedule", schedule_again),
    (r"raise the learning rate 3 to 10 times", longer_steps),
    (rf"raise the learning rate up to {NUMBER} times", up_to),
    (r"^a sigma \(Adagrad, Adam\) or momentum", with_sigma),
    (rf"^learning rate x {NUMBER}", other_rate),
)


def carry_out(run: Run, report: gradtx.Report) -> tuple[str, Run | None]:
    """Return the words of the action that were carried out, and the run after it; None if it is for a person."""
    for words, remedy in REMEDIES:
        found = re.search(words, report.action)
        if found:
            return found[0], remedy(run, report, found)
    return report.action, None


@plain
def diagnosed(run: Run) -> gradtx.Report:
    """Return the report on a run under watch, without a probe."""
    return gradtx.diagnose(run.state)
