"""Logs that programs print for people, event files, folders, standard input and records in memory."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradtx
from gradtx.diagnosis.read.formats.known import FORMATS
from gradtx.diagnosis.read.formats.table import Source

N = 6
LOSS = [round(9.0 - 0.5 * t, 4) for t in range(N)]
NORM = [round(2.0 + 0.1 * t, 4) for t in range(N)]
RATE = [round(1e-4 * (t + 1), 6) for t in range(N)]
STEP = [10 * t for t in range(N)]
WANT = {"loss": LOSS, "grad_norm": NORM, "learning_rate": RATE, "step": STEP}

# a line a step, what stands between them, and what is found
TEXTS: dict[str, tuple[str, str, str]] = {
    "nanoGPT": ("iter {step}: loss {loss}, time 251.32ms, mfu 37.21%", "step {step}: train loss 3.0, val loss 9.9", ""),
    "MaxText": (
        "completed step: {step}, seconds: 0.9, TFLOP/s/device: 136.1, Tokens/s/device: 8894.1, total_weights: 65536, "
        "loss: {loss}",
        "Checkpoint of step {step} was saved",
        "",
    ),
    "Megatron-LM": (
        " [2026-05-01 10:00:00] iteration {step:8}/  500000 | consumed samples: 2560 | elapsed time per iteration "
        "(ms): 8718.9 | learning rate: {lr:.3E} | global batch size: 256 | lm loss: {loss:.6E} | loss scale: "
        "1.0 | grad norm: {norm:.3f} | number of skipped iterations: 0 | number of nan iterations: 0 |",
        " validation loss at iteration {step} | lm loss value: 9.9E+00 | lm loss PPL: 8.0E+03 |",
        "grad_norm learning_rate",
    ),
    "torchtune": (
        "Step {step} | loss:{loss} lr:{lr} tokens_per_second_per_gpu:1206.4 grad_norm:{norm} peak_memory_active:16.2",
        "",
        "grad_norm learning_rate",
    ),
    "fairseq": (
        "2026-06-13 17:31:08 | INFO | train_inner | epoch 001:    100 / 282 loss={loss}, nll_loss=1.9, ppl=3923.6, "
        "wps=72384.3, num_updates={step}, lr={lr}, gnorm={norm}, clip=0, loss_scale=128, train_wall=83",
        "2026-06-13 17:32:31 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 9.9 | num_updates {step}",
        "grad_norm learning_rate",
    ),
    "metaseq": (
        '2026-03-08 12:31:36 | INFO | train_inner | {{"epoch": 1, "loss": "{loss}", "num_updates": "{step}", '
        '"lr": "{lr}", "gnorm": "{norm}"}}',
        '2026-03-08 12:31:36 | INFO | valid | {{"epoch": 1, "valid_loss": "9.9", "valid_num_updates": "{step}"}}',
        "grad_norm learning_rate",
    ),
    "Hugging Face": (
        "{{'loss': {loss}, 'grad_norm': {norm}, 'learning_rate': {lr}, 'step': {step}}}",
        "{{'eval_loss': 9.9, 'eval_runtime': 1.0, 'step': {step}}}",
        "grad_norm learning_rate",
    ),
    "llm.c": (
        "step {step:4}/19560 | loss {loss} (+nanz)| norm {norm} (+1.2z)| lr {lr} | 300 ms",
        "val loss 9.9",
        "grad_norm learning_rate",
    ),
    "torchtitan": (
        "\x1b[36m[rank0]:2026-10-01 10:00:00,123 - root - INFO - \x1b[31mstep: {step}  \x1b[32mloss:  {loss}  "
        "\x1b[33mgrad_norm:  {norm}  memory:  5.1GiB(6.4%)  tps: 1,234",
        "",
        "grad_norm",
    ),
    "logging": (
        "2026-05-01 10:00:00,5 INFO step {step} loss {loss} lr {lr}",
        "INFO evaluation: loss 9.9",
        "learning_rate",
    ),
    "caffe": (
        "I0101 10:00:00.1 12 solver.cpp:228] Iteration {step}, loss = {loss}",
        "    Test net output #0: loss = 9.9",
        "",
    ),
    "a printed array": ("step={step} loss=tensor({loss}, device='cuda:0', grad_fn=<MeanBackward0>)", "", ""),
    "detectron2": (
        "[01/01 10:00:00 d2.utils.events]:  eta: 1:00:00  iter: {step}  total_loss: {loss}  loss_cls: 1.5  lr: {lr}",
        "",
        "learning_rate",
    ),
    "litgpt": ("Epoch 1 | iter 9 step {step} | loss train: {loss}, val: n/a | iter time: 300.11 ms", "", ""),
}


def text_of(name: str) -> str:
    line, between, _ = TEXTS[name]
    rows = zip(STEP, LOSS, NORM, RATE, strict=True)
    lines = [part.format(step=t, loss=y, norm=g, lr=r) for t, y, g, r in rows for part in (between, line)]
    return "Loading the data\n" + "\n".join(lines) + "\n"


def read(path: Any, **options: Any) -> dict[str, list[float]]:
    return {name: column.tolist() for name, column in gradtx.read_log(path, **options).columns.items()}


@pytest.mark.parametrize("name", TEXTS)
def test_consoles_are_read(name, tmp_path):
    path = tmp_path / "train.log"
    path.write_text(text_of(name))
    assert read(str(path)) == {key: WANT[key] for key in ("loss", "step", *TEXTS[name][2].split())}
    first = gradtx.read_log(path).notes[0]
    known = {form.name for form in FORMATS}
    assert f"train.log, {name if name in known else ''}" in first


@pytest.mark.parametrize("form", [form for form in FORMATS if form.example], ids=lambda form: form.name)
def test_the_example_of_each_format_is_read_by_it(form):
    source = Source("train_loss", form.example.encode())  # MLflow's files have the name of their metric
    assert next(other for other in FORMATS if other.looks(source)) is form
    assert any("loss" in name.lower() for name, _ in form.read(source).columns)


@pytest.mark.parametrize(
    ("step", "line"),
    [(250, "step      250 | loss {loss}"), (1250, "iter 1,250: loss {loss}"), (25, "Step: [   25/5000]  Loss: {loss}")],
)
def test_a_step_is_a_number_in_any_width(step, line, tmp_path):
    file = tmp_path / "run.txt"
    numbers = [(step - 20 + i, 3.0 - i / 100) for i in range(21)]
    text = [line.replace(f"{step:,}", f"{n:,}").replace(f"{step}", f"{n}").format(loss=loss) for n, loss in numbers]
    file.write_text("\n".join(text))
    read = gradtx.read_log(file)
    assert read.columns["step"].tolist() == [n for n, _ in numbers]
    assert read.columns["loss"].tolist() == [loss for _, loss in numbers]
    assert repr(read).startswith("Log(21 rows of loss, step; ")
    assert "\n" not in repr(read)


def test_mlflows_file_store_is_read_as_a_file_and_as_the_folder_of_a_run(tmp_path):
    losses = [3.0 - i / 100 for i in range(30)]
    lines = {"train/loss": losses, "val_loss": [x + 1 for x in losses], "lr": [0.25] * 30}
    for name, values in lines.items():
        file = tmp_path / "mlruns/0/abc/metrics" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{1700000000000 + i} {x} {10 * i}\n" for i, x in enumerate(values)))
    read = gradtx.read_log(tmp_path)
    assert read.columns["loss"].tolist() == losses
    assert read.columns["step"].tolist() == [10 * i for i in range(30)]
    assert read.columns["learning_rate"].tolist() == [0.25] * 30
    alone = gradtx.read_log(tmp_path / "mlruns/0/abc/metrics/train/loss")
    assert alone.columns["loss"].tolist() == losses
    (tmp_path / "mlruns/0/def/metrics").mkdir(parents=True)
    (tmp_path / "mlruns/0/def/metrics/loss").write_text("1700000000000 2.5 0\n")
    with pytest.raises(ValueError, match="holds 2 logs, mlruns/0/abc/metrics, mlruns/0/def/metrics, expected one"):
        gradtx.read_log(tmp_path)


def test_columns_without_names_are_chosen_by_number(tmp_path):
    file = tmp_path / "run.csv"
    file.write_text("".join(f"{10 * i},{3.0 - i / 100}\n" for i in range(30)))
    read = gradtx.read_log(file, loss="2", step="1")
    assert read.columns["loss"].tolist() == [3.0 - i / 100 for i in range(30)]
    assert read.columns["step"].tolist() == [10 * i for i in range(30)]


def test_padded_names_are_read_without_their_spaces(tmp_path):
    file = tmp_path / "results.csv"
    file.write_text(
        "     epoch,      train/loss,  lr/pg0\n" + "".join(f"  {i},  {3.0 - i / 100},  0.1\n" for i in range(30))
    )
    assert "loss = 'train/loss'; learning_rate = 'lr/pg0'" in gradtx.read_log(file).notes[0]


WITHOUT_STEPS = {
    "pytorch's example": "Train Epoch: 1 [{step}/60000 ({step}%)]\tLoss: {loss}\n",
    "timm": "Train: 0 [{step}/1251 (  4%)]  Loss: {loss} (6.94)  Time: 0.4s, 2430.1/s  LR: 1.000e-05\n",
    "torchvision": "Epoch: [0]  [  {step}/1251]  eta: 0:10:00  lr: 0.1  loss: {loss} (6.95)  acc1: 0.1 (0.1)\n",
    "keras": "{step}/1875 [..] - ETA: 3:00 - loss: {loss} - accuracy: 0.1\r",
    "tqdm": " 10%|#   | {step}/100 [00:01<00:09, 6.1it/s, loss={loss}]\r",
    "composer": "[batch={step}/100]:\n\t Train time/batch: 0\n\t Train loss/train/total: {loss}\n",
}


@pytest.mark.parametrize("name", WITHOUT_STEPS)
def test_consoles_whose_steps_are_not_named_are_read_by_rows(name, tmp_path):
    path = tmp_path / "train.log"
    path.write_text("".join(WITHOUT_STEPS[name].format(step=t, loss=y) for t, y in zip(STEP, LOSS, strict=True)))
    with path.open("a") as file:
        file.write("Test set: Average loss: 0.05, Accuracy: 98%\n")
    assert read(path)["loss"] == LOSS
    assert "lines of an evaluation, left out: 1" in gradtx.read_log(path).notes
    assert "step = rows counted" in gradtx.read_log(path).notes[0]


def test_steps_of_each_epoch_are_counted_on(tmp_path):
    path = tmp_path / "train.log"
    lines = [
        f"Epoch [{e}/3], Step [{100 * (i + 1)}/600], Loss: {3.0 - e - 0.1 * i}" for e in range(3) for i in range(3)
    ]
    path.write_text("\n".join(lines))
    assert "step" not in read(path)
    assert len(read(path)["loss"]) == 9


def test_the_first_note_says_what_was_taken_and_what_was_not(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,train_loss_step,lr-Adam,epoch\n1,2.0,0.1,0\n2,1.9,0.1,0\n")
    note = gradtx.read_log(path).notes[0]
    want = "a table: loss = 'train_loss_step'; learning_rate = 'lr-Adam'; step = 'step'; ignored: epoch"
    assert note == f"{path}, {want}"
    assert str(gradtx.diagnose(gradtx.read_log(path))).splitlines()[0].endswith(want)


def test_a_step_can_be_chosen(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("step,samples,loss\n1,64,3\n2,128,2\n")
    assert read(path, step="samples")["step"] == [64, 128]
    assert "step" not in read(path, step="rows")
    with pytest.raises(
        ValueError, match=r"^read_log: .*no column 'tokens', expected one of 'step' .*; give --step one"
    ):
        gradtx.read_log(path, step="tokens")


def test_records_in_memory():
    records = [{"step": t, "loss": y, "grad_norm": g} for t, y, g in zip(STEP, LOSS, NORM, strict=True)]
    want = {"loss": LOSS, "grad_norm": NORM, "step": STEP}
    assert read(records) == want
    assert read({"step": STEP, "loss": LOSS, "grad_norm": NORM}) == want
    with pytest.raises(TypeError, match=r"^read_log: log is .*, expected a path or records"):
        gradtx.read_log(3.0)


def test_standard_input(monkeypatch):
    text = io.TextIOWrapper(io.BytesIO(text_of("nanoGPT").encode()))
    monkeypatch.setattr(sys, "stdin", text)
    assert read("-")["loss"] == LOSS


def test_folders(tmp_path):
    for step in (500, 1000):
        folder = tmp_path / "hf" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        history = [{"step": t, "loss": t / 100} for t in range(100, step + 1, 100)]
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    assert read(tmp_path / "hf")["step"][-1] == 1000  # the last checkpoint holds all of it
    lightning = tmp_path / "lightning_logs" / "version_0"
    lightning.mkdir(parents=True)
    (lightning / "metrics.csv").write_text("step,train_loss\n1,2.0\n2,1.0\n")
    assert read(tmp_path / "lightning_logs")["loss"] == [2.0, 1.0]
    (tmp_path / "lightning_logs" / "version_1").mkdir()
    (tmp_path / "lightning_logs" / "version_1" / "metrics.csv").write_text("step,train_loss\n1,2.0\n")
    with pytest.raises(ValueError, match=r"^read_log: .* holds 2 logs, version_0.metrics.csv, .*give the path of one"):
        gradtx.read_log(tmp_path / "lightning_logs")


def events(folder: Path, tags: dict[str, list[float]], tags_again: dict[str, list[float]] | None = None) -> Path:
    """Write scalars as PyTorch does, a simple value, and those of an epoch as Keras does, a tensor."""
    proto = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    summary = pytest.importorskip("tensorboard.compat.proto.summary_pb2")
    writer = pytest.importorskip("tensorboard.summary.writer.record_writer")
    scalar = pytest.importorskip("tensorboard.plugins.scalar.summary_v2").scalar_pb
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "events.out.tfevents.1.host"
    with path.open("wb") as file:
        record = writer.RecordWriter(file)
        record.write(proto.Event(file_version="brain.Event:2").SerializeToString())
        for i, step in enumerate(STEP):
            for tag, cells in [*tags.items(), *(tags_again or {}).items()]:
                value = summary.Summary(value=[summary.Summary.Value(tag=tag, simple_value=cells[i])])
                if tag.startswith("epoch"):
                    value = scalar(tag, cells[i])
                record.write(proto.Event(step=step, summary=value).SerializeToString())
    return path


def test_event_files(tmp_path):
    path = events(
        tmp_path / "one", {"train/loss": LOSS, "train/grad_norm": NORM, "lr-Adam": RATE, "val/loss": LOSS[::-1]}
    )
    for log in (path, tmp_path / "one"):
        got = gradtx.read_log(log)
        assert set(got.columns) == set(WANT)
        for name, cells in got.columns.items():
            np.testing.assert_allclose(cells, WANT[name], rtol=1e-6)
    events(tmp_path / "keras" / "train", {"epoch_loss": LOSS})
    events(tmp_path / "keras" / "validation", {"epoch_loss": [9.9] * N})
    np.testing.assert_allclose(read(tmp_path / "keras")["loss"], LOSS, rtol=1e-6)
    events(tmp_path / "keras" / "other", {"epoch_loss": LOSS})
    with pytest.raises(ValueError, match=r"holds 3 logs, other, train, validation, expected one"):
        gradtx.read_log(tmp_path / "keras")
    twice = read(events(tmp_path / "twice", {"loss": LOSS}, tags_again={"loss": NORM}))
    np.testing.assert_allclose(twice["loss"], [x for pair in zip(LOSS, NORM, strict=True) for x in pair], rtol=1e-6)
    path.write_bytes(path.read_bytes()[:-7])  # a run that was killed
    np.testing.assert_allclose(read(path)["loss"], LOSS, rtol=1e-6)
    with pytest.raises(ValueError, match=r"^read_log: .* holds no scalar"):
        gradtx.read_log(events(tmp_path / "none", {}))


def test_event_files_need_the_extra(tmp_path, monkeypatch):
    (tmp_path / "events.out.tfevents.1").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_file_loader", None)
    with pytest.raises(ImportError, match=r'^read_log: .*pip install "gradtx\[tensorboard\]"'):
        gradtx.read_log(tmp_path)
