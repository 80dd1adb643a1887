"""One changed import: every name of optax is here, and scripts written for optax print the same numbers."""

import contextlib
import inspect
import io
import re
import types
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import optax.contrib
import pytest

import gradtx

FOLDER = Path(__file__).parent / "one_import"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
NUMBER = re.compile(r"(?<![A-Za-z_0-9.])-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?|-?\b(?:nan|inf)\b")

# What optax 0.2.6, the oldest release that gradtx takes, has and later ones no longer list.
OLDER = {"": {"monte_carlo"}}
MODULES = {
    "": (optax, gradtx),
    ".contrib": (optax.contrib, gradtx.contrib),
    ".schedules": (optax.schedules, gradtx.schedules),
    ".transforms": (optax.transforms, gradtx.transforms),
}


def theirs(module: str) -> set[str]:
    """Return the public names of a module of optax."""
    return {name for name in dir(MODULES[module][0]) if not name.startswith("_")} | OLDER.get(module, set())


def has(module: str, name: str) -> bool:
    """Return True if gradtx has a name of optax, or says of it what optax says."""
    ours = MODULES[module][1]
    try:
        return getattr(ours, name) is not None
    except AttributeError as error:
        return "is deprecated" in str(error)


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_optax_is_here(module: str) -> None:
    missing = {name for name in theirs(module) if not has(module, name)}
    assert not missing


def test_what_stands_at_the_top_stands_in_its_module_too() -> None:
    """At run time by itself; for whoever reads types it must be imported in gradtx/transforms.py."""
    assert gradtx.optax_names.finder("transforms")("clip") is gradtx.clip
    late = {name for name in theirs(".transforms") if name in gradtx.__all__} - set(gradtx.transforms.__all__)
    assert late == set(gradtx.optax_names.NAMES) & late, (
        "import these in gradtx/transforms.py, and put them into __all__"
    )


def is_made_by_optax(x: Any) -> bool:
    """Return True if an object was defined in optax."""
    return str(getattr(x, "__module__", "")).startswith("optax")


@pytest.mark.parametrize("module", MODULES)
def test_what_is_not_optax_own_is_gradtx_own(module: str) -> None:
    """Optimizers, transforms, schedules and wrappers are ours; what is theirs stands in the one list, unchanged."""
    other, ours = MODULES[module]
    listed = gradtx.optax_names.NAMES
    for name in theirs(module) - {"monte_carlo"}:
        mine = getattr(ours, name)
        if name in listed:
            assert mine is getattr(other, name), name
        elif not inspect.ismodule(mine):
            assert not is_made_by_optax(inspect.unwrap(mine)), f"{name} is optax's, and not in optax_names.py"


def test_nothing_in_the_list_makes_a_transform_or_a_schedule() -> None:
    makers = []
    for name in gradtx.optax_names.__all__:
        thing = getattr(gradtx, name)
        if inspect.isfunction(thing):
            made = str(inspect.signature(thing).return_annotation)
            makers += [name] if re.search(r"GradientTransformation|Schedule|MultiSteps", made) else []
    assert makers == []


def test_no_name_stands_in_both_lists() -> None:
    """A wrapper that brings its own state type takes the name off optax_names.py."""
    assert len(gradtx.__all__) == len(set(gradtx.__all__))


@pytest.mark.parametrize("name", ["losses", "projections", "perturbations", "second_order", "assignment", "tree_utils"])
def test_modules_that_are_no_optimizers_are_optax_own(name: str) -> None:
    assert isinstance(getattr(gradtx, name), types.ModuleType)
    assert getattr(gradtx, name) is getattr(optax, name)


def test_what_this_release_of_optax_lacks_stops_nobody() -> None:
    """Names come and go with optax's releases: only whoever asks for one that is not there meets an error."""
    lacks = gradtx.optax_names.NAMES - set(gradtx.optax_names.__all__)
    assert "monte_carlo" not in gradtx.optax_names.__all__
    for name in lacks - set(dir(optax)):
        with pytest.raises(AttributeError, match=name):
            getattr(gradtx, name)


def test_importing_gradtx_asks_for_no_name_of_optax() -> None:
    """So that no deprecated one warns, and none that a release lacks raises."""
    held = [name for name in gradtx.optax_names.NAMES if name in vars(gradtx) or name in vars(gradtx.contrib)]
    assert held == []
    assert set(gradtx.optax_names.__all__) <= set(dir(gradtx))


def test_an_unknown_name_is_an_error_that_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AttributeError, match=r"module 'gradtx' has no attribute 'adamm'$"):
        gradtx.adamm  # noqa: B018
    with pytest.raises(AttributeError, match=r"module 'gradtx.contrib' has no attribute 'losses'$"):
        gradtx.contrib.losses  # noqa: B018
    monkeypatch.setattr(optax, "brand_new", 1, raising=False)
    with pytest.raises(AttributeError, match=r"'brand_new'; optax has it: import optax, and use optax\.brand_new"):
        gradtx.brand_new  # noqa: B018


def run(script: str, library: str) -> list[str]:
    """Return the lines that a script prints, with JAX as a user has it."""
    source = (FOLDER / f"{script}.py").read_text()
    if library == "gradtx":
        source = re.sub(r"^import optax$", "import gradtx as optax", source, flags=re.MULTILINE)
        source = re.sub(r"^import optax\.", "import gradtx.", source, flags=re.MULTILINE)
        source = re.sub(r"^from optax import", "from gradtx import", source, flags=re.MULTILINE)
        assert not re.search(r"^(import|from) optax", source, flags=re.MULTILINE)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(compile(source, f"{script}.py with {library}", "exec"), {"__name__": "__main__"})
    return printed.getvalue().splitlines()


@pytest.mark.share(3)
@pytest.mark.filterwarnings("ignore:.*optax:DeprecationWarning", "ignore:.*optax:UserWarning")
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_prints_the_same_numbers(script: str) -> None:
    theirs = run(script, "optax")
    ours = run(script, "gradtx")
    assert [NUMBER.sub("#", line) for line in ours] == [NUMBER.sub("#", line) for line in theirs]
    for line, other in zip(ours, theirs, strict=True):
        numbers = [[float(x) for x in NUMBER.findall(text)] for text in (line, other)]
        np.testing.assert_allclose(*numbers, rtol=2e-4, atol=2e-6, err_msg=f"{line}\n{other}")


def test_scripts_are_found() -> None:
    assert len(SCRIPTS) >= 18
