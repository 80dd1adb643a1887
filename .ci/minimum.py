"""Print the least versions of the dependencies that pyproject.toml declares, pinned, one a line."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
for dependency in project["dependencies"]:
    name, version = re.fullmatch(r"(\w+)>=([\d.]+)", dependency).groups()
    print(f"{name}=={version}")
    if name == "jax":
        print(f"jaxlib=={version}")
