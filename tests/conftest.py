"""Settings of the whole suite: strict dtypes and ranks, float64 on, 8 virtual CPU devices, seeds fixed.

The environment is set before jax is imported; the devices do not exist otherwise.
"""

import importlib.metadata
import os

FLAGS = [
    "--xla_force_host_platform_device_count=8",
    "--xla_cpu_multi_thread_eigen=false",
    # compiling is most of the suite: these cut it to a third, and change no rule
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
]
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):
    FLAGS.append("--xla_cpu_use_fusion_emitters=false")  # a later XLA ends the process at a flag that it does not know

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS]).strip()

import hypothesis  # noqa: E402  # after the environment is set
import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("fixed")

CELLS = pytest.StashKey[dict[tuple[str, int], tuple[int, int]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the table of contracts."""
    config.stash[CELLS] = {}
    config.pluginmanager.register(Collector(config), "contract-table")


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
            from tests.contracts.table import gaps

            if gaps(cells):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of contracts."""
        if self.config.stash[CELLS]:
            from tests.contracts.table import table

            terminalreporter.section("contracts: dtype mixes that hold, of 16")
            terminalreporter.write_line(table(self.config.stash[CELLS]))
