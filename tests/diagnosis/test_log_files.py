"""Log files as the tools write them: what is read, what is said about it, and what is refused with which remedy."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradtx.__main__ import main
from gradtx.diagnosis.diagnose import judge
from gradtx.diagnosis.read.logged import from_columns
from gradtx.diagnosis.read.logs import Log, read_log

N = 60
LOSS = [round(3.0 * 0.97**t, 6) for t in range(N)]
NORM = [round(1.0 + 0.01 * t, 6) for t in range(N)]
RATE = [round(0.1 - 0.001 * t, 6) for t in range(N)]
STEP = list(range(1, N + 1))


def sheet(names: list[str], rows: Any) -> str:
    """Return rows as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([names, *rows])
    return out.getvalue()


def as_lines(records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


TRAINED = [
    {"epoch": 0.01 * t, "grad_norm": g, "learning_rate": r, "loss": y, "step": t}
    for t, y, g, r in zip(STEP, LOSS, NORM, RATE, strict=True)
]
EVALUATED = [{"epoch": 0.01 * t, "eval_loss": 9.0, "eval_runtime": 1.2, "step": t} for t in (20, 40, 60)]
SUMMARY = {"epoch": 0.6, "step": N, "total_flos": 1e12, "train_loss": float(np.mean(LOSS)), "train_runtime": 60.0}
HISTORY = [*sorted([*TRAINED, *EVALUATED], key=lambda x: x["step"]), SUMMARY]
TRAINER_STATE = {
    "best_metric": None,
    "epoch": 0.6,
    "global_step": N,
    "log_history": HISTORY,
    "stateful_callbacks": {"TrainerControl": {"args": {"should_save": True}, "attributes": {}}},
}
LIGHTNING = [
    row
    for t, y, r in zip(STEP, LOSS, RATE, strict=True)
    for row in ([["", r, t, "", "", ""], [0, "", t, "", y, ""]] + ([[0, "", t, 9.0, "", 9.5]] if t % 20 == 0 else []))
]
WANDB = [
    row
    for t, y, r in zip(STEP, LOSS, RATE, strict=True)
    for row in ([[t, y, "", r]] + ([[t, "", 9.0, ""]] if t % 20 == 0 else []))
]
EXPORTED = ["_step", "train/loss", "train/loss__MIN", "train/loss__MAX", "train/grad_norm"]
KERAS = [[t - 1, 0.5, y, r, 0.4, 9.0] for t, y, r in zip(STEP, LOSS, RATE, strict=True)]
TENSORBOARD = [
    [run, tag, t, value]
    for t, y, r in zip(STEP, LOSS, RATE, strict=True)
    for run, tag, value in (("train", "epoch_loss", y), ("train", "epoch_lr", r), ("validation", "epoch_loss", 9.0))
]

READ: dict[str, tuple[str, str, str]] = {  # file, text, the columns that are found
    "hugging face": ("trainer_state.json", json.dumps(TRAINER_STATE, indent=2), "loss grad_norm learning_rate step"),
    "hugging face, the list": ("log.json", json.dumps(HISTORY), "loss grad_norm learning_rate step"),
    "hugging face, the console": (
        "train.log",
        "Some weights were newly initialized: ['score.weight']\n"
        + "".join(f"  {t}%|#     | {t}/{N} [00:01<00:09, 6.1it/s]\n{x}\n" for t, x in enumerate(TRAINED)),
        "loss grad_norm learning_rate step",
    ),
    "lightning": (
        "metrics.csv",
        sheet(["epoch", "lr-Adam", "step", "train_loss_epoch", "train_loss_step", "val_loss"], LIGHTNING),
        "loss learning_rate step",
    ),
    "w&b, exported": (
        "wandb_export_2026.csv",
        sheet(
            ["Step", *(f"test-run 7 - {x}" for x in EXPORTED)],
            [[t, t, y, y, y, g] for t, y, g in zip(STEP, LOSS, NORM, strict=True)],
        ),
        "loss grad_norm step",
    ),
    "w&b, its history": (
        "history.csv",
        sheet(
            ["", "_runtime", "_step", "train/global_step", "train/loss", "eval/loss", "train/learning_rate"],
            [[i, 0.1, i, *row] for i, row in enumerate(WANDB)],
        ),
        "loss learning_rate step",
    ),
    "keras": (
        "training.csv",
        sheet(["epoch", "accuracy", "loss", "learning_rate", "val_accuracy", "val_loss"], KERAS),
        "loss learning_rate",
    ),
    "keras, its history": (
        "history.json",
        json.dumps({"params": {"epochs": N}, "epoch": STEP, "history": {"loss": LOSS, "val_loss": [9.0] * N}}),
        "loss",
    ),
    "tensorboard, one scalar": (
        "run-train-tag-loss.csv",
        sheet(["Wall time", "Step", "Value"], [[17e8 + t, t, y] for t, y in zip(STEP, LOSS, strict=True)]),
        "loss step",
    ),
    "tensorboard, one scalar as json": (
        "scalar.json",
        json.dumps([[17e8 + t, t, y] for t, y in zip(STEP, LOSS, strict=True)]),
        "loss step",
    ),
    "tensorboard, all scalars": (
        "tb.csv",
        sheet(["run", "tag", "step", "value"], TENSORBOARD),
        "loss learning_rate step",
    ),
    "tensorboard's names": (
        "tags.csv",
        sheet(
            ["Step", "Loss/train", "Loss/val", "LR"], [[t, y, 9, r] for t, y, r in zip(STEP, LOSS, RATE, strict=True)]
        ),
        "loss learning_rate step",
    ),
    "maxtext": (
        "metrics.txt",
        as_lines(
            {"learning/loss": y, "learning/grad_norm": g, "learning/current_learning_rate": r, "step": float(t)}
            for t, y, g, r in zip(STEP, LOSS, NORM, RATE, strict=True)
        ),
        "loss grad_norm learning_rate step",
    ),
    "detectron": (
        "metrics.json",
        as_lines(
            {"iteration": t, "total_loss": y, "loss_cls": y / 2, "loss_box_reg": y / 2, "lr": r}
            for t, y, r in zip(STEP, LOSS, RATE, strict=True)
        ),
        "loss learning_rate step",
    ),
    "mmengine": (
        "scalars.json",
        as_lines(
            row
            for t, y, r in zip(STEP, LOSS, RATE, strict=True)
            for row in [{"mode": "train", "lr": r, "loss": y, "iter": t}]
            + ([{"mode": "val", "loss": 9.0, "iter": t}] if t % 20 == 0 else [])
        ),
        "loss learning_rate step",
    ),
    "stable-baselines3": (
        "progress.csv",
        sheet(
            [
                "time/iterations",
                "rollout/ep_rew_mean",
                "train/loss",
                "train/value_loss",
                "train/n_updates",
                "train/learning_rate",
            ],
            [[1, 20.0, "", "", "", ""], *([t, 21.0, y, 1.0, t, r] for t, y, r in zip(STEP, LOSS, RATE, strict=True))],
        ),
        "loss learning_rate step",
    ),
    "nested records": (
        "run.jsonl",
        as_lines({"step": t, "train": {"loss": y, "gradNorm": g}} for t, y, g in zip(STEP, LOSS, NORM, strict=True)),
        "loss grad_norm step",
    ),
    "a record for each quantity": (
        "run.jsonl",
        as_lines(
            row
            for t, y, g in zip(STEP, LOSS, NORM, strict=True)
            for row in ({"step": t, "loss": y}, {"step": t, "gnorm": g})
        ),
        "loss grad_norm step",
    ),
    "pandas": (
        "frame.json",
        json.dumps({"loss": {str(t): y for t, y in enumerate(LOSS)}, "lr": {str(t): r for t, r in enumerate(RATE)}}),
        "loss learning_rate",
    ),
    "numpy": (
        "run.txt",
        "# step loss\n" + "".join(f"{t:.18e} {y:.18e}\n" for t, y in zip(STEP, LOSS, strict=True)),
        "loss step",
    ),
    "excel in german": (
        "run.csv",
        "sep=;\nstep;loss\n" + "".join(f"{t};{str(y).replace('.', ',')}\n" for t, y in zip(STEP, LOSS, strict=True)),
        "loss step",
    ),
}


def saved(folder: Path, name: str, text: str, **options: Any) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def values(log: Log) -> dict[str, list[float]]:
    return {name: column.tolist() for name, column in log.columns.items()}


@pytest.mark.parametrize("name", READ)
def test_what_tools_write_is_read(name, tmp_path):
    file, text, found = READ[name]
    log = read_log(saved(tmp_path, file, text))
    got, want = values(log), {"loss": LOSS, "grad_norm": NORM, "learning_rate": RATE, "step": STEP}
    assert got == {key: [float(x) for x in want[key]] for key in found.split()}
    assert judge(from_columns(log.columns, notes=log.notes)).verdict == "healthy"


EVALUATES = ["hugging face", "lightning", "w&b, its history", "keras", "keras, its history", "tensorboard, all scalars"]
EVALUATES += ["tensorboard's names", "mmengine"]


@pytest.mark.parametrize("name", EVALUATES)
def test_the_evaluation_is_left_out_and_that_is_said(name, tmp_path):
    notes = " ".join(read_log(saved(tmp_path, *READ[name][:2])).notes)
    assert "evaluation" in notes, notes


CUT = {
    "json lines": ("run.jsonl", as_lines(TRAINED)[:-40], 1, rf"was cut off: line {N} "),
    "json lines, cut in a word": ("run.jsonl", as_lines(TRAINED) + '{"lo', 0, rf"was cut off: line {N + 1} "),
    "a list": ("run.json", json.dumps(TRAINED, indent=1)[:-30], 1, "was cut off"),
    "a list that is not closed": ("run.json", json.dumps(TRAINED)[:-1], 0, ""),
    "trainer_state": ("trainer_state.json", json.dumps({"epoch": 1, "log_history": TRAINED})[:-30], 1, "was cut off"),
    "csv": (
        "run.csv",
        sheet(["step", "loss", "lr"], zip(STEP, LOSS, RATE, strict=True))[:-10],
        1,
        rf"line {N + 1}, the last, was cut off",
    ),
    "csv, whole but for the line's end": ("run.csv", sheet(["step", "loss"], zip(STEP, LOSS, strict=True))[:-1], 0, ""),
}


@pytest.mark.parametrize("name", CUT)
def test_a_log_that_was_cut_off_is_read_up_to_there_and_said(name, tmp_path):
    file, text, lost, words = CUT[name]
    log = read_log(saved(tmp_path, file, text))
    assert values(log)["loss"] == LOSS[: N - lost]
    assert any(re.search(words, note) for note in log.notes) if words else log.notes[1:] == (), log.notes


def test_lines_that_are_no_record_are_named(tmp_path):
    lines = as_lines(TRAINED).splitlines(keepends=True)
    lines[6] = lines[6][:20] + lines[7]  # a job was killed while it wrote, and its successor went on
    del lines[7]
    log = read_log(saved(tmp_path, "run.jsonl", "".join(lines)))
    assert values(log)["loss"] == LOSS[:6] + LOSS[8:]
    assert any("on 1 lines: 7" in note for note in log.notes), log.notes


def test_a_header_that_stands_again_is_said(tmp_path):
    text = sheet(["step", "loss"], zip(STEP, LOSS, strict=True))
    again = text + sheet(["step", "loss"], [[N + t, 0.4] for t in STEP])
    log = read_log(saved(tmp_path, "run.csv", again))
    assert len(values(log)["loss"]) == 2 * N
    assert any(f"line {N + 2} repeats the names" in note for note in log.notes), log.notes


BACK = {  # steps, epochs or None, the losses that are read by `run`
    "resumed": ([*STEP[:40], *STEP[30:50]], None, {None: [*LOSS[:30], *LOSS[40:]]}),
    "two runs": ([*STEP[:40], *STEP[:20]], None, {"1": LOSS[:40], "2": LOSS[40:]}),
    "two runs, one resumed": (
        [*STEP[:30], *STEP[:20], *STEP[10:20]],
        None,
        {"1": LOSS[:30], "2": [*LOSS[30:40], *LOSS[50:]]},
    ),
    "steps of an epoch": ([*STEP[:30], *STEP[:30]], [0] * 30 + [1] * 30, {None: LOSS}),
    "two runs with epochs": ([*STEP[:30], *STEP[:30]], [0] * 60, {"1": LOSS[:30], "2": LOSS[30:]}),
}


@pytest.mark.parametrize("name", BACK)
def test_steps_that_go_back(name, tmp_path, capsys):
    steps, epochs, runs = BACK[name]
    path = saved(
        tmp_path, "run.csv", sheet(["step", "epoch", "loss"], zip(steps, epochs or [""] * N, LOSS, strict=True))
    )
    for run, want in runs.items():
        assert values(read_log(path, run=run))["loss"] == want
    assert values(read_log(path, step="rows"))["loss"] == LOSS
    if None not in runs:
        with pytest.raises(
            ValueError, match=r"^read_log: .*run.csv holds 2 runs, run 1 \(line 2 to line .* --run NUMBER"
        ):
            read_log(path)
        with pytest.raises(ValueError, match=r"no run '3'; choose one"):
            read_log(path, run=3)
        assert main(["watch", path, "--no-plot", "--run", "2"]) == 0
        assert "run 2 of 2 in the file" in capsys.readouterr().out


def test_a_resume_is_said_with_its_place(tmp_path):
    log = read_log(saved(tmp_path, "run.csv", sheet(["step", "loss"], zip(BACK["resumed"][0], LOSS, strict=True))))
    assert "resumed at step 31 (line 42), after step 40: 10 rows that were done again are left out" in log.notes
    assert values(log)["step"] == STEP[:50]


def test_runs_that_a_column_names(tmp_path):
    names = ["a", "b"] * (N // 2)
    path = saved(tmp_path, "run.csv", sheet(["run", "loss"], zip(names, LOSS, strict=True)))
    with pytest.raises(ValueError, match=r"^read_log: .* has 2 runs in column 'run', a, b, expected one; choose one"):
        read_log(path)
    assert values(read_log(path, run="b"))["loss"] == LOSS[1::2]


TWO = {
    "twice the name": (
        sheet(["step", "loss", "loss"], zip(STEP, LOSS, NORM, strict=True)),
        r"2 columns that may be the loss, 'loss' \(column 2\), 'loss' \(column 3\), expected one; choose .*--loss NAME",
        {"2": LOSS, "3": NORM},
    ),
    "but for its case": (
        sheet(["Loss", "loss"], zip(LOSS, NORM, strict=True)),
        r"'Loss' \(column 1\), 'loss' \(column 2\)",
        {"Loss": LOSS, "loss": NORM, "2": NORM},
    ),
    "two runs": (
        sheet(["Step", "a - train/loss", "b - train/loss", "b - train/lr"], zip(STEP, LOSS, NORM, RATE, strict=True)),
        r"'a - train/loss' \(column 2\), 'b - train/loss' \(column 3\)",
        {"a - train/loss": LOSS, "b - Train/loss": NORM},
    ),
    "two names": (
        sheet(["loss", "train_loss"], zip(LOSS, NORM, strict=True)),
        r"'loss' \(column 1\), 'train_loss' \(column 2\)",
        {"loss": LOSS, "train_loss": NORM},
    ),
    "parts alone": (
        sheet(["policy_loss", "value_loss"], zip(LOSS, NORM, strict=True)),
        r"'policy_loss' \(column 1\), 'value_loss' \(column 2\)",
        {"policy_loss": LOSS, "value_loss": NORM},
    ),
}


@pytest.mark.parametrize("name", TWO)
def test_columns_that_may_both_be_the_loss_are_listed_and_one_can_be_chosen(name, tmp_path, capsys):
    text, words, choices = TWO[name]
    path = saved(tmp_path, "run.csv", text)
    with pytest.raises(ValueError, match=rf"^read_log: .*run.csv has .*{words}"):
        read_log(path)
    assert main(["watch", path, "--no-plot"]) == 2
    assert "choose one by its name or number, --loss NAME" in capsys.readouterr().err
    for choice, want in choices.items():
        assert values(read_log(path, loss=choice))["loss"] == want
    assert main(["watch", path, "--no-plot", "--loss", next(iter(choices))]) == 0


def test_other_columns_come_from_the_run_of_the_loss(tmp_path):
    path = saved(tmp_path, "run.csv", TWO["two runs"][0])
    assert "learning_rate" not in read_log(path, loss="a - train/loss").columns
    assert values(read_log(path, loss="b - train/loss"))["learning_rate"] == RATE


def test_columns_of_one_loss_that_agree_need_no_choice(tmp_path):
    path = saved(tmp_path, "run.csv", sheet(["loss", "train/loss"], zip(LOSS, LOSS, strict=True)))
    assert values(read_log(path))["loss"] == LOSS


def test_a_name_that_stands_twice_is_chosen_by_its_number(tmp_path):
    path = saved(tmp_path, "run.csv", TWO["twice the name"][0])
    with pytest.raises(ValueError, match=r"has 2 columns named loss, .*; choose one by its number, --loss NUMBER"):
        read_log(path, loss="loss")
    with pytest.raises(ValueError, match=r"no column 'reward', expected one of 'step' \(column 1\), 'loss'"):
        read_log(path, loss="reward")


def test_an_evaluation_is_read_where_it_is_named(tmp_path, capsys):
    path = saved(tmp_path, "run.csv", READ["keras"][1])
    log = read_log(path, loss="val_loss")
    assert values(log)["loss"] == [9.0] * N
    assert any("other columns of a loss: 'loss' (column 3)" in note for note in log.notes), log.notes
    with pytest.raises(ValueError, match=r"has the columns epoch, val_loss, expected one named loss .*--loss NAME"):
        read_log(saved(tmp_path, "only.csv", sheet(["epoch", "val_loss"], [[1, 2.0]])))


def test_a_trainers_mean_of_the_whole_run_is_not_its_loss(tmp_path):
    for few in (2, 10):  # rows of loss beside the one of train_loss
        path = saved(tmp_path, "run.json", json.dumps([*TRAINED[:few], SUMMARY]))
        assert values(read_log(path))["loss"] == LOSS[:few]


def test_the_report_says_how_the_log_was_read(tmp_path, capsys):
    path = saved(tmp_path, *READ["lightning"][:2])
    assert main(["watch", path, "--no-plot"]) == 0
    page = capsys.readouterr().out
    assert "loss = 'train_loss_step'; learning_rate = 'lr-Adam'" in page
    assert "'train_loss_step' is the training loss; of an evaluation, not read: 'val_loss' (column 6)" in page
    assert "other columns of a loss: 'train_loss_epoch' (column 4); --loss NAME takes one of them" in page
    assert main(["watch", path, "--no-plot", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == list(read_log(path).notes)


@pytest.mark.parametrize("blank", ["", "NA", "n/a", "None", "null", " "])
def test_blank_cells_by_any_name(blank, tmp_path):
    text = sheet(["step", "loss", "grad_norm"], [[1, 3.0, 1.0], [2, 2.0, blank], [3, 1.0, 1.0]])
    assert np.isnan(read_log(saved(tmp_path, "run.csv", text)).columns["grad_norm"]).tolist() == [False, True, False]


def test_a_column_beside_the_loss_that_holds_text_is_left_out_and_said(tmp_path):
    text = sheet(["step", "loss", "lr"], [["1/9", 3.0, "[0.1, 0.1]"], ["2/9", 2.0, 0.1]])
    log = read_log(saved(tmp_path, "run.csv", text))
    assert set(log.columns) == {"loss"}
    assert any("lr is left out" in note and "line 2, column 'lr' is '[0.1, 0.1]'" in note for note in log.notes)
    assert any("step is left out" in note for note in log.notes), log.notes


@pytest.mark.parametrize("where", [[0], [0, 1, 2], [30], [30, 31]])
@pytest.mark.parametrize("column", ["loss", "grad_norm"])
def test_steps_that_were_skipped_do_not_end_a_log(where, column, tmp_path):
    columns: dict[str, list[Any]] = {"loss": list(LOSS), "grad_norm": list(NORM)}
    for i in where:  # a loss scale that was too large, as float16 trainers write it
        columns[column][i] = "inf" if i % 2 else "nan"
    log = read_log(saved(tmp_path, "run.csv", sheet(list(columns), zip(*columns.values(), strict=True))))
    run = from_columns(log.columns, notes=log.notes)
    assert run.bad_step == -1
    assert judge(run).verdict == "healthy"
    assert any(
        f"{len(where)} rows are not finite and are left out, the first at step {where[0]}" in x for x in run.notes
    )


@pytest.mark.parametrize("column", ["loss", "grad_norm"])
def test_what_stays_not_finite_ends_a_log(column):
    columns = {"loss": np.array(LOSS), "grad_norm": np.array(NORM)}
    columns[column][[10, *range(40, N)]] = np.inf
    run = from_columns(columns)
    assert run.bad_step == (40 if column == "loss" else -1)
    assert judge(run).verdict == "non_finite"
    assert "step 40" in judge(run).headline


REFUSED = {
    "no names": (
        "run.csv",
        "1,3.0\n2,2.0\n",
        r"has the columns column 1, column 2, expected one named loss .* by its name or number",
    ),
    "a tensor": (
        "run.csv",
        "loss\n3.0\ntensor([2.5])\n",
        r"line 3, column 'loss' is 'tensor\(\[2.5\]\)', .* \(log loss.item\(\)",
    ),
    "in json lines": ("run.jsonl", '{"loss": 3.0}\n\n{"loss": "high"}\n{"l', r"line 3, column 'loss' is 'high'"),
    "in a list": ("run.json", '[{"loss": 3.0}, {"loss": "high"}]', r"record 2, column 'loss' is 'high'"),
    "binary": ("run.bin", "a\0b", r"is not text, expected a log"),
    "a settings file": (
        "config.json",
        '{"lr": 0.1, "model": "mlp"}',
        r"has the columns lr, model, expected one named loss",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_place_and_remedy(name, tmp_path):
    file, text, words = REFUSED[name]
    with pytest.raises(ValueError, match=rf"(?s)^read_log: .*{re.escape(file)}.*{words}"):
        read_log(saved(tmp_path, file, text))


def test_utf_16_as_windows_writes_it(tmp_path):
    path = tmp_path / "run.csv"
    path.write_bytes(sheet(["step", "loss"], zip(STEP, LOSS, strict=True)).encode("utf-16"))
    assert values(read_log(str(path)))["loss"] == LOSS
