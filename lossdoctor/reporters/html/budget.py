"""How much of a run a report can bear: 250 kB for one run, 2 MB for fifty, a table only beyond a hundred."""

from __future__ import annotations

from dataclasses import dataclass

TABLE_ONLY_ABOVE = 100
_ONE_RUN, _MANY_RUNS, _FURTHER_RUN = 250_000, 2_000_000, 40_000


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds for one run: pixel columns to draw, charts beside the main one, zoomed crops, points and signals embedded, rows of a list.

    `narrow` draws the main chart a second time for phones; `sections` shows timeline, checkpoints and settings too.
    """

    columns: int = 420
    charts: int = 7
    crops: int = 6
    embedded_points: int = 300
    embedded_signals: int = 12
    rows: int = 200
    narrow: bool = True
    sections: bool = True


_LADDER = (
    Budget(),
    Budget(columns=300, charts=5, crops=4, embedded_points=160, embedded_signals=10, rows=60),
    Budget(columns=160, charts=1, crops=0, embedded_points=80, embedded_signals=5, rows=12, narrow=False, sections=False),
    Budget(columns=110, charts=0, crops=0, embedded_points=60, embedded_signals=4, rows=12, narrow=False, sections=False),
    Budget(columns=60, charts=0, crops=0, embedded_points=0, embedded_signals=0, rows=3, narrow=False, sections=False),
)


def budgets_for(runs: int) -> tuple[Budget, ...]:
    """The bounds to try where `runs` share one file, most generous first: the next is for a page that came out beyond `most_bytes`."""
    start = 0 if runs <= 1 else 1 if runs <= 8 else 2 if runs <= 20 else 3
    return _LADDER[start:]


def most_bytes(runs: int) -> int:
    """The size that a report of so many runs should not pass."""
    return min(_ONE_RUN * max(runs, 1), _MANY_RUNS) + _FURTHER_RUN * max(runs - 50, 0)
