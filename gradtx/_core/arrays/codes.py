"""Arrays kept in 8 bits: `Coded` stands in a state where an array would, and says by itself how it is read.

A code is a float8 number (e4m3: 3 bits of fraction, 4 of exponent) times a scale for each block of up to 128 neighbours
along the last axis. A second moment is kept as its root, whose 17 octaves then hold 34 of its own. Codes have the shape
of the array and scales that of its blocks, so that both are sharded as the array; nothing is looked up in a table.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradtx._core.arrays.compat import explicit_sharding, sharded_as
from gradtx._core.arrays.numerics import full, root

KINDS = ("fp8", "fp8_root")
FLOAT8 = jnp.float8_e4m3fn
TOP = float(jnp.finfo(FLOAT8).max)
LEAST = float(jnp.finfo(FLOAT8).smallest_subnormal)
NORMAL = float(jnp.finfo(FLOAT8).smallest_normal)
MOST, FEWEST = 128, 32  # numbers in a block; with fewer, scales would take more than they save


def block_of(shape: tuple[int, ...]) -> int:
    """Return how many neighbours along the last axis share a scale, 0 where the array stays as it is.

    It divides the axis, so that nothing is padded, and is found from the whole shape, whatever the sharding.
    """
    last = shape[-1] if shape else 0
    block = max((d for d in range(1, min(last, MOST) + 1) if last % d == 0), default=0)
    return block if block >= FEWEST and 0 not in shape else 0


@jax.tree_util.register_pytree_with_keys_class
class Coded:
    """An array in few bits.

    Attributes:
        kind: "fp8", or "fp8_root" for magnitudes, kept as their roots.
        code: float8 in the shape of the array; of a small array the array itself.
        scale: float32, what a code of each block is worth; of a small array empty.
    """

    __slots__ = ("code", "kind", "scale")

    def __init__(self, kind: str, code: Any, scale: Any) -> None:
        """Hold the parts."""
        self.kind, self.code, self.scale = kind, code, scale

    def tree_flatten_with_keys(self) -> tuple[tuple[tuple[Any, Any], ...], str]:
        """Return code and scale with their keys, which say what is needed to read them elsewhere."""
        keys = (jax.tree_util.GetAttrKey(self.kind), jax.tree_util.GetAttrKey("scale"))
        return ((keys[0], self.code), (keys[1], self.scale)), self.kind

    @classmethod
    def tree_unflatten(cls, kind: str, children: Any) -> "Coded":
        """Make it of its parts."""
        return cls(kind, *children)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return tuple(self.code.shape)

    @property
    def is_small(self) -> bool:
        """Whether the array is kept as it is."""
        return bool(self.scale.shape[-1] == 0)

    def __repr__(self) -> str:
        """Print what is kept, without its numbers."""
        return f"Coded({self.kind!r}, {self.code!r}, {self.scale!r})"

    def decoded(self) -> jax.Array:
        """Return the array, float32 or as wide as a small one is."""
        if self.is_small:
            small: jax.Array = self.code
            return small
        shares = blocks(lax.convert_element_type(self.code, jnp.float32), self.scale.shape[-1])
        x = joined(shares * self.scale[..., None], self.code)
        return x * x if self.kind == "fp8_root" else x

    def encoded(self, x: jax.Array) -> "Coded":
        """Return another array in the same form. Nothing is differentiated through it: a code has no derivative."""
        if self.is_small:
            return Coded(self.kind, lax.convert_element_type(x, self.code.dtype), self.scale)
        x = lax.convert_element_type(lax.stop_gradient(x), jnp.float32)
        x = blocks(root(x) if self.kind == "fp8_root" else x, self.scale.shape[-1])
        most = jnp.max(jnp.abs(x), -1)
        share = x / jnp.where(most == 0, jnp.ones_like(most), most)[..., None] * TOP
        if self.kind == "fp8_root":  # sigma is not 0 where a gradient was: it would divide by what is left, eps
            share = jnp.where(share > 0, jnp.maximum(share, LEAST), share)
        else:  # the few digits of the smallest numbers are cut off: rounded up, a step would be up to twice as long
            share = jnp.where(jnp.abs(share) < NORMAL, jnp.trunc(share / LEAST) * LEAST, share)
        code = joined(share, self.code)
        return Coded(self.kind, lax.convert_element_type(code, FLOAT8), placed_as(most / TOP, self.scale))


def is_coded(x: Any) -> bool:
    """Return True for a `Coded`: `jax.tree` functions that are given this take it for a leaf."""
    return isinstance(x, Coded)


def holds_codes(tree: Any) -> bool:
    """Return True if something in a tree is kept in few bits."""
    return any(map(is_coded, jax.tree.leaves(tree, is_leaf=is_coded)))


def decoded(tree: Any) -> Any:
    """Return a tree with arrays in place of what is kept in few bits."""
    if not holds_codes(tree):
        return tree
    return jax.tree.map(lambda x: x.decoded() if is_coded(x) else x, tree, is_leaf=is_coded)


def encoded(tree: Any, like: Any) -> Any:
    """Return a tree of arrays, those of them in few bits that are so in `like`."""
    if not holds_codes(like):
        return tree
    return jax.tree.map(
        lambda old, x: old.encoded(x) if is_coded(old) and not is_coded(x) else x, like, tree, is_leaf=is_coded
    )


def start(kind: str, p: jax.Array, slot: jax.Array, value: float) -> Coded:
    """Return a slot like `slot` that holds `value` everywhere, sharded as its parameter p.

    Codes are made at once: those of an array of zeros would be computed by XLA while it compiles, and lie elsewhere.
    """
    block = block_of(p.shape)
    if block == 0:
        return Coded(kind, slot, jnp.zeros((0,), jnp.float32))
    code = full(p, TOP if value else 0.0, FLOAT8)
    of_block = jnp.max(blocks(p, p.shape[-1] // block), -1)  # lies where the blocks of p lie; its value is not used
    scale = jnp.full_like(of_block, (value**0.5 if kind == "fp8_root" else value) / TOP, dtype=jnp.float32)
    return Coded(kind, code, sharded_as(of_block, scale) if isinstance(p, jax.core.Tracer) else scale)


def blocks(x: jax.Array, count: int) -> jax.Array:
    """Return an array with its last axis as so many blocks; an explicit mesh shards blocks where it can divide them."""
    shape = (*x.shape[:-1], count, x.shape[-1] // count)
    is_explicit, where = explicit_sharding(x)
    if not is_explicit:
        return x.reshape(shape)
    names = where.spec[-1] if len(where.spec) == x.ndim else None
    parts = 1
    for name in () if names is None else names if isinstance(names, tuple) else (names,):
        parts *= where.mesh.shape[name]
    lead = [*where.spec, *(None,) * x.ndim][: x.ndim - 1]
    if count % parts:  # a block lies on several devices
        names = None
        x = jax.sharding.reshard(x, jax.sharding.NamedSharding(where.mesh, jax.sharding.PartitionSpec(*lead, None)))
    spec = jax.sharding.PartitionSpec(*lead, names, None)
    out: jax.Array = lax.reshape(x, shape, out_sharding=jax.sharding.NamedSharding(where.mesh, spec))
    return out


def joined(x: jax.Array, like: jax.Array) -> jax.Array:
    """Return blocks as one last axis, on an explicit mesh sharded as `like`."""
    is_explicit, where = explicit_sharding(like)
    if not is_explicit:
        return x.reshape(like.shape)
    inner = jax.typeof(x).sharding
    spec = jax.sharding.PartitionSpec(*[*inner.spec, *(None,) * x.ndim][: x.ndim - 1])
    joint = lax.reshape(x, like.shape, out_sharding=jax.sharding.NamedSharding(inner.mesh, spec))
    out: jax.Array = jax.sharding.reshard(joint, where)
    return out


def placed_as(x: jax.Array, like: jax.Array) -> jax.Array:
    """Return an array sharded as another on an explicit mesh."""
    is_explicit, where = explicit_sharding(like)
    out: jax.Array = jax.sharding.reshard(x, where) if is_explicit else x
    return out
