"""Drawing leaves a picture and nothing else behind."""

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from gradtx import schedules


def test_draws_the_values_and_labels_them_as_they_print(tmp_path: Path):
    rate = schedules.warmup_cosine(1.0, 3, 10)
    figure, axes = schedules.plot([rate, schedules.constant(0.5)], 12, tmp_path / "rate.png")
    np.testing.assert_allclose(axes.lines[0].get_ydata(), rate(np.arange(12)))
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), np.arange(12))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["warmup_cosine(1.0, 3, 10)", "constant(0.5)"]
    assert (tmp_path / "rate.png").stat().st_size > 1000
    assert axes.figure is figure


def test_takes_functions_and_axes_and_long_runs():
    _, axes = schedules.plot(lambda count: 1.0 / (count.astype(float) + 1.0), 10, log=True)
    assert axes.get_yscale() == "log"
    schedules.plot(schedules.linear(1.0, 0.0, 10_000_000), 10_000_001, axes=axes)
    x = axes.lines[1].get_xdata()
    assert len(x) == 4_000
    assert (x[0], x[-1]) == (0, 10_000_000)


def test_takes_plain_functions_and_counts_beyond_int32():
    _, axes = schedules.plot([lambda count: 1.0 if count < 2 else 0.5, schedules.join([1.0, picky], [1])], 4)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1.0, 1.0, 0.5, 0.5])
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [1.0, 1.0, 0.25, 0.25])
    schedules.plot(schedules.linear(1.0, -1.0, 10**10), 10**10 + 1, axes=axes)
    np.testing.assert_allclose(axes.lines[2].get_ydata()[[0, -1]], [1.0, -1.0])
    assert axes.lines[2].get_xdata()[-1] == 10**10
    with pytest.raises(ZeroDivisionError):
        schedules.plot(lambda count: 1 / 0, 3)


def picky(count: object) -> float:
    """Return a value the way plain Python does, which needs the number behind the count."""
    return [1.0, 0.25][min(int(count), 1)]


def test_leaves_no_global_state():
    before, figures, backend = dict(mpl.rcParams), plt.get_fignums(), mpl.get_backend()
    schedules.plot(schedules.constant(0.5), 3)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == figures
    assert mpl.get_backend() == backend


def test_without_matplotlib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'^plot: .*pip install "gradtx\[plot\]"'):
        schedules.plot(schedules.constant(0.5), 3)
