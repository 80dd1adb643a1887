"""The command line: a log that grows is followed, the exit status says what it says it says, and JSON is strict."""

import io
import json
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

import gradtx
from gradtx.__main__ import main
from gradtx.diagnosis.read.columns import ChoiceError
from gradtx.diagnosis.show import follow as following

FALLS = [f"step {t} loss {3 * 0.99**t:.5f}\n" for t in range(100)]
RISES = [f"step {t} loss {1.2 + 0.2 * (t - 100):.5f}\n" for t in range(100, 300)]


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def test_a_log_that_grows_is_followed(tmp_path, capsys):
    path = tmp_path / "train.log"

    def write() -> None:
        for part in (["Loading\n"], FALLS[:60], FALLS[60:], RISES):
            time.sleep(0.3)
            with path.open("a") as file:
                file.writelines(part)

    writer = threading.Thread(target=write)
    writer.start()
    status = main(["watch", str(path), "--follow", "--every", "0.05", "--idle", "1", "--json", "--exit-code"])
    writer.join()
    out, err = capsys.readouterr()
    assert [report["verdict"] for report in lines_of(out)] == ["healthy", "diverging"]
    assert status == 1
    assert err.count("(waiting)") == 2  # no file, then no loss
    assert list(tmp_path.iterdir()) == [path]  # no picture of what goes on


def test_standard_input_is_followed_to_its_end(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("".join(FALLS).encode())))
    assert main(["watch", "-", "--follow", "--every", "100", "--exit-code"]) == 0
    assert capsys.readouterr().out.count("VERDICT  healthy") == 1


def test_a_follow_ends_where_something_must_be_chosen(tmp_path, capsys):
    (tmp_path / "run.csv").write_text("loss,train_loss\n1,2\n3,4\n")
    assert main(["watch", str(tmp_path / "run.csv"), "--follow"]) == 2
    assert "choose one" in capsys.readouterr().err
    with pytest.raises(ChoiceError, match=r"^read_log: "):
        gradtx.read_log(tmp_path / "run.csv")


def test_an_interrupt_ends_a_follow_with_the_last_verdict(tmp_path, capsys, monkeypatch):
    (tmp_path / "train.log").write_text("".join(FALLS))

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(following.time, "sleep", interrupt)
    assert main(["watch", str(tmp_path / "train.log"), "--follow"]) == 0
    assert main(["watch", str(tmp_path / "nothing.log"), "--follow"]) == 2


def test_a_folder_is_seen_to_change(tmp_path):
    before = following.mark(str(tmp_path))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "metrics.csv").write_text("loss\n1\n")
    assert following.mark(str(tmp_path)) != before
    assert following.mark(str(tmp_path / "nowhere")) is None


@pytest.mark.parametrize(("lines", "status"), [(FALLS, 0), (RISES, 1), (FALLS[:5], 0)])
def test_exit_status(lines, status, tmp_path, capsys):
    path = tmp_path / "train.log"
    path.write_text("".join(lines))
    assert main(["watch", str(path), "--no-plot"]) == 0
    assert main(["watch", str(path), "--no-plot", "--exit-code"]) == status
    with pytest.raises(SystemExit):
        main(["watch", "--help"])
    assert "1  with --exit-code: the verdict is none of healthy" in capsys.readouterr().out


def test_a_folder_gets_its_picture_inside(tmp_path, capsys):
    (tmp_path / "metrics.csv").write_text("loss\n" + "".join(f"{3 * 0.99**t}\n" for t in range(50)))
    assert main(["watch", str(tmp_path)]) == 0
    assert (tmp_path / "gradtx.png").exists()


@pytest.mark.parametrize("loss", [[1.0] * 3, [np.nan, 1.0], [np.inf] * 30, [1e300 * (-1) ** t for t in range(50)]])
def test_reports_are_strict_json(loss: list[float]):
    report = gradtx.diagnose(gradtx.read_log({"loss": loss, "grad_norm": [1e200] * len(loss)}))
    json.loads(json.dumps(report.to_dict(), allow_nan=False), parse_constant=pytest.fail)
    str(report)
