"""Write a report as a page: one file of HTML with its pictures in it, that reads on a phone, by day and by night."""

import base64
import html
import io
import os
from collections.abc import Iterable
from typing import Any

from gradtx._core.contract.errors import describe, message
from gradtx.diagnosis.judge.finding import percent, text

GREY = "#7d7d7d"  # text of the pictures, on white and on black alike
WIDE, NARROW = (9.0, 110), (4.3, 160)  # inches and dots per inch: for a screen, for a phone
PHONE = 600  # pixels of width below which the narrow picture is shown
EXTRA = 'The pictures need matplotlib: pip install "gradtx[plot]"'

# No colour of text or background: a notebook has its own, light or dark; greys are part of what is below.
STYLE = """
.gradtx{font:16px/1.5 system-ui,sans-serif;max-width:62rem;overflow-wrap:break-word}
.gradtx h1{font-size:1.5rem;line-height:1.25;margin:.2em 0}
.gradtx h2{font-size:1rem;margin:1.4em 0 .3em;color:inherit}
.gradtx p,.gradtx ul{margin:.3em 0}.gradtx ul{padding-left:1.2em}
.gradtx .small{font-size:.875rem;opacity:.8}
.gradtx .action{border-left:.3em solid #2a78c2;background:rgba(42,120,194,.12);padding:.5em .8em;margin:.8em 0}
.gradtx .stuck{color:#d0393b}.gradtx .fine{color:#2f8f4e}
.gradtx pre,.gradtx .table{overflow-x:auto;font-size:.875rem}
.gradtx pre{background:rgba(125,125,125,.12);padding:.6em;white-space:pre}
.gradtx table{border-collapse:collapse}.gradtx th,.gradtx td{padding:.2em .7em;text-align:right;background:none}
.gradtx th:first-child,.gradtx td:first-child{text-align:left}
.gradtx tr{border-bottom:1px solid rgba(125,125,125,.4)}
.gradtx img{width:100%;height:auto}
@media(max-width:600px){.gradtx pre{white-space:pre-wrap}}
""".strip()
BODY = """
:root{color-scheme:light dark}body{margin:0;padding:1rem;background:#fff;color:#1a1a1a}.gradtx{margin:auto}
@media(prefers-color-scheme:dark){body{background:#15171a;color:#e6e6e6}.gradtx .stuck{color:#ff7b72}
.gradtx .fine{color:#5fd38a}}
""".strip()
FINE = ("healthy", "converged_minimum")


def page(report: Any, path: Any = None) -> str:
    """Return a whole page of HTML, and write it.

    Args:
        report: a `Report`.
        path: where to write the page; None writes nothing.

    Raises:
        TypeError: `path` is neither a path nor an open file.
    """
    if not (path is None or isinstance(path, (str, os.PathLike)) or hasattr(path, "write")):
        fix = 'write report.to_html("run.html")'
        raise TypeError(message("report.to_html", "path", f"is {describe(path)}", "a path", fix))
    whole = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(report.verdict)}: gradtx diagnosis</title>\n<style>\n{BODY}\n</style>\n</head>\n<body>\n"
        f"{fragment(report)}\n</body>\n</html>\n"
    )
    if hasattr(path, "write"):
        path.write(whole)
    elif path is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(whole)
    return whole


def fragment(report: Any) -> str:
    """Return the report as a part of a page, with its own style; a notebook shows it."""
    head, *notes = report.head_lines()
    kind = "fine" if report.verdict in FINE else "small" if report.verdict == "undecided" else "stuck"
    parts = [
        f'<style>\n{STYLE}\n</style>\n<article class="gradtx">',
        f'<p class="small">{escaped(head)}<br>{"<br>".join(escaped(x.strip()) for x in notes)}</p>',
        f'<h1><span class="{kind}">{escaped(report.verdict)}</span>: {escaped(report.headline)}</h1>',
        *(f"<p>{escaped(x)}</p>" for x in report.skipped_lines()),
        f'<p class="action"><strong>Action.</strong> {escaped(report.action)}</p>',
        *titled("Doubt", (report.doubt,)),
        *titled("Confidence", (report.confidence,)),
        *titled("Evidence, to check by hand", report.evidence),
        pictures(report),
        f"<h2>Probe</h2><pre>{escaped(str(report.probe))}</pre>" if report.probe is not None else "",
        *titled("Beside it", report.beside),
        *titled("Also fired", (f"{x.verdict}: {x.headline}" for x in report.also)),
        *titled("Ruled out", (f"{name}: {why}" for name, why in report.ruled_out.items())),
        *titled("Not known", report.missing),
        groups(report),
        "</article>",
    ]
    return "\n".join(part for part in parts if part)


def escaped(words: str) -> str:
    """Return text that HTML shows as it is."""
    return html.escape(words, quote=True)


def titled(title: str, lines: Iterable[str]) -> list[str]:
    """Return a heading and its lines: a paragraph for one, a list for several, nothing for none."""
    known = [escaped(x) for x in lines if x]
    if not known:
        return []
    body = f"<p>{known[0]}</p>" if len(known) == 1 else "<ul>" + "".join(f"<li>{x}</li>" for x in known) + "</ul>"
    return [f"<h2>{title}</h2>", body]


def groups(report: Any) -> str:
    """Return the table of the groups, empty if there is none."""
    rows = report.group_rows()
    if not rows:
        return ""
    names = ("group", "|g|", "|u|/|p|", "zeros")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(
        f"<tr><td>{escaped(row['group'])}</td><td>{text(row['grad_norm'])}</td>"
        f"<td>{text(row['update_ratio'])}</td><td>{percent(row['zeros'])}</td></tr>"
        for row in rows
    )
    return f'<h2>Groups</h2><div class="table"><table><tr>{head}</tr>{body}</table></div>'


def pictures(report: Any) -> str:
    """Return the picture, wide and narrow, inside the page; a line that names the extra where nothing can draw it."""
    from gradtx.diagnosis.show.plot import figure_of

    try:
        wide, narrow = (inlined(figure_of(report, width, GREY), dots) for width, dots in (WIDE, NARROW))
    except ImportError:
        return f'<p class="small">{escaped(EXTRA)}</p>'
    words = "Loss and gradient norm over the run; below them the effective learning rates, rho and cosines"
    return (
        f'<picture><source media="(max-width:{PHONE}px)" srcset="{narrow}"><img alt="{words}" src="{wide}"></picture>'
    )


def inlined(figure: Any, dots: int) -> str:
    """Return a figure as the address of a picture that is in the address itself."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dots, transparent=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")
