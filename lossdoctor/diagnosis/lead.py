"""Lead time: how early a monitor could have seen a finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lossdoctor.run import Run, Signal

PREFIXES = 64
MAX_CALLS = 40
CHECKS = 6  # later prefixes on which the rule must still fire
LONG = 50_000  # points; a prefix of so long a run costs as much as the rule itself
ROWS = 4_000  # rows a signal that a long run is thinned to before its prefixes are looked at
REFINE = 6  # halvings between two looks: the answer is exact to 1/64 of the distance between them
SOON = (4, 16, 64, 256)  # rows after a known onset that are looked at beside the even prefixes


Spans = tuple[tuple[int, int], ...]


def detectable_step(run: Run, fires: Callable[[Run], bool], *, last: int, onset: int | None = None, spans: Spans = ()) -> int | None:
    """The earliest step from which on the rule fires and keeps firing; None where it does not fire at `last` either.

    Looked for by bisection over the evals and 64 even prefixes; then a few later prefixes are tried, and where one stays silent the search
    goes on behind it, since a rule can fire on a prefix and be silent again on a longer one. About 20 calls of `fires`, never more than 40.
    Where the `onset` is known nothing before it is looked at and the search gallops from there: most faults show soon. A long run is
    thinned evenly first, but for the rows around the evidence (`spans`), if the rule still fires on what is left.
    """
    if run.points >= LONG:
        few = _thinned(run, spans, onset)
        run = few if fires(few.until(last)) else run
    looks = _looks(run, last)
    if onset is not None:
        looks = _from(run, onset, looks)
    checks, refine = (CHECKS // 2, REFINE // 3) if run.points >= LONG else (CHECKS, REFINE)
    seen: dict[int, bool] = {}

    def fired(step: int) -> bool:
        if step not in seen:
            seen[step] = fires(run.until(step))
        return seen[step]

    if not looks or not fired(looks[-1]):
        return None
    low, high = (-1, len(looks) - 1) if onset is None else _gallop(looks, fired)
    first = _settled(looks, fired, seen, low, high, checks)
    inner = _rows_between(run, looks[first - 1] if first else onset, looks[first])
    return _bisect(inner, fired, budget=min(refine, MAX_CALLS - len(seen)))


def _thinned(run: Run, spans: Spans, onset: int | None) -> Run:
    """The run with about ROWS even rows a signal, and all rows of short spans and just after the onset."""
    around = [(first, end) for first, end in (*spans, *([] if onset is None else [(onset, onset)])) if end - first <= run.last_step / 50]

    def thin(signal: Signal) -> Signal:
        if len(signal) <= ROWS:
            return signal
        kept = np.zeros(len(signal), dtype=bool)
        kept[:: max(1, len(signal) // ROWS)] = True
        for first, end in around:
            rows = np.flatnonzero((signal.steps >= first) & (signal.steps <= end))
            if len(rows):
                kept[max(0, rows[0] - 5) : rows[-1] + 50] = True
        return signal.where(kept)

    return replace(run, signals={name: thin(signal) for name, signal in run.signals.items()})


def _from(run: Run, onset: int, looks: list[int]) -> list[int]:
    """The looks from the onset on, and some rows soon after it."""
    rows = _rows_between(run, onset, looks[-1]) if looks else []
    return sorted({*(rows[k - 1] for k in SOON if k <= len(rows)), *(step for step in looks if step >= onset), *looks[-1:]})


def _gallop(looks: list[int], fired: Callable[[int], bool]) -> tuple[int, int]:
    """A look that is silent (or -1) and a later one that fires, found in steps that double."""
    low, reach = -1, 1
    while low + reach < len(looks) - 1:
        if fired(looks[low + reach]):
            return low, low + reach
        low, reach = low + reach, 2 * reach
    return low, len(looks) - 1


def _settled(looks: list[int], fired: Callable[[int], bool], seen: dict[int, bool], low: int, high: int, checks: int) -> int:
    """Index of the first look from which on every look that was tried fires; `low` is silent or -1, `high` fires."""
    while True:
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if fired(looks[middle]) else (middle, high)
        probes = np.unique(np.linspace(high, len(looks) - 1, checks + 2).astype(int))[1:-1]
        silent = next((int(p) for p in probes[::-1] if not fired(looks[p])), None)
        if silent is None or len(seen) > MAX_CALLS - REFINE - len(looks).bit_length():
            return high if silent is None else max(high, silent + 1)
        low, high = silent, len(looks) - 1


def _bisect(steps: list[int], fired: Callable[[int], bool], budget: int) -> int:
    """The earliest of `steps` that fires, given that the last one does and that firing lasts."""
    low, high = -1, len(steps) - 1
    while high - low > 1 and budget > 0:
        middle, budget = (low + high) // 2, budget - 1
        low, high = (low, middle) if fired(steps[middle]) else (middle, high)
    return steps[high]


def _looks(run: Run, last: int) -> list[int]:
    """The evals (thinned) and the last rows of even prefixes up to `last`, rising: at no other moment a monitor learns anything."""
    rows = np.array(_rows_between(run, None, last), dtype=np.int64)
    even = rows[np.searchsorted(rows, np.linspace(int(rows[0]), last, PREFIXES + 1), side="right") - 1]
    evals = next(run.eval_losses(), None)
    steps = evals.steps[evals.steps <= last] if evals is not None else even[:0]
    if len(steps) > PREFIXES:
        steps = steps[np.linspace(0, len(steps) - 1, PREFIXES).astype(int)]
    return [int(step) for step in np.unique(np.concatenate((even, steps)))]


def _rows_between(run: Run, after: int | None, until: int) -> list[int]:
    """Logged steps in (after, until]; a row is the only moment at which anything new is known."""
    parts = [s.steps[(s.steps <= until) & (s.steps > (after if after is not None else -1))] for s in run.signals.values()]
    found: list[int] = np.unique(np.concatenate(parts)).tolist() if parts else []
    return found if found and found[-1] == until else [*found, until]
