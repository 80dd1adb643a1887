"""What the commands say beside their output."""

import sys


def say(line: str) -> None:
    """Print a line beside the output."""
    print(line, file=sys.stderr, flush=True)
