"""Get stuck in eleven ways, let each report name the cause, do what it says, and draw before and after.

    python examples/stuck.py [--out examples/figures] [--only oscillating crawling ...]

`stuck_runs.py` holds the runs and the mends. Exits with 1 where a verdict is wrong or a mended run is not better.
"""

import dataclasses
import sys
import textwrap
import time
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from drawing import BLUE, RED, arguments, plain_log, save
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from stuck_runs import Case, cases, run, train

import gradtx

BETTER = 0.9  # a mended run ends below this share of the loss it was stuck at
COLUMNS = 4


@dataclasses.dataclass(frozen=True)
class Story:
    """A run, its diagnosis, and the run again after what the report said was done.

    Attributes:
        case: the run.
        before: its losses.
        report: its diagnosis.
        action: what was done, in short.
        after: the losses of the run again.
    """

    case: Case
    before: np.ndarray
    report: gradtx.Report
    action: str
    after: np.ndarray

    @property
    def ends(self) -> tuple[float, float]:
        """The mean loss over the last tenth of each run, NaN where it overflowed."""
        before, after = (float(np.mean(x[-(len(x) // 10) :])) for x in (self.before, self.after))
        return before, after

    @property
    def faults(self) -> list[str]:
        """What is wrong: a verdict that is not the cause, a mended run that is not better."""
        before, after = self.ends
        verdict = self.report.verdict
        wrong = [] if verdict == self.case.verdict else [f"verdict {verdict}, expected {self.case.verdict}"]
        return wrong if np.isfinite(after) and not after > BETTER * before else [*wrong, "not better"]


def tell(case: Case) -> Story:
    """Run, diagnose, do what the report says, run again."""
    before, report = run(case)
    action, changes = case.mend(report)
    again = dataclasses.replace(case, **changes)
    after, *_ = train(again, again.tx)
    return Story(case, before, report, action, after)


def print_short(story: Story) -> None:
    """Print the report in short: verdict, three lines of evidence, action."""
    report = story.report
    print(f"{story.case.name}, {report.run.steps:,} updates")
    lines = [("VERDICT", f"{report.verdict}: {report.headline}"), *(("", line) for line in report.evidence[:3])]
    for label, text in (*lines, ("ACTION", report.action), ("DOUBT", report.doubt), ("DONE", story.action)):
        if text:
            print(textwrap.fill(text, 116, initial_indent=f"  {label:<9}", subsequent_indent=" " * 11))
    print()


def print_table(stories: list[Story]) -> None:
    """Print a line for each run."""
    print(f"{'run':<32}{'verdict':<16}{'done':<36}loss before -> after")
    for story in stories:
        before, after = (f"{x:.3g}" for x in story.ends)
        faults = "".join(f"   {fault.upper()}" for fault in story.faults)
        print(f"{story.case.name:<32}{story.report.verdict:<16}{story.action:<36}{before:>8} -> {after}{faults}")


def panel(axes: Axes, story: Story) -> None:
    """Draw the losses of a run before and after."""
    before, after = story.before, story.after
    ended = np.flatnonzero(~np.isfinite(before))
    axes.semilogy(before, color=RED, linewidth=3 if len(ended) else 1.6)  # wide where the mended run goes the same way
    axes.semilogy(after, color=BLUE, linewidth=1.6)
    shown = np.concatenate([before, after])
    shown = shown[np.isfinite(shown) & (shown > 0)]
    top = min(shown.max(), 1e4 * max(before[0], after[0]))  # a run that overflows leaves the picture
    low, high = np.log10(max(shown.min(), 1e-9 * after[0])), np.log10(top)
    axes.set_ylim(10 ** (low - 0.06 * (high - low)), 10 ** (high + 0.08 * (high - low)))
    if high - low < 2:
        plain_log(axes.yaxis)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.locator_params(axis="x", nbins=4)
    if len(ended):
        last = int(ended[0]) - 1
        axes.plot(last, min(before[last], top), "x", color=RED, markersize=9, markeredgewidth=2.5, clip_on=False)
    axes.tick_params(labelsize=10)
    axes.set_title(story.report.verdict, fontsize=14, fontweight="bold", color=RED, loc="left", pad=24)
    axes.text(0, 1.03, story.action, transform=axes.transAxes, fontsize=11.5, color=BLUE)
    axes.text(1, -0.14, story.case.name, transform=axes.transAxes, fontsize=10, color="#555555", ha="right", va="top")


def draw(stories: list[Story]) -> plt.Figure:
    """Draw a panel for each run, and a key in the corner that is left."""
    rows = -(-(len(stories) + 1) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(16, 3.7 * rows), squeeze=False)
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.08)
    panels = list(grid.ravel())
    for axes, story in zip(panels, stories, strict=False):
        panel(axes, story)
    for axes in panels[len(stories) :]:
        axes.set_axis_off()
    key: Any = panels[len(stories)]
    key.text(0.05, 0.9, "Each run was stuck: its report\nnamed the cause and the cure.", fontsize=13, va="top")
    key.plot([0.05, 0.2], [0.5, 0.5], color=RED, linewidth=3)
    key.text(0.26, 0.5, "stuck (verdict)", fontsize=13, va="center", color=RED)
    key.plot([0.05, 0.2], [0.36, 0.36], color=BLUE, linewidth=3)
    key.text(0.26, 0.36, "after the action", fontsize=13, va="center", color=BLUE)
    key.plot([0.125], [0.22], "x", color=RED, markersize=9, markeredgewidth=2.5)
    key.text(0.26, 0.22, "not finite from here", fontsize=13, va="center", color=RED)
    key.text(0.05, 0.06, "loss over updates, log scale", fontsize=12, va="center", color="#555555")
    key.set(xlim=(0, 1), ylim=(0, 1))
    return figure


def main(argv: list[str] | None = None) -> int:
    """Run, print and draw; return 1 where a verdict is wrong or a mended run is not better."""
    parser = arguments(__doc__)
    parser.add_argument("--only", nargs="+", metavar="VERDICT", help="the runs made for these verdicts")
    args = parser.parse_args(argv)
    start = time.perf_counter()
    stories = []
    for case in cases():
        if args.only is None or case.verdict in args.only:
            stories.append(tell(case))
            print_short(stories[-1])
    if not stories:
        parser.error(f"no run was made for {' or '.join(args.only)}; there are {', '.join(c.verdict for c in cases())}")
    print_table(stories)
    print(f"\npicture  {save(draw(stories), args.out, 'stuck')}   {time.perf_counter() - start:.0f} s")
    return int(any(story.faults for story in stories))


if __name__ == "__main__":
    sys.exit(main())
