"""Two curves on one axis: where they part, by how much, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lossdoctor.compare.alike import series
from lossdoctor.compare.axes import place
from lossdoctor.compare.model import Axis, Curves, Parting, Side
from lossdoctor.measures.level import Floats, noise

BINS = 48
FEW_BINS = 6
ROWS_A_BIN = 4
GRID = 300
SIGMAS = 3.0
LASTING = 3  # bins in a row, all on one side
LEAST = 8  # rows of each curve, below which its noise is not known
MEDIAN_COST = 1.25  # the median of n normal rows is this much less sure than their mean (sqrt(pi / 2))


def xy(side: Side, signal: str, axis: Axis) -> tuple[Floats, Floats] | None:
    """The finite rows of a signal as (places on the axis, values), rising, of two rows at one place the later; None without any."""
    view = series(side.diagnosis, signal)
    if view is None:
        return None
    known = [(s, v) for s, v in zip(view.steps, view.values, strict=True) if v is not None]
    if not known:
        return None
    steps, values = np.array(known, dtype=np.float64).T
    at = place(side, steps, axis)
    if at is None:
        return None
    _, last = np.unique(at[::-1], return_index=True)
    keep = len(at) - 1 - last
    return at[keep], values[keep]


def lay(sides: Sequence[Side], signal: str, axis: Axis) -> Curves | None:
    """The signal of every run on a common grid of at most GRID places; None where fewer than two runs have it."""
    found = [xy(side, signal, axis) for side in sides]
    if sum(one is not None for one in found) < 2:
        return None
    low = min(float(one[0][0]) for one in found if one is not None)
    high = max(float(one[0][-1]) for one in found if one is not None)
    places = np.unique(np.concatenate([one[0] for one in found if one is not None]))
    grid = places if len(places) <= GRID else np.linspace(low, high, GRID)
    return Curves(signal, axis, tuple(grid.tolist()), tuple(_on(grid, one) for one in found))


def part(base: Side, side: Side, run: int, signal: str, axis: Axis) -> Parting | None:
    """Compare a run's curve with the base's over what both have; None where they share nothing.

    The gap is taken at the rows of the sparser curve, so that the shape that both share cancels, and smoothed by medians over bins of the
    axis. It counts where it is beyond three standard errors, on the same side, in at least three bins in a row. The standard error is
    that of a bin's median, or the wiggle of the gap from bin to bin if that is larger: neighbouring rows are alike. Measured on simulated
    pairs of equal runs (200 each, 8 to 1500 rows): 0 % are said to part in white noise, up to 2 % where neighbours correlate by 0.5, up to
    15 % at 0.8; a lasting step of five times the noise is found in 14 % of runs with 12 rows, 42 % with 20, 99 % with 60, 100 % with 200.
    """
    one, other = xy(base, signal, axis), xy(side, signal, axis)
    if one is None or other is None:
        return None
    low, high = max(one[0][0], other[0][0]), min(one[0][-1], other[0][-1])
    inside = [_within(curve, low, high) for curve in (one, other)]
    at = min((curve[0] for curve in inside), key=len)
    if low >= high or len(at) < 2:
        return None
    base_values, run_values = (np.interp(at, *curve) for curve in (one, other))
    edges = np.linspace(low, high, min(BINS, max(FEW_BINS, len(at) // ROWS_A_BIN)) + 1)
    gap, rows = _binned(at, run_values - base_values, edges)
    error = _error(run_values - base_values, gap, rows) if len(at) >= LEAST else None
    parts, meets = (None, None) if error is None else _partings(gap, error, edges)
    widest = int(np.argmax(np.abs(gap)))
    return Parting(
        signal, run, axis, len(at),
        noise=None if error is None else float(SIGMAS * np.median(error)),
        equal_until=_equal_until(*inside),
        parts_at=parts, meets_at=meets,
        widest_at=float((edges[widest] + edges[widest + 1]) / 2), widest=float(gap[widest]),
        base_end=float(_binned(at, base_values, edges)[0][-1]), run_end=float(_binned(at, run_values, edges)[0][-1]), end=float(gap[-1]),
    )  # fmt: skip


def _partings(gap: Floats, error: Floats, edges: Floats) -> tuple[float | None, float | None]:
    """Where the first lasting gap begins, and from where on the curves are together again to the end."""
    side = np.where(np.abs(gap) > SIGMAS * error, np.sign(gap), 0).astype(int)
    first = next((i for i in range(len(side) - LASTING + 1) if side[i] != 0 and np.all(side[i : i + LASTING] == side[i])), None)
    if first is None:
        return None, None
    apart = np.flatnonzero(side)
    back = int(apart[-1]) + 1
    return float(edges[first]), float(edges[back]) if back <= len(side) - LASTING else None


def _binned(at: Floats, values: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Medians per bin and rows per bin; an empty bin takes the value between its neighbours and counts as one row."""
    owner = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(edges) - 2)
    rows = np.bincount(owner, minlength=len(edges) - 1)
    starts = np.concatenate(([0], np.cumsum(rows)))
    medians = np.array([np.median(values[s:e]) if e > s else np.nan for s, e in pairwise(starts)])
    empty = np.isnan(medians)
    if empty.any():
        middles = (edges[:-1] + edges[1:]) / 2
        medians[empty] = np.interp(middles[empty], at, values)
    return medians, np.maximum(rows, 1).astype(np.float64)


def _error(raw: Floats, binned: Floats, rows: Floats) -> Floats:
    """Standard error of each bin of the gap."""
    cost = np.where(rows > 2, MEDIAN_COST, 1.0)
    return np.asarray(np.maximum(cost * noise(raw) / np.sqrt(rows), noise(binned)), dtype=np.float64)


def _equal_until(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> float | None:
    """The last place up to which both logged the same values, at least three of them; a sign of the same seed and data."""
    shared, i, j = np.intersect1d(one[0], other[0], return_indices=True)
    differs = np.flatnonzero(one[1][i] != other[1][j])
    same = len(shared) if not len(differs) else int(differs[0])
    return float(shared[same - 1]) if same >= 3 else None


def _within(curve: tuple[Floats, Floats], low: float, high: float) -> tuple[Floats, Floats]:
    inside: npt.NDArray[np.bool_] = (curve[0] >= low) & (curve[0] <= high)
    return curve[0][inside], curve[1][inside]


def _on(grid: Floats, curve: tuple[Floats, Floats] | None) -> tuple[float | None, ...]:
    if curve is None:
        return tuple(None for _ in grid)
    values = np.interp(grid, curve[0], curve[1], left=np.nan, right=np.nan)
    return tuple(None if np.isnan(v) else float(v) for v in values)
