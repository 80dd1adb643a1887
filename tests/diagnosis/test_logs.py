"""Logs of any run: how they are read, what may be said from them, and the command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradtx.__main__ import main
from gradtx.diagnosis.diagnose import judge
from gradtx.diagnosis.read.logged import from_columns
from gradtx.diagnosis.read.logs import read_log

ROOT = Path(__file__).parents[2]
N = 400
T = np.arange(N)
RNG = np.random.default_rng(0)
NOISE = 1 + 0.05 * RNG.standard_normal(N)
LOGS: dict[str, dict[str, Any]] = {
    "healthy": {"loss": np.exp(-T / 150) * NOISE, "grad_norm": np.exp(-T / 300) * NOISE},
    "diverging": {"loss": np.exp(T / 60) * NOISE, "grad_norm": np.exp(T / 120) * NOISE},
    "flat": {"loss": NOISE, "grad_norm": np.abs(NOISE)},
    "still": {"loss": np.full(N, 0.7), "grad_norm": np.full(N, 1e-3)},
    "loss only": {"loss": NOISE},
    "zigzag": {"loss": 1.0 + 0.2 * (-1.0) ** T, "grad_norm": np.ones(N)},
    "crawl": {"loss": 1.0 - 1e-5 * T, "grad_norm": np.full(N, 1e-2)},
}


def table(path: Path, columns: dict[str, Any], comma: str = ",") -> Path:
    rows = [comma.join(columns), *(comma.join(str(x) for x in row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(rows) + "\n")
    return path


def lists(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: [float(x) for x in column] for name, column in columns.items()}


def records(columns: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists(columns).values(), strict=True)]


FEW = {"step": [0, 1, 2], "loss": [3.0, 2.5, 2.0], "grad_norm": [1.0, 0.9, 0.8], "lr": [0.1, 0.1, 0.1]}
FORMS = {
    "run.csv": lambda path: table(path, FEW),
    "run.tsv": lambda path: table(path, FEW, "\t"),
    "run.txt": lambda path: table(path, FEW, ";"),
    "run.json": lambda path: path.write_text(json.dumps(records(FEW))),
    "lists.json": lambda path: path.write_text(json.dumps(lists(FEW))),
    "run.jsonl": lambda path: path.write_text("\n".join(json.dumps(row) for row in records(FEW)) + "\n"),
    "BOM.CSV": lambda path: path.write_text(table(path, FEW).read_text(), encoding="utf-8-sig"),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read_alike(name, tmp_path):
    FORMS[name](tmp_path / name)
    got = read_log(str(tmp_path / name)).columns
    want = {"step": FEW["step"], "loss": FEW["loss"], "grad_norm": FEW["grad_norm"], "learning_rate": FEW["lr"]}
    assert {key: x.tolist() for key, x in got.items()} == want


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Loss", "loss"),
        (" train_loss ", "loss"),
        ("train/loss", "loss"),
        ("LR", "learning_rate"),
        ("train/grad_norm", "grad_norm"),
        ("Learning_Rate", "learning_rate"),
        ("global_step", "step"),
    ],
)
def test_usual_spellings(spelling, name, tmp_path):
    columns = {spelling: [1.0, 2.0]} if name == "loss" else {"loss": [3.0, 3.0], spelling: [1.0, 2.0]}
    assert read_log(str(table(tmp_path / "x.csv", columns))).columns[name].tolist() == [1.0, 2.0]


def test_one_column(tmp_path):
    assert read_log(str(table(tmp_path / "x.csv", {"loss": [1.5, 2.5]}))).columns["loss"].tolist() == [1.5, 2.5]


def test_other_columns_may_hold_text(tmp_path):
    columns = {"time": ["12:00", "12:01"], "loss": [1.0, 2.0], "note": ["warm, up", ""]}
    (tmp_path / "x.json").write_text(json.dumps(columns))
    assert set(read_log(str(tmp_path / "x.json")).columns) == {"loss"}


REFUSED = {
    "no loss": ("x.csv", "step,accuracy\n1,0.5\n2,0.6\n", r"has the columns step, accuracy, expected one named loss"),
    "text": ("x.csv", "step,loss\n1,0.5\n2,high\n", r"line 3, column 'loss' is 'high', expected a number"),
    "uneven": ("x.json", '{"loss": [1, 2, 3], "lr": [1]}', r"has 1 values of lr, expected 3 as of loss"),
    "empty": ("x.csv", "", r"holds no table and no line that names a loss"),
    "empty json": ("x.json", "", r"is not JSON|holds no"),
    "no json": ("x.json", "loss: 3", r"is not JSON"),
    "a number": ("x.json", "3", r"expected a list of records"),
    "numbers": ("x.json", "[1, 2]", r"expected a list of records"),
    "nested": ("x.json", '{"loss": [[1], [2]]}', r"value 1, column 'loss' is '\[1\]', expected a number"),
    "a short row": ("x.csv", "loss,lr\n1,0.5\n2\n3,0.5,7,8\n", r""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_log_is_refused(name, tmp_path, capsys):
    file, text, words = REFUSED[name]
    (tmp_path / file).write_text(text)
    if words:
        with pytest.raises(ValueError, match=rf"(?s)^read_log: .*{file}.*({words})"):
            read_log(str(tmp_path / file))
        assert main(["watch", str(tmp_path / file), "--no-plot"]) == 2
        assert words[:3].strip("(") or capsys.readouterr().err
    else:
        assert read_log(str(tmp_path / file)).columns["loss"].tolist() == [1, 2, 3]


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(ValueError, match=r"read_log: .*nowhere.csv is not a file"):
        read_log(str(tmp_path / "nowhere.csv"))
    with pytest.raises(ValueError, match=r"^read_log: .* holds no log, expected one"):
        read_log(str(tmp_path))
    (tmp_path / "x.csv").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"read_log: .*x.csv"):
        read_log(str(tmp_path / "x.csv"))


def test_blank_cells_are_unknown_and_nan_cells_are_not_finite(tmp_path):
    got = read_log(
        str(table(tmp_path / "x.csv", {"loss": ["1", "", "nan", "-inf"], "lr": ["", "1e-3", "2", "0"]}))
    ).columns
    np.testing.assert_array_equal(got["loss"], [1, np.nan, np.inf, np.inf])
    np.testing.assert_array_equal(got["learning_rate"], [np.nan, 1e-3, 2, 0])


def test_loss_logged_now_and_then():
    loss = np.where(T % 10 == 0, LOGS["healthy"]["loss"], np.nan)
    assert judge(from_columns({"loss": loss})).verdict == "healthy"


def verdict(name: str) -> Any:
    return judge(from_columns({key: np.asarray(x, float) for key, x in LOGS[name].items()}))


@pytest.mark.parametrize("name", ["healthy", "diverging"])
def test_what_a_log_can_say(name):
    assert verdict(name).verdict == name


KNOWN = {"flat": "plateau", "still": "not_moving", "loss only": "plateau", "zigzag": "oscillating", "crawl": "healthy"}


@pytest.mark.parametrize("name", KNOWN)
def test_what_a_log_cannot_say_is_said(name):
    found = verdict(name)
    assert found.verdict == KNOWN[name]
    text = str(found)
    assert "NOT KNOWN" in text  # and says what a log does not hold
    assert ("a gradient norm: log" in text) == ("grad_norm" not in LOGS[name])
    assert "the learning rate: log it" in text
    assert found.doubt  # and what would settle it
    assert "nan" not in text


def test_a_log_that_ends_in_nan():
    grew = np.append(np.exp(np.arange(100) / 4), np.nan)
    path = from_columns({"loss": np.where(np.isnan(grew), np.inf, grew)})
    assert judge(path).verdict == "diverging"
    sudden = judge(from_columns({"loss": np.append(NOISE[:100], np.inf)}))
    assert sudden.verdict == "non_finite"
    assert "step 100" in sudden.headline


def test_short_logs_say_nothing():
    for n in (0, 1, 19):
        found = judge(from_columns({"loss": NOISE[:n]}))
        assert found.verdict == "undecided"
        assert "fewer than 20" in found.headline


def test_blocks_of_a_long_log():
    loss = RNG.uniform(1, 2, 1000)
    run = from_columns({"loss": loss, "grad_norm": 2 * loss})
    assert run.history["losses"].sum() == 1000
    np.testing.assert_allclose(run.history["loss_sum"].sum(), loss.sum())
    assert len(run.history["step"]) <= 256
    assert run.history["step"][1] == 4
    np.testing.assert_allclose(run.history["gg_max"].max(), (2 * loss.max()) ** 2)
    np.testing.assert_array_equal(run.losses, loss[-256:])


def test_steps_of_a_log_are_its_own():
    columns = {"loss": np.append(NOISE[:100], np.inf), "step": 10.0 * np.arange(101)}
    assert "step 1,000" in judge(from_columns(columns)).headline


@pytest.mark.parametrize("name", LOGS)
def test_a_log_rules_out_nothing_that_it_does_not_hold(name):
    found = verdict(name)
    for word in ("vanishing_dead", "oscillating", "always_clipped", "noise_floor"):
        assert word not in found.ruled_out
    assert not any("update(" in line or "params were passed" in line for line in found.missing), found.missing


def test_command_line(tmp_path):
    log = table(tmp_path / "run.csv", LOGS["healthy"])

    def call(*arguments: str) -> Any:
        command = [sys.executable, "-W", "error", "-m", "gradtx", "watch", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    done = call(str(log), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "healthy"
    assert (tmp_path / "run.png").read_bytes()[:4] == b"\x89PNG"
    assert f"picture: {tmp_path / 'run.png'}" in done.stderr


def test_command_line_options(tmp_path, capsys):
    log = table(tmp_path / "run.csv", LOGS["healthy"])
    assert main(["watch", str(log), "--no-plot"]) == 0
    assert "VERDICT  healthy" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [log]
    picture = tmp_path / "other.png"
    assert main(["watch", str(log), "--plot", str(picture)]) == 0
    assert picture.exists()
    assert not (tmp_path / "run.png").exists()


def test_command_line_errors(tmp_path, capsys):
    assert main(["watch", str(tmp_path / "none.csv")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "none.csv is not a file" in captured.err
    log = table(tmp_path / "run.csv", LOGS["healthy"])
    assert main(["watch", str(log), "--plot", str(tmp_path / "no" / "folder.png")]) == 2
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().err
    for arguments in (["watch"], ["listen", str(log)]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2


def test_a_constant_in_the_loss_changes_nothing(tmp_path, capsys):
    log = table(tmp_path / "run.csv", {"loss": 1000 + LOGS["healthy"]["loss"]})
    assert main(["watch", str(log), "--no-plot", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "healthy"
