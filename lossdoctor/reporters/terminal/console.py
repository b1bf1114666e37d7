"""What the terminal can show: its width, colour, and whether it takes Unicode."""

from __future__ import annotations

import shutil
import textwrap
import unicodedata
from collections.abc import Mapping
from typing import TextIO

from lossdoctor.model import Severity, Verdict

NARROWEST, WIDEST = 40, 200
GLYPHS = {Verdict.FAIL: "✗", Verdict.WARN: "▲", Verdict.PASS: "✓", Verdict.INCONCLUSIVE: "?"}

_COLOURS = {"red": "31", "yellow": "33", "green": "32", "cyan": "36", "bold": "1", "dim": "2"}
VERDICT_STYLE = {Verdict.FAIL: "red", Verdict.WARN: "yellow", Verdict.PASS: "green", Verdict.INCONCLUSIVE: "cyan"}
SEVERITY_STYLE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_PLAIN = str.maketrans(
    {
        "→": "->",
        "…": "...",
        "×": "x",  # noqa: RUF001
        "–": "-",  # noqa: RUF001
        "−": "-",  # noqa: RUF001
        "≈": "~",
        "—": "-",
        "✗": "x",
        "✓": "+",
        "▲": "!",
        "●": "i",
        "≥": ">=",
        "≤": "<=",
        "’": "'",  # noqa: RUF001
        "“": '"',
        "”": '"',
        "±": "+-",
        "µ": "u",
    }
)


def detect(stream: TextIO, environ: Mapping[str, str]) -> dict[str, int | bool]:
    """The `width`, `colour` and `unicode` options that fit a stream.

    NO_COLOR (no-color.org) and FORCE_COLOR (force-color.org) count when set and not empty, and NO_COLOR wins; otherwise colour needs a
    terminal that is not dumb. The width comes from COLUMNS or the terminal and is 80 where neither is known.
    """
    terminal = stream.isatty()
    if environ.get("NO_COLOR"):
        colour = False
    elif environ.get("FORCE_COLOR"):
        colour = environ["FORCE_COLOR"] not in {"0", "false"}
    else:
        colour = terminal and environ.get("TERM") != "dumb"
    columns = environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and columns else shutil.get_terminal_size((80, 24)).columns if terminal else 80
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return {"width": min(max(width, NARROWEST), WIDEST), "colour": colour, "unicode": encoding.startswith("utf")}


def paint(text: str, *styles: str, colour: bool) -> str:
    """Wrap `text` in ANSI colours where the terminal takes them."""
    if not colour or not text:
        return text
    return f"\x1b[{';'.join(_COLOURS[s] for s in styles)}m{text}\x1b[0m"


def cells(text: str) -> int:
    """The number of terminal columns a text takes: wide East Asian characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fold(text: str, width: int, *, unicode: bool, indent: str = "") -> list[str]:
    """The text in lines of at most `width` cells. What an ASCII console gets is folded as it comes out: `±` takes two cells there."""
    return textwrap.wrap(
        text if unicode else ascii_only(text), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def ascii_only(text: str) -> str:
    """Every character in ASCII: the signs we use by their look-alikes, the rest as escapes."""
    return text.translate(_PLAIN).encode("ascii", "backslashreplace").decode("ascii")
