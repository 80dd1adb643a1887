"""Two processes of 4 devices, over loopback, give what one process with 8 gives."""

from pathlib import Path

import numpy as np

from tests.memory import two_processes


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """The norm of the clip to rounding, for its sum has another order; each process holds its half of the state."""
    with two_processes.Pair(tmp_path) as pair:
        wanted = two_processes.shards(two_processes.train())
        halves = pair.files()
    assert not halves[0].keys() & halves[1].keys()
    assert [len(half) for half in halves] == [len(wanted) // 2] * 2
    got = {**halves[0], **halves[1]}
    assert got.keys() == wanted.keys()
    for key, x in wanted.items():
        np.testing.assert_allclose(got[key], x, rtol=1e-5, atol=1e-6, err_msg=key)
    replicated = [x for key, x in got.items() if key.startswith("2:")]  # of "scale": the same on all 8
    assert len(replicated) == 8
    assert len({x.tobytes() for x in replicated}) == 1
