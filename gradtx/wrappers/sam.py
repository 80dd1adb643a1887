"""Sharpness-aware minimization: take the gradient a little way uphill, and descend by it from where one stood."""

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from gradtx._core.arguments.whole import check_count
from gradtx._core.arrays.tree import has_gradient, promoted
from gradtx._core.contract.errors import STATE_FIX, describe, message, none_is_leaf
from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.apply import apply_updates
from gradtx._core.engine.members import check_member, own
from gradtx.rules import Rule, Slots, Transform, factory, leafwise, own_copy


def keeper(sync_period: int) -> Transform:
    """Return the transform that remembers where a period began, climbs in it, and descends from there at its end."""

    def scalars(k: SimpleNamespace, count: jax.Array) -> Mapping[str, Any]:
        del k
        place = count % sync_period
        return {"is_first": place == 0, "is_last": place == sync_period - 1}

    def update(g: jax.Array, slots: Slots, p: jax.Array, k: SimpleNamespace) -> tuple[jax.Array, Slots]:
        start = jnp.where(k.is_first, p, slots["start"])
        return jnp.where(k.is_last, start - p + g, -g), {"start": start}

    init = lambda p: {"start": own_copy(p)}  # noqa: E731
    return leafwise(Rule("sam", update, init, ("start",), scalars=scalars, needs_params=True))


def like(grads: Any, params: Any, updates: Any) -> Any:
    """Return updates in the dtypes that those for these gradients and params have, None where there is no gradient."""

    def cast(g: Any, p: Any, u: Any) -> Any:
        return lax.convert_element_type(u, promoted(g, p)) if has_gradient(g) else None

    return jax.tree.map(cast, grads, params, updates, is_leaf=none_is_leaf)


@dataclasses.dataclass(frozen=True, eq=False)
class Sam:
    """An optimizer and an adversary: the body of `sam`."""

    optimizer: Any
    adversary: Any
    keeper: Transform
    sync_period: int
    reset_state: bool
    opaque: bool
    batch_axis_name: str | None
    name: str = "sam"
    info: Info | None = None
    role: str = "container"
    in_row: bool = False

    def states(self, state: Any) -> tuple[Any, Any, Any]:
        """Return the states of the optimizer, of the adversary, and where the period began.

        Raises:
            ValueError: the state was made by another transform.
        """
        if self.fits(state):  # of the two and of the keeper
            return state  # type: ignore[no-any-return]
        got, fix = f"is {describe(state)}", STATE_FIX
        raise ValueError(message(self.name, "state", got, "a tuple of 3 as its init makes it", fix))

    def init(self, params: Any) -> tuple[Any, Any, Any]:
        """Return the states of both, and the params where the updates themselves climb.

        An adversary that starts anew in each update has none to keep.
        """
        kept = () if self.opaque else self.keeper.init(params)
        adversary = () if self.opaque and self.reset_state else self.adversary.init(params)
        return self.optimizer.init(params), adversary, kept

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates and the next states.

        Raises:
            ValueError: params or grad_fn missing.
            TypeError: grad_fn is no function.
        """
        states = self.states(state)
        if params is None:
            fix = "call update(grads, state, params)"
            raise ValueError(message(self.name, "params", "is None", "the params", fix))
        if self.opaque:
            return self.at_once(updates, states, params, **extra)
        return self.in_turn(updates, states, params, **extra)

    def in_turn(self, grads: Any, states: tuple[Any, Any, Any], params: Any, **extra: Any) -> tuple[Any, Any]:
        """Return the update of this step: uphill, or at the end of a period from its start downhill."""
        optimizer, adversary, kept = states
        place = kept.count % self.sync_period

        def start() -> Any:
            def chosen(p: Any, x: Any) -> Any:
                if p is None:  # frozen since init, but the adversary's slots are still there
                    return x
                is_own = x is None or self.sync_period == 1
                return p if is_own else lax.convert_element_type(x, jnp.asarray(p).dtype)

            return jax.tree.map(chosen, params, kept.slots["start"], is_leaf=none_is_leaf)

        def restarted() -> Any:
            return jax.tree.map(lambda x, old: jnp.asarray(x, old.dtype), self.adversary.init(start()), adversary)

        def climb() -> tuple[Any, Any, Any]:
            u, new = self.adversary.update(grads, adversary, params, **extra)
            return like(grads, params, u), optimizer, new

        def descend() -> tuple[Any, Any, Any]:
            u, new = self.optimizer.update(grads, optimizer, start(), **extra)
            return like(grads, params, u), new, restarted() if self.reset_state else adversary

        u, optimizer, adversary = lax.cond(place == self.sync_period - 1, descend, climb)
        u, kept = self.keeper.update(u, kept, params)
        return u, (optimizer, adversary, kept)

    def at_once(
        self, grads: Any, states: tuple[Any, Any, Any], params: Any, *, grad_fn: Any = None, **extra: Any
    ) -> tuple[Any, Any]:
        """Return the update of a whole period, its gradients taken by `grad_fn`."""
        if grad_fn is None:
            call = "call update(grads, state, params, grad_fn=...)"
            raise ValueError(message(self.name, "extra argument", "grad_fn is missing", "a function", call))
        if not callable(grad_fn):
            fix = "give a function of the params and of the number of the step that returns gradients"
            raise TypeError(message(self.name, "grad_fn", f"is {describe(grad_fn)}", "a function", fix))
        optimizer, adversary, kept = states
        climbing = self.adversary.init(params) if self.reset_state else adversary
        uphill, g = params, like(grads, params, grads)
        for i in range(self.sync_period - 1):
            u, climbing = self.adversary.update(g, climbing, uphill, **extra)
            uphill = apply_updates(uphill, jax.tree.map(jnp.negative, u))
            g = like(grads, params, grad_fn(uphill, i))
            if self.batch_axis_name is not None:
                g = lax.pmean(g, self.batch_axis_name)
        u, optimizer = self.optimizer.update(g, optimizer, params, **extra)
        return like(grads, params, u), (optimizer, adversary if self.reset_state else climbing, kept)

    def parts(self, state: Any) -> list[Part]:
        """Return the optimizer and the adversary."""
        optimizer, adversary, _ = (None,) * 3 if state is None else self.states(state)
        adversary = None if self.opaque and self.reset_state else adversary
        return [Part("optimizer", self.optimizer, optimizer), Part("adv_optimizer", self.adversary, adversary)]

    def renamed(self, name: str) -> "Sam":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True for a state of this form."""
        if not (type(state) is tuple and len(state) == 3):  # as in `states`
            return False
        return state[-1] == () if self.opaque else bool(self.keeper.body.fits(state[-1]))


@factory
def sam(
    optimizer: optax.GradientTransformation,
    adv_optimizer: optax.GradientTransformation,
    sync_period: int = 2,
    reset_state: bool = True,
    opaque_mode: bool = False,
    batch_axis_name: str | None = None,
) -> Transform:
    """Descend by gradients that are taken a little way uphill.

    with n = sync_period and p the parameters at the start of a period: for i = 1..n-1, q_i = q_{i-1} - a_i with q_0 = p
    and a_i the adversary's update for the gradient at q_{i-1}; then p' = p + u, u the optimizer's update for the
    gradient at q_{n-1}, given p. Sharpness-aware minimization is n = 2 with
    adv_optimizer = chain(normalize(), sgd(rho)).

    Each call of `update` makes one of these n steps, and its gradient is to be taken at the parameters that the last
    gave: u_i = -a_i, at the end p' - q_{n-1}. In `opaque_mode` each call makes all n, and takes the gradients by the
    extra argument `grad_fn`, a function of the params and of i - 1; then u_t = p' - p.

    Units: those of p.
    Equivalent to: optax's `sam`; with sync_period = 1 here the optimizer alone, there it returns to the first params.

    Args:
        optimizer: moves the parameters; gradtx's or optax's.
        adv_optimizer: the adversary, a descent whose sign is turned round.
        sync_period: steps in a period, the last of them the optimizer's, a whole number >= 1.
        reset_state: whether the adversary starts anew in each period.
        opaque_mode: whether one update is a whole period, for models whose state changes with each call, such as the
            averages of batch normalisation.
        batch_axis_name: the axis of `pmap` or `vmap` to average over what `grad_fn` returns; None is none.

    State:
        a tuple: of the optimizer; of the adversary, () where it is opaque and reset; and of where the period began, ()
        where it is opaque: start, like params, float32 or wider, and the count.

    Raises:
        ValueError: sync_period < 1; batch_axis_name without opaque_mode; at update, params or grad_fn missing.
        TypeError: optimizer or adv_optimizer is no transform; at update, grad_fn is no function.

    Cost: 1 array per parameter, none in opaque mode, beside those of both; n gradients for each step.

    References:
        Foret et al. 2021, Algorithm 1, https://arxiv.org/abs/2010.01412

    Examples:
        >>> import gradtx, jax.numpy as jnp
        >>> uphill = gradtx.chain(gradtx.normalize(), gradtx.sgd(0.5))
        >>> tx, p = gradtx.sam(gradtx.sgd(0.1), uphill), jnp.array(2.0)
        >>> state = tx.init(p)
        >>> for _ in range(2):
        ...     updates, state = tx.update(2 * p, state, p)
        ...     p = p + updates
        >>> round(p.item(), 4)  # 2 - 0.1 (2 2.5)
        1.5
    """
    for argument, tx in (("optimizer", optimizer), ("adv_optimizer", adv_optimizer)):
        check_member("sam", argument, tx)
    check_count("sam", "sync_period", sync_period, example=2)
    if batch_axis_name is not None and not opaque_mode:
        got, fix = f"is {batch_axis_name!r}", "average the gradients that you give, or set opaque_mode=True"
        raise ValueError(message("sam", "batch_axis_name", got, "None unless opaque_mode", fix))
    pair = [own(tx) for tx in (optimizer, adv_optimizer)]
    outer, adversary = [tx if isinstance(tx, Transform) else optax.with_extra_args_support(tx) for tx in pair]
    switches = {"sync_period": sync_period, "reset_state": reset_state, "opaque_mode": opaque_mode}
    settings = {"optimizer": optimizer, "adv_optimizer": adv_optimizer, **switches}
    body = Sam(outer, adversary, keeper(sync_period), sync_period, reset_state, opaque_mode, batch_axis_name)
    return Transform.of(body, Info(settings, wrapped("sam", settings)))
