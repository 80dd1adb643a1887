"""The page of a report holds all that the report says, needs nothing from elsewhere, and shows no text as markup."""

import functools
import html
import io
import re
import sys
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import gradtx
from gradtx.diagnosis.read.logged import from_columns
from tests.diagnosis.runs import feed, gradients

EVIL = "<script>alert('x')</script>&\""


@functools.cache
def report() -> gradtx.Report:
    tx = gradtx.watch(gradtx.adam(0.1), groups=lambda path: EVIL if "b" in path else "w")
    return gradtx.diagnose(feed(tx, gradients(40), np.linspace(2.0, 1.0, 40)).state)


@functools.cache
def page() -> str:
    return report().to_html()


class Balanced(HTMLParser):
    """A parser that keeps the tags that are open and all text."""

    def __init__(self) -> None:
        """Start with nothing open."""
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.links += [value for name, value in attrs if name in ("src", "srcset", "href")]
        if tag not in ("meta", "img", "br", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(text: str) -> Balanced:
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    return parser


def test_the_page_says_what_the_report_says():
    words = " ".join(" ".join(parsed(page()).words).split())
    told = report()
    lines = [told.headline, told.action, *told.evidence, *told.missing, *told.beside]
    lines += [f"{name}: {why}" for name, why in told.ruled_out.items()]
    for line in lines:
        assert " ".join(line.split()) in words, line


def test_no_text_is_markup():
    assert EVIL not in page()
    assert html.escape(EVIL) in page()
    assert "<script" not in page()


def test_the_page_needs_nothing_from_elsewhere():
    links = parsed(page()).links
    assert len(links) == 2  # wide and narrow
    assert all(re.match(r"data:image/png;base64,iVBOR", link) for link in links)
    assert links[0] != links[1]
    assert not re.search(r"https?:|url\(|@import", page())


def test_the_page_is_made_for_phones_and_for_the_dark():
    assert 'name="viewport" content="width=device-width' in page()
    assert "prefers-color-scheme:dark" in page()
    assert "color-scheme:light dark" in page()


def test_a_notebook_gets_the_same_without_a_page_round_it():
    shown = report()._repr_html_()
    assert "<body" not in shown
    assert shown in page()


def test_the_page_is_written(tmp_path):
    path, file = tmp_path / "run.html", io.StringIO()
    assert report().to_html(path) == path.read_text(encoding="utf-8") == report().to_html(file) == file.getvalue()
    with pytest.raises(TypeError, match=r"report\.to_html: path is int, expected a path"):
        report().to_html(3)


def test_without_matplotlib_the_page_names_the_extra(monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    plain = report().to_html()
    assert parsed(plain).links == []
    assert html.escape('pip install "gradtx[plot]"') in plain
    assert html.escape(report().headline) in plain


@pytest.mark.parametrize("rows", [1, 60])
def test_a_log_has_a_page(rows):
    log = gradtx.diagnose(gradtx.read_log([{"step": t, "loss": 2 - t / 100} for t in range(rows)]))
    text = parsed(log.to_html()).words
    assert any(log.verdict in word for word in text)
    assert from_columns({"loss": np.ones(rows)}).meta is None
