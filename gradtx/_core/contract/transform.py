"""`Transform`: optax's (init, update) pair that also knows its name, its settings and what it holds.

Because it is an `optax.GradientTransformationExtraArgs`, it works unchanged in `optax.chain`, in flax and in
every training loop written for optax.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import optax

from gradtx._core.contract.writing import call


class Part(NamedTuple):
    """A transform inside another one, with its state.

    Attributes:
        label: the key of its state in a container with labels, else None.
        tx: the transform.
        state: its own state.
        view: how the container shows it trees of another form, None where it sees them as they are.
    """

    label: str | None
    tx: Any
    state: Any
    view: "View | None" = None


class View(NamedTuple):
    """How a container shows gradients and params to a part that sees trees of another form.

    Attributes:
        into: `(tree, like)`: returns the form that the part sees; `like` is the tree in its true shapes, where `tree`
            is a sample.
        out: `(made, given, like)`: returns what the part made of `given` in the form that the container was given.
        still: whether leaves that the part does not see get an update of 0.
    """

    into: Callable[[Any, Any], Any]
    out: Callable[[Any, Any, Any], Any]
    still: bool = False


@runtime_checkable
class Body(Protocol):
    """What a transform is made of: its pair of functions, and how others look inside.

    A container whose parts do not run one after another, each on what the last gave, says so by `in_row = False`; one
    that passes some leaves on round its part says so by `passes_some = True`. A part that sees trees of another form
    has a `view`.

    Attributes:
        name: name in errors.
        role: what it does to an update: "direction", "scale" (it has a sigma), "rate", "limit", "decay", "identity",
            "rounding" (it decides how the parameter is rounded), "measure" (it looks on), "container" (it holds other
            transforms), or "" where that is not known.
    """

    name: str

    @property
    def role(self) -> str:
        """What it does to an update."""
        ...

    def init(self, params: Any) -> Any:
        """Return the state for these params."""
        ...

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the new updates and the next state."""
        ...

    def parts(self, state: Any) -> list[Part]:
        """Return the transforms that it holds with their states, in the order in which they run."""
        ...

    def fits(self, state: Any) -> bool:
        """Return True if `state` has the form of the states that `init` makes."""
        ...


@dataclasses.dataclass(frozen=True)
class Info:
    """How a transform was made.

    Attributes:
        settings: the arguments it was made with, by name.
        text: the call that makes it.
        hypers: the names of the settings that are hyperparameters: a number, an array or a schedule.
    """

    settings: Mapping[str, Any]
    text: str
    hypers: frozenset[str] = frozenset()


class Plain:
    """A pair of plain functions as a body: of `identity`, and of a `Transform` that a user makes."""

    def __init__(
        self, name: str, init: Callable[..., Any], update: Callable[..., Any], role: str = "", info: Info | None = None
    ) -> None:
        """Hold the functions."""
        self.name, self.role, self.functions, self.info = name, role, (init, update), info

    def init(self, params: Any) -> Any:
        """Return the state for these params."""
        return self.functions[0](params)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the new updates and the next state."""
        out: tuple[Any, Any] = self.functions[1](updates, state, params, **extra)
        return out

    def parts(self, state: Any) -> list[Part]:
        """Return nothing: it holds no transform."""
        del state
        return []

    def renamed(self, name: str) -> "Plain":
        """Return the same body under another name."""
        return Plain(name, *self.functions, self.role)

    def fits(self, state: Any) -> bool:
        """Return False: a plain function does not say what its state looks like."""
        del state
        return False


def body_of(init: Any, update: Any) -> Any:
    """Return the body whose functions these are, None where they are not the two functions of one body."""
    owner = getattr(update, "__self__", None)
    return owner if isinstance(owner, Body) and getattr(init, "__self__", None) is owner else None


class Transform(optax.GradientTransformationExtraArgs):
    """A pure pair of functions on whole trees, with a name that errors and `print` use.

    Only `init` and `update` are part of the tuple, as in optax. Everything else belongs to the body whose methods they
    are, so that whatever rebuilds the pair from its two functions (`jax.tree.map`, equinox) gives the same transform.

    Attributes:
        init: `params -> state`.
        update: `(updates, state, params=None, **extra) -> (updates, state)`; what is returned is ADDED to params.
        body: the object whose methods init and update are; `name`, `role`, `settings` and `text` are read from it.
    """

    body: Any

    def __new__(
        cls,
        init: Callable[..., Any],
        update: Callable[..., Any],
        name: str = "transform",
        settings: Mapping[str, Any] | None = None,
        text: str | None = None,
    ) -> "Transform":
        """Make the pair; functions that are no methods of one body get a plain body."""
        body = body_of(init, update)
        if body is None and callable(init) and callable(update):
            made = Info(dict(settings or {}), call(name, settings or {}) if text is None else text)
            body = Plain(name, init, update, info=made)
            init, update = body.init, body.update
        self = super().__new__(cls, init, update)
        self.body = body
        return self

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> "Transform":
        """Make the pair from its two functions, as `_replace` does."""
        return cls(*iterable)

    @classmethod
    def of(cls, body: Any, info: Info | None = None) -> "Transform":
        """Return the transform of a body; `info` replaces how it says it was made."""
        if info is not None:
            # a frozen dataclass guards what it computes with, not how it is written
            object.__setattr__(body, "info", info)
        return cls(body.init, body.update)

    @property
    def info(self) -> Info:
        """How it was made."""
        made = getattr(self.body, "info", None)
        return made if made is not None else Info({}, f"{self.name}()")

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return str(getattr(self.body, "name", "transform"))

    @property
    def settings(self) -> Mapping[str, Any]:
        """The arguments it was made with, by name."""
        return self.info.settings

    @property
    def text(self) -> str:
        """The call that makes it."""
        return self.info.text

    @property
    def role(self) -> str:
        """What it does to an update."""
        return str(getattr(self.body, "role", ""))

    def parts(self, state: Any) -> list[Part]:
        """Return the transforms that it holds with their states, in the order in which they run."""
        return list(self.body.parts(state)) if self.body is not None else []

    def __repr__(self) -> str:
        """Print as the call that makes it."""
        return self.text
