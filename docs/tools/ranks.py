"""A hook of mkdocs: the search puts a name before the longer ones that begin with it, and guides before the rest.

A search for `muon` finds every title that begins with it, and scores rare words higher: without this hook
`MuonDimensionNumbers` is the first, and `WatchState` comes before `watch`. A word in the title of a guide, such as
warmup, finds the guide first; a name finds its entry, whose title is that word alone.
"""

import json
from pathlib import Path
from typing import Any

GUIDE = 2.0  # for each section outside the reference
LOWER = 0.1  # for each public name that a name continues; a rare word scores up to 4 times as much as a frequent one


def boosts(names: set[str]) -> dict[str, float]:
    """Return a boost below 1 for each name that continues others of these, whatever the case of its letters."""
    small = {name.lower() for name in names}
    longer = {name: sum(name.lower().startswith(x) for x in small - {name.lower()}) for name in names}
    return {name: LOWER**count for name, count in longer.items() if count}


def on_post_build(config: Any) -> None:
    """Write the boosts into the index that the search has just written; this hook runs after it."""
    path = Path(config.site_dir) / "search" / "search_index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    entries = [(entry["location"].rpartition("#gradtx.")[2].rpartition(".")[2], entry) for entry in index["docs"]]
    entries = [(name, entry) for name, entry in entries if "#gradtx." in entry["location"]]
    found = boosts({name for name, _ in entries})
    for entry in index["docs"]:
        entry["boost"] = 1 if entry["location"].startswith("reference/") else GUIDE
    for name, entry in entries:
        entry["boost"] = found.get(name, 1)
    path.write_text(json.dumps(index, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
