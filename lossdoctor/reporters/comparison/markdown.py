"""A comparison as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lossdoctor.compare import Comparison
from lossdoctor.numerals import number
from lossdoctor.reporters.comparison import words
from lossdoctor.reporters.markdown import escape
from lossdoctor.reporters.options import Options


def markdown(comparison: Comparison, options: Options) -> str:
    """Headings, sentences and tables; what comes from a log is escaped."""
    return "\n".join(_lines(comparison)) + "\n"


def _lines(c: Comparison) -> Iterator[str]:
    names = words.names(c)
    yield from (f"# {escape(names[0])} and {escape(', '.join(names[1:]))}", "")
    for versus in c.versus:
        yield f"**{escape(words.headline(c, versus))}**"
        yield from ("", *(f"- {escape(words.parted(p))}" for p in versus.partings), "")
        rows = [(d.metric, number(d.base), number(d.now), words.change(d), words.judged(d)) for d in versus.deltas]
        yield from _table(("metric", names[0], names[versus.run], "change", "beyond noise?"), rows)
    yield from ("## Runs", "")
    yield from _table(
        ("run", "size", "verdict", "headline"), [(n, words.size(r), str(r.verdict), r.headline) for n, r in zip(names, c.runs, strict=True)]
    )
    yield from ("## Settings that differ", "")
    yield from _table(("setting", *names), [(row.name, *(words.value(v) for v in row.values)) for row in c.settings])
    yield from (f"{words.other_settings(c)}.", "", "## Findings", "")
    yield from _table(("rule", *names), [(f"{row.rule.rule} ({row.rule.code})", *row.states) for row in c.findings])
    yield from (escape(note) for note in c.damage)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield "| " + " | ".join(escape(cell) for cell in head) + " |"
    yield "|" + " --- |" * len(head)
    yield from ("| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows)
    yield ""
