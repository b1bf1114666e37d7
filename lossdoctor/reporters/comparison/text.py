"""A comparison for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from lossdoctor.compare import Comparison
from lossdoctor.numerals import number
from lossdoctor.reporters.comparison import words
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.terminal.console import ascii_only, cells, paint

_STATE_STYLE = {"error": "red", "warning": "yellow", "note": "blue"}
_CELL = 28


def text(comparison: Comparison, options: Options) -> str:
    """Runs, sentences on each against the base, then tables: metrics, settings that differ, findings."""
    whole = "\n".join(_lines(comparison, options)) + "\n"
    return whole if options.unicode else ascii_only(whole)


def _lines(c: Comparison, options: Options) -> Iterator[str]:
    names = words.names(c)
    for i, run in enumerate(c.runs):
        role = "base" if i == 0 else "run"
        head = f"{role:<5}{paint(names[i], 'bold', colour=options.colour)}"
        yield f"{head}   {paint(words.size(run), 'dim', colour=options.colour)}"
        yield from textwrap.wrap(f"{run.verdict}: {run.headline}", options.width, initial_indent="     ", subsequent_indent="     ")
    for versus in c.versus:
        yield ""
        said = textwrap.wrap(words.headline(c, versus), options.width)
        yield from (paint(line, "bold", colour=options.colour) for line in said)
        for parting in versus.partings:
            yield from textwrap.wrap(words.parted(parting), options.width, initial_indent="  ", subsequent_indent="    ")
        if versus.deltas:
            yield ""
            rows = [(d.metric, number(d.base), number(d.now), words.change(d), words.judged(d)) for d in versus.deltas]
            yield from _table(("metric", names[0], names[versus.run], "change", ""), rows)
    if c.settings:
        yield from ("", paint(f"settings that differ ({words.other_settings(c)})", "bold", colour=options.colour))
        yield from _table(("setting", *names), [(row.name, *(words.value(v) for v in row.values)) for row in c.settings])
    else:
        yield from ("", f"no known setting differs ({words.other_settings(c)})")
    yield ""
    if c.findings:
        yield from _table(("finding", *names), [(f"{r.rule.rule} ({r.rule.code})", *r.states) for r in c.findings], options)
    else:
        yield "no findings in any run"
    yield from (line for note in c.damage for line in textwrap.wrap(note, options.width))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], options: Options | None = None) -> Iterator[str]:
    cut = [[cell if cells(cell) <= _CELL else cell[: _CELL - 3] + "..." for cell in row] for row in (head, *rows)]
    widths = [max(cells(row[i]) for row in cut) for i in range(len(head))]
    for row in cut:
        padded = [cell + " " * (width - cells(cell)) for cell, width in zip(row, widths, strict=True)]
        if options is not None:
            padded = [
                paint(p, _STATE_STYLE[c], colour=options.colour) if c in _STATE_STYLE else p for p, c in zip(padded, row, strict=True)
            ]
        yield ("  " + "  ".join(padded)).rstrip()
