"""The scripts that train with other libraries' models run, resume to the bit, and print what their page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.printed import same

ROOT = Path(__file__).parents[1]
PAGES = {  # page: the modules its script imports, from the extra `frameworks`
    "flax-linen": ("flax",),
    "flax-nnx": ("flax", "orbax.checkpoint"),
    "equinox": ("equinox",),
    "haiku": ("haiku",),
}


@pytest.mark.parametrize("page", PAGES)
def test_the_script_of_a_page_prints_what_it_says(page, tmp_path):
    for module in PAGES[page]:
        if subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            pytest.skip(f"{module} is not installed: the extra `frameworks` brings it")
    text = (ROOT / f"docs/train/{page}.md").read_text()
    (script,) = re.findall(r'^--8<-- "(.*)"$', text, flags=re.MULTILINE)
    (promised,) = re.findall(r"It prints\n\n```\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR")}
    env = {**keep, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", str(ROOT / script)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert same(done.stdout, promised), done.stdout


def test_every_page_of_a_library_has_its_script():
    assert {page.stem for page in (ROOT / "docs/train").glob("*.md")} == set(PAGES)
    assert len(list((ROOT / "examples").glob("with_*.py"))) == len(PAGES)
