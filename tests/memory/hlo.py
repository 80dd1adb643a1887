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
CHANNEL = re.compile(r"channel_id=(\d+)")


def collectives(compiled: Any) -> dict[str, int]:
    """Return the bytes of the arrays that each kind of collective gives; those of one number alone are left out.

    A TPU's program writes a reduce-scatter as a fusion of an all-reduce and a slice, named so, and one collective in
    several fusions, of one channel, where it runs beside other work.
    """
    found: dict[str, int] = collections.defaultdict(int)
    seen, inside = set(), ""
    for line in re.sub(r"/\*.*?\*/", "", compiled.as_text()).splitlines():
        if line.startswith(("%", "ENTRY")):  # a computation begins
            inside = line.split()[0]
        op, channel = LINE.search(line), CHANNEL.search(line)
        if not op or (channel and (op[2], channel[1]) in seen):
            continue
        if channel:
            seen.add((op[2], channel[1]))
        kind = "reduce-scatter" if inside.startswith("%all-reduce-scatter") else op[2]
        for dtype, dims in SHAPE.findall(op[1]):
            size = math.prod(int(d) for d in dims.split(",") if d)
            if dtype in BYTES and size > 1:
                found[kind] += BYTES[dtype] * size
    return dict(found)


def on_one_device(tree: Any) -> int:
    """Return the bytes of all arrays that lie on the first device."""
    first = jax.devices()[0]
    shards = [shard for x in jax.tree.leaves(tree) for shard in x.addressable_shards]
    return sum(shard.data.nbytes for shard in shards if shard.device == first)
