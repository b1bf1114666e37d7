"""The curves that matter as sparklines, with a caret line below them for the spans of the findings."""

from __future__ import annotations

from collections.abc import Iterator

from lossdoctor.model import Diagnosis, SeriesView
from lossdoctor.reporters.advice import groups
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.overview import chosen
from lossdoctor.reporters.signals import amount, look
from lossdoctor.reporters.sparkline import carets, sparkline
from lossdoctor.reporters.terminal.console import ascii_only, cells, paint

_LABEL = 16
_NARROWEST = 12


def curves(d: Diagnosis, options: Options) -> Iterator[str]:
    """Lines such as `train loss  ▇▅▃▂▁  2.35 → 0.37`, all over the same steps; none where nothing was logged."""
    views = chosen(d)
    if not views:
        return
    first = min(v.steps[0] for v in views)
    last = max(v.steps[-1] for v in views)
    said = [ends(view, options.width - _LABEL - 3 - _NARROWEST) for view in views]
    said = said if options.unicode else [ascii_only(words) for words in said]
    width = min(options.width - _LABEL - 2 - max(cells(words) for words in said), 60)
    for view, words in zip(views, said, strict=True):
        line = sparkline(view, width, first, last, unicode=options.unicode)
        yield f"  {look(view.signal).title[: _LABEL - 3]:<{_LABEL - 2}}{line}  {words}"
    spans = [
        (g.letter, *span)
        for g in groups(d)
        for span in g.finding.spans or ((g.finding.span,) if g.finding.span else ())
        if g.finding in d.loud
    ]
    below = carets(spans[:20], width, first, last)
    if below:
        yield f"  {'':<{_LABEL - 2}}{paint(below, 'yellow', colour=options.colour)}"
    left, right = str(first), str(last)
    gap = max(width - len(left) - len(right), 1)
    axis = "step".ljust(_LABEL - 2) + left + " " * gap + right
    yield f"  {paint(axis, 'dim', colour=options.colour)}"


def ends(view: SeriesView, room: int = 60) -> str:
    """First and last value and, where it lies between and there is room, the minimum: `1.21 → 1.29 (min 1.03 at 400)`."""
    known = [(v, s) for s, v in zip(view.steps, view.values, strict=True) if v is not None]
    if not known:
        return "no finite value"
    last = "NaN" if view.nonfinite and view.nonfinite[-1] >= known[-1][1] else amount(view.signal, known[-1][0])
    says = f"{amount(view.signal, known[0][0])} → {last}"
    low = min(known)
    inside = known[0][1] < low[1] < known[-1][1]
    if not inside or not view.signal.endswith("loss") or low[0] >= known[-1][0] - 0.02 * abs(known[-1][0]):
        return says
    longer = f"{says} (min {amount(view.signal, low[0])} at {low[1]})"
    return longer if cells(longer) <= room else says
