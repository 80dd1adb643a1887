"""What a watched update is given beside gradients, state and params."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx._core.contract.errors import describe


@dataclasses.dataclass(frozen=True, eq=False)
class Fixed:
    """An extra argument that is no array, such as a function: compared by identity, so that it need not be hashable."""

    name: str
    value: Any

    def __eq__(self, other: object) -> bool:
        """Say whether it is the very same argument."""
        return isinstance(other, Fixed) and self.name == other.name and self.value is other.value

    def __hash__(self) -> int:
        """Hash as `__eq__` compares."""
        return hash((self.name, id(self.value)))


def check_value(value: Any) -> None:
    """Raise unless the loss is a scalar."""
    if not is_array(value):
        raise TypeError(f"watch: value is {describe(value)}, expected the loss, a scalar; pass value=loss alone")
    if jnp.shape(value) != ():
        raise ValueError(f"watch: value has shape {jnp.shape(value)}, expected a scalar; pass the mean loss")


def is_array(x: Any) -> bool:
    """Say whether jit takes a leaf as an array."""
    return isinstance(x, (jax.Array, np.ndarray, np.generic, bool, int, float, complex))
