"""Read the collectives of a compiled program, and the bytes that lie on one device."""

import collections
import math
import re
from typing import Any

import jax

KINDS = ["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast"]
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
LINE = re.compile(r"=\s+(\(?[^=]*?)\s+(" + "|".join(KINDS) + r")(-start)?\(")
SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")


def collectives(compiled: Any) -> dict[str, int]:
    """Return the bytes that each kind of collective gives one device; those of one number alone are left out."""
    found: dict[str, int] = collections.defaultdict(int)
    for result, kind, _ in LINE.findall(re.sub(r"/\*.*?\*/", "", compiled.as_text())):
        for dtype, dims in SHAPE.findall(result):
            size = math.prod(int(d) for d in dims.split(",") if d)
            if dtype in BYTES and size > 1:
                found[kind] += BYTES[dtype] * size
    return dict(found)


def on_one_device(tree: Any) -> int:
    """Return the bytes of all arrays that lie on the first device."""
    first = jax.devices()[0]
    shards = [shard for x in jax.tree.leaves(tree) for shard in x.addressable_shards]
    return sum(shard.data.nbytes for shard in shards if shard.device == first)
