"""jax.random in NumPy: the keys, the bits and the normal numbers of Threefry-2x32, for references that need noise.

Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405; how jax makes keys and floating numbers of the bits is in
its design note, https://docs.jax.dev/en/latest/jep/263-prng.html, with counts of 64 bits ("partitionable").
"""

import math

import numpy as np

Key = tuple[int, int]
WORD = 2**32
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(key: Key, high: int, low: int) -> tuple[int, int]:
    """Return the two words that a key makes of a count: 20 rounds."""
    keys = (*key, key[0] ^ key[1] ^ 0x1BD11BDA)
    x, y = (high + keys[0]) % WORD, (low + keys[1]) % WORD
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            x = (x + y) % WORD
            y = ((y << turn | y >> (32 - turn)) % WORD) ^ x
        x = (x + keys[(group + 1) % 3]) % WORD
        y = (y + keys[(group + 2) % 3] + group + 1) % WORD
    return x, y


def key_of(seed: int) -> Key:
    """Return the key of a seed."""
    return seed >> 32, seed % WORD


def split(key: Key, n: int) -> list[Key]:
    """Return n keys of one."""
    return [threefry(key, 0, i) for i in range(n)]


def inverse_erf(x: float) -> float:
    """Return the y with erf(y) = x, by Halley's method on the complement, which keeps its digits near 1."""
    if x == 0.0:
        return 0.0
    rest, start = 1.0 - abs(x), math.log(1.0 - x * x)
    half = 2 / (math.pi * 0.147) + start / 2
    y = math.sqrt(math.sqrt(half * half - start / 0.147) - half)
    for _ in range(4):
        f = (math.erfc(y) - rest) / (-2 / math.sqrt(math.pi) * math.exp(-y * y))
        y -= f / (1 + y * f)
    return math.copysign(y, x)


def normal(key: Key, shape: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
    """Return standard normal numbers, drawn in float32 or float64."""
    wide = np.dtype(dtype) == np.float64
    digits, least = (52, np.nextafter(-1.0, 0.0)) if wide else (23, float(np.nextafter(np.float32(-1), np.float32(0))))
    out = []
    for i in range(math.prod(shape)):
        high, low = threefry(key, 0, i)
        bits = (high << 32 | low) >> 12 if wide else (high ^ low) >> 9
        unit = bits / 2**digits
        spread = float(np.dtype(np.float64 if wide else np.float32).type(unit * 2.0 + least))
        out.append(math.sqrt(2.0) * inverse_erf(max(least, spread)))
    return np.array(out).reshape(shape)
