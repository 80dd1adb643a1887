"""What a registry file says of its method: rows, further cases, mutants; and the words in which it says it.

No registry file imports jax or gradtx, so that a reference cannot lean on what it is to judge; the library is handed
to a row when its transform is made.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from tests.registry.numbers import Tree

SHAPES: dict[str, tuple[int, ...]] = {"scalar": (), "vector": (3,), "matrix": (2, 3), "stack": (2, 2, 3)}

# Laws that a row may keep; `tests/batteries/test_laws.py` tests each.
LEAVES = "the update of a leaf depends on that leaf alone"
ELEMENTS = "a permutation of a leaf's elements permutes its update"


class Speed(NamedTuple):
    """What a compiled float32 step of leaves of a million numbers may cost.

    Attributes:
        temporary: bytes of temporary memory; scalars of the step only, such as bias corrections and a rate.
        moved: bytes read and written, over the floor: g read, p and each slot read and written, once. Without a flag
            XLA's CPU loops write one array each, so g is read again for each slot, and each slot again for p.
        fused: the same with XLA's multi-output fusion, which writes p and all slots in one loop; None where it cannot,
            because the loop has more than 14 operands, numbers among them.
        shape: how a leaf's numbers are laid out.
    """

    temporary: int
    moved: float
    fused: float | None = 1.0
    shape: tuple[int, ...] = (1_000_000,)


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """A transform under test; in `ROWS` it goes through every battery, in `CASES` through what it declares only.

    Attributes:
        public: the name in `gradtx.__all__` that the row covers.
        variant: what is special about this row, empty for the defaults.
        settings: the arguments that make it, of the library and of the reference alike.
        reference: `(grads, params, **settings) -> updates`, float64 NumPy written from the paper, all steps at once.
        maker: `(library, **settings) -> transform` where it is no call of the public name alone.
        kind: "rule", "optimizer" (what a user trains with), "combinator" or "wrapper" (Transform -> Transform).
        shapes: the kinds of leaf that it takes, of `SHAPES`; the first is the one that contracts use.
        laws: of `LEAVES` and `ELEMENTS`, those it keeps.
        power: k where u(c g) = c^k u(g) holds exactly for each power of two c; None where no such law holds.
        first: the first step compared. A debiased variance is exactly 0 at step 1: that update is rounding only; and
            a method that waits for the first gradient has no update before it.
        moves: the first step whose update is not 0; those before it only measure.
        optax: whether optax's function of that name gives the same updates with the same settings.
        speed: what a compiled step may cost, None where it is not measured.
        hyper: one numeric hyperparameter that may be a number, an array or a schedule, by name; None if it has none.
        differentiable: whether d update / d gradient is finite and right (contract 5).
        extra: extra arguments that `update` needs.
        objective: `(gradients, params) -> extra arguments` that it needs too, such as an objective to search along.
        stored: dtype that the row asks a slot to be stored in, by slot; all others are float32 or wider.
        numbers_only: hyperparameters that this variant takes as numbers only, by name.
        starts: hyperparameters that are read once, by `init`, and so cannot wait for an event, by name.
        sparse: whether some of its updates are 0 by its own choice, which elsewhere tells of a number that vanished.
        random: whether it draws other random numbers for each leaf and dtype, so that no two leaves compare.
        fused: why a watched step may round otherwise under jit, by one unit in the last place; empty where it does not.
        position: whether the update is the way to a position that is computed afresh, so that it rounds by the size of
            the parameters and not by its own.
        params: the dtypes of parameters that it takes, as `tests.batteries.mixes` calls them; empty for all.
        stores: whether it decides what a half-precision parameter becomes: its update then leaves in float32, and is
            not that of wider parameters rounded.
        keeps_dtype: whether the update has the gradient's own dtype, because nothing is computed, or by a user alone.
        zero: whether every update is 0.
        unread: slots that an update replaces without reading them, by name: a donated one is not used up.
        around: of a wrapper, `(library, transform) -> transform`: round any transform, in the form that changes least.
        on_host: whether its state lies in the memory of the host: nothing may then stand round the row, and jit knows
            on which devices it lies.
        alone: of a wrapper without `around`, why it goes round no transform.
        idle: whether what `around` makes gives the transform's own updates, bit for bit.
    """

    public: str
    variant: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reference: Callable[..., list[Tree]] | None = None
    maker: Callable[..., Any] | None = None
    kind: str = "rule"
    shapes: tuple[str, ...] = ("vector", "scalar", "matrix", "stack")
    laws: tuple[str, ...] = (LEAVES, ELEMENTS)
    power: int | None = None
    first: int = 1
    moves: int = 1
    optax: bool = False
    speed: Speed | None = None
    hyper: str | None = None
    differentiable: bool = True
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    objective: Callable[[Any, Any], Mapping[str, Any]] | None = None
    stored: Mapping[str, str] = dataclasses.field(default_factory=dict)
    numbers_only: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    sparse: bool = False
    random: bool = False
    fused: str = ""
    position: bool = False
    params: tuple[str, ...] = ()
    stores: bool = False
    keeps_dtype: bool = False
    zero: bool = False
    unread: tuple[str, ...] = ()
    around: Callable[[Any, Any], Any] | None = None
    on_host: bool = False
    alone: str = ""
    idle: bool = True

    @property
    def name(self) -> str:
        """Name shown in reports."""
        return f"{self.public}[{self.variant}]" if self.variant else self.public

    @property
    def event(self) -> str | None:
        """The hyperparameter that may be an event schedule, None if it has none."""
        names = [name for name in ("learning_rate", "step_size", "step_size_fn") if name not in self.starts]
        return next((name for name in names if name in self.settings), None)

    def given(self, grads: Any, params: Any) -> dict[str, Any]:
        """Return the extra arguments of an update at these gradients and params."""
        return {**self.extra, **(self.objective(grads, params) if self.objective else {})}

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Return True if the row takes a leaf of this shape."""
        return list(SHAPES)[len(shape)] in self.shapes

    def make(self, library: ModuleType | None = None, **override: Any) -> Any:
        """Return the transform, made by gradtx unless another library is given; `override` replaces settings."""
        if library is None:
            import gradtx as library
        settings = {**self.settings, **override}
        if self.maker:
            return self.maker(library, **settings)
        named = library if self.public in dir(library) else library.contrib  # optax keeps its newer methods there
        return getattr(named, self.public)(**settings)


def row(public: str, variant: str = "", /, *, traits: Mapping[str, Any] | None = None, **settings: Any) -> Row:
    """Return a row of these settings; `traits` are further fields of `Row`."""
    return Row(public, variant, settings, **(traits or {}))


# Whether LLVM makes one fused multiply-add of a product and a sum depends on the program around them, so that a watched
# step may round one of them once less; seen in trees of mixed dtypes only. Without such an instruction no bit differs.
FUSED = "a product and a sum become one fused multiply-add in one program and not in the other"


class Mutant(NamedTuple):
    """One wrong line.

    Attributes:
        name: what goes wrong.
        file: file inside `gradtx`.
        old: the right text, which stands there exactly once.
        new: the wrong text.
        tests: test ids inside `tests`; at least one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def reference_of(*rows: str, dtype: str = "float64") -> tuple[str, ...]:
    """Return the tests of these rows against their references."""
    return tuple(f"batteries/test_reference.py::test_row[{name}-{dtype}]" for name in rows)


def case_of(*cases: str) -> tuple[str, ...]:
    """Return the tests of these cases against their references."""
    return tuple(f"batteries/test_reference.py::test_case[{name}]" for name in cases)


def optax_of(*rows: str) -> tuple[str, ...]:
    """Return the tests of these rows or cases against optax."""
    return tuple(f"batteries/test_reference.py::test_optax[{name}]" for name in rows)


def law(name: str) -> tuple[str, ...]:
    """Return this test of the laws."""
    return (f"batteries/test_laws.py::test_{name}",)


def identity(name: str) -> tuple[str, ...]:
    """Return this test of the identities between methods."""
    return (f"test_identities.py::test_{name}",)


def clip(name: str) -> tuple[str, ...]:
    """Return this test of the clip."""
    return (f"test_clip.py::test_{name}",)


def outside_jit(name: str) -> tuple[str, ...]:
    """Return this test of updates outside jit."""
    return (f"test_outside_jit.py::test_{name}",)


def updates(name: str) -> tuple[str, ...]:
    """Return this test of `apply_updates`."""
    return (f"test_apply_updates.py::test_{name}",)


def speed(name: str) -> tuple[str, ...]:
    """Return this test of speed without a clock."""
    return (f"batteries/test_speed.py::test_{name}",)
