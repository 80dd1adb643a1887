"""Names of metrics that every logger accepts.

MLflow keeps one file per metric and refuses most punctuation, so `grad_norm` and `grad_norm/b` cannot both exist there;
TensorBoard replaces what it does not know; file systems that ignore case hold `w` and `W` as one file. A name made here
is the same in all of them.
"""

import re
from collections.abc import Sequence

LONGEST = 100  # letters of a group's name; MLflow takes 250 for the whole


def group_names(groups: Sequence[str]) -> dict[str, str]:
    """Return for each group a name of ASCII letters, digits, `_`, `-` and `.`, different in more than its case.

    Punctuation of a path becomes a dot (`['layers'][0]` is `layers.0`), anything else `_`; a name that is taken gets
    `-2`, `-3`, ... in the order of the groups.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for group in groups:
        dotted = re.sub(r"[\[\]'\"/\\.]+", ".", group)
        # never a dot at an end: "." and ".." are folders, and Windows drops a last dot
        base = re.sub(r"[^A-Za-z0-9_.-]+", "_", dotted).strip(".")[:LONGEST].rstrip(".") or "_"
        name, i = base, 1
        while name.lower() in taken:
            i += 1
            name = f"{base}-{i}"
        taken.add(name.lower())
        names[group] = name
    return names
