"""Take a training run along: a state as a flat dict by names, and states of optax and of torch.optim."""

from gradtx.migration.flat import ImportReport, export_state, import_state
from gradtx.migration.from_optax import import_optax_state
from gradtx.migration.from_torch import import_torch_state

__all__ = ["ImportReport", "export_state", "import_optax_state", "import_state", "import_torch_state"]
