"""What a quick run takes of tests that have a case for every method, so that its time hardly grows by one more.

`pytest.mark.share(4)` on a test, a case or a file (`pytestmark`) says that a quick run takes one case in four, at least
one. The names of the test and of its cases choose them, so that the choice stays and is another in each test: a method
is in some of the batteries, and a battery has methods of every kind. `share(4, "speed")` makes the same choice in
all tests that say so, which then share what is slow to make. `--exhaustive` takes every case, and so does a command
that names the test.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

CONTRACTS = 20  # a quick run holds one row in this many to all ten contracts


def chosen(test: str, cases: Iterable[str], one_in: int) -> set[str]:
    """Return the cases of a test that a quick run takes, where it takes one in so many."""
    cases = sorted(set(cases), key=lambda case: hashlib.sha256(f"{test} {case}".encode()).digest())
    return set(cases[: -(-len(cases) // one_in)])


def case_of(item: Any) -> str:
    """Return what a test's case is called: its row, or what it is given by name, or the whole of its id."""
    given = item.callspec.params
    return getattr(given.get("row"), "name", None) or str(given.get("name", item.callspec.id))


def left_out(items: list[Any], named: Iterable[str]) -> list[Any]:
    """Return the tests that only an exhaustive run takes.

    Args:
        items: the tests as pytest has collected them.
        named: what the command names; a test that is named by itself has all of its cases.
    """
    named = set(named)
    shared, out = defaultdict(list), []
    for item in items:
        share = item.get_closest_marker("share")
        if item.nodeid in named:
            continue
        if item.get_closest_marker("exhaustive"):
            out.append(item)
        elif share and hasattr(item, "callspec") and item.nodeid.partition("[")[0] not in named:
            one_in, *together = share.args
            shared[one_in, *(together or (item.path, item.originalname))].append(item)
    for (one_in, *test), cases in shared.items():
        taken = chosen(test[-1], map(case_of, cases), one_in)
        out += [item for item in cases if case_of(item) not in taken]
    return out
