"""One row per shipped transform and variant; every row goes through the references and the contracts.

A row declares what it is, with the reason; no test asks for a name.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

import gradtx


@dataclasses.dataclass(frozen=True)
class Row:
    """A transform under test.

    Attributes:
        public: the name in `gradtx.__all__` that the row covers.
        variant: what is special about this row, empty for the defaults.
        make: makes the transform; keyword arguments override its settings.
        hyper: one numeric hyperparameter that may be a number, an array or a schedule, by name; None if it has none.
        differentiable: whether d update / d gradient is finite and right (contract 5).
        extra: extra arguments that `update` needs.
        event: the hyperparameter that may be an event schedule, by name; None if it has none.
        stored: dtype that the row asks a slot to be stored in, by slot; all others are float32 or wider.
        numbers_only: hyperparameters that this variant takes as numbers only, by name.
        fused: why a watched step may round otherwise under jit, by one unit in the last place; empty where it does not.
        keeps_dtype: whether the update has the gradient's own dtype, because nothing is computed.
    """

    public: str
    variant: str
    make: Callable[..., gradtx.Transform]
    hyper: str | None = None
    differentiable: bool = True
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    event: str | None = None
    stored: dict[str, str] = dataclasses.field(default_factory=dict)
    numbers_only: tuple[str, ...] = ()
    fused: str = ""
    keeps_dtype: bool = False

    @property
    def name(self) -> str:
        """Name shown in reports."""
        return f"{self.public}[{self.variant}]" if self.variant else self.public


def row(
    public: str, variant: str = "", hyper: str | None = None, traits: dict[str, Any] | None = None, **settings: Any
) -> Row:
    """Return a row whose transform is the public factory with these settings; `traits` are further fields of it."""

    def make(**override: Any) -> gradtx.Transform:
        return getattr(gradtx, public)(**{**settings, **override})

    event = next((name for name in ("learning_rate", "step_size", "step_size_fn") if name in settings), None)
    return Row(public, variant, make, hyper, event=event, **(traits or {}))


def halving(count: Any) -> Any:
    """Return a schedule as a user would write one under strict promotion."""
    return 0.5 / (1.0 + jnp.asarray(count).astype(jnp.float32))


def custom_direction() -> gradtx.Rule:
    """Return a rule as a user would write one."""
    return gradtx.Rule("shrink", lambda g, slots, p, k: (k.step_size * g, {}), hyper={"step_size": 0.5})


def custom_scale() -> gradtx.Rule:
    """Return a scale as a user would write one."""
    return gradtx.Rule("magnitude", lambda g, slots, p, k: (abs(g) + k.eps, {}), hyper={"eps": 1.0})


# Whether LLVM makes one fused multiply-add of a product and a sum depends on the program around them, so that a watched
# step may round one of them once less; seen in trees of mixed dtypes only. Without such an instruction no bit differs.
FUSED = {"fused": "a product and a sum become one fused multiply-add in one program and not in the other"}

ROWS: list[Row] = [
    row("identity", traits={"keeps_dtype": True}),  # its updates are the gradients themselves
    row("scale", hyper="step_size", step_size=-0.5),
    row("scale_by_learning_rate", hyper="learning_rate", learning_rate=0.1),
    row("scale_by_learning_rate", "ascent", learning_rate=0.1, flip_sign=False),
    row("scale_by_schedule", step_size_fn=halving),
    row("add_decayed_weights", hyper="weight_decay", weight_decay=0.1),
    row("clip_by_global_norm", hyper="max_norm", max_norm=1.0),
    row("trace", hyper="decay", decay=0.9),
    row("trace", "nesterov", decay=0.9, nesterov=True),
    row("ema", hyper="decay", decay=0.9),
    row("ema", "biased", decay=0.9, debias=False),
    row("ema", "nesterov", decay=0.9, nesterov=True),
    row("scale_by_adagrad", hyper="eps"),
    row("scale_by_adagrad", "mean", initial_accumulator_value=0.0, eps=0.0, mean=True),
    row("scale_by_rss", hyper="eps"),
    row("scale_by_rms", hyper="decay"),
    row("scale_by_rms", "eps outside", eps_in_sqrt=False, initial_scale=0.5),
    row("scale_by_rms", "corrected", traits=FUSED, bias_correction=True),
    row("scale_by_rms", "first gradient", traits={"numbers_only": ("initial_scale",)}, first_gradient=True),
    row("scale_by_stddev", hyper="decay"),
    row("scale_by_stddev", "corrected", traits=FUSED, bias_correction=True, eps_in_sqrt=False, initial_scale=1000.0),
    row("scale_by_adam", hyper="b2"),
    row("scale_by_adam", "nesterov", nesterov=True),
    row("scale_by_adam", "bfloat16 mu", traits={"stored": {"mu": "bfloat16"}, **FUSED}, mu_dtype="bfloat16"),
    row("scale_by_amsgrad", hyper="b2"),
    row("scale_by_amsgrad", "paper", bias_correction_mu=False, bias_correction_nu=False),
    row("scale_by_radam", hyper="b2"),
    row("scale_by_radam", "soon trusted", b2=0.9, nesterov=True),
    row("sgd", hyper="learning_rate", learning_rate=0.1),
    row("sgd", "nesterov", learning_rate=0.1, momentum=0.9, nesterov=True),
    row("adagrad", hyper="learning_rate", learning_rate=0.1),
    row("rmsprop", hyper="learning_rate", learning_rate=0.1),
    row("rmsprop", "centered with momentum", learning_rate=0.1, centered=True, momentum=0.9, nesterov=True),
    row("adam", hyper="learning_rate", learning_rate=0.1),
    row("adamw", hyper="learning_rate", learning_rate=0.1, weight_decay=0.01),
    row("nadam", hyper="learning_rate", learning_rate=0.1),
    row("nadamw", hyper="learning_rate", learning_rate=0.1, weight_decay=0.01),
    row("amsgrad", hyper="learning_rate", learning_rate=0.1),
    row("radam", hyper="learning_rate", learning_rate=0.1, b2=0.9),
    Row("chain", "", lambda: gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(0.1, weight_decay=0.01))),
    Row("named_chain", "", lambda: gradtx.named_chain(("sum", gradtx.trace(0.9)), ("rate", gradtx.scale(-0.1)))),
    Row("leafwise", "", lambda: gradtx.leafwise(custom_direction())),
    Row("divide_by", "", lambda: gradtx.divide_by(custom_scale())),
    Row("ratio", "", lambda: gradtx.ratio(gradtx.trace(0.9), gradtx.scale_by_stddev(0.9))),
    Row("watch", "", lambda **rate: gradtx.watch(gradtx.adamw(0.1, weight_decay=0.01), **rate), **FUSED),
]
