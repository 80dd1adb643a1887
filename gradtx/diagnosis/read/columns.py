"""Find the loss, the gradient norm, the learning rate and the step among the columns of a log, by their names.

A name is split into words: `run-7 - train/loss_step` is the run `run-7` and the words train, loss, step. Words that
only say where or how often a number was taken (train, batch, step) are dropped; what is left decides, in ranks: `loss`
before `total_loss` before `loss_epoch` before one part of a loss. Columns of an evaluation are never taken unless the
user names them.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

EVALUATION = {"val", "valid", "validation", "eval", "evaluation", "test", "testing", "dev", "holdout"}
TRAINING = {"train", "training", "trainer", "tr", "history", "scalars"}
GRAIN = {"step", "batch", "minibatch", "iter", "iteration"}
TOTAL = {"total", "overall", "all", "sum"}
LANGUAGE = {"lm", "model", "reduced", "language"}
MEAN = {"avg", "average", "mean", "running", "smooth", "smoothed", "moving", "ema"}
OTHER_LOSS = ({"nll"}, {"objective"}, {"cost"}, {"cross", "entropy"}, {"ce"}, {"xent"})
NO_LOSS = {"min", "max", "std", "var", "scale", "scaler", "weight", "coef", "best", "ratio", "grad", "gradient", "norm"}
NO_RATE = {"decay", "scale", "mult", "multiplier", "factor", "min", "max", "warmup", "base", "initial", "peak", "layer"}
NO_RATE |= {"loss", "schedule"}
STEPS: tuple[set[str], ...] = ({"global", "step"}, {"step"}, {"steps"}, {"iteration"}, {"iterations"}, {"iter"})
STEPS += ({"iters"}, {"n", "iter"}, {"update"}, {"updates"}, {"num", "updates"})
STEPS += ({"n", "updates"}, {"optimizer", "step"}, {"update", "step"}, {"iter", "num"}, {"total", "timesteps"})


class ChoiceError(ValueError):
    """Several columns, runs or files may be meant."""


class Column(NamedTuple):
    """A column of a log.

    Attributes:
        name: as the file has it.
        number: its place, from 1.
        run: the run that the name begins with (`run - loss`), empty where there is none.
        words: the words of the rest.
        known: how many of its cells are filled.
    """

    name: str
    number: int
    run: str
    words: tuple[str, ...]
    known: int

    @property
    def is_evaluation(self) -> bool:
        """Return True if the column belongs to an evaluation."""
        return bool(EVALUATION & set(self.words))


def column_of(name: str, number: int, known: int) -> Column:
    """Return a column with its name taken apart."""
    run, _, rest = name.strip().rpartition(" - ")
    if run and not words_of(rest):
        run, rest = "", name
    return Column(name, number, run, words_of(rest), known)


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name: split at punctuation, at digits and where a small letter meets a capital."""
    if name.endswith(("__MIN", "__MAX")):  # Weights & Biases' bands of a smoothed curve
        return ()
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return tuple(re.findall(r"[^\W\d_]+|\d+|\|g\|", apart.lower()))


def loss_rank(column: Column) -> int | None:
    """Return how surely a column is the training loss, 0 the surest; None where it is not."""
    words = set(column.words) - TRAINING - {"learning"}
    core = words - GRAIN
    if column.is_evaluation or not core or core & NO_LOSS:
        return None
    if "losses" in core:
        core = core - {"losses"} | {"loss"}
    if "loss" in core:
        rest = core - {"loss"}
        mean = MEAN | TOTAL | {"epoch"}
        kinds = (not rest, rest <= TOTAL, rest == {"epoch"}, rest <= mean, rest <= mean | LANGUAGE)
        return kinds.index(True) if True in kinds else 7
    return 5 if core in OTHER_LOSS else 6 if words == {"value"} else None


def norm_rank(column: Column) -> int | None:
    """Return how surely a column is the norm of the whole gradient; None where it is not."""
    core = set(column.words) - TRAINING - GRAIN - {"learning"}
    if core in ({"gnorm"}, {"gradnorm"}, {"|g|"}, {"grad", "norm"}, {"gradient", "norm"}):
        return 0
    whole = core - {"grad", "gradient", "norm", "l", "2", "0", "total", "global", "overall"}
    return 1 if "norm" in core and core & {"grad", "gradient"} and not whole else 2 if core == {"norm"} else None


def rate_rank(column: Column) -> int | None:
    """Return how surely a column is the learning rate; None where it is not."""
    core = set(column.words) - TRAINING
    if core & NO_RATE or column.is_evaluation:
        return None
    if core in ({"lr"}, {"learning", "rate"}):
        return 0
    return 1 if "lr" in core or core >= {"learning", "rate"} else 2 if core == {"eta"} else None


def step_rank(column: Column) -> int | None:
    """Return how surely a column is the number of the update; None where it is not."""
    core = set(column.words) - TRAINING
    return STEPS.index(core) if core in STEPS else None


RANKS: dict[str, Callable[[Column], int | None]] = {
    "grad_norm": norm_rank,
    "learning_rate": rate_rank,
    "step": step_rank,
}


def ranked(columns: Sequence[Column], rank: Callable[[Column], int | None]) -> list[Column]:
    """Return the columns that have a rank and any value, the surest first."""
    found = [(place, column) for column in columns if column.known and (place := rank(column)) is not None]
    return [column for _, column in sorted(found, key=lambda pair: pair[0])]


def choose_loss(
    path: str, columns: Sequence[Column], wanted: str | None, values: Callable[[Column], "np.ndarray"]
) -> Column:
    """Return the column of the training loss.

    Args:
        path: the file, for the error.
        columns: all columns.
        wanted: name or number given by the user, or None.
        values: reads a column as numbers.

    Raises:
        ValueError: none is a loss, several may be, or `wanted` is none of them.
    """
    if wanted is not None:
        return named(path, columns, wanted)
    found = ranked(columns, loss_rank)
    if not found:
        have = (
            f"has the columns {', '.join(c.name for c in columns)}"
            if columns
            else "holds no table and no line that names a loss"
        )
        raise ValueError(
            f"read_log: {path} {have}, expected one named loss (and grad_norm, learning_rate, step); "
            "choose the column of the loss by its name or number, --loss NAME (in Python loss=NAME), or rename it"
        )
    best = [column for column in found if loss_rank(column) == loss_rank(found[0])]
    most = max(column.known for column in best)
    # a trainer writes the mean over the whole run once, at its end, beside the loss of every step
    best = [column for column in best if column.known > max(1, most // 20) or column.known == most]
    if len(best) > 1 and not all(same(values(best[0]), values(column)) for column in best[1:]):
        raise ChoiceError(
            f"read_log: {path} has {len(best)} columns that may be the loss, {listed(best)}, expected one; "
            "choose one by its name or number, --loss NAME (in Python loss=NAME)"
        )
    return best[0]


def same(a: "np.ndarray", b: "np.ndarray") -> bool:
    """Return True if two columns agree wherever both are known."""
    both = ~(np.isnan(a) | np.isnan(b))
    return bool(both.any() and np.array_equal(a[both], b[both]))


def named(path: str, columns: Sequence[Column], wanted: str, what: str = "loss") -> Column:
    """Return the column that the user named, by its name, its name without the run, or its number.

    Raises:
        ValueError: there is none, or there are several.
    """
    tests: tuple[Callable[[Column], bool], ...] = (
        lambda column: column.name == wanted,
        lambda column: column.name.strip().lower() == wanted.strip().lower(),
        lambda column: column.name.strip().lower().endswith(" - " + wanted.strip().lower()),
        lambda column: str(column.number) == wanted.strip(),
    )
    for test in tests:
        found = [column for column in columns if test(column)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ChoiceError(
                f"read_log: {path} has {len(found)} columns named {wanted}, {listed(found)}, expected one; "
                f"choose one by its number, --{what} NUMBER (in Python {what}=NUMBER)"
            )
    have = listed(columns) or "none"
    raise ValueError(f"read_log: {path} has no column {wanted!r}, expected one of {have}; give --{what} one of these")


def listed(columns: Sequence[Column]) -> str:
    """Return the names of columns with their numbers, to choose from."""
    return listing([f"{column.name!r} (column {column.number})" for column in columns])


def listing(names: Sequence[str], most: int = 12) -> str:
    """Return names apart by commas, the first of many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
