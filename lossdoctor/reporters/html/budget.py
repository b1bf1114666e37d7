"""How much of a run a report can bear: 250 kB for one run, 2 MB for fifty, a table only beyond a hundred."""

from __future__ import annotations

from dataclasses import dataclass

TABLE_ONLY_ABOVE = 100


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds for one run: pixel columns to draw, charts beside the main one, zoomed crops, points embedded a signal, rows of a list."""

    columns: int = 420
    charts: int = 7
    crops: int = 6
    embedded_points: int = 300
    embedded_signals: int = 12
    rows: int = 200
    narrow: bool = True


def budget_for(runs: int) -> Budget:
    """The bounds where `runs` share one file."""
    if runs <= 1:
        return Budget()
    if runs <= 8:
        return Budget(columns=300, charts=5, crops=4, embedded_points=160, embedded_signals=10, rows=60)
    return Budget(columns=110, charts=0, crops=0, embedded_points=60, embedded_signals=4, rows=12, narrow=False)
