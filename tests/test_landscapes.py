"""The gallery of surfaces: every optimizer runs, and the page prints what the script does."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tests.printed import same
from tests.registry import ROWS

ROOT = Path(__file__).parents[1]
QUICK = ("adagrad", "adamw", "lbfgs", "lion", "momo", "sgd", "soap")

# descents across a valley amplify the last bit, and another XLA, or its flags in this suite, rounds otherwise
BOUNCING = {
    *((name, "rosenbrock") for name in ("dowg", "fromage", "lamb", "polyak_sgd")),
    *((name, "beale") for name in ("lamb", "lars")),
    *((name, "valley") for name in ("optimistic_adam", "optimistic_adam_v2")),
}


@pytest.fixture
def landscapes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "examples")
    return importlib.import_module("landscapes")


@pytest.fixture
def runs(landscapes: ModuleType) -> ModuleType:
    return importlib.import_module("landscape_runs")


def printed() -> dict[str, str]:
    """Return the lines of the page's table, by their optimizer."""
    table = (ROOT / "docs/surfaces.md").read_text().split("```output\n")[1].split("```")[0]
    return {line.split()[0]: line for line in table.splitlines()[1:]}


def cells(line: str) -> list[str]:
    """Return what a line of the table says of each surface."""
    return re.split(r"  +", line.strip().replace(" ", "  ", 1))[1:]


def test_every_optimizer_runs_or_is_said_to_be_left_out(runs: ModuleType) -> None:
    optimizers = {row.public for row in ROWS if row.kind == "optimizer"}
    assert set(runs.names()) | runs.LEFT_OUT.keys() >= optimizers
    assert set(runs.names()).isdisjoint(runs.LEFT_OUT)
    assert list(printed()) == runs.names()
    page = (ROOT / "docs/surfaces.md").read_text()
    assert all(f"`{name}`" in page for name in (*runs.MATRICES, *runs.UNTUNED, *runs.LEFT_OUT))
    assert f"the one of {len(runs.RATES)} from 1e-7 to 30 " in page
    assert page.count(f"Descents of {len(runs.names())} optimizers") == len(runs.SURFACES)


def test_the_lowest_point_of_each_surface_is_where_its_cross_stands(runs: ModuleType) -> None:
    for surface in runs.SURFACES.values():
        lowest = jnp.asarray(surface.lowest, jnp.float64)
        start = float(surface.height(jnp.asarray(surface.start, jnp.float64)))
        assert abs(float(surface.height(lowest))) < 1e-9 * start
        assert np.linalg.norm(jax.grad(surface.height)(lowest)) < 1e-6 * start
        assert np.all(np.linalg.eigvalsh(jax.hessian(surface.height)(lowest)) > 0)
        for name, point in (("start", surface.start), ("lowest", surface.lowest)):
            for coordinate, (low, high) in zip(point, (surface.across, surface.up), strict=True):
                assert low < coordinate < high, name


def test_the_page_prints_what_the_script_measures(landscapes: ModuleType, runs: ModuleType, exhaustive: bool) -> None:
    """But where the last bit decides, as the page says: across a valley, and from pit to pit of Rastrigin."""
    page, wrong = printed(), []
    for name in runs.names() if exhaustive else QUICK:
        _, line = landscapes.table({name: runs.descents(name)}).splitlines()
        wrong += [
            (name, surface, is_now, was)
            for surface, is_now, was in zip(runs.SURFACES, cells(line), cells(page[name]), strict=True)
            if not same(is_now, was)
            and (name, surface) not in BOUNCING
            and not (surface == "rastrigin" and not was.endswith(": 9.95"))
        ]
    assert not wrong, "\n".join(map(str, wrong))


def test_the_script_prints_and_draws(
    landscapes: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    surfaces = importlib.import_module("surfaces")
    monkeypatch.setattr(surfaces, "UPDATES", 40)
    monkeypatch.setattr(surfaces, "regression_run", surfaces.regression_run.__wrapped__)
    short = ["--only", "sgd", "muon", "--updates", "20", "--frames", "4", "--out", str(tmp_path)]
    assert landscapes.main(short) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["optimizer", "Rosenbrock", "Rastrigin", "Beale"]
    assert [line.split()[0] for line in lines] == ["sgd", "muon"]
    pictures = sorted(tmp_path.glob("surface-*.png"))
    assert [path.stem for path in pictures] == [
        "surface-beale",
        "surface-rastrigin",
        "surface-rosenbrock",
        "surface-valley",
    ]
    for path in pictures:
        with Image.open(path) as image:
            assert image.width > 1000
            assert np.asarray(image.convert("L")).std() > 10
    with Image.open(tmp_path / "lecture-descents.gif") as film:
        assert film.n_frames > 3
        assert "loop" not in film.info  # it plays once


def test_the_paths_go_down_and_start_where_they_should(runs: ModuleType) -> None:
    for key, path in runs.descents("adam", 200).items():
        surface = runs.SURFACES[key]
        assert tuple(path.points[0]) == surface.start
        assert path.points.shape == (201, 2)
        assert path.height < 0.5 * float(surface.height(jnp.asarray(surface.start, jnp.float64)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "dpsgd"], "dpsgd takes a gradient of each example"),
        (["--only", "adamm"], "adamm is no optimizer; there are acprop, adabelief"),
        (["--updates", "0"], "--updates is 0, expected at least 1"),
    ],
)
def test_what_it_cannot_draw_is_said(
    landscapes: ModuleType, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        landscapes.main(arguments)
    assert words in capsys.readouterr().err
