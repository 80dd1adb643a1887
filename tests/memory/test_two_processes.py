"""Two processes of 4 devices, over loopback, give what one process with 8 gives."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.memory import two_processes

ROOT = Path(__file__).parents[2]
SECONDS = 150


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """The norm of the clip to rounding, for its sum has another order; each process holds its half of the state."""
    port = str(free_port())
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env.pop("XLA_FLAGS", None)
    files = [tmp_path / f"{rank}.npz" for rank in range(2)]
    commands = [[sys.executable, "-m", "tests.memory.two_processes", port, str(i), str(f)] for i, f in enumerate(files)]
    logs = [open(tmp_path / f"{rank}.log", "w+") for rank in range(2)]  # noqa: SIM115  # a pipe may fill up
    running = [
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        for command, log in zip(commands, logs, strict=True)
    ]
    wanted = two_processes.shards(two_processes.train())
    try:
        codes = [process.wait(SECONDS) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
        texts = []
        for log in logs:
            log.seek(0)
            texts.append(log.read())
            log.close()
    assert codes == [0, 0], "\n".join(texts)
    halves = [dict(np.load(file)) for file in files]
    assert not halves[0].keys() & halves[1].keys()
    assert [len(half) for half in halves] == [len(wanted) // 2] * 2
    got = {**halves[0], **halves[1]}
    assert got.keys() == wanted.keys()
    for key, x in wanted.items():
        np.testing.assert_allclose(got[key], x, rtol=1e-5, atol=1e-6, err_msg=key)
    replicated = [x for key, x in got.items() if key.startswith("2:")]  # of "scale": the same on all 8
    assert len(replicated) == 8
    assert len({x.tobytes() for x in replicated}) == 1
