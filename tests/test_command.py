"""The command line: the table of methods, schedules drawn as text, and nothing but schedules evaluated."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gradtx
from gradtx.__main__ import main, parser
from gradtx.cli.call import counts, read_schedule
from gradtx.cli.methods import table

ROOT = Path(__file__).parents[1]


def test_the_table_has_every_transform_with_what_it_costs():
    methods = {method.name: method for method in table()}
    assert methods["adamw"] == (
        "adamw",
        "optimizer",
        "Descend as Adam does, with decoupled weight decay",
        "u_t = -eta_t ((m_t / (1-b1^t)) / (sqrt(v_t / (1-b2^t) + eps_root) + eps) + weight_decay p_t).",
        "2 arrays per parameter; one pass.",
        "Loshchilov & Hutter 2019, Algorithm 2, https://arxiv.org/abs/1711.05101",
    )
    assert methods["scale_by_adam"].kind == "direction or scale"
    assert methods["guard"].source == ""
    assert {"muon", "clip_by_global_norm", "scale_by_learning_rate", "watch", "chain"} <= methods.keys()
    assert all(method.formula and method.memory for method in methods.values() if method.kind == "optimizer")


def test_methods_are_printed_as_a_table_in_full_and_as_json(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "130")
    assert main(["methods"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("OPTIMIZER\n")
    assert max(map(len, printed.splitlines())) <= 130
    assert f"{len(table())} transforms" in printed
    assert main(["methods", "lion", "--kind", "optimizer"]) == 0
    assert "source   Chen et al. 2023" in capsys.readouterr().out
    assert main(["methods", "--kind", "limit", "--json"]) == 0
    assert "clip" in [method["name"] for method in json.loads(capsys.readouterr().out)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["methods", "adamm"], "methods: adamm is no transform of gradtx; did you mean adam"),
        (["methods", "zzz"], "`gradtx methods` lists all"),
        (["methods", "--kind", "odd"], "--kind odd is none of chain, "),
        (["schedule", "warmup_cosin(1, 2, 3)"], "did you mean warmup_cosine"),
        (["schedule", "cosine(1.0"], "is no expression"),
        (["schedule", "3e-4"], "'3e-4' is 0.0003, expected a call such as warmup_cosine"),
        (["schedule", "cosine(1.0)"], "cosine: missing a required argument: 'decay_steps'"),
        (["schedule", "cosine(1.0, -3)"], "cosine: decay_steps = -3"),
        (["schedule", "cosine(1.0, 1 / 0)"], "1 / 0 divides by 0"),
        (["schedule", "cosine(1.0, -'a')"], "'a' is no number"),
        (["schedule", "resnet110()"], "waits for what you measure"),
        (["schedule", "constant(1.0)", "--steps", "1"], "--steps is 1, expected a whole number > 1"),
        (["schedule", "constant(" + "1 + " * 999 + "1)"], "expected at most 2,000"),
        (
            ["schedule", "constant(1.0)", "--out", "no/such/folder/x.png"],
            "folder/x.png cannot be written (No such file or",
        ),
        (["schedule", "constant(1.0)", "--out", "x.xyz"], "schedule: --out x.xyz cannot be drawn: format 'xyz' is not"),
        (["methods", "adamw", "--kind", "limit"], "adamw is of the kind optimizer, not limit; leave --kind out"),
        ([], "COMMAND ..."),
    ],
)
def test_errors_say_what_there_is(arguments, words, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["watch", "log.csv", "--follow", "--idle", "-1"], "--idle: '-1', expected a number of seconds above 0"),
        (["watch", "log.csv", "--follow", "--every", "x"], "--every: 'x', expected a number of seconds above 0"),
        (["run"], "arguments are required: SCRIPT\n"),
    ],
)
def test_options_say_what_they_take(arguments, words, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert words in capsys.readouterr().err


def test_a_picture_that_cannot_be_drawn_is_said(capsys, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("step,loss\n" + "".join(f"{step},{1 / step}\n" for step in range(1, 61)))
    assert main(["watch", str(log), "--plot", str(tmp_path / "x.xyz")]) == 2
    assert "x.xyz cannot be drawn: format 'xyz' is not supported" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "[x for x in (1, 2)]",
        "(lambda: 1)()",
        "constant(2 ** 99)",
        "open('x')",
        "plot(constant(1.0), 3)",
        "f'{1}'",
        "cosine.__globals__",
        "constant(*[1.0])",
    ],
)
def test_only_schedules_are_read(text):
    with pytest.raises(ValueError, match="schedule: "):
        read_schedule(text)


def test_an_expression_is_the_schedule_that_python_makes():
    made = read_schedule("gradtx.schedules.join([linear(0.0, 1e-3, 10 * 10), cosine(-1e-3 * -1, 900)], [100])")
    s = gradtx.schedules
    assert str(made) == str(s.join([s.linear(0.0, 1e-3, 100), s.cosine(1e-3, 900)], [100]))
    assert str(read_schedule("piecewise(1.0, {400: 0.3})")) == str(s.piecewise(1.0, {400: 0.3}))
    assert str(read_schedule("optax.cosine_decay_schedule(init_value=1.0, decay_steps=9)")).startswith("cosine_decay")
    assert read_schedule("exponential(1.0, 10, 0.5, staircase=True)")(15) == 0.5
    assert counts("warmup_cosine(3e-4, 500, 20_000)") == 21_001
    assert counts("constant(0.1)") == 1000


def test_a_schedule_is_drawn_as_text(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["schedule", "linear(0.0, 1.0, 100)", "--steps", "101"]) == 0
    first, *picture, ends = capsys.readouterr().out.splitlines()
    assert first == "linear(0.0, 1.0, 100)"
    assert ends == "first 0   largest 1 near 100   last 1"
    marks = [line.split("|", 1)[1].find("*") for line in picture[:-2]]
    assert marks == sorted(marks, reverse=True)  # a rise, from the foot at the left to the top at the right
    assert picture[0].lstrip().startswith("1 |")
    assert picture[-1].split() == ["0", "100"]
    assert main(["schedule", "piecewise(1.0, {50: 0.1})", "--steps", "100"]) == 0
    assert "|" in capsys.readouterr().out.splitlines()[4].split("|", 1)[1]  # a stroke where it falls at once


def test_a_schedule_is_printed_as_json_and_drawn_to_a_file(capsys, tmp_path):
    assert main(["schedule", "linear(0.0, 1.0, 100)", "--steps", "101", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["schedule"], made["counts"][-1], made["values"][-1]) == ("linear(0.0, 1.0, 100)", 100, 1.0)
    assert main(["schedule", "linear(0.0, 1.0, 100)", "--out", str(tmp_path / "x.svg")]) == 0
    assert (tmp_path / "x.svg").stat().st_size > 1000


def test_help_says_how_to_measure_speed_and_version_which_one(capsys):
    assert "benchmarks/step.py" in parser().format_help()
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"gradtx {gradtx.__version__}\n"


def test_a_reader_that_leaves_early_is_no_error(monkeypatch):
    """As in `gradtx methods | head`."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-W", "error", "-m", "gradtx", "methods"]
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_script_runs_with_flags_for_a_cpu_and_its_own_arguments(tmp_path, capfd, monkeypatch):
    script = tmp_path / "train.py"
    script.write_text("import os, sys; print(os.environ['XLA_FLAGS'], sys.argv[1:]); sys.exit(3)")
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1")
    assert main(["run", str(script), "--steps", "5"]) == 3
    printed = capfd.readouterr().out
    assert printed == "--xla_a=1 --xla_backend_extra_options=xla_cpu_use_multi_output_fusion ['--steps', '5']\n"
    assert main(["run", "-m", "this"]) == 0
    assert "Zen" in capfd.readouterr().out
    assert main(["run", str(tmp_path / "none.py")]) == 2
    assert (
        "none.py is no file, expected a Python script; for a module write gradtx run -m NAME" in capfd.readouterr().err
    )
    script.write_text("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    assert main(["run", str(script)]) == 128 + 15
