"""What each number claims, with the signals and steps of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lossdoctor.claims.grammar import COUNTED, ClaimRule, parse
from lossdoctor.model import Claim, Scalar
from lossdoctor.run import Run
from lossdoctor.run.log import Ints

SIXTEENTH, BESIDE = 16, 2  # part of the rows on either side of a step that are around it, and how many at least
FEWEST = 3  # rows of a level


@dataclass(frozen=True, slots=True)
class Context:
    """What the words of a claim refer to: the run, the finding's signals and spans, and its numbers."""

    run: Run
    values: Mapping[str, Scalar]
    signals: tuple[str, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()

    def signal(self, token: str) -> str:
        if token[:1] == "S" and token[1:].isdigit():
            return next(iter(self.signals[int(token[1:]) :]), "")
        held = self.values.get(token)
        return held if isinstance(held, str) else token

    def number(self, name: str) -> float:
        held = self.values.get(name)
        return float(held) if isinstance(held, int | float) else float(name)


def resolve(
    run: Run,
    texts: Mapping[str, str],
    values: Mapping[str, Scalar],
    signals: tuple[str, ...] = (),
    spans: tuple[tuple[int, int], ...] = (),
) -> Mapping[str, Claim]:
    """The claims of some numbers, in the order of `texts`; a number that is unknown claims nothing."""
    context = Context(run, values, signals, spans)
    known = {name: parse(text) for name, text in texts.items() if values.get(name) is not None}
    return {name: claim for name, spec in known.items() if (claim := _claim(spec, context)) is not None}


def _claim(spec: ClaimRule, context: Context) -> Claim | None:
    if not spec.signal:
        return Claim(spec.statistic, formula=spec.words)
    name = context.signal(spec.signal)
    signal = context.run.signal(name)
    if signal is None:
        return Claim("log", formula=name)
    rows = signal if spec.statistic in COUNTED or spec.statistic.endswith("not finite") else signal.in_order
    if not len(rows):
        return None
    least = FEWEST if spec.statistic == "level" else 1
    first, last = (None, None) if spec.window is None else _steps(spec.window, np.unique(rows.steps), context, least)
    limit = None if not spec.limit else context.number(spec.limit)
    return Claim(spec.statistic, name, first, last, limit, f"in {spec.unit}" if spec.unit else "")


def _steps(window: re.Match[str], steps: Ints, context: Context, least: int) -> tuple[int, int]:
    """First and last step of a window of the rows at `steps`; a level is of `least` rows or more."""
    n = len(steps)
    span = (context.spans[0][0], context.spans[-1][1]) if context.spans else (int(steps[0]), int(steps[-1]))

    def at(name: str) -> int:
        return int(context.number(name))

    def between(first: int, last: int) -> tuple[int, int]:
        return int(steps[max(0, min(first, n - 1))]), int(steps[max(0, min(last, n - 1))])

    match window.groupdict():
        case {"end": str(end)}:
            return between(0, 0) if end == "start" else between(n - 1, n - 1)
        case {"span": str()}:
            return span
        case {"edge": str(edge)}:
            return (span[0], span[0]) if edge == "start" else (span[1], span[1])
        case {"half": str()}:
            return int(np.ceil((int(steps[0]) + int(steps[-1])) / 2)), int(steps[-1])
        case {"third": str()}:
            return between(n - max(FEWEST, n // 3), n - 1)
        case {"side": str(side), "part": part, "rows": count, "since": since}:
            begin = int(np.searchsorted(steps, at(since))) if since else 0
            whole = n - begin
            part_rows = at(count) if count else round(whole / int(part)) if side == "tail" else whole // int(part)
            size = max(FEWEST if side == "tail" else least, part_rows)
            return between(begin, begin + size - 1) if side == "first" else between(n - size, n - 1)
        case {"beside": str(count), "way": way, "place": str(place)}:
            row = int(np.searchsorted(steps, at(place)))
            return between(row - int(count), row - 1) if way == "before" else between(row, row + int(count) - 1)
        case {"around": str(place)}:
            row, reach = int(np.searchsorted(steps, at(place))), max(BESIDE, n // SIXTEENTH)
            return between(row - reach, row + reach)
        case {"at": str(place)}:
            return at(place), at(place)
        case {"open": str(way), "bound": str(place), "until": until}:
            row = int(np.searchsorted(steps, at(place), side="right" if way in ("after", "until") else "left"))
            return between(0, row - 1) if way in ("before", "until") else (between(row, n - 1)[0], at(until) if until else int(steps[-1]))
    raise AssertionError(window)
