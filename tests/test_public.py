"""What a user sees: docstrings that are complete and run, signatures that are optax's, a package that stays small."""

import ast
import inspect
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optax
import optax.contrib
import pytest

import gradtx

PACKAGE = Path(gradtx.__file__).parent
ROOT = PACKAGE.parent
COMBINATORS = {
    "chain",
    "named_chain",
    "leafwise",
    "divide_by",
    "quotient",
    "ratio",
}  # their formula is their first line
SECTIONS = ["Units:", "Args:", "Attributes:", "State:", "Returns:", "Raises:", "Cost:", "References:", "Examples:"]

NO_REFERENCE = "none."  # what nobody had to invent, such as multiplying by a number


def public(module: Any) -> dict[str, Any]:
    """Return the public objects of a module by name, but for those that are optax's own."""
    ours = [name for name in module.__all__ if name not in gradtx.optax_names.__all__]
    return {name: getattr(module, name) for name in ours if not inspect.ismodule(getattr(module, name))}


NAMES = {**public(gradtx), **{f"schedules.{name}": x for name, x in public(gradtx.schedules).items()}}
FUNCTIONS = {name: x for name, x in NAMES.items() if inspect.isroutine(x)}
CLASSES = {name: x for name, x in NAMES.items() if inspect.isclass(x)}
FACTORIES = {
    name: f
    for name, f in FUNCTIONS.items()
    if inspect.signature(f).return_annotation is gradtx.Transform and name not in COMBINATORS
}


def by_name(things: dict[str, Any]) -> Any:
    """Parametrize a test over public things, with their names as ids."""
    return pytest.mark.parametrize(("name", "thing"), things.items(), ids=list(things))


def section(doc: str, title: str) -> str:
    """Return the text of a section of a docstring, up to the next one; empty if there is none."""
    body = re.split(rf"^{title}", doc, maxsplit=1, flags=re.MULTILINE)
    return re.split(rf"^(?:{'|'.join(SECTIONS)})", body[1], maxsplit=1, flags=re.MULTILINE)[0] if len(body) > 1 else ""


def test_every_public_name_is_a_function_or_a_class() -> None:
    assert FUNCTIONS.keys() | CLASSES.keys() == NAMES.keys()
    assert len(gradtx.__all__) == len(set(gradtx.__all__))
    assert len(gradtx.schedules.__all__) == len(set(gradtx.schedules.__all__))
    assert {"adam", "scale_by_rss", "schedules.warmup_cosine"} <= NAMES.keys()


def test_contrib_has_every_function_of_optax_contrib() -> None:
    theirs = {name for name in dir(optax.contrib) if inspect.isroutine(getattr(optax.contrib, name))}
    assert theirs - set(gradtx.contrib.__all__) == set()
    assert all(getattr(gradtx.contrib, name) is getattr(gradtx, name) for name in gradtx.contrib.__all__)


@by_name(NAMES)
def test_docstring_starts_with_one_line(name: str, thing: Any) -> None:
    doc = inspect.getdoc(thing) or ""
    first, *rest = doc.splitlines()
    assert first.endswith("."), f"{name}: {first}"
    assert not rest or rest[0] == "", f"{name}: a summary of one line, then an empty line"
    if name in FUNCTIONS:
        verb = first.split()[0].rstrip(":,")
        assert verb[0].isupper(), first
        assert not re.fullmatch(r"(The|An?|This|Returns|\w+(?<!s)ing)", verb), f"{name}: not imperative: {first}"


@by_name(NAMES)
def test_sections_stand_in_order(name: str, thing: Any) -> None:
    doc = inspect.getdoc(thing) or ""
    found = [line.split(":")[0] + ":" for line in doc.splitlines() if line.startswith(tuple(SECTIONS))]
    assert len(found) == len(set(found)), name
    assert found == sorted(found, key=SECTIONS.index), f"{name}: {found}"


@by_name(FUNCTIONS)
def test_args_are_the_signature(name: str, thing: Callable[..., Any]) -> None:
    parameters = inspect.signature(thing).parameters.values()
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    expected = [stars.get(p.kind, "") + p.name for p in parameters]
    doc = inspect.getdoc(thing) or ""
    documented = re.findall(r"^ {4}([*\w]+): \S", section(doc, "Args:"), flags=re.MULTILINE)
    assert documented == expected, f"{name}: Args says {documented}, the signature {expected}"


@by_name(FUNCTIONS)
def test_functions_have_an_example(name: str, thing: Callable[..., Any]) -> None:
    examples = section(inspect.getdoc(thing) or "", "Examples:")
    assert ">>> " in examples, name
    assert re.search(r"^ {4}(?!>>>|\.\.\.)\S", examples, flags=re.MULTILINE), f"{name}: the example prints nothing"


@by_name({name: x for name, x in FUNCTIONS.items() if inspect.signature(x).parameters})
def test_functions_say_what_they_raise(name: str, thing: Callable[..., Any]) -> None:
    raises = section(inspect.getdoc(thing) or "", "Raises:")
    assert re.search(r"^ {4}(ValueError|TypeError|ImportError|\w+Error): \S", raises, flags=re.MULTILINE), name


@by_name(FACTORIES)
def test_factories_say_all(name: str, thing: Callable[..., Any]) -> None:
    doc = inspect.getdoc(thing) or ""
    head = doc.split("Units:")[0]
    assert re.search(r"u_t |as `\w+`", head), f"{name}: no recurrence before Units:"
    for title in ("Units:", "State:", "Cost:", "References:"):
        assert section(doc, title).strip(), f"{name}: {title} is missing"
    references = section(doc, "References:")
    entries = [line for line in references.splitlines() if line.startswith("    ") and line.strip()]
    assert entries, name
    if references.strip() != NO_REFERENCE:
        assert all(re.search(r"https?://\S+", entry) for entry in entries), f"{name}: a reference without an address"


@by_name({name: x for name, x in FUNCTIONS.items() if name.startswith("schedules.") and not name.endswith("plot")})
def test_schedules_say_all(name: str, thing: Callable[..., Any]) -> None:
    doc = inspect.getdoc(thing) or ""
    for title in ("Units:", "References:"):
        assert section(doc, title).strip(), f"{name}: {title} is missing"
    references = section(doc, "References:")
    addressed = references.strip() == NO_REFERENCE or re.search(r"https?://\S+", references)
    assert addressed, f"{name}: a reference without an address"


@by_name(CLASSES)
def test_classes_say_their_attributes(name: str, thing: type) -> None:
    doc = inspect.getdoc(thing) or ""
    documented = re.findall(r"^ {4}(\w+): \S", section(doc, "Attributes:"), flags=re.MULTILINE)
    fields = getattr(thing, "_fields", None) if name != "Transform" else [*thing._fields, *thing.__annotations__]
    fields = list(getattr(thing, "__dataclass_fields__", {})) if fields is None else list(fields)
    assert documented == fields, f"{name}: Attributes says {documented}, the class {fields}"


DOCTESTS = """
import doctest, importlib, pkgutil, sys, gradtx
failed = attempted = 0
for info in [None, *pkgutil.walk_packages(gradtx.__path__, "gradtx.")]:
    module = gradtx if info is None else importlib.import_module(info.name)
    result = doctest.testmod(module)
    failed, attempted = failed + result.failed, attempted + result.attempted
print(attempted, "examples,", failed, "failed")
sys.exit(failed > 0 or attempted < 50)
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter with jax's own defaults."""
    environment = {"JAX_PLATFORMS": "cpu", "PATH": "", "MPLBACKEND": "agg"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)


def test_doctests() -> None:
    """Every example of every module prints what it says, under jax's defaults as a user has them."""
    done = python(DOCTESTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_brings_nothing_but_jax_and_optax() -> None:
    code = """
        import sys, jax, optax
        before = set(sys.modules)
        import gradtx
        new = {name.split(".")[0] for name in set(sys.modules) - before}
        print(sorted(new - set(sys.stdlib_module_names) - {"gradtx", "jax", "jaxlib", "numpy", "optax"}))
        print([name for name in ("matplotlib", "sklearn") if name in sys.modules])
    """
    done = python(textwrap.dedent(code))
    assert done.stdout.split("\n")[:2] == ["[]", "[]"], done.stdout + done.stderr


def test_package_imports_only_what_it_declares() -> None:
    """No module needs more than jax, optax and numpy (which jax brings); drawing imports matplotlib when asked."""
    allowed = {"gradtx", "jax", "optax", "numpy", *sys.stdlib_module_names}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in imported} <= allowed, f"{path.name}: {imported}"


def test_dependencies_are_jax_and_optax() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [re.split(r"[<>=~! ]", text)[0] for text in project["dependencies"]] == ["jax", "optax"]


# --- signatures -------------------------------------------------------------------------------------------------------

ADDED: dict[str, list[str]] = {  # keyword-only arguments of ours that optax does not have
    "adafactor": ["axis_name"],
    "clip_by_block_rms": ["axis_name"],
    "scale_by_param_block_rms": ["axis_name"],
    "adagrad": ["lr_decay", "like"],
    "amsgrad": ["like"],
    "rmsprop": ["like"],
    "scale_by_amsgrad": ["maximum_first"],
    "rprop": ["delayed"],
    "scale_by_rprop": ["delayed"],
    "adaptive_grad_clip": ["axis_name"],
    "apply_if_finite": ["axis_name"],
    "centralize": ["axis_name"],
    "clip_by_global_norm": ["axis_name"],
    "ema": ["nesterov"],
    "global_norm": ["axis_name"],
    "fromage": ["axis_name"],
    "lamb": ["axis_name"],
    "lars": ["axis_name"],
    "novograd": ["axis_name"],
    "normalize_by_update_norm": ["axis_name"],
    "per_example_global_norm_clip": ["axis_name"],
    "per_example_layer_norm_clip": ["axis_name"],
    "scale_by_distance_over_gradients": ["axis_name"],
    "scale_by_factored_rms": ["axis_name"],
    "scale_by_novograd": ["axis_name"],
    "scale_by_param_block_norm": ["axis_name"],
    "scale_by_polyak": ["axis_name"],
    "scale_by_rms": ["first_gradient"],
    "scale_by_sm3": ["axis_name"],
    "scale_by_trust_ratio": ["axis_name"],
    "polyak_sgd": ["axis_name"],
    "skip_large_updates": ["axis_name"],
    "skip_not_finite": ["axis_name"],
    "sm3": ["axis_name"],
    "zero_nans": ["infinities", "axis_name"],
}
NEWER: dict[str, list[str]] = {  # arguments that the development version of optax has and its last release has not
    "adabelief": ["weight_decay", "weight_decay_mask"],
}
LEFT_OUT: dict[str, list[str]] = {  # arguments that a name of optax's fixes
    "nadam": ["nesterov"],
    "nadamw": ["nesterov"],
}


def arguments(f: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    """Return (name, kind, default) of each argument; what *args are called does not matter to a caller."""
    parameters = [
        p.replace(default="our own") if inspect.isfunction(p.default) or hasattr(p.default, "update") else p
        for p in inspect.signature(f).parameters.values()
    ]
    return [("*" if p.kind is p.VAR_POSITIONAL else p.name, p.kind, p.default) for p in parameters]


SHARED = {name.split(".")[-1]: f for name, f in FUNCTIONS.items() if callable(vars(optax).get(name.split(".")[-1]))}


def test_shared_names_are_found() -> None:
    assert {"adam", "nadamw", "chain", "apply_updates", "scale_by_rss", "warmup_cosine_decay_schedule"} <= SHARED.keys()
    assert ADDED.keys() | LEFT_OUT.keys() <= SHARED.keys()


@by_name(SHARED)
def test_arguments_are_those_of_optax(name: str, thing: Callable[..., Any]) -> None:
    """Names, order and defaults: a user changes the import and nothing else.

    A default that is a function or a transform is our own: other tests hold what it gives to optax's.
    """
    theirs = [argument for argument in arguments(getattr(optax, name)) if argument[0] not in LEFT_OUT.get(name, [])]
    known = {argument[0] for argument in theirs}
    ours = [argument for argument in arguments(thing) if argument[0] in known or argument[0] not in NEWER.get(name, [])]
    added = ours[len(theirs) :]
    assert [(n, d) for n, _, d in ours[: len(theirs)]] == [(n, d) for n, _, d in theirs]
    assert [n for n, _, _ in added] == ADDED.get(name, [])
    assert all(kind is inspect.Parameter.KEYWORD_ONLY for _, kind, _ in added)
    for (_, mine, _), (argument, other, _) in zip(ours, theirs, strict=False):
        same = mine is other or (mine is inspect.Parameter.POSITIONAL_OR_KEYWORD)
        assert same, f"{name}({argument}) is {mine.description}, optax's is {other.description}"


# --- size and words ---------------------------------------------------------------------------------------------------

LONGEST_FILE = 270
ADAM_LINES = 15
BANNED = ["TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error", "X" * 3]


def test_no_file_is_long() -> None:
    """But for the list of public names, one a line."""
    files = [p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py"]
    lengths = {str(p.relative_to(PACKAGE)): len(p.read_text().splitlines()) for p in files}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_adam_is_short() -> None:
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(gradtx.scale_by_adam)))
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    doc = function.body[0]
    lines = set(range(1, len(source.splitlines()) + 1)) - set(range(doc.lineno, (doc.end_lineno or 0) + 1))
    assert len(lines) <= ADAM_LINES


def test_no_unfinished_work() -> None:
    for folder in ("gradtx", "tests", "examples", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            found = [word for word in BANNED if re.search(rf"\b{word}\b", path.read_text())]
            assert not found, f"{path.relative_to(ROOT)}: {found}"


def test_package_has_no_assert_and_no_print() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.Assert), f"{path.name}:{node.lineno}: assert"
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
            assert called != "print" or path.parent.name == "cli", f"{path.name}:{node.lineno}: print"


def test_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert re.fullmatch(r"\d+\.\d+\.\d+", gradtx.__version__)
