"""State in the memory of the host, of which the device holds one leaf's at a time."""

import dataclasses
from typing import Any

import jax
import optax
from jax.sharding import NamedSharding, PartitionSpec

from gradtx._core.arrays.tree import is_traced
from gradtx._core.contract.transform import Info, Part
from gradtx._core.contract.writing import wrapped
from gradtx._core.engine.around import member
from gradtx._core.engine.fetching import fetched_in_turn, is_on_host, to_device, to_host
from gradtx._core.engine.gate import take_out
from gradtx.rules import Transform, factory


@dataclasses.dataclass(frozen=True, eq=False)
class Offload:
    """A transform whose state lies on the host: the body of `offload`.

    Attributes:
        inner: the transform inside, which takes extra arguments.
        name: name in errors.
        info: how the transform was made.
        role: what it does to an update; see `Body`.
    """

    inner: Any
    name: str = "offload"
    info: Info | None = None
    role: str = "container"

    def init(self, params: Any) -> Any:
        """Return the state of the one inside, its arrays on the host; scalars stay on the device."""
        where = scalars_of(params)

        def kept(x: Any) -> Any:
            if getattr(x, "ndim", 0):
                return to_host(x)
            return x if where is None or isinstance(x, jax.core.Tracer) else jax.device_put(x, where)

        return jax.tree.map(kept, self.inner.init(params))

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Return the updates of the one inside, and its next state on the host."""
        leaves: list[Any]
        treedef: Any
        leaves, treedef = jax.tree.flatten(state)
        here = [to_device(x) if is_on_host(x) else x for x in leaves]
        if not is_traced((updates, state, params)):
            u, new = self.inner.update(updates, treedef.unflatten(here), params, **extra)
            after = zip(jax.tree.leaves(new), leaves, strict=True)
            return u, treedef.unflatten([to_host(x) if is_on_host(old) else x for x, old in after])
        kept: list[Any] = []  # what the trace leaves behind

        def run(*state: Any) -> list[Any]:
            u, new = self.inner.update(updates, treedef.unflatten(state), params, **extra)
            arrays, put_back = take_out(u)
            kept[:] = [put_back, jax.tree.structure(new)]
            return [*arrays, *jax.tree.leaves(new)]

        found = fetched_in_turn(jax.make_jaxpr(run)(*here), leaves)  # `here` tells the types alone
        put_back, form = kept
        first = len(found) - len(leaves)
        return put_back(found[:first]), form.unflatten(found[first:])

    def parts(self, state: Any) -> list[Part]:
        """Return the inner one, with its state as it is read: on the device."""
        return [Part(None, self.inner, jax.tree.map(lambda x: to_device(x) if is_on_host(x) else x, state))]

    def renamed(self, name: str) -> "Offload":
        """Return the same body under another name."""
        return dataclasses.replace(self, name=name)

    def fits(self, state: Any) -> bool:
        """Return True if `state` has the form of the inner one's states."""
        body = getattr(self.inner, "body", None)
        return body is not None and bool(body.fits(state))


def scalars_of(params: Any) -> Any:
    """Return where scalars lie that are computed with these params, None where that is not known.

    What is on the host is bound to its device. So would the count be after one step, for which jit compiles anew.
    """
    known = [x.sharding for x in jax.tree.leaves(params) if isinstance(x, jax.Array) and not is_traced(x)]
    if not known:
        return None
    return NamedSharding(known[0].mesh, PartitionSpec()) if isinstance(known[0], NamedSharding) else known[0]


@factory
def offload(tx: optax.GradientTransformation) -> Transform:
    """Keep the state in the memory of the host, and fetch one leaf's at a time.

    u_t is that of tx, bit for bit. Arrays of the state lie in the memory that the device can reach there
    ("pinned_host"), split over devices as before; scalars stay on the device. Inside jit each array is fetched where it
    is first read, once what was made of the leaf before it is on its way back.

    Put it around the whole optimizer, `guard`, `watch` and `shard_state` included: nothing outside may compute with its
    state, and no derivative goes through it.

    Units: those of the update of tx.

    Args:
        tx: the optimizer, gradtx's or optax's.

    State:
        that of tx, in the same structure, so that a checkpoint of either is one of the other; its arrays on the host.

    Raises:
        TypeError: tx is no transform.

    Cost: on the device the state of one leaf in place of that of all, where tx runs leaf by leaf, as gradtx's do; the
        state goes over the bus twice a step. Outside jit the whole state is fetched. A CPU has one memory: there it
        changes the types alone.

    References:
        Ren et al. 2021, https://arxiv.org/abs/2101.06840

    Examples:
        >>> import gradtx, jax, jax.numpy as jnp
        >>> tx, params = gradtx.offload(gradtx.adam(0.1)), jnp.zeros((4, 2))
        >>> state = tx.init(params)
        >>> updates, state = jax.jit(tx.update)(jnp.ones((4, 2)), state, params)
        >>> gradtx.tree.get(state, "mu").sharding.memory_kind, updates.sharding.memory_kind
        ('pinned_host', 'device')
    """
    inside = member("offload", "tx", tx)
    settings = {"tx": inside}
    return Transform.of(Offload(inside), Info(settings, wrapped("offload", settings)))
