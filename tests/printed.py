"""Compare what a program prints with what a page promises: the words exactly, the numbers within 5 %."""

import math
import re

NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?[0-9][0-9,]*(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?")


def same(printed: str, promised: str) -> bool:
    """Return True where two texts have the same words, and numbers within 5 %: another XLA rounds otherwise."""
    words = [re.sub(" +", " ", NUMBER.sub("#", text.strip())) for text in (printed, promised)]
    numbers = [[float(x.replace(",", "")) for x in NUMBER.findall(text)] for text in (printed, promised)]
    close = all(math.isclose(a, b, rel_tol=0.05) for a, b in zip(*numbers, strict=False))
    return words[0] == words[1] and len(numbers[0]) == len(numbers[1]) and close
