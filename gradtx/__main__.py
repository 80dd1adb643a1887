"""`python -m gradtx`, and the command `gradtx`: diagnose a log, list the methods, draw a schedule, run a script."""

import argparse
import os
import sys
from pathlib import Path

from gradtx import __version__
from gradtx.cli import methods, run, schedule, watch

COMMANDS = {"watch": watch, "methods": methods, "schedule": schedule, "run": run}
EPILOG = """`gradtx COMMAND --help` says more. The speed of a step is measured from a clone of the repository, which
holds the benchmarks: python benchmarks/step.py --quick"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    started = Path(sys.argv[0]).name
    top = argparse.ArgumentParser(
        prog="python -m gradtx" if started == "__main__.py" else "gradtx",
        description="Find out why training is stuck, look a method up, draw a schedule, run a script faster on a CPU.",
        epilog=EPILOG,
    )
    top.add_argument("--version", action="version", version=f"gradtx {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS.values():
        command.add(commands)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status, as `--help` says it."""
    top = parser()
    chosen = top.parse_args(arguments)
    if chosen.command is None:
        top.print_help(sys.stderr)
        return 2
    try:
        status: int = COMMANDS[chosen.command].run(chosen)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough, as in `gradtx methods | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main())
