"""Run every mutant against its tests: `python -m tests.mutants [part of a name]`; fails when one survives.

The tests are first run on the right code, unless `--tests-pass` says that they have passed.

Each mutant is a copy of the package in a temporary folder with one text changed, and one forked process that runs
pytest on it. The parent has imported jax but started no backend, so that forking is safe and costs no start-up. A
worker has one copy, in which it changes the text and puts it back; no mutant leaves byte code there.
"""

import argparse
import gc
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.flags import QUICK

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(QUICK)
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # xdist and hypothesis's plugin take time and are not needed

import chex  # noqa: F401  # imported once for all jobs, after the environment is set
import hypothesis.extra.numpy  # noqa: F401
import optax  # noqa: F401
import pytest

from tests.mutants.table import MUTANTS
from tests.registry.base import Mutant

ROOT = Path(__file__).parents[2]
WORKERS = 2
LIMIT = 120  # seconds for one mutant
LIMIT_OF_ALL = 1800  # seconds for all tests on the right code
PASSED, FAILED, WRONG_COPY = 0, 1, 97


def problem(mutant: Mutant) -> str | None:
    """Say why the mutant cannot be made, None if it can."""
    times = (ROOT / "gradtx" / mutant.file).read_text().count(mutant.old)
    return None if times == 1 else f"the old text stands {times} times in {mutant.file}, expected once"


def copy(folder: Path) -> Path:
    """Copy the package and its tests into a folder, and return it."""
    for part in ("gradtx", "tests"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def change(folder: Path, mutant: Mutant) -> None:
    """Make the wrong line."""
    file = folder / "gradtx" / mutant.file
    file.write_text(file.read_text().replace(mutant.old, mutant.new))


def restore(folder: Path, mutant: Mutant) -> None:
    """Put the right line back, with the time of the file that its byte code is known by."""
    shutil.copy2(ROOT / "gradtx" / mutant.file, folder / "gradtx" / mutant.file)


def child(folder: Path, tests: list[str], limit: int) -> int:
    """Run the tests in a copy, in this process, and return pytest's exit code."""
    out = os.open(folder / "output.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    signal.alarm(limit)
    sys.dont_write_bytecode = True
    gc.disable()
    os.chdir(folder)
    sys.path[:] = [str(folder), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.split(".")[0] in ("gradtx", "tests")]:
        del sys.modules[name]
    import gradtx

    if Path(gradtx.__file__).parents[1].resolve() != folder.resolve():
        return WRONG_COPY
    ids = [f"tests/{test}" for test in tests]
    without = [word for plugin in ("cacheprovider", "unraisableexception") for word in ("-p", f"no:{plugin}")]
    return int(pytest.main(["-x", "-q", *without, *ids]))


def start(folder: Path, mutant: Mutant | None, tests: list[str]) -> int:
    """Start a job and return its process."""
    if mutant is not None:
        change(folder, mutant)
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        code = WRONG_COPY
        try:
            code = child(folder, tests, LIMIT_OF_ALL if mutant is None else LIMIT)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return process


def run(jobs: list[tuple[Mutant | None, list[str]]], folder: Path) -> list[tuple[int, float, str]]:
    """Run all jobs, `WORKERS` at a time; return exit code, seconds and last words of each."""
    results: list[tuple[int, float, str]] = [(WRONG_COPY, 0.0, "")] * len(jobs)
    running: dict[int, tuple[int, Path, float]] = {}
    waiting = list(enumerate(jobs))
    copies = [copy(Path(tempfile.mkdtemp(dir=folder))) for _ in range(WORKERS)]
    while waiting or running:
        while waiting and copies:
            i, (mutant, tests) = waiting.pop(0)
            own, began = copies.pop(), time.perf_counter()
            running[start(own, mutant, tests)] = (i, own, began)
        process, status = os.wait()
        i, own, began = running.pop(process)
        words = (own / "output.txt").read_text()
        results[i] = (os.waitstatus_to_exitcode(status), time.perf_counter() - began, words)
        if mutant := jobs[i][0]:
            restore(own, mutant)
        copies.append(own)
    return results


def pass_on_the_right_code(mutants: list[Mutant], folder: Path) -> bool:
    """Run the tests of all mutants on the code as it is; a test that fails there would kill any mutant."""
    began = time.perf_counter()
    tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    for code, _, words in run([(None, tests[i::WORKERS]) for i in range(WORKERS) if tests[i::WORKERS]], folder):
        if code != PASSED:
            print(f"the tests fail on the right code (exit code {code}):\n{words}")
            return False
    print(f"{len(tests)} tests pass on the right code, {time.perf_counter() - began:.0f} s")
    return True


def main(part: str, tests_pass: bool, every: int) -> int:
    """Run the mutants whose name contains `part`, print a table, and return the exit code."""
    began = time.perf_counter()
    mutants = [mutant for mutant in MUTANTS if part in mutant.name][::every]
    unusable = [f"{m.name}: {problem(m)}" for m in mutants if problem(m)]
    if unusable or not mutants:
        print("\n".join(unusable) or f"no mutant is named {part}")
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not (tests_pass or pass_on_the_right_code(mutants, folder)):
            return 1
        results = run([(mutant, list(mutant.tests)) for mutant in mutants], folder)
    alive = 0
    for mutant, (code, seconds, words) in zip(mutants, results, strict=True):
        verdict = {PASSED: "SURVIVED", FAILED: "killed"}.get(code, f"ERROR {code}")
        print(f"{verdict:9} {seconds:5.1f} s  {mutant.name}")
        if code != FAILED:
            alive += 1
            print(words if code != PASSED else f"    {mutant.file}: {mutant.old!r} -> {mutant.new!r}")
    print(f"{len(mutants) - alive} of {len(mutants)} killed in {time.perf_counter() - began:.0f} s")
    return int(alive > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.mutants")
    parser.add_argument("part", nargs="?", default="", help="part of the names of the mutants to run")
    parser.add_argument("--tests-pass", action="store_true", help="the tests have passed: do not run them first")
    parser.add_argument("--every", type=int, default=1, help="run each one of this many; 1: all")
    sys.exit(main(**vars(parser.parse_args())))
