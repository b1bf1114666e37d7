"""Many runs in a table, worst first: verdict, run, findings, best eval, one curve; the headline where the terminal is wide enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lossdoctor.model import Diagnosis, Verdict
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.overview import best_eval, telling
from lossdoctor.reporters.sparkline import sparkline
from lossdoctor.reporters.terminal.console import GLYPHS, VERDICT_STYLE, cells, paint
from lossdoctor.reporters.wording import VERDICT_ORDER

_CURVE, _BEST = 16, 9
_WITH_BEST, _WITH_CURVE, _LEAST_HEADLINE = 60, 76, 40


def table(diagnoses: Sequence[Diagnosis], options: Options, shown: Sequence[Verdict] = VERDICT_ORDER) -> Iterator[str]:
    """The count of the verdicts, then a line for each run with one of the verdicts `shown`."""
    counts = Counter(d.verdict for d in diagnoses)
    said = ", ".join(f"{counts[v]} {v.value}" for v in VERDICT_ORDER if counts[v])
    yield paint(f"{len(diagnoses)} run{'' if len(diagnoses) == 1 else 's'}: {said}", "bold", colour=options.colour)
    rows = sorted((d for d in diagnoses if d.verdict in shown), key=lambda d: VERDICT_ORDER.index(d.verdict))
    if not rows:
        return
    columns = _columns(rows, options)
    yield paint("  ".join(column.head for column in columns).rstrip(), "dim", colour=options.colour)
    for index, d in enumerate(rows):
        first, *others = (column.cells[index] for column in columns)
        yield "  ".join([paint(first, VERDICT_STYLE[d.verdict], colour=options.colour), *others]).rstrip()


@dataclass(frozen=True, slots=True)
class Column:
    """A title and a cell for each run, all of one width."""

    head: str
    cells: tuple[str, ...]

    @classmethod
    def of(cls, title: str, texts: Sequence[str], room: int) -> Column:
        wide = min(room, max(map(cells, (title, *texts))))
        return cls(_fit(title, wide), tuple(_fit(text, wide) for text in texts))


def _columns(rows: Sequence[Diagnosis], options: Options) -> list[Column]:
    """What there is room for; where it is tight the name gives way first, to a half of what is left beside the verdict."""
    verdict = Column.of("verdict", [f"{GLYPHS[d.verdict]} {d.verdict.value}" for d in rows], options.width)
    ends: list[Column] = []
    if options.width >= _WITH_BEST:
        ends.append(Column.of("best eval", [f"{best_eval(d):>{_BEST}}" for d in rows], options.width))
    if options.width >= _WITH_CURVE:
        ends.append(Column.of("curve", [_curve(d, options) for d in rows], options.width))
    left = options.width - sum(cells(column.head) + 2 for column in (verdict, *ends)) - 2
    names, found = [d.name for d in rows], [_findings(d) for d in rows]
    name = Column.of("run", names, max(left // 2, left - max(map(cells, ("findings", *found)))))
    columns = [verdict, name, Column.of("findings", found, left - cells(name.head)), *ends]
    free = options.width - sum(cells(column.head) + 2 for column in columns)
    return columns if free < _LEAST_HEADLINE else [*columns, Column.of("headline", [d.headline for d in rows], free)]


def _findings(d: Diagnosis) -> str:
    """The first loud finding, and how many more there are."""
    more = len(d.loud) - 1
    return "" if not d.loud else d.loud[0].rule + (f" +{more}" if more else "")


def _curve(d: Diagnosis, options: Options) -> str:
    view = telling(d)
    return sparkline(view, _CURVE, view.steps[0], view.steps[-1], unicode=options.unicode) if view is not None else " " * _CURVE


def _fit(text: str, room: int) -> str:
    """Padded, or cut at the end."""
    if cells(text) <= room:
        return text + " " * (room - cells(text))
    cut = text[: max(room - 3, 0)]
    while cells(cut) > room - 3:
        cut = cut[:-1]
    return cut + "..." + " " * (room - 3 - cells(cut))
