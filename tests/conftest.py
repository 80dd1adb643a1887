"""Settings of the whole suite: strict dtypes and ranks, float64 on, 8 virtual CPU devices, seeds fixed.

The environment is set before jax is imported; the devices do not exist otherwise.
"""

import os

from tests.flags import FLAGS

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS]).strip()

import hypothesis  # after the environment is set
import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

for profile, examples in {"quick": 5, "exhaustive": 25}.items():
    hypothesis.settings.register_profile(profile, max_examples=examples, derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("quick")  # before the tests are imported, for their `settings` inherit from it

CELLS = pytest.StashKey[dict[tuple[str, int], tuple[int, int]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--exhaustive`: what CI runs once, and a person before a release."""
    text = "contracts in all 16 dtype mixes for every row, references of every dtype in every leaf shape"
    parser.addoption("--exhaustive", action="store_true", help=text)


@pytest.fixture(scope="session")
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Return True if the run tests everything rather than a part that covers it."""
    return bool(request.config.getoption("exhaustive"))


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the table of contracts; keep what shares a subprocess on one worker."""
    if config.option.exhaustive:
        hypothesis.settings.load_profile("exhaustive")
    config.stash[CELLS] = {}
    config.pluginmanager.register(Collector(config), "contract-table")
    config.addinivalue_line(
        "markers", "xdist_group(name): run these on one worker, since they share what is slow to make"
    )
    if getattr(config.option, "dist", "no") == "load":  # what `-n` gives
        config.option.dist = "loadgroup"


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
