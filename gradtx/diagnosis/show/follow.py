"""Follow a log that is being written: judge it again when it has grown, and tell when the verdict changes."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from gradtx.diagnosis.read.columns import ChoiceError
from gradtx.diagnosis.read.formats.table import Source


def follow(
    path: str, judge: Callable[[Any], Any], every: float, idle: float | None, say: Callable[[str], None]
) -> Iterator[Any]:
    """Yield a report each time that the verdict of a log has changed.

    Args:
        path: the log, a folder that a tool writes into, or `-` for standard input, which ends with it.
        judge: returns the report on what `read_log` takes.
        every: seconds between two looks.
        idle: seconds without a change after which to stop; None goes on until interrupted.
        say: takes a line on what is wrong while there is nothing to judge yet.

    Raises:
        ChoiceError: the log holds several columns or runs that may be meant.
    """
    verdict, complaint = None, ""
    for log in lines_of(every) if path == "-" else looks(path, every, idle):
        try:
            report = judge(log)
        except ChoiceError:
            raise
        except ValueError as error:  # not there, empty, or without a loss as yet
            if str(error) != complaint:
                complaint = str(error)
                say(f"{complaint} (waiting)")
            continue
        if report.verdict != verdict:
            verdict = report.verdict
            yield report


def looks(path: str, every: float, idle: float | None) -> Iterator[str]:
    """Yield the path each time that what stands there has changed."""
    seen: Any = "not looked at"
    since = time.monotonic()
    while True:
        now = mark(path)
        if now != seen:
            seen, since = now, time.monotonic()
            yield path
        elif idle is not None and time.monotonic() - since >= idle:
            return
        time.sleep(every)


def mark(path: str) -> Any:
    """Return what changes when a file, or a file in a folder, is written; None where there is nothing."""
    try:
        if os.path.isdir(path):
            files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
            return sorted((file, os.stat(file).st_size, os.stat(file).st_mtime_ns) for file in files)
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def lines_of(every: float) -> Iterator[Source]:
    """Yield what standard input has brought so far, at most once in so many seconds, and all of it at its end."""
    data, last = bytearray(), time.monotonic()
    for line in sys.stdin.buffer:
        data += line
        if time.monotonic() - last >= every:
            last = time.monotonic()
            yield Source("stdin", bytes(data))
    yield Source("stdin", bytes(data))
