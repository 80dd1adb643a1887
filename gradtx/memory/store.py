"""State in a fraction of the bytes: what the slots of a transform are kept in.

Nothing is added to the state or to the update: the slots themselves are made in another form by `init`, and the kernel
that runs the rules reads and writes them in the form in which they come.
"""

import dataclasses
from typing import Any

import optax

from gradtx._core.contract.errors import message
from gradtx._core.contract.transform import Info, Part, Plain, Transform
from gradtx._core.contract.writing import shown
from gradtx._core.engine.lift import Leafwise
from gradtx._core.engine.members import check_member, own
from gradtx._core.engine.parts import walk
from gradtx._core.engine.rule import Rule
from gradtx._core.engine.storage import BFLOAT16, KINDS, kept_in, start_of

NAME = "store"


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """A transform whose state is made in codes: the body of `store`.

    Attributes:
        inner: the transform inside, which takes extra arguments.
        how: slot name to code.
        only_starts: a chain may run the transform inside as its own member.
    """

    inner: Any
    how: dict[str, str]
    name: str = NAME
    info: Info | None = None
    role: str = "container"
    only_starts: bool = True

    def init(self, params: Any) -> Any:
        """Return the state of the inner one, its slots in their codes."""
        with kept_in(self.how):
            return self.inner.init(params)

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return what the inner one does, whose state says how it is kept."""
        out: tuple[Any, Any] = self.inner.update(updates, state, params, **extra)
        return out

    def parts(self, state: Any) -> list[Part]:
        """Return the inner one."""
        return [Part(None, self.inner, state)]

    def renamed(self, name: str) -> "Stored":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True if `state` has the form of the inner one's states."""
        body = getattr(self.inner, "body", None)
        return body is not None and bool(body.fits(state))


def rules_of(tx: Any) -> list[Rule]:
    """Return the rules with slots inside a transform.

    Raises:
        TypeError: it holds one whose slots cannot be seen, such as one of optax's.
    """
    rules = []
    for link in walk(tx, None):
        body = getattr(link.tx, "body", None)
        if body is None or (isinstance(body, Plain) and body.role != "identity"):
            fix = "store what is gradtx's alone, chain(store(adam(1e-3), ...), theirs)"
            got = f"holds {shown(link.tx)}, whose slots cannot be seen"
            raise TypeError(message(NAME, "tx", got, "transforms of gradtx", fix))
        if isinstance(body, Leafwise) and body.rule.slots:
            rules.append(body.rule)
    return rules


def check(tx: Any, how: dict[str, str]) -> None:
    """Raise unless each of these slots exists, and can be kept in its code.

    Raises:
        ValueError: an unknown slot or code, or one that does not fit the other.
        TypeError: a transform whose slots cannot be seen.
    """
    for name, kind in how.items():
        if kind not in KINDS:
            raise ValueError(message(NAME, name, f"is {kind!r}", f"one of {', '.join(KINDS)}", f'give {name}="fp8"'))
    if not how:
        return
    rules = rules_of(tx)
    names = sorted({name for rule in rules for name in rule.slots})
    for name, kind in how.items():
        if name not in names:
            title = getattr(tx, "name", "tx")
            fix = "print(tx.init(params)) shows them"
            raise ValueError(message(NAME, name, f"is no slot of {title}", f"one of {', '.join(names) or 'none'}", fix))
        for rule in rules:
            if name in rule.slots:
                check_slot(rule, name, kind)


def check_slot(rule: Rule, name: str, kind: str) -> None:
    """Raise ValueError unless a slot of a rule can be kept in a code."""
    where, begins = f"{name} of {rule.name}", start_of(rule, name)
    if not begins.like_param:
        fix = "leave it as it is"
        raise ValueError(message(NAME, where, "is no array in the shape of its parameter", "one floating array", fix))
    if kind == BFLOAT16:
        return
    if begins.value is None:
        fix = f'leave it as it is, or give {name}="bfloat16"'
        raise ValueError(message(NAME, where, "starts at the parameter", "a slot that starts at one number", fix))
    if kind == "fp8_root" and not begins.is_magnitude:
        fix = f'give {name}="fp8"'
        raise ValueError(message(NAME, where, "may be negative, and has no root", "magnitudes", fix))


def store(tx: optax.GradientTransformation, /, **how: str) -> Transform:
    """Keep slots of a transform in few bits.

    u_t is that of tx, made from the slots s_{t-1} as they were kept:

    "fp8": s = q c with c in float8 e4m3, round to nearest, and q = max |s| / 448 over a block of up to 128 neighbours
    along the last axis; what is below 3e-5 of the largest is cut off to 8 values. "fp8_root", for magnitudes such as
    second moments: sqrt(s) is kept, to nearest everywhere, and what is not 0 stays so. "bfloat16": s rounded. Only what
    a step hands to the next is rounded: a step computes in float32, from its gradient and what was kept.

    A second moment in fp8_root follows its block's largest one exactly, and the others only where their squares are far
    above what was kept: where gradients of one block change their sizes for good, keep it in float32.

    A block is the largest divisor of the last axis up to 128. Where it is below 32, the slot stays float32. Members of
    a chain run as one kernel as without it.

    Units: those of tx.

    Args:
        tx: a transform of gradtx, or optax's round ones of gradtx.
        **how: slot name to code, as `mu="fp8", nu="fp8_root"`; a slot that is not named stays as it is.

    State:
        that of tx, its structure the same for all shapes; a slot in fp8 is, for each array, the codes in its shape and
        the scales of its blocks, both sharded as it is. `state.mu`, `gradtx.tree.get` and `watch` read it as arrays;
        `import_state` takes it into a transform that keeps it otherwise.

    Raises:
        ValueError: an unknown slot or code; fp8 for a slot that starts at the parameter or has another shape; fp8_root
            for a slot that may be negative.
        TypeError: tx is no transform or holds one whose slots cannot be seen; at init, complex params.

    Cost: per parameter and slot 1 byte and 4 for each block: 2.07 for Adam with blocks of 128, 2.25 with blocks of 32;
        bfloat16 2. On CPU it saves bytes of checkpoints alone: XLA writes the decoded slot of each leaf out.

    References:
        Dettmers et al. 2021, https://arxiv.org/abs/2110.02861, for blocks;
        Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433, for e4m3

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> params = {"w": jnp.zeros((256, 512))}
        >>> def size(tx):
        ...     return sum(x.nbytes for x in jax.tree.leaves(tx.init(params))) // params["w"].size
        >>> tx = gradtx.store(gradtx.adamw(1e-3), mu="fp8", nu="fp8_root")
        >>> size(gradtx.adamw(1e-3)), size(tx)
        (8, 2)
        >>> state = tx.init(params)
        >>> updates, state = tx.update({"w": jnp.full((256, 512), 3.0)}, state, params)
        >>> round(float(state[0].nu["w"][0, 0]), 6), state[0].slots["nu"]["w"].code.dtype.name
        (0.009, 'float8_e4m3fn')
    """
    check_member(NAME, "tx", tx)
    member = own(tx)
    check(member, how)
    settings = ", ".join([shown(member), *(f"{name}={kind!r}" for name, kind in how.items())])
    body = Stored(optax.with_extra_args_support(member), dict(how))
    return Transform.of(body, Info({"tx": member, **how}, f"{NAME}({settings})"))
