"""Draw the pictures of docs/schedules.md: run its blocks, which say what is drawn.

python docs/tools/pictures.py
"""

import os
import re
from pathlib import Path

import matplotlib.pyplot as plt

DOCS = Path(__file__).parents[1]


def main() -> None:
    """Run the page in the folder of the pictures, which is where its code writes."""
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "schedules.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    os.chdir(DOCS / "pictures")
    plt.rcParams["savefig.dpi"] = 150  # sharp where a screen has more dots than a page has pixels
    exec("\n".join(blocks), {})


if __name__ == "__main__":
    main()
