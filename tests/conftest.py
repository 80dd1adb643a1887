"""Settings of the whole suite: strict dtypes and ranks, float64 on, 8 virtual CPU devices, seeds fixed.

The environment is set before jax is imported; the devices do not exist otherwise.
"""

import gc
import os
import tempfile
from typing import Any

from tests.flags import FLAGS
from tests.sample import left_out

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("JAX_TRACEBACK_FILTERING", "off")  # which took a fifth of the tests of errors
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS]).strip()

# What one process of the run has compiled, no other compiles again: more than half of the suite is compiling.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="gradtx-tests-")  # goes away with the process that made it
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import hypothesis  # after the environment is set
import jax
import pytest

gc.set_threshold(50_000, 50, 1000)  # tracing makes many small objects that stay
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

for profile, examples in {"quick": 5, "exhaustive": 25}.items():
    hypothesis.settings.register_profile(profile, max_examples=examples, derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("quick")  # before the tests are imported, for their `settings` inherit from it

CELLS = pytest.StashKey[dict[tuple[str, int], tuple[int, int]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--exhaustive`: what CI runs once, and a person before a release."""
    text = (
        "all cases, all 16 dtype mixes for every row, every leaf shape, 5 times the examples, tests marked `exhaustive`"
    )
    parser.addoption("--exhaustive", action="store_true", help=text)


@pytest.fixture(scope="session")
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Return True if the run tests everything rather than a part that covers it."""
    return bool(request.config.getoption("exhaustive"))


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the table of contracts."""
    if config.option.exhaustive:
        hypothesis.settings.load_profile("exhaustive")
    config.stash[CELLS] = {}
    config.pluginmanager.register(Collector(config), "contract-table")
    config.addinivalue_line("markers", "exhaustive: left out unless the run is `--exhaustive`")
    config.addinivalue_line("markers", "share(n, together): one case in n, unless the run is `--exhaustive`")


# Tests of one of these files share what is slow to make, and so do the contracts of one row.
ONE_WORKER = ("tests/test_examples.py", "tests/batteries/test_speed.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send tests that share something to one worker of xdist, the largest groups first, and every other by itself."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if "test_contract[" in nodeid:
                return nodeid.rpartition("-")[0]
            return file if file in ONE_WORKER else nodeid

    return Together(config, log) if config.option.dist == "load" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only an exhaustive run tests."""
    if not config.option.exhaustive:
        out = left_out(items, config.args)
        without = set(out)
        items[:] = [item for item in items if item not in without]
        config.hook.pytest_deselected(items=out)


class Collector:
    """Gather the cells of the table of contracts, on the one process that reports."""

    def __init__(self, config: pytest.Config) -> None:
        """Remember where the cells go."""
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the cell that a contract's test recorded."""
        for key, value in report.user_properties:
            if report.when == "call" and key == "contract_cell":
                row, contract, passed, checked = value
                self.config.stash[CELLS][row, contract] = (passed, checked)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run of all contracts that leaves a cell of the table empty."""
        cells = self.config.stash[CELLS]
        options = self.config.option
        selected = options.keyword or options.markexpr or any("::" in str(arg) for arg in self.config.args)
        stopped = session.shouldstop or session.shouldfail or options.maxfail
        if cells and not (selected or stopped or hasattr(self.config, "workerinput")):
            from tests.batteries.table import gaps

            if gaps(cells, exhaustive=options.exhaustive):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of contracts."""
        if self.config.stash[CELLS]:
            from tests.batteries.table import table

            terminalreporter.section("contracts: dtype mixes that hold, of those that this run tests")
            exhaustive = self.config.option.exhaustive
            terminalreporter.write_line(table(self.config.stash[CELLS], exhaustive=exhaustive))
