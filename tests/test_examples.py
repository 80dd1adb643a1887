"""The examples run, measure what the lecture says, and draw."""

import contextlib
import dataclasses
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jax
import matplotlib.image
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

# run: (b, w) after 100,000 updates
ENDS = {
    "GD, eta = 1e-7": (-123.692, 2.4834),
    "GD, eta = 8e-7": (-144.606, 2.5435),
    "Adagrad, mean form, eta = 1/sqrt(t+1)": (-188.367, 2.6693),
    "Adagrad, mean form, eta = 0.1": (-188.433, 2.6695),
}
PICTURES = ["1a", "1b", "2-", "2.2a", "2.2c", "2.4a", "2.4b-decay-and", "2.4b-decay-ends", "2.4c"]


def load(name: str) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        return importlib.import_module(name)


def check_picture(path: Path, least: int = 400) -> None:
    pixels = matplotlib.image.imread(path)
    assert min(pixels.shape[:2]) >= least
    assert path.stat().st_size > 10_000
    assert pixels[..., :3].std() > 0.05


@pytest.fixture(scope="module")
def lecture(tmp_path_factory: pytest.TempPathFactory, exhaustive: bool) -> tuple[str, dict[str, Path]]:
    """Return what the lecture's example prints, and its pictures by name; a third in a quick run."""
    example, printed = load("lecture"), io.StringIO()
    drawn = dict(list(example.pictures().items())[:: 1 if exhaustive else 3])
    with contextlib.redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
        patch.setattr(example, "pictures", lambda: drawn)
        paths = example.main(["--out", str(tmp_path_factory.mktemp("figures"))])
    return printed.getvalue(), dict(zip(drawn, paths, strict=True))


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, float]]:
    return load("surfaces").table()


def test_surface_has_the_lectures_optimum_and_edge() -> None:
    best, (low, high) = load("surfaces").optimum()
    assert (round(best["b"], 4), round(best["w"], 5)) == (-188.4332, 2.66945)
    assert (round(low, 3), round(high)) == (5.573, 1_746_830)
    assert f"{2 / high:.3e}" == "1.145e-06"


@pytest.mark.parametrize("name", ENDS)
def test_run_ends_where_the_lecture_says(table: dict[str, dict[str, float]], name: str) -> None:
    row = table[name]
    assert (round(row["b"], 3), round(row["w"], 4)) == ENDS[name]


def test_decaying_rate_never_bursts(table: dict[str, dict[str, float]]) -> None:
    row = table["Adagrad, mean form, eta = 1/sqrt(t+1)"]
    assert (round(row["low"], 4), round(row["high"], 4)) == (2.4697, 2.6693)


def test_mean_form_bursts_and_arrives(table: dict[str, dict[str, float]]) -> None:
    # the bursts amplify rounding: these digits belong to the order of sums in descend_summing_by_hand
    row = table["Adagrad, mean form, eta = 1"]
    assert (round(row["b"], 3), round(row["w"], 4)) == (-188.342, 2.7609)
    assert (round(row["low"], 2), round(row["high"], 2)) == (-1.06, 6.37)
    assert row["left"] < 0.05


def test_bursts_come_where_the_effective_rate_has_passed_the_edge() -> None:
    surfaces = load("surfaces")
    bursting, calm = (surfaces.regression_run(name) for name in (surfaces.BURSTS, surfaces.CALM))
    edge = 2 / surfaces.optimum()[1][1]
    first = int(np.argmax(np.abs(np.diff(bursting.at["w"][100:])) > 0.1)) + 100
    assert bursting.rate["w"][first] > edge
    assert calm.rate["w"].max() < edge


def test_valley_is_stuck_without_a_small_gradient() -> None:
    surfaces, gradtx = load("surfaces"), load("gradtx")
    valley = surfaces.descend(gradtx.sgd(1.5), surfaces.narrowing, {"x": 12.0, "y": 0.0}, 200)
    assert np.ptp(valley.loss[20:]) < 0.15 * valley.loss[-1]
    assert valley.gradient_norm[-1] > 1.5 * valley.gradient_norm[20]
    assert valley.at["x"][-1] * valley.at["x"][-2] < 0


def test_sigma_rises_late_on_the_steep_stretch_and_falls_again() -> None:
    surfaces = load("surfaces")
    run_down = surfaces.descend(surfaces.rmsprop(0.1, 0.9), surfaces.slope, {"x": 0.0}, 120)
    sigma, gradient = 0.1 / run_down.rate["x"], np.abs(run_down.gradient["x"])
    assert int(np.argmax(gradient)) < int(np.argmax(sigma)) < 60
    assert sigma[0] == pytest.approx(gradient[0])
    assert sigma.max() > 10 * sigma[0]
    assert sigma[-1] < 0.1 * sigma.max()


def test_lecture_prints_its_table(lecture: tuple[str, dict[str, Path]]) -> None:
    printed, _ = lecture
    for b, w in ENDS.values():
        assert f"({b:.3f}, {w:.4f})" in printed
    assert "2.4697 to 2.6693" in printed


def test_lecture_draws_every_picture(lecture: tuple[str, dict[str, Path]]) -> None:
    names = list(load("lecture").pictures())
    assert len(names) == len(PICTURES)
    assert all(any(name.startswith(start) for name in names) for start in PICTURES)
    for name, path in lecture[1].items():
        assert path.name.startswith(name)
        check_picture(path)


def test_digits_learn_in_one_epoch_and_end_with_their_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load("digits").main(["--epochs", "1", "--out", str(tmp_path)]) == 0
    out, bar = capsys.readouterr()
    printed = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "clip_by_global_norm(1.0)" in printed["optimizer"]
    assert "scale_by_learning_rate.learning_rate 0.001333" in printed["first"]
    before, after = (float(printed["loss"].replace(",", "").split()[i]) for i in (1, 3))
    assert after < 0.9 * before
    for words in ("gradtx diagnosis   steps 1..22 ", "VERDICT  ", "head_bias"):
        assert words in out
    for words in ("learning_rate=", "update_ratio="):
        assert words in bar
    check_picture(tmp_path / "digits.png")


def test_custom_optimizers_beat_gradient_descent_in_a_plain_process(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "custom_optimizer.py")]
    env = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}  # this gradtx, not one that happens to be installed
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lion, pair, descent = (float(line.split()[3]) for line in done.stdout.splitlines())
    assert max(lion, pair) < 1e-6 < descent


VERDICTS = {
    "GD, eta = 1.145e-6": ("oscillating", "diverging"),  # just above the edge it is both
    "GD, eta = 1e-7": ("crawling",),
    "Adagrad, mean form, eta = 1": ("sigma_burst",),
    "Adagrad, mean form, eta = 1/sqrt(t+1)": ("converged_minimum", "healthy"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_the_lectures_runs_get_their_verdicts(name: str) -> None:
    assert load("surfaces").regression_verdict(name) in VERDICTS[name]


def test_the_valley_oscillates_and_is_not_called_a_minimum() -> None:
    surfaces, gradtx = load("surfaces"), load("gradtx")
    tx = gradtx.sgd(1.5)
    report = surfaces.diagnosis(tx, surfaces.descend(tx, surfaces.narrowing, {"x": 12.0, "y": 0.0}, 200))
    assert report.verdict == "oscillating"
    assert "NOT a critical point" in report.headline


@pytest.mark.parametrize(
    ("figure", "verdicts"),
    [("stuck", ["oscillating"]), ("convex", ["GD, eta = 1.145e-6", "GD, eta = 1e-7"])],
)
def test_pictures_carry_their_verdicts(figure: str, verdicts: list[str]) -> None:
    lecture = load("lecture")
    drawn = getattr(lecture, figure)()
    words = drawn.get_suptitle() + "".join(axes.get_title() for axes in drawn.axes)
    for name in verdicts:
        expected = lecture.regression_verdict(name) if name in VERDICTS else name
        assert f"verdict: {expected}" in words
    lecture.plt.close(drawn)


def test_bursts_carry_their_verdict() -> None:
    lecture = load("lecture")
    drawn = lecture.pictures()["2.4a-adagrad-bursts"]()
    assert "verdict: sigma_burst" in "".join(axes.get_title() for axes in drawn.axes)
    lecture.plt.close(drawn)


def test_every_stuck_run_is_named_and_mended_in_a_plain_process(tmp_path: Path, exhaustive: bool) -> None:
    """As a user runs it: when a run bursts depends on the last bit, which the suite's flags for XLA change."""
    every = [case.verdict for case in load("stuck").cases()]
    assert len(set(every)) >= 8
    made = [verdict for verdict in every if exhaustive or verdict in ("oscillating", "non_finite")]
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, str(EXAMPLES / "stuck.py"), "--out", str(tmp_path), "--only", *made]
    env = {**plain, "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    reports, table = done.stdout.split(f"{'run':<32}")
    assert [line.split()[1].rstrip(":") for line in reports.splitlines() if "VERDICT" in line] == made
    assert reports.count("  ACTION ") == len(made)
    assert table.count(" -> ") == len(made) + 1  # the head says it too
    check_picture(tmp_path / "stuck.png", 400 if exhaustive else 350)  # of one row of panels


def test_a_wrong_verdict_and_a_mend_that_is_none_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stuck = load("stuck")
    (case,) = [case for case in stuck.cases() if case.verdict == "oscillating"]
    wrong = dataclasses.replace(case, verdict="crawling", mend=lambda report: ("nothing", {}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stuck, "cases", lambda: [wrong])
        assert stuck.main(["--out", str(tmp_path)]) == 1
    assert "VERDICT OSCILLATING, EXPECTED CRAWLING   NOT BETTER" in capsys.readouterr().out


def test_stuck_says_which_runs_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load("stuck").main(["--only", "bored"])
    assert "no run was made for bored; there are oscillating, crawling" in capsys.readouterr().err


def last_saved(folder: Path, step: int) -> dict[str, np.ndarray]:
    """Return the arrays of a checkpoint by their paths."""
    checkpoints = load("checkpoints")
    with checkpoints.manager_of(folder) as manager:
        found = manager.restore(step)
    return {jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree_util.tree_flatten_with_path(found)[0]}


@pytest.mark.exhaustive  # CI names it
def test_the_transformer_resumes_bit_for_bit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its newest checkpoint is taken away, and made again from the one before."""
    transformer, short = load("transformer"), ["--steps", "4", "--every", "2", "--folder", str(tmp_path)]
    assert transformer.main(short) == 0
    printed, bar = capsys.readouterr()
    whole = last_saved(tmp_path, 4)
    shutil.rmtree(tmp_path / "4")
    assert transformer.main([*short, "--resume"]) == 0
    resumed, _ = capsys.readouterr()
    again = last_saved(tmp_path, 4)
    assert whole.keys() == again.keys()
    assert [key for key, x in whole.items() if x.tobytes() != again[key].tobytes()] == []
    for words in ("tokens/s on 8 cpu devices", "steps 1..4", "VERDICT  ", "nats a letter after step 4"):
        assert words in printed
    starts = [line.split()[-1] for line in (printed + resumed).splitlines() if line.startswith("starts")]
    assert starts == ["0", "2"]
    assert "training: 100%" in bar
    (memory,) = [line for line in printed.splitlines() if line.startswith("on each device")]
    params, grads, shards, whole_state = (int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*\d", memory))
    assert params == grads
    assert whole_state / 8 <= shards < whole_state / 4  # the record of the run and small arrays stay whole
