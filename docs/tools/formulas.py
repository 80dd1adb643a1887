"""The plain recurrences of docstrings as HTML: subscripts, powers and Greek letters, with neither network nor scripts.

A docstring is read in `help()` and in editors first, so it says `m_t = b1 m_{t-1} + (1-b1) g_t` and no TeX. HTML's own
`<sub>` and `<sup>` render that everywhere: without MathJax, which a reader would have to fetch, and without its delay.
"""

import html
import re

GREEK = ("alpha", "beta", "gamma", "delta", "eta", "theta", "lambda", "mu", "nu", "rho", "sigma", "tau", "phi", "pi")
NAMES = "|".join(GREEK)
KEPT = re.compile(  # code, addresses and names (`v_row`) stay as they are; these five are letters with a subscript
    r"(`[^`]*`|https?://\S+|\b(?!(?:lambda_max|lambda_min|eta_max|rho_inf|B_simple)\b)"
    rf"(?:{NAMES}|[A-Za-z])_[a-z]{{2,}}\b)"
)
OVER = r"(?:sum|max|min)(?=_(?:\{|\w\b))"  # over an index, `max_{i<=t}`; `max_norm` is an argument
SUBSCRIPT = re.compile(
    rf"((?<![\w`])(?:{NAMES}|{OVER}|[A-Za-z]hat|[A-Za-z]'?)|\||\)(?=_\+))_(\{{[^{{}}]+\}}|\+|[A-Za-z0-9]+)(?![\w`])"
)
WORD = re.compile(r"(?<![\w`])([a-z_]{2,})_t(?![\w`])")  # an argument at step t, such as learning_rate_t
POWER = re.compile(r"\^(\{[^{}]+\}|\([^()]+\)|-?\d+/\d+|-?\w+(?:\.\d+)?)")
SIGNS = {"sqrt(": "&radic;(", "&lt;=": "&le;", "&gt;=": "&ge;"}
BOUND = re.compile(r"(?<= )(&[lg]t;=?) (?=-?\d)")  # `>= 0`, whose number would else stand alone on the next line
INTERVAL = re.compile(r"(?<=[\[(]\d), (?=(?:\d+|inf)\\?[\])])")  # `[0, 1)`, which stays on one line
# where the next begins, as after "with d_t the loss:"
EQUATION = re.compile(r";\s+(?=[^;]*=)|(?<=:)\s+(?=[\w']+(?:_\{[^{}]+\})? = )")
ASIDE = str.maketrans({"*": r"\*", "_": r"\_", "[": r"\[", "]": r"\]"})  # what Markdown would read as its own


def bare(part: str) -> str:
    """Return a subscript or power without the brackets that only group it."""
    return part[1:-1] if part.startswith(("{", "(")) else part


def letter(name: str) -> str:
    """Return the HTML of a letter that may be Greek or have a hat."""
    if re.fullmatch("[A-Za-z]hat", name):
        return f"{name[0]}&#770;"
    return f"&{name};" if name in GREEK else name


def typeset(text: str, *, greek: bool = False) -> str:
    """Return a text as Markdown whose formulas are HTML.

    Args:
        text: plain text with code in backticks, and addresses.
        greek: whether the names of Greek letters are written as letters, and `sqrt` as a root.

    Returns:
        Markdown; code and addresses as they were.
    """
    pieces = KEPT.split(text)
    pieces[::2] = [_typeset(piece, greek) for piece in pieces[::2]]
    return "".join(pieces)


def _typeset(text: str, greek: bool) -> str:
    text = html.escape(text, quote=False).translate(ASIDE).replace(r"\_", "_")
    text = SUBSCRIPT.sub(lambda m: f"{letter(m[1])}<sub>{bare(m[2])}</sub>", text)
    text = WORD.sub(r"\1<sub>t</sub>", text)
    text = POWER.sub(lambda m: f"<sup>{bare(m[1])}</sup>", text)
    text = INTERVAL.sub(",&nbsp;", BOUND.sub(r"\1&nbsp;", text))
    if greek:
        text = re.sub(rf"(?<![\w<&])({NAMES})(?!\w)", lambda m: letter(m[1]), text)
        for plain, sign in SIGNS.items():
            text = text.replace(plain, sign)
    return text.replace("_", r"\_")


def equations(paragraph: str) -> str:
    """Return a paragraph that holds a recurrence, each equation on a line of its own."""
    lines = EQUATION.split(" ".join(paragraph.split()))
    return "<br>".join(typeset(line, greek=True) for line in lines)
