"""The vital signs in the terminal: the left column is read at a glance, the good ones stay quiet."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoctor.model import Diagnosis, State
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.signs import Sign, signs
from lossdoctor.reporters.terminal.console import cells, fold, paint

GLYPHS = {"good": "✓", "unknown": "?", "warning": "▲", "error": "✗"}
_STYLES = {"good": ("dim",), "unknown": ("cyan",), "warning": ("bold", "yellow"), "error": ("bold", "red")}
_INDENT = 13
_WIDEST_TITLE = 18
_FEWEST_CELLS = 40


def vitals(d: Diagnosis, options: Options) -> Iterator[str]:
    """Lines such as `  ✗ bad      steady    A Loss spike`; none where the report knows of no vitals."""
    rows = signs(d, every=options.verbosity > 0)
    beside = [cells(row.titles) for row in rows if _words(row, options) or row.wanted]
    room = max((width for width in beside if width <= _WIDEST_TITLE), default=0)
    for row in rows:
        yield from _lines(row, room, options)


def _lines(row: Sign, room: int, options: Options) -> Iterator[str]:
    column = _INDENT + room + 2
    fits = cells(row.titles) <= room and options.width - column >= _FEWEST_CELLS
    if not fits:
        column = _INDENT + 2
    told = list(_body(row, options.width - column, options))
    titles = _wrapped(row.titles, options.width - _INDENT, options)
    if fits and told:
        titles[-1] += " " * (column - _INDENT - cells(titles[-1]))
    title_style = {State.GOOD: ("dim",), State.BAD: ("bold",), State.UNKNOWN: ()}[row.state]
    body_style = ("dim",) if row.state is State.GOOD else ()
    shown = [_paint(line, title_style, options) for line in titles]
    if fits and told:
        shown[-1] += _paint(told.pop(0), body_style, options)
    head = _paint(f"{GLYPHS[row.tone]} {row.state.value:<7}", _STYLES[row.tone], options)
    yield f"  {head}  {shown[0]}"
    yield from (" " * _INDENT + line for line in shown[1:])
    yield from (" " * column + _paint(line, body_style, options) for line in told)


def _body(row: Sign, width: int, options: Options) -> Iterator[str]:
    for says in _words(row, options):
        yield from _wrapped(says, width, options)
    if row.wanted:
        first, *more = _wrapped(row.wanted, width - 3, options)
        yield from (f"→ {first}", *(f"  {line}" for line in more))


def _words(row: Sign, options: Options) -> list[str]:
    """A bad one names its findings: they stand below and tell their numbers there."""
    named = [f"{mark}  {finding.title}" for mark, finding in row.blamed]
    named += [f"{rule}, suppressed by the policy" for rule in row.hidden]
    return [*named, row.says] if row.says and (not row.blamed or options.verbosity > 0) else named


def _wrapped(says: str, width: int, options: Options) -> list[str]:
    return fold(says, width, unicode=options.unicode) or [""]


def _paint(line: str, styles: tuple[str, ...], options: Options) -> str:
    return paint(line, *styles, colour=options.colour) if styles else line
