"""The recurrences of docstrings as the pages show them."""

import importlib
import importlib.util
import inspect
import json
import re
from html import unescape
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import gradtx

TOOLS = Path(__file__).parents[1] / "docs/tools"


@pytest.fixture
def formulas(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module("formulas")


@pytest.mark.parametrize(
    ("plain", "shown"),
    [
        ("u_t = -eta_t g_t", "u<sub>t</sub> = -&eta;<sub>t</sub> g<sub>t</sub>"),
        ("theta_{t+1} + beta", "&theta;<sub>t+1</sub> + &beta;"),
        ("sqrt(v_t / (1-b2^t))", "&radic;(v<sub>t</sub> / (1-b2<sup>t</sup>))"),
        ("c_t^2, x^{1/2}, t^-0.8", "c<sub>t</sub><sup>2</sup>, x<sup>1/2</sup>, t<sup>-0.8</sup>"),
        ("U'_t, mhat_t, |s_t|_1", "U'<sub>t</sub>, m&#770;<sub>t</sub>, |s<sub>t</sub>|<sub>1</sub>"),
        ("max_{i<=t} eta_i >= 0", "max<sub>i&le;t</sub> &eta;<sub>i</sub> &ge;&nbsp;0"),
        ("in [0, 1), (0, inf]", r"in \[0,&nbsp;1), (0,&nbsp;inf\]"),
        ("b1^(t+1), v_t^(1/3)", "b1<sup>t+1</sup>, v<sub>t</sub><sup>1/3</sup>"),
        ("min_r n_r, max_norm", r"min<sub>r</sub> n<sub>r</sub>, max\_norm"),
        ("-learning_rate_t g_t", r"-learning\_rate<sub>t</sub> g<sub>t</sub>"),
        ("D^1/2 H D^-1/2", "D<sup>1/2</sup> H D<sup>-1/2</sup>"),
        ("weight_decay p_t", r"weight\_decay p<sub>t</sub>"),
        ("cos(pi t)", "cos(&pi; t)"),
        ("m_mul round(n t_mul^i)", "m_mul round(n t_mul<sup>i</sup>)"),
        ("theta in `eta_t`", "&theta; in `eta_t`"),
        ("(a - b)_+ / c", "(a - b)<sub>+</sub> / c"),
        ("v_row, mu_slow, lambda_max", "v_row, mu_slow, &lambda;<sub>max</sub>"),
    ],
)
def test_letters_subscripts_and_powers(formulas: ModuleType, plain: str, shown: str) -> None:
    assert formulas.typeset(plain, greek=True) == shown


def test_each_equation_begins_a_line(formulas: ModuleType) -> None:
    shown = formulas.equations("with d_t the loss: m_t = g_t; u_t = m_t, m = 0; so on")
    assert re.sub("<(?!br)[^>]+>", "", shown).split("<br>") == ["with dt the loss:", "mt = gt", "ut = mt, m = 0; so on"]
    shown = formulas.equations("with the rate: z_{t+1} = z_t; u_t = z_t")
    assert re.sub("<(?!br)[^>]+>", "", shown).split("<br>") == ["with the rate:", "zt+1 = zt", "ut = zt"]


def test_no_public_formula_shows_its_html(formulas: ModuleType) -> None:
    """An entity that is escaped once more would be read as `&eta;`; so it was for each subscripted Greek letter."""
    for name in gradtx.__all__:
        doc = inspect.getdoc(getattr(gradtx, name)) if inspect.isfunction(getattr(gradtx, name)) else None
        made = re.sub("<[^>]+>", "", formulas.typeset(doc or "", greek=True))
        assert not re.search(r"&#?\w+;|&\w?;", unescape(made)), name


def test_a_row_of_the_catalogue_has_formulas_and_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TOOLS)
    cells = importlib.import_module("cells")
    plain = r"| `dog`, `mine(a)` | g / \|p - p_1\| | 1 | `dog` | Ivgi 2023, arXiv:2302.12022 |"
    shown = cells.row(plain, {"dog": "gradtx.dog"})
    assert shown.startswith(r"| [`dog`][gradtx.dog], `mine(a)` | g / \|p - p<sub>1</sub>\| | 1 | `dog` | Ivgi")
    assert shown.endswith("[arXiv:2302.12022](https://arxiv.org/abs/2302.12022) |")


def test_the_search_puts_a_name_before_its_longer_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TOOLS)
    ranks = importlib.import_module("ranks")
    found = ranks.boosts({"adam", "adamax", "adamaxw", "muon", "MuonDimensionNumbers", "watch", "WatchState"})
    assert set(found) == {"adamax", "adamaxw", "MuonDimensionNumbers", "WatchState"}
    assert found["adamaxw"] < found["adamax"] < 1


def test_the_search_puts_guides_before_the_reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(TOOLS)
    ranks = importlib.import_module("ranks")
    places = ["schedules.html#warmup", "reference/schedules.html", "reference/optimizers.html#gradtx.adam"]
    path = tmp_path / "search/search_index.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"docs": [{"location": place} for place in places]}))
    ranks.on_post_build(SimpleNamespace(site_dir=tmp_path))
    guide, page, name = (entry["boost"] for entry in json.loads(path.read_text())["docs"])
    assert guide > page == name == 1


def test_a_name_that_is_a_module_too_is_shown_as_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs")  # CI runs this file where the pages are built
    monkeypatch.syspath_prepend(TOOLS)
    reference = importlib.import_module("reference")
    assert reference.entry("gradtx.schedules.join").endswith("::: gradtx.schedules.join.join\n")
    assert reference.entry("gradtx.schedules.linear") == "::: gradtx.schedules.linear\n"


def test_a_list_of_the_catalogue_links_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs")  # CI runs this file where the pages are built
    monkeypatch.syspath_prepend(TOOLS)
    # by its path: a script of benchmarks/ has the same name
    spec = importlib.util.spec_from_file_location("pages_catalogue", TOOLS / "catalogue.py")
    assert spec is not None
    assert spec.loader is not None
    catalogue = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(catalogue)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="catalogue.md"))
    shown = catalogue.on_page_markdown("1. Take `adamw` with `schedules.cosine`.", page)
    assert shown == "1. Take [`adamw`][gradtx.adamw] with [`schedules.cosine`][gradtx.schedules.cosine]."


def test_code_links_to_the_reference_where_it_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TOOLS)
    cells = importlib.import_module("cells")
    names = {"adam": "gradtx.adam", "multi_transform": "gradtx.partition"}
    plain = "optax's `adam` and [`adam`][gradtx.adam], not `adamant` nor ```adam```"
    assert cells.linked(plain, names) == plain
    assert cells.linked("as `adam(0.1)`", names) == "as [`adam(0.1)`][gradtx.adam]"
    assert cells.linked("as `gradtx.adam`", names) == "as [`gradtx.adam`][gradtx.adam]"
    shown = cells.difference("| `adam` | optax's, whose v_t is >= 0; see `multi_transform`. |", names)
    end = "see [`multi_transform`][gradtx.partition]. |"
    assert shown == f"| [`adam`][gradtx.adam] | optax's, whose v<sub>t</sub> is &ge;&nbsp;0; {end}"
    assert cells.difference("| `adam` | a | b |", names) == "| `adam` | a | b |"
