"""Draw every optimizer's descent on four surfaces, print how low each came, and animate the lecture's descents.

    python examples/landscapes.py [--out examples/figures] [--only adam lion ...] [--updates 500]

`landscape_runs.py` holds the surfaces and the runs, `surfaces.py` those of the lecture.
"""

import dataclasses
import io
import re
import sys
import time
from pathlib import Path as File

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import surfaces
from drawing import arguments, save
from landscape_runs import LEFT_OUT, SURFACES, UPDATES, Path, Surface, descents, names
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from PIL import Image

WAY, END, GOAL = "#0072b2", "#d55e00", "#000000"  # told apart by the colour-blind, and by their shapes
LIGHT = ListedColormap(plt.get_cmap("Greys")(np.linspace(0.0, 0.5, 256)))
COLUMNS, FRAMES, WAIT = 5, 60, 4_000
ANIMATED = {  # run: how it is drawn
    "GD, eta = 8e-7": ("#d55e00", "gradient descent, eta = 8e-7"),
    surfaces.BURSTS: ("#0072b2", "Adagrad, mean form, eta = 1"),
    surfaces.CALM: ("#000000", "Adagrad, mean form, eta = 1 / sqrt(t + 1)"),
}


def heights(surface: Surface) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a grid of points and the surface's heights there."""
    x, y = np.meshgrid(np.linspace(*surface.across, 161), np.linspace(*surface.up, 161))
    points = jnp.asarray(np.stack([x.ravel(), y.ravel()], 1))
    return x, y, np.asarray(jax.vmap(surface.height)(points)).reshape(x.shape)


def level(z: np.ndarray) -> np.ndarray:
    """Return heights as they are shaded: by their logarithm where they span many powers of ten."""
    return np.log(z + 1e-3 * np.median(z)) if np.median(z) < 0.1 * z.max() else z


def panel(axes: Axes, surface: Surface, contour: tuple[np.ndarray, ...], name: str, path: Path) -> None:
    """Draw one descent over the surface's contours, the lower the lighter."""
    x, y, z = contour
    axes.contourf(x, y, level(z), 12, cmap=LIGHT)
    axes.plot(*path.points.T, "-", color=WAY, linewidth=1, solid_joinstyle="round")
    axes.plot(*path.points.T, ".", color=WAY, markersize=2)
    axes.plot(*surface.start, "o", color="white", markeredgecolor=WAY, markersize=5, zorder=4)
    axes.plot(*surface.lowest, "x", color=GOAL, markersize=6, markeredgewidth=1.5, zorder=4)
    axes.plot(*path.points[-1], "s", color=END, markeredgecolor="white", markersize=5, zorder=5)
    axes.set(xlim=surface.across, ylim=surface.up, xticks=[], yticks=[])
    axes.set_title(name, fontsize=9 if len(name) < 22 else 7.5, pad=2)
    axes.set_xlabel(result(path), fontsize=8, labelpad=2)
    axes.grid(visible=False)


def result(path: Path) -> str:
    """Return the rate and the height of a descent in a few characters."""
    height = "< 1e-6" if path.height < 1e-6 else f"{path.height:.3g}" if np.isfinite(path.height) else "overflows"
    return re.sub(r"e([-+])0*", lambda sign: "e" + sign[1].strip("+"), f"{path.rate:g}: {height}")


def draw(surface: Surface, paths: dict[str, Path]) -> Figure:
    """Draw a panel for each optimizer on one surface."""
    rows = -(-len(paths) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(8.4, 1.85 * rows + 0.5), squeeze=False)
    contour = heights(surface)
    panels = list(grid.ravel())
    for axes, (name, path) in zip(panels, paths.items(), strict=False):
        panel(axes, surface, contour, name, path)
    for axes in panels[len(paths) :]:
        axes.set_axis_off()
    across, up = surface.names
    words = f"{surface.title}, {across} to the right, {up} upwards; under each its learning rate: how low it came"
    figure.suptitle(words[0].upper() + words[1:], fontsize=11)
    return figure


def table(found: dict[str, dict[str, Path]]) -> str:
    """Return a line for each optimizer: its rate and how low it came on each surface."""
    head = f"{'optimizer':<28}" + "".join(f"{surface.title:<24}" for surface in SURFACES.values())
    lines = [head.rstrip()]
    for name, paths in found.items():
        cells = (result(paths[surface]) for surface in SURFACES)
        lines.append((f"{name:<28}" + "".join(f"{cell:<24}" for cell in cells)).rstrip())
    return "\n".join(lines)


def frame(shown: int) -> Image.Image:
    """Draw the lecture's descents up to an update."""
    figure, axes = plt.subplots(figsize=(7.2, 4.6))
    surface = SURFACES["valley"]
    b, w, z = heights(dataclasses.replace(surface, across=(-200.0, -100.0), up=(-5.0, 7.0)))
    axes.contourf(b, w, level(z), 12, cmap=LIGHT)
    axes.plot(*surface.lowest, "x", color=GOAL, markersize=10, markeredgewidth=2)
    for name, (colour, label) in ANIMATED.items():
        run = surfaces.regression_run(name)
        b, w = (run.at[key][: shown + 1] for key in "bw")
        axes.plot(b, w, "-", color=colour, linewidth=1.2, label=label)
        axes.plot(b[-1], w[-1], "o", color=colour, markeredgecolor="white", markersize=9, zorder=5)
    axes.legend(loc="lower left", fontsize=10, framealpha=1)
    axes.set(xlabel="b", ylabel="w", xlim=(-200, -100), ylim=(-5, 7), title=f"after {shown:,} updates")
    axes.grid(visible=False)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    return Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE)


def animate(out: File, frames: int = FRAMES) -> File:
    """Write the lecture's descents as a GIF that plays once and rests at its end."""
    out.mkdir(parents=True, exist_ok=True)
    shown = np.unique(np.geomspace(1, surfaces.UPDATES, frames).astype(int)).tolist()
    first, *others = [frame(count) for count in [0, *shown]]
    file = out / "lecture-descents.gif"
    first.save(file, save_all=True, append_images=others, duration=[120] * len(others) + [WAIT], optimize=True)
    return file


def main(argv: list[str] | None = None) -> int:
    """Run, print and draw."""
    parser = arguments(__doc__)
    every = names()
    parser.add_argument("--only", nargs="+", metavar="NAME", default=every, help="these optimizers; default: all")
    parser.add_argument("--updates", type=int, default=UPDATES, help=f"of each descent; default: {UPDATES}")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of the animation, 0 for none")
    args = parser.parse_args(argv)
    unknown = [name for name in args.only if name not in every]
    if unknown:
        parser.error(f"{unknown[0]} {LEFT_OUT.get(unknown[0], 'is no optimizer')}; there are {', '.join(every)}")
    if args.updates < 1:
        parser.error(f"--updates is {args.updates}, expected at least 1")
    start = time.perf_counter()
    found = {name: descents(name, args.updates) for name in args.only}
    print(table(found))
    for key, surface in SURFACES.items():
        paths = {name: paths[key] for name, paths in found.items()}
        print(save(draw(surface, paths), args.out, f"surface-{key}", dpi=150), file=sys.stderr)
    if args.frames:
        print(animate(args.out, args.frames), file=sys.stderr)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
