"""`gradtx watch LOG`: diagnose a log of any training run, once or as it grows."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from gradtx.cli.say import say
from gradtx.diagnosis.diagnose import diagnose
from gradtx.diagnosis.read.logs import read_log
from gradtx.diagnosis.show.follow import follow

__all__ = ["add", "run"]

GOOD = {"healthy", "converged_minimum", "undecided"}
WHAT = """Diagnose a log of any training run: CSV, JSON, JSON lines, trainer_state.json,
the text that programs print, TensorBoard's event files, a folder, or - for
standard input. It needs the loss; gradient norm, learning rate and step are
read where they are there. The first line of the report says which columns were
taken; the verdict states its confidence and what would settle it."""
EXITS = """exit status:
  0  the log was read and judged, whatever the verdict
  1  with --exit-code: the verdict is none of healthy, converged_minimum, undecided
  2  the log cannot be read, something must be chosen (--loss, --step, --run), or the picture cannot be written
"""


def add(commands: Any) -> None:
    """Add the command to a parser's commands."""
    watch = commands.add_parser(
        "watch",
        help="diagnose a log of loss, gradient norm and learning rate",
        description=WHAT,
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    watch.add_argument("log", metavar="LOG", help="the log, its folder, or - for standard input")
    watch.add_argument("--loss", metavar="NAME", help="name or number of the column of the loss (default: found)")
    watch.add_argument("--step", metavar="NAME", help="name or number of the column of the step, 'rows' to count rows")
    watch.add_argument("--run", metavar="NAME", help="name or number of the run where the log holds several")
    watch.add_argument("--plot", metavar="FILE", help="where to draw the picture (default: the log's name with .png)")
    watch.add_argument("--no-plot", action="store_true", help="draw nothing")
    watch.add_argument("--json", action="store_true", help="print the report as JSON; with --follow, one a line")
    watch.add_argument(
        "--loss-floor", type=float, metavar="NUMBER", help="least loss that can be reached, where it is known"
    )
    watch.add_argument("--exit-code", action="store_true", help="exit with 1 where the run is stuck or broken")
    watch.add_argument("--follow", action="store_true", help="go on reading; print the report when the verdict changes")
    watch.add_argument(
        "--every", type=seconds, default=5.0, metavar="SECONDS", help="with --follow: between two looks (5)"
    )
    watch.add_argument(
        "--idle", type=seconds, metavar="SECONDS", help="with --follow: stop after so long without a change"
    )


def seconds(text: str) -> float:
    """Return the number of seconds that an option says.

    Raises:
        argparse.ArgumentTypeError: it is no positive number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of seconds above 0, such as 5 or 0.5")
    return number


def drawn(report: Any, chosen: Any) -> bool:
    """Draw the picture and return False where its file cannot be written."""
    path = Path(chosen.log)
    picture = chosen.plot or str(path / "gradtx.png" if path.is_dir() else path.with_suffix(".png"))
    try:
        report.plot(picture)
        say(f"picture: {picture}")
    except ImportError as error:
        say(str(error))
    except OSError as error:
        say(f"watch: cannot write {picture}: {error.strerror}; give --plot another path")
        return False
    except ValueError as error:
        say(f"watch: --plot {picture} cannot be drawn: {str(error)[:1].lower()}{str(error)[1:]}")
        return False
    return True


def run(chosen: argparse.Namespace) -> int:
    """Read, judge, print and draw; return the exit status, as `--help` says it."""

    def judge(log: Any) -> Any:
        return diagnose(read_log(log, loss=chosen.loss, step=chosen.step, run=chosen.run), loss_floor=chosen.loss_floor)

    report = None
    try:
        if chosen.follow:
            for report in follow(chosen.log, judge, chosen.every, chosen.idle, say):
                print(json.dumps(report.to_dict(), allow_nan=False) if chosen.json else f"{report}\n", flush=True)
        else:
            report = judge(chosen.log)
            print(json.dumps(report.to_dict(), indent=2, allow_nan=False) if chosen.json else report)
    except KeyboardInterrupt:
        pass
    except (ValueError, OSError, ImportError) as error:
        say(str(error))
        return 2
    if report is None:
        return 2
    if not (chosen.no_plot or chosen.follow or (chosen.log == "-" and not chosen.plot)) and not drawn(report, chosen):
        return 2
    return int(chosen.exit_code and report.verdict not in GOOD)
