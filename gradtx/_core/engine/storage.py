"""What slots are kept in: a policy that reaches the `init` of every lifted rule inside a transform.

Only `init` asks for it. From then on the state itself says how a slot is read and written, so that an update needs no
policy, and members of a chain run as one kernel as before.
"""

import contextlib
import contextvars
import dataclasses
import types
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays import codes
from gradtx._core.contract.errors import LeafError, LeafTypeError, describe
from gradtx._core.engine.rule import Rule

BFLOAT16 = "bfloat16"
KINDS = (BFLOAT16, *codes.KINDS)
NO_MESH = jax.sharding.AbstractMesh((), ())
PROBES = ((2,), (), (2, 2), (1, 2, 2))  # shapes at which a rule is asked how its slots start


@dataclasses.dataclass(frozen=True)
class Start:
    """How a slot begins.

    Attributes:
        like_param: whether it is one floating array in the shape of its parameter.
        value: what it holds everywhere, None where it depends on the parameter.
        is_magnitude: whether it holds magnitudes, which are real for a complex parameter too.
    """

    like_param: bool
    value: float | None
    is_magnitude: bool


NOTHING: Mapping[str, str] = types.MappingProxyType({})
POLICY: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("POLICY", default=NOTHING)


@contextlib.contextmanager
def kept_in(how: Mapping[str, str]) -> Iterator[None]:
    """Let slots of these names start in these codes; what stands further inside decides."""
    token = POLICY.set({**POLICY.get(), **how})
    try:
        yield
    finally:
        POLICY.reset(token)


def in_code(rule: Rule, p: jax.Array, slots: Mapping[str, Any]) -> dict[str, Any]:
    """Return the slots of a parameter, those that the policy names in their codes.

    Raises:
        LeafTypeError: the parameter is complex.
        LeafError: the slot is not one array in the shape of its parameter.
    """
    how = {name: kind for name, kind in POLICY.get().items() if name in slots}
    if how and jnp.iscomplexobj(p):
        fix = "leave such leaves out of store, by partition"
        raise LeafTypeError(0, f"is {describe(p)}", "a real array", fix)
    new = dict(slots)
    for name, kind in how.items():
        slot = slots[name]
        if getattr(slot, "shape", None) != p.shape:
            fix = "leave this slot as it is"
            raise LeafError(0, f"has a slot {name!r} that is {describe(slot)}", f"shape {p.shape}", fix)
        if kind == BFLOAT16:
            new[name] = lax.convert_element_type(slot, jnp.bfloat16)
        else:
            new[name] = codes.start(kind, p, slot, start_of(rule, name).value or 0.0)
    return new


def start_of(rule: Rule, name: str) -> Start:
    """Return how a slot of a rule begins, by asking its `init` at small parameters."""
    # computed here and now, which no mesh without devices may stand round, as where specs of a state are asked for
    with jax.ensure_compile_time_eval(), jax.sharding.use_abstract_mesh(NO_MESH):
        for shape in PROBES:
            if rule.ndims is not None and len(shape) not in rule.ndims:
                continue
            ones = jnp.ones(shape, jnp.float32)
            layout = None if rule.layout is None else rule.layout([ones], "params")[0]
            if rule.layout is not None and layout is None:
                continue
            try:
                first, second = (rule.start(c * ones, layout)[name] for c in (1.0, 2.0))
            except (IndexError, ValueError, TypeError):  # no parameter for this rule
                continue
            if getattr(first, "shape", None) != shape or not jnp.issubdtype(first.dtype, jnp.floating):
                return Start(False, None, False)
            values = {float(x) for slot in (first, second) for x in slot.reshape(-1)}
            return Start(True, values.pop() if len(values) == 1 else None, is_magnitude(rule, name, shape, layout))
    return Start(False, None, False)


def is_magnitude(rule: Rule, name: str, shape: tuple[int, ...], layout: Any) -> bool:
    """Return True if a slot is real for a complex parameter, as `zeros(p, magnitude=True)` makes it."""
    try:
        slot = jax.eval_shape(lambda p: rule.start(p, layout)[name], jax.ShapeDtypeStruct(shape, jnp.complex64))
    except (TypeError, ValueError):  # a rule of real parameters alone
        return False
    return bool(jnp.issubdtype(slot.dtype, jnp.floating))
