"""`python -m gradtx watch RUN.csv`: diagnose a log of any training run."""

import argparse
import json
import sys
from pathlib import Path

from gradtx.diagnosis.diagnose import judge
from gradtx.diagnosis.read.logged import from_columns
from gradtx.diagnosis.read.logs import read_log


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 where the log cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m gradtx", description="Find out why training is stuck.")
    commands = parser.add_subparsers(dest="command", required=True)
    watch = commands.add_parser(
        "watch",
        help="diagnose a log of loss, gradient norm and learning rate",
        description="Diagnose a log of any training run: CSV, JSON, JSON lines, trainer_state.json. It needs the loss; "
        "gradient norm, learning rate and step are read where they are there. What only the optimizer sees is not in a "
        "log: the report lists what it cannot know.",
    )
    watch.add_argument("log", help="the log, a table such as .csv, .json or .jsonl")
    watch.add_argument("--loss", metavar="NAME", help="name or number of the column of the loss (default: found)")
    watch.add_argument("--step", metavar="NAME", help="name or number of the column of the step, 'rows' to count rows")
    watch.add_argument("--run", metavar="NAME", help="name or number of the run where the log holds several")
    watch.add_argument("--plot", help="where to draw the picture (default: the log's name with .png)")
    watch.add_argument("--no-plot", action="store_true", help="draw nothing")
    watch.add_argument("--json", action="store_true", help="print the report as JSON")
    watch.add_argument("--loss-floor", type=float, default=None, help="least loss that can be reached")
    chosen = parser.parse_args(arguments)
    try:
        log = read_log(chosen.log, loss=chosen.loss, step=chosen.step, run=chosen.run)
        report = judge(from_columns(log.columns, chosen.loss_floor, log.notes))
    except (ValueError, OSError, ImportError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(report.to_dict(), indent=2) if chosen.json else report)
    if not chosen.no_plot:
        picture = chosen.plot or str(Path(chosen.log).with_suffix(".png"))
        try:
            report.plot(picture)
        except ImportError as error:
            print(error, file=sys.stderr)
            return 0
        except OSError as error:
            print(f"watch: cannot write {picture}: {error.strerror}; give --plot another path", file=sys.stderr)
            return 2
        print(f"picture: {picture}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
