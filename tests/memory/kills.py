"""Kill a run by SIGKILL at a random moment and let another process go on: `python -m tests.memory.kills --trials 20`.

The run is `examples/checkpoints.py`, which saves every few steps while it trains. It prints a line for each trial: what
lay in the folder at the kill, the step from which a new process went on, and whether that ended with the same bits as a
run that nobody disturbed.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SECONDS = 240  # a process that takes longer hangs


class Trial(NamedTuple):
    """What one kill led to.

    Attributes:
        killed: whether the process ended by the kill, and not before it.
        files: names in the folder right after the kill.
        resumed: the step after which the new process began.
        digest: of what it ended with.
    """

    killed: bool
    files: tuple[str, ...]
    resumed: int
    digest: str


def start(folder: Path, steps: int) -> "subprocess.Popen[str]":
    """Return the running example."""
    command = [
        sys.executable,
        str(ROOT / "examples" / "checkpoints.py"),
        "--folder",
        str(folder),
        "--steps",
        str(steps),
    ]
    compiled = {  # what one of them compiled, the next takes from there
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    env = {**compiled, **os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the step after which a run began, and the digest of what it ended with."""
    out, _ = process.communicate(timeout=SECONDS)
    lines = [line.split() for line in out.splitlines()]
    first = [int(words[-1]) for words in lines if words[:2] == ["starts", "after"]]
    last = [words[-1] for words in lines if words[:2] == ["ends", "after"]]
    assert process.returncode == 0, out
    assert len(first) == len(last) == 1, out
    return first[0], last[0]


def kill(folder: Path, steps: int, line: int, delay: float) -> Trial:
    """Kill a run so many seconds after it printed so many lines, and return what a new process makes of it.

    A checkpoint is being written most of the time: the delay falls into its writing, its renaming, or a step.
    """
    process = start(folder, steps)
    assert process.stdout is not None
    for _ in range(line):
        process.stdout.readline()
    time.sleep(delay)
    process.kill()
    process.communicate(timeout=SECONDS)
    files = tuple(sorted((path.name for path in folder.iterdir()), key=lambda name: int(name.split(".")[0])))
    resumed, digest = finish(start(folder, steps))
    return Trial(process.returncode == -9, files, resumed, digest)


def main(trials: int, steps: int) -> int:
    """Print the table and return how many trials went wrong."""
    rng, wrong = random.Random(0), 0
    with tempfile.TemporaryDirectory() as folder:
        wanted = finish(start(Path(folder, "whole"), steps))[1]
        print(f"a run of {steps} steps that nobody disturbs ends with {wanted}", flush=True)
        for i in range(trials):
            line, delay = rng.randint(2, steps // 5), rng.uniform(0.0, 0.2)
            trial = kill(Path(folder, str(i)), steps, line, delay)
            same = trial.digest == wanted
            wrong += not (same and trial.killed)
            state = "killed" if trial.killed else "ENDED BEFORE THE KILL"
            result = "the same bits" if same else "OTHER BITS"
            print(f"{i + 1:>3}  {state} with {', '.join(trial.files)}; on from {trial.resumed}: {result}", flush=True)
    print(f"{trials - wrong} of {trials} trials end with the same bits")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    sys.exit(main(arguments.trials, arguments.steps))
