"""Write the gallery: one page a verdict, from the runs of examples/stuck_runs.py.

    PYTHONPATH=.:examples python docs/tools/gallery.py [--only VERDICT ...] [--check]

Each page has the picture of the run before and after, what the optimizer's record says, and the code that mends it. The
code is filled with the report's numbers and must make the very transform that mended the run, or nothing is written.
With `--check` nothing is drawn or written: the pages are compared with the runs, numbers to 5 %.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from drawing import BLUE, RED, save
from stuck import Story, panel, tell
from stuck_runs import cases

DOCS = Path(__file__).parents[1]
WHAT = {
    "oscillating": "Each step lands on the other wall of a valley. The loss is flat, the gradient is not small.",
    "crawling": "The direction is right and the step is much too short.",
    "saddle_plateau": "The loss is flat because the surface is: here curves up one way and down another.",
    "noise_floor": "What the loss gains by a step, the next minibatch takes away.",
    "diverging": "Loss and gradient grow.",
    "non_finite": "One step was not finite, without any growth before: a bad batch or an operation, not the rate.",
    "vanishing_dead": "A part of the model gets no gradient.",
    "always_clipped": "The bound of the clip, not the gradient, sets the length of each step.",
    "sigma_burst": "Where gradients have become tiny, eta / sigma grows past what is stable, and the loss spikes.",
    "needs_warmup": "The first estimates of sigma come from few gradients, and the first steps are too long.",
}
CODE = {  # what each run was trained with, and what mended it; {} is the number that the report gives
    "softmax regression, GD": (
        "gradtx.sgd(4.0)",
        "gradtx.sgd({rate!r} / (1 - ({rho!r})))  # to the minimum of the line",
    ),
    "tanh net, Adam, crawling": (
        "gradtx.adam(1e-5)",
        "gradtx.adam({tenth!r})  # a tenth of the way to the edge that the probe found",
    ),
    "linear, two scales, GD": ("gradtx.sgd(1e-4)", "gradtx.adagrad(0.3)  # a sigma of its own for each parameter"),
    "two linear layers, GD": ("gradtx.sgd(0.005)", "gradtx.sgd(0.005, momentum=0.9)"),
    "linear, batches of 2, SGD": ("gradtx.sgd(0.1)", "gradtx.sgd({rate!r} * 0.1)"),
    "relu net, heavy ball": ("gradtx.sgd(0.3, momentum=0.9)", "gradtx.sgd({rate!r} * 0.25, momentum=0.9)"),
    "relu net, AdamW, bad batch": ("gradtx.adamw(1e-3)", "gradtx.guard(gradtx.adamw(1e-3))"),
    "relu net, clip 0.01, Nesterov": (
        "gradtx.chain(gradtx.clip_by_global_norm(0.01), gradtx.sgd(0.01, momentum=0.9, nesterov=True))",
        "gradtx.chain(\n    gradtx.clip_by_global_norm(0.01),\n"
        "    gradtx.sgd({rate!r} * (1 / {clip!r}), momentum=0.9, nesterov=True),\n)",
    ),
    "tanh net, Adam, sigma_burst": ("gradtx.adam(0.1)", "gradtx.amsgrad(0.1)"),
    "relu net, RMSProp": (
        "gradtx.rmsprop(0.03, decay=0.998)",
        "gradtx.rmsprop(gradtx.schedules.warmup_constant({rate!r}, 500, {rate!r} / {early!r}), decay=0.998)",
    ),
}
REVIVED = """from examples.stuck_models import layers

params = layers(64, 32, 32, 10)
params["layer2"]["b"] -= 20  # the run: so low that no unit of the layer ever fires
fresh = layers(64, 32, 32, 10)
params |= {name: fresh[name] for name in DEAD}  # the groups that the report names"""


def code(story: Story) -> str:
    """Return the code that mends a run, once it was seen to make what mended it.

    Raises:
        ValueError: it makes another transform.
    """
    case, features = story.case, story.report.features
    if case.verdict == "vanishing_dead":
        return REVIVED.replace("DEAD", repr(features.dead).replace("'", '"'))
    before, after = CODE.get(case.name) or CODE[f"{case.name}, {case.verdict}"]
    probe: Any = story.report.probe
    numbers = {
        "rate": features.learning_rate,
        "rho": features.rho,
        "clip": features.clip_median,
        "early": features.early_steps,
        "tenth": features.learning_rate * 0.1 * probe.edge / probe.sharpness if probe else 0.0,
    }
    exact = {name: float(x) if x is not None else 0.0 for name, x in numbers.items()}
    _, changes = case.mend(story.report)
    space: dict[str, Any] = {}
    exec(lines(before, after.format(**exact)), space)
    if repr(space["tx"]) != repr(changes["tx"]) and "optax" not in after:
        raise ValueError(f"{case.name}: the page makes {space['tx']}, the run was mended by {changes['tx']}")
    return lines(before, after.format(**{name: float(f"{x:.4g}") for name, x in exact.items()}))


def lines(before: str, after: str) -> str:
    """Return the code that makes both transforms."""
    return f"import gradtx\n\ntx = {before}  # the run\ntx = {after}"


def picture(story: Story, name: str) -> None:
    """Draw a run before and after."""
    figure, axes = plt.subplots(figsize=(7.2, 3.8))
    panel(axes, story)
    axes.plot([], [], color=RED, label="stuck")
    axes.plot([], [], color=BLUE, label="after the action")
    axes.legend(fontsize=10)
    axes.set_ylabel("loss")
    save(figure, DOCS / "pictures", name, dpi=150)


def number(x: float) -> str:
    """Return a loss as text."""
    return f"{x:.3g}" if np.isfinite(x) else "not finite"


def section(story: Story, name: str) -> str:
    """Return the text of a page about one run."""
    case, report = story.case, story.report
    before, after = story.ends
    batches = f"minibatches of {case.size}" if case.size else "the full batch"
    return f"""![Loss over updates, logarithmic, stuck and after the action](../pictures/{name}.png)

{case.name[0].upper()}{case.name[1:]}: {case.steps:,} updates on {batches}.

## The report

```
{report}
```

## What mended it

```python
{code(story)}
```

| | mean loss over the last tenth |
|---|---|
| stuck | {number(before)} |
| {story.action} | {number(after)} |
"""


def main() -> None:
    """Run, mend, draw and write, or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="VERDICT", help="the pages of these verdicts")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a page says something else")
    args = parser.parse_args()
    pages: dict[str, list[Story]] = {}
    for case in cases():
        if args.only is None or case.verdict in args.only:
            pages.setdefault(case.verdict, []).append(tell(case))
    for verdict, stories in pages.items():
        faults = [fault for story in stories for fault in story.faults]
        if faults:
            raise SystemExit(f"{verdict}: {faults}")
        names = [f"stuck-{verdict}" + (f"-{i + 1}" if i else "") for i in range(len(stories))]
        texts = [section(story, name) for story, name in zip(stories, names, strict=True)]
        page, path = f"# {verdict}\n\n{WHAT[verdict]}\n\n" + "\n".join(texts), DOCS / f"gallery/{verdict}.md"
        if args.check:
            differs = [line for line in unlike(page, path.read_text()) if line]
            if differs:
                raise SystemExit("\n".join([f"{path.name} is not what the runs say:", *differs]))
        else:
            for story, name in zip(stories, names, strict=True):
                picture(story, name)
            path.write_text(page)
        print(verdict, *(f"{story.ends[0]:.3g} -> {story.ends[1]:.3g}" for story in stories))


def unlike(page: str, written: str) -> list[str]:
    """Return the lines of a page, and of the page as it is written, that differ by more than rounding."""
    from tests.printed import same  # of a clone; the pages are written without it

    now, was = page.splitlines(), written.splitlines()
    if len(now) != len(was):
        return [f"- {line}" for line in was if line not in now] + [f"+ {line}" for line in now if line not in was]
    return [f"- {b}\n+ {a}" for a, b in zip(now, was, strict=True) if not same(a, b)]


if __name__ == "__main__":
    main()
