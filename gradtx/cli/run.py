"""`gradtx run SCRIPT`: run a training script with the flags that make a step on a CPU move each byte once."""

import argparse
import os
import subprocess
import sys
from typing import Any

from gradtx.cli.say import say
from gradtx.cpu import cpu_flags

__all__ = ["add", "run"]

MISSING = 2


def add(commands: Any) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "run",
        help="run a training script with XLA's flags for a CPU",
        description="Run a Python script with XLA_FLAGS as gradtx.cpu_flags() returns them: a step on a CPU then "
        "writes parameter and slots in one loop. Flags that are there stay. Numbers may differ in the last bit.",
        epilog="The exit status is the script's; 2 where there is no such script.",
    )
    command.add_argument("-m", dest="module", action="store_true", help="SCRIPT is a module, as in python -m SCRIPT")
    command.add_argument("script", metavar="SCRIPT", help="the script")
    rest = command.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="what the script is given")
    rest.required = False  # else an error for want of SCRIPT asks for `...` too


def run(chosen: argparse.Namespace) -> int:
    """Run the script in a process of its own, and return its exit status."""
    if not (chosen.module or os.path.exists(chosen.script)):
        say(f"run: {chosen.script} is no file, expected a Python script; for a module write gradtx run -m NAME")
        return MISSING
    command = [sys.executable, *["-m"] * chosen.module, chosen.script, *chosen.arguments]
    environment = {**os.environ, "XLA_FLAGS": cpu_flags(os.environ.get("XLA_FLAGS", ""))}
    try:
        status = subprocess.run(command, env=environment, check=False).returncode
    except KeyboardInterrupt:  # the script got it too
        return 130
    return status if status >= 0 else 128 - status  # as a shell says that a signal ended it
