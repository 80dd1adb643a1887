"""Whether a transform keeps the contracts that training loops, checkpoints and meshes rest on."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax
from jax.typing import DTypeLike

from gradtx._core.contract.errors import message
from gradtx._core.contract.writing import shown
from gradtx._core.engine.around import member
from gradtx.memory.contracts import CONTRACTS
from gradtx.memory.findings import Finding, NotRun
from gradtx.memory.placing import place
from gradtx.memory.trial import Trial, arrays_of, given, gradient_shape

NAME = "check"
MOST_LINES = 3  # leaves that are shown of one contract
SIGNATURES = {"init": (1, "init(params)"), "update": (3, "update(updates, state, params=None)")}


@dataclasses.dataclass(frozen=True)
class CheckReport:
    """What `check` finds; printing it shows a table, and it is true if no contract is broken.

    Attributes:
        transform: the call that makes the transform.
        failures: contract to the leaves at which it does not hold; a contract that holds has none.
        not_run: contract to the reason why it could not be checked.
    """

    transform: str
    failures: Mapping[str, tuple[Finding, ...]]
    not_run: Mapping[str, str]

    def __bool__(self) -> bool:
        """Return True if no contract is broken."""
        return not any(self.failures.values())

    def __repr__(self) -> str:
        """Return one line for the interpreter; the whole table is what `print` shows."""
        broken = [name for name, found in self.failures.items() if found]
        return f"<CheckReport: {'broken: ' + ', '.join(broken) if broken else 'all hold'}; print() shows it>"

    def __str__(self) -> str:
        """Return a line for each contract, and each leaf at which it is broken with the remedy."""
        lines = [f"gradtx check   {self.transform}"]
        for name, (_, words) in CONTRACTS.items():
            found, reason = self.failures.get(name, ()), self.not_run.get(name)
            verdict = "BROKEN" if found else "not run" if reason else "holds"
            lines.append(f"  {name:<15} {verdict:<8} {words if reason is None or found else reason}")
            lines += [f"      {finding}" for finding in found[:MOST_LINES]]
            if len(found) > MOST_LINES:
                lines.append(f"      and {len(found) - MOST_LINES} more leaves")
        return "\n".join(lines)


def check(
    tx: Any,
    params: Any,
    specs: Any = None,
    *,
    mesh: Any = None,
    grads_dtype: DTypeLike | None = None,
    extra: Mapping[str, Any] | Callable[[Any, Any], Mapping[str, Any]] | None = None,
) -> CheckReport:
    """Check that a transform keeps the contracts that training loops, checkpoints and meshes rest on.

    For a transform of one's own, and for anyone's before a long run. Most is found on shapes; where the params are
    arrays, or shapes of up to four million numbers, a donated step is compiled and run four times. The seven contracts:

    - abstract: init and update work on shapes alone, and init gives for arrays what it gives for shapes.
    - state: update returns a state of the structure, shapes, dtypes and weak types of init's.
    - params: the updates have the structure and shapes of the params, and can be added to them.
    - scan: `lax.scan` carries params and state, and update is the same function at each call.
    - donation: right after init a step may overwrite params and state: no array stands in them twice.
    - shardings: slots and updates lie as their params, after init and after update.
    - zero gradients: gradients of 0 leave updates and state finite, at the params and at params of 0.

    Args:
        tx: the transform, gradtx's or optax's, or any pair (init, update).
        params: the parameters, or their shapes and dtypes. They are not changed.
        specs: a PartitionSpec for each leaf, like the params or a prefix of them; None takes the params' own shardings,
            and on one device a mesh of two is imagined.
        mesh: a `jax.sharding.Mesh` or `AbstractMesh`; None takes that of the shardings.
        grads_dtype: dtype of the gradients; None is that of each parameter.
        extra: what update needs besides, such as `{"value": 1.0}`, or `(grads, params)` to that.

    Returns:
        A `CheckReport`, which prints as a table, and is true if no contract is broken.

    Raises:
        TypeError: tx is no transform, or its functions take or return something else; a leaf is no array.
        ValueError: specs do not fit the params or the mesh.
        Exception: whatever init or update raise of themselves, with a note.

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> bool(gradtx.check(gradtx.adamw(1e-3), {"w": jnp.ones((4, 2))}))
        True
        >>> def init(params):
        ...     return {"mean": params}
        >>> def update(grads, state, params=None):
        ...     return grads, {"mean": {"w": 0.9 * state["mean"]["w"] + 0.1 * grads["w"]}}
        >>> report = gradtx.check((init, update), {"w": jnp.ones((4, 2))})
        >>> [found.path for found in report.failures["donation"]]
        ["state['mean']['w']"]
    """
    tx = transform_of(tx)
    placed = place(NAME, params, specs, mesh)
    trial = Trial(member(NAME, "tx", tx), given(NAME, extra), placed, None, arrays_of(params, placed))
    trial.grads = jax.tree.map(lambda p: gradient_shape(p, grads_dtype), trial.params)
    failures: dict[str, tuple[Finding, ...]] = {}
    not_run: dict[str, str] = {}
    for name, (contract, _) in CONTRACTS.items():
        broken = [earlier for earlier in ("abstract", "state", "params", "scan") if failures.get(earlier)]
        # what cannot be traced, or gives another state than it takes, would break the others with words less clear
        blocked = trial.after is None if name in ("state", "params") else name != "abstract" and bool(broken)
        found = NotRun(f"{' and '.join(broken)} first") if blocked else contract(trial)
        if isinstance(found, NotRun):
            not_run[name], found = found.reason, []
        failures[name] = tuple(found)
    return CheckReport(shown(tx), failures, not_run)


def transform_of(tx: Any) -> Any:
    """Return a transform of a pair of functions.

    Raises:
        TypeError: it is none, or its functions cannot be called as those of a transform are.
    """
    if type(tx) is tuple and len(tx) == 2 and all(map(callable, tx)):
        tx = optax.GradientTransformation(*tx)
    member(NAME, "tx", tx)
    for name, (count, expected) in SIGNATURES.items():
        function = getattr(tx, name)
        try:
            signature = inspect.signature(function)
        except ValueError:  # a function that does not tell
            continue
        # update may need further arguments, which come from extra
        bind = signature.bind if name == "init" else signature.bind_partial
        try:
            bind(*[None] * count)
        except TypeError:
            got, fix = f"is {name}{signature}", "a transform is optax's pair (init, update)"
            raise TypeError(message(NAME, f"tx.{name}", got, expected, fix)) from None
    return tx
