"""The result of a probe, and how it prints."""

import dataclasses
import math
from typing import Any

from gradtx.diagnosis.probing.curvature import Sign

NEAR = 0.1  # a sharpness this near to the edge, relatively, is at the edge


@dataclasses.dataclass(frozen=True)
class Probe:
    """The result of `probe` at one point; None is what could not be measured.

    Attributes:
        loss: on the batch.
        gradient_norm: |g| on the batch.
        parameters: how many.
        method: "lanczos" or "power".
        products: Hessian-vector products spent.
        lambda_max: largest eigenvalue of the Hessian, from below.
        lambda_max_residual: some eigenvalue is this near to it.
        lambda_min: smallest eigenvalue of the Hessian, from above.
        lambda_min_residual: some eigenvalue is this near to it.
        curvature_sign: "negative" if a direction of negative curvature was found, "positive" if none can be
            hidden, else "undecided".
        sharpness: largest eigenvalue of D^1/2 H D^1/2, D the effective rate eta / sigma.
        sharpness_residual: some eigenvalue is this near to it.
        edge: sharpness above which the optimizer diverges on a quadratic.
        learning_rate: eta of the next update.
        update_norm: |u| of the update probed.
        slope: g.u.
        curvature: u.Hu.
        line_minimum: -slope / curvature, the multiple of u that lands on the line's minimum; None if the loss does
            not fall along u or curves down.
        best_learning_rate: eta times `line_minimum`.
        scales: multiples of u at which the loss was taken.
        losses: the loss there, None if not finite.
        best_scale: the scale of the lowest loss, 0 if every loss is higher than the one here.
        best_fall: relative fall of the loss there.
        signal: share of signal in a minibatch's gradient, 0 to 1.
        signal_error: its standard error.
        noise_scale: minibatches whose mean gradient is half signal, half noise (B_simple); None if S <= 0.
        batches: number of minibatches that `signal` was measured on.
        endless: True if the loss goes on falling along the update, in proportion or faster, up to 1e8 times it.
        lambda_min_fall: how far the loss falls along the eigenvector of a negative lambda_min, in units of the loss.
        lambda_min_steps: steps at the present rate until the run has left along that eigenvector by itself, from what
            of the gradient leads there already; None where that is not known, or no more than rounding.
        directions: for each further direction, its best scale and relative fall.
    """

    loss: float
    gradient_norm: float
    parameters: int
    method: str
    products: int
    lambda_max: float
    lambda_max_residual: float
    lambda_min: float
    lambda_min_residual: float
    curvature_sign: Sign
    sharpness: float | None
    sharpness_residual: float | None
    edge: float | None
    learning_rate: float | None
    update_norm: float
    slope: float
    curvature: float
    line_minimum: float | None
    best_learning_rate: float | None
    scales: tuple[float, ...]
    losses: tuple[float | None, ...]
    best_scale: float
    best_fall: float
    signal: float | None = None
    signal_error: float | None = None
    noise_scale: float | None = None
    batches: int = 0
    endless: bool = False
    lambda_min_fall: float | None = None
    lambda_min_steps: float | None = None
    directions: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values that JSON accepts; None for what is not finite."""

        def plain(x: Any) -> Any:
            if isinstance(x, dict):
                return {key: plain(value) for key, value in x.items()}
            if isinstance(x, (list, tuple)):
                return [plain(value) for value in x]
            return None if isinstance(x, float) and not math.isfinite(x) else x

        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def __str__(self) -> str:
        lines = [self._head(), self._curvature(), self._sharpness(), self._line(), self._best(), self._noise()]
        lines += [
            f"  along {name}: {best_words(scale, fall, len(self.scales))}"
            for name, (scale, fall) in self.directions.items()
        ]
        return "\n".join(line for line in lines if line)

    def _head(self) -> str:
        lines = 1 if self.lambda_min_fall is None else 4 if self.lambda_min_fall > 0 else 3
        how = "Lanczos" if self.method == "lanczos" else "power iteration"
        return (
            f"PROBE ({self.products} HVP, {lines * len(self.scales)} losses, {how}, {self.parameters:,} parameters)   "
            f"loss {self.loss:.4g}   |g| {self.gradient_norm:.3g}   |u| {self.update_norm:.3g}"
        )

    def _curvature(self) -> str:
        if not math.isfinite(self.lambda_max):
            return "  lambda: the Hessian is not finite here; curvature undecided"
        what = {
            "negative": "negative curvature: this is not a minimum",
            "positive": "every curvature is positive",
            "undecided": "sign of the lowest curvature undecided: minimum, flat or saddle",
        }[self.curvature_sign]
        return (
            (
                f"  lambda_max {self.lambda_max:.4g} (+-{self.lambda_max_residual:.1g})   "
                f"lambda_min {self.lambda_min:+.3g} (+-{self.lambda_min_residual:.1g})   {what}"
            )
            + (
                ""
                if self.lambda_min_fall is None
                else f"\n  along its direction the loss falls by {self.lambda_min_fall:.3g}"
            )
            + (
                ""
                if self.lambda_min_steps is None
                else f"; at this rate the run is there after {self.lambda_min_steps:.3g} steps"
            )
        )

    def _sharpness(self) -> str:
        if self.sharpness is None:
            return "  eta/sigma unknown (no eta, or an optax chain): no sharpness; pass rate="
        if self.edge is None:
            return f"  eta/sigma * lambda_max = {self.sharpness:.3g}   edge of this optimizer unknown"
        part = self.sharpness / self.edge
        where = "below the edge" if part < 1 - NEAR else "AT the edge" if part <= 1 + NEAR else "BEYOND the edge"
        return f"  eta/sigma * lambda_max = {self.sharpness:.3g} of {self.edge:.4g} (x{part:.2g})   {where}"

    def _line(self) -> str:
        if self.update_norm == 0.0:
            return "  the update is 0 here: nothing to probe along it"
        slopes = f"  along the update: slope {self.slope:.3g}, curvature {self.curvature:.3g}; "
        if self.slope >= 0:
            return slopes + "the update climbs at first order (momentum, or noise in it)"
        if self.line_minimum is None:
            return slopes + "the line curves down, no minimum in sight"
        rate = "" if self.best_learning_rate is None else f", eta {self.best_learning_rate:.3g}"
        return slopes + f"its minimum is at x{self.line_minimum:.3g} of this step{rate}"

    def _best(self) -> str:
        return f"  best step along it: {best_words(self.best_scale, self.best_fall, len(self.scales))}"

    def _noise(self) -> str:
        if self.signal is None or self.signal_error is None:
            return ""
        size = f"S = {self.signal:.3g} (+-{self.signal_error:.1g}, {self.batches} batches)"
        head = f"  signal in a minibatch gradient {size}   "
        if self.is_noise or self.noise_scale is None:
            return head + "no signal beyond the noise: a noise floor, or too few batches"
        return head + f"noise equals signal at {self.noise_scale:.3g} minibatches (B_simple)"

    @property
    def is_noise(self) -> bool:
        """True if the minibatches' gradients show no signal beyond two standard errors; False if unmeasured."""
        return self.signal is not None and self.signal_error is not None and self.signal < 2.0 * self.signal_error


def best_words(scale: float, fall: float, tried: int) -> str:
    """Return in words what the best of the tried steps does to the loss."""
    if scale == 0.0:
        return f"none of {tried} lowers the loss"
    change = f"{fall:.0%}" if fall >= 0.01 else f"{fall:.1g} of itself"  # a percent
    return f"a step x{scale:g} would cut the loss {change}"
