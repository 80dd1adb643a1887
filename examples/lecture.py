"""Draw the lecture "Error surface is rugged: adapting the learning rate" from runs of gradtx, and print its table.

    python examples/lecture.py [--out examples/figures]

One picture per slide that is a computation; `surfaces.py` holds the surfaces and the runs.
"""

from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
import surfaces
from drawing import BLUE, GREEN, ORANGE, RED, arguments, loss_and_gradient, plain_log, save
from matplotlib.axes import Axes
from surfaces import UPDATES, Descent, adagrad_mean, descend, diagnosis, regression_run, regression_verdict, rmsprop

import gradtx


def contours(
    axes: Axes, loss: Any, across: tuple[str, float, float], up: tuple[str, float, float], power: float = 1
) -> None:
    """Draw a surface's contours; `power` below 1 puts the levels closer together at the bottom."""
    grid = np.meshgrid(np.linspace(*across[1:], 201), np.linspace(*up[1:], 201))
    z = np.asarray(jax.vmap(loss)({across[0]: grid[0].ravel(), up[0]: grid[1].ravel()})).reshape(grid[0].shape)
    levels = z.min() + (z.max() - z.min()) * np.linspace(0, 1, 41) ** (1 / power)
    axes.contourf(*grid, z, levels, cmap="jet", alpha=0.5)
    axes.contour(*grid, z, levels[::4], colors="navy", linewidths=0.5, alpha=0.5)
    axes.set(xlabel=across[0], ylabel=up[0], xlim=across[1:], ylim=up[1:])
    axes.grid(visible=False)


def regression_contours(axes: Axes, title: str) -> None:
    """Draw the regression surface as the slides do, with an orange cross at its optimum."""
    contours(axes, surfaces.regression, ("b", -200, -100), ("w", -5, 5))
    best, _ = surfaces.optimum()
    axes.plot(best["b"], best["w"], "x", color=ORANGE, markersize=13, markeredgewidth=3, zorder=6)
    axes.set_title(title)


def trail(axes: Axes, run: Descent, across: str, up: str, colour: str = "black", label: str | None = None) -> None:
    """Draw a descent as dots joined by lines, a larger dot at its start and a square at its end."""
    x, y = run.at[across], run.at[up]
    axes.plot(x, y, "o-", color=colour, markersize=2.5, linewidth=1, label=label)
    axes.plot(x[0], y[0], "o", color="black", markersize=8, zorder=4)
    axes.plot(x[-1], y[-1], "s", color=colour, markeredgecolor="white", markersize=7, zorder=4)


def stuck() -> plt.Figure:
    """1a: the loss is flat, the gradient is not small."""
    tx = gradtx.sgd(1.5)
    run = descend(tx, surfaces.narrowing, {"x": 12.0, "y": 0.0}, 200)
    figure, (above, across, time) = plt.subplots(1, 3, figsize=(17, 5), width_ratios=(1, 1, 1.4))
    contours(above, surfaces.narrowing, ("x", -4, 14), ("y", -6, 8))
    trail(above, run, "x", "y")
    above.set_title(f"A valley from above, {len(run.loss)} updates of GD")

    y = run.at["y"][-1]
    wall = np.linspace(-3.0, 3.0, 301)
    height = jax.vmap(lambda x: surfaces.narrowing({"x": x, "y": y}))(wall)
    across.plot(wall, height, color="black", linewidth=2.5)
    x, loss = run.at["x"][-3:-1], run.loss[-2:]
    for i, lift in ((0, 0.03), (1, -0.03)):
        ends = {"xy": (x[1 - i], loss[1 - i] + lift), "xytext": (x[i], loss[i] + lift)}
        across.annotate(
            "", **ends, arrowprops={"arrowstyle": "-|>", "color": BLUE, "linewidth": 2, "shrinkA": 4, "shrinkB": 4}
        )
    across.plot(x, loss, "o", color="black", markersize=8)
    across.set(xlabel="x", ylabel="loss", title=f"Across it at y = {y:.1f}: the last two updates")

    loss_and_gradient(time, run.loss, run.gradient_norm)
    time.set_title("The loss is flat, the gradient norm rises")
    figure.suptitle(f"verdict: {diagnosis(tx, run).verdict}", fontweight="bold")
    return figure


def convex() -> plt.Figure:
    """1b: convex, and still too fast with one rate and too slow with the other."""
    figure, axes = plt.subplots(1, 3, figsize=(17, 5), sharey=True)
    regression_contours(axes[0], "Convex: the start and the optimum")
    axes[0].plot(*surfaces.START.values(), "o", color="black", markersize=14)
    note = {"ha": "center", "bbox": {"facecolor": "white", "edgecolor": "none", "boxstyle": "round"}}

    run, every = regression_run(name := "GD, eta = 1.145e-6"), 8_000
    regression_contours(axes[1], f"$\\eta$ = 1.145e-6, above the stable edge\nverdict: {regression_verdict(name)}")
    for first in range(0, 4 * every + 1, every):
        axes[1].plot(run.at["b"][first : first + 3], run.at["w"][first : first + 3], "o-", color="black", markersize=4)
    low, high = (edge(run.at["w"][: first + 3]) for edge in (np.min, np.max))
    axes[1].text(
        -165, -0.3, f"one bounce in every {every:,}\nupdates drawn; w swings\nfrom {low:.0f} to {high:.0f}", **note
    )

    run = regression_run(name := "GD, eta = 1e-7")
    regression_contours(axes[2], f"$\\eta$ = 1e-7\nverdict: {regression_verdict(name)}")
    trail(axes[2], run, "b", "w")
    end = (run.at["b"][-1], run.at["w"][-1])
    arrow = {"arrowstyle": "-|>", "color": RED, "linewidth": 2}
    axes[2].annotate(f"{UPDATES:,} updates\nend here", end, (-160, -0.3), color=RED, arrowprops=arrow, **note)
    return figure


def two_rates() -> plt.Figure:
    """2: a rate per parameter, larger along the flat direction."""
    start = {"w1": -4.5, "w2": -4.0}
    runs = {"GD, $\\eta$ = 0.1": (descend(gradtx.sgd(0.1), surfaces.ellipse, start, 40), BLUE)}
    runs["RMSProp, $\\eta$ = 0.2"] = (descend(rmsprop(0.2, 0.9), surfaces.ellipse, start, 40), "black")
    figure, (plane, time) = plt.subplots(1, 2, figsize=(13, 5.5))
    contours(plane, surfaces.ellipse, ("w1", -5, 5), ("w2", -5, 5))
    for label, (run, colour) in runs.items():
        trail(plane, run, "w1", "w2", colour, label)
    plane.plot(0, 0.3, "x", color=ORANGE, markersize=13, markeredgewidth=3, zorder=6)
    plane.legend(loc="upper right")
    plane.set_title("Flat along w1, steep along w2")
    rate = runs["RMSProp, $\\eta$ = 0.2"][0].rate
    time.semilogy(rate["w1"], color=GREEN, label="w1, flat: larger rate")
    time.semilogy(rate["w2"], color=RED, label="w2, steep: smaller rate")
    time.axhline(0.1, color=BLUE, label="GD: one rate for both")
    time.set(xlabel="update", ylabel=r"effective rate $\eta$ / $\sigma$", title="Each parameter's own rate, RMSProp")
    time.legend()
    plain_log(time.yaxis)
    return figure


def new_moon() -> plt.Figure:
    """2.2a: the rate must change along one direction too."""
    start, updates = {"w1": -1.6, "w2": 1.2}, 2_000
    methods = {
        "RMSProp, $\\eta$ = 0.005": (rmsprop(0.005, 0.9), "black"),
        "GD, $\\eta$ = 5e-4": (gradtx.sgd(5e-4), BLUE),
        "Adagrad (mean), $\\eta$ = 0.005": (adagrad_mean(0.005), RED),
    }
    figure, axes = plt.subplot_mosaic([["moon", "rate"], ["moon", "loss"]], figsize=(15, 7), width_ratios=(1.3, 1))
    contours(axes["moon"], surfaces.new_moon, ("w1", -2, 2), ("w2", -1, 2), power=0.3)
    for label, (tx, colour) in methods.items():
        run = descend(tx, surfaces.new_moon, start, updates)
        trail(axes["moon"], run, "w1", "w2", colour, label)
        axes["rate"].semilogy(run.rate["w1"], color=colour, label=label)
        axes["loss"].semilogy(run.loss, color=colour, label=label)
    axes["moon"].plot(1, 1, "x", color=ORANGE, markersize=13, markeredgewidth=3, zorder=6)
    axes["moon"].set_title(f"A new-moon valley: {updates:,} updates of each")
    axes["moon"].legend(loc="lower right")
    axes["rate"].set(xlabel="update", ylabel=r"$\eta$ / $\sigma$ of w1", title="The rate along ONE direction, w1")
    axes["loss"].set(xlabel="update", ylabel="loss", title="The loss")
    return figure


def slope() -> plt.Figure:
    """2.2c: RMSProp's sigma rises fast on the steep stretch and falls slowly on the flat one."""
    eta, decay, updates = 0.1, 0.9, 120
    run = descend(rmsprop(eta, decay), surfaces.slope, {"x": 0.0}, updates)
    x, rate = run.at["x"][:-1], run.rate["x"]
    figure, axes = plt.subplots(3, 1, figsize=(11, 9), sharex=True, height_ratios=(1.4, 1, 1))
    line = np.linspace(0, x[-1], 400)
    axes[0].plot(line, surfaces.slope({"x": line}), color="black", linewidth=2.5)
    axes[0].plot(x, run.loss, "o", color=BLUE, markersize=7, alpha=0.8)
    axes[0].set(ylabel="loss", title=f"RMSProp down a slope, one ball per update ($\\eta$ = {eta}, decay {decay})")
    axes[0].set_ylim(-2.5, 5)
    for at, words in (
        (1, "small $\\sigma$:\nlarger rate"),
        (4.9, "$\\sigma$ rises:\nsmaller rate"),
        (8, "$\\sigma$ falls:\nlarger rate"),
    ):
        axes[0].text(at, surfaces.slope({"x": at}) + 0.6, words, fontsize=14)
    axes[1].semilogy(x, np.abs(run.gradient["x"]), "--", color=RED, label="|gradient|")
    axes[1].semilogy(x, eta / rate, "o-", color=GREEN, markersize=3, label=r"$\sigma$")
    title = r"$\sigma$ follows the gradient: fast on the way up, slowly on the way down"
    axes[1].set(ylabel=r"|gradient|, $\sigma$", title=title)
    axes[1].legend()
    axes[2].semilogy(x, rate, "o-", color=BLUE, markersize=3)
    axes[2].set(xlabel="x", ylabel=r"$\eta$ / $\sigma$", title=r"The effective rate $\eta$ / $\sigma$")
    for side in axes[1:]:
        plain_log(side.yaxis)
    return figure


def regression_and_time(name: str, title: str) -> plt.Figure:
    """Draw a run on the regression surface beside w and its effective rate over time."""
    run = regression_run(name)
    figure, axes = plt.subplot_mosaic([["plane", "w"], ["plane", "rate"]], figsize=(15, 6), width_ratios=(1.2, 1))
    regression_contours(axes["plane"], f"{title}\nverdict: {regression_verdict(name)}")
    trail(axes["plane"], run, "b", "w")
    _, eigenvalues = surfaces.optimum()
    first = slice(0, 10_000)
    axes["w"].plot(run.at["w"][first], color="black", linewidth=1)
    axes["w"].set(xlabel="update", ylabel="w", ylim=(-5, 8), title="w, the first 10,000 updates")
    axes["rate"].plot(run.rate["w"][first], color=BLUE, label=r"$\eta$ / $\sigma$ of w")
    axes["rate"].axhline(2 / eigenvalues[1], color=RED, linestyle="--", label="stable edge, 2 / largest eigenvalue")
    axes["rate"].set(xlabel="update", ylabel=r"$\eta$ / $\sigma$", ylim=(0, 1.5e-6), title="Its effective rate")
    axes["rate"].legend(loc="center right")
    return figure


def schedules() -> plt.Figure:
    """2.4b: decay and warm-up."""
    make, steps = gradtx.schedules, 1_000
    decays = [make.cosine(1.0, steps), make.linear(1.0, 0.0, steps), make.exponential(1.0, 300, 0.5)]
    warm_ups = [make.warmup_cosine(1.0, 150, steps), make.warmup_linear(1.0, 150, steps)]
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.5), sharey=True)
    titles = ("Decay: near the end, step less", r"Warm-up: at first $\sigma$ is a poor estimate")
    for side, title, rates in zip(axes, titles, (decays, warm_ups), strict=True):
        make.plot(rates, steps + 1, axes=side)
        side.set(title=title, ylabel=r"learning rate $\eta_t$")
        side.legend(fontsize=10)
    return figure


def warm_ups() -> plt.Figure:
    """2.4c: three warm-ups in use."""
    make = gradtx.schedules
    plans = {
        "ResNet-110: until the error is below 80 %": (make.resnet110().if_at(400), 800),
        "Transformer, width 512": (make.inverse_sqrt(d_model=512), 20_000),
        "BERT": (make.warmup_linear(1e-4, 10_000, 1_000_000), 1_000_001),
    }
    figure, axes = plt.subplots(1, 3, figsize=(17, 4.5))
    for side, (title, (rate, steps)) in zip(axes, plans.items(), strict=True):
        make.plot(rate, steps, axes=side)
        side.set(title=title, ylabel=r"learning rate $\eta_t$", ylim=(0, None))
        side.locator_params(axis="x", nbins=5)
        side.legend(fontsize=10)
    return figure


def pictures() -> dict[str, Any]:
    """Return what draws each picture, by file name."""
    return {
        "1a-stuck-is-not-small-gradient": stuck,
        "1b-convex-and-still-hard": convex,
        "2-different-rates": two_rates,
        "2.2a-changes-along-one-direction": new_moon,
        "2.2c-rmsprop-adapts": slope,
        "2.4a-adagrad-bursts": lambda: regression_and_time(surfaces.BURSTS, "Adagrad, mean form, $\\eta$ = 1"),
        "2.4b-decay-ends-the-bursts": lambda: regression_and_time(surfaces.CALM, "$\\eta_t$ = 1 / sqrt(t + 1)"),
        "2.4b-decay-and-warmup": schedules,
        "2.4c-warmup-in-resnet-and-transformer": warm_ups,
    }


def main(argv: list[str] | None = None) -> list[Path]:
    """Print the table and write every picture."""
    args = arguments(__doc__).parse_args(argv)
    surfaces.print_table()
    return [save(draw(), args.out, name) for name, draw in pictures().items()]


if __name__ == "__main__":
    for path in main():
        print(path)
