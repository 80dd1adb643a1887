"""What is found where a contract is broken, and how two trees of shapes differ."""

from typing import Any, NamedTuple

from gradtx._core.arrays.tree import flatten
from gradtx._core.contract.errors import container_difference, describe, paths, structure


class Finding(NamedTuple):
    """A contract that does not hold at one leaf.

    Attributes:
        path: where, as `state[0].mu['w']`.
        got: what was found there.
        expected: what the contract asks for.
        remedy: how to keep it.
    """

    path: str
    got: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        """Return the sentence of an error without the transform."""
        return f"{self.path} {self.got}, expected {self.expected}; {self.remedy}"


class NotRun(NamedTuple):
    """A contract that could not be checked.

    Attributes:
        reason: why.
    """

    reason: str


def differences(root: str, new: Any, old: Any, now: str, before: str, fix: str) -> list[Finding]:
    """Return where two trees of shapes differ in structure, shape, dtype or weak type."""
    if structure(new) != structure(old):
        return [structure_difference(root, new, old, now, before)]
    found = []
    for path, x, y in zip(paths(root, new), flatten(new)[0], flatten(old)[0], strict=True):
        if x is None or y is None or (x.shape, x.dtype, weak(x)) == (y.shape, y.dtype, weak(y)):
            continue
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            got, expected = describe(x), describe(y)
        else:
            kinds = {True: "weakly typed", False: "of a dtype of its own"}
            got, expected = (f"{x.dtype} {kinds[weak(leaf)]}" for leaf in (x, y))
        found.append(Finding(path, f"is {got} {now}", f"{expected} as {before}", fix))
    return found


def weak(x: Any) -> bool:
    """Return True if the dtype of an array gives way to any other."""
    return bool(getattr(x, "weak_type", False))


def structure_difference(root: str, new: Any, old: Any, now: str, before: str) -> Finding:
    """Return the first place at which two trees have another structure."""
    fix = "return the containers and keys that init made"
    got, wanted = paths(root, new), paths(root, old)
    for path in wanted:
        if path not in got:
            return Finding(path, f"is missing {now}", f"a leaf there as {before}", fix)
    for path in got:
        if path not in wanted:
            return Finding(path, f"is a leaf {now}", f"none as {before}", fix)
    path, one, other = container_difference(new, old)
    said = [describe(one), describe(other)]
    if said[0] == said[1]:
        said = [f"another {said[0]}", "the same"]
    return Finding(root + path, f"is {said[0]} {now}", f"{said[1]} as {before}", fix)


def paths_without_none(root: str, tree: Any) -> list[str]:
    """Return the path of each leaf that is not None."""
    return [path for path, x in zip(paths(root, tree), flatten(tree)[0], strict=True) if x is not None]
