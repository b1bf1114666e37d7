"""Decimated series for the charts: what the text claims is always visible."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lossdoctor.limits import LIMITS
from lossdoctor.model import SeriesView
from lossdoctor.run import Run, Signal
from lossdoctor.run.names import CLOSING, canonical

Rows = npt.NDArray[np.intp]
Whole = TypeVar("Whole", bound=np.signedinteger[Any])

MAX_RAW = 12  # more signals of unknown meaning than this are a table, not charts
MAX_SIGNALS = 64
SIDE_SHARE = 5  # machine readings and unknown signals get a fifth of the points of a curve
_FIRST = ("train/loss", "eval/loss", "train/learning_rate", "train/grad_norm", "train/loss_scale")
_ENDINGS = CLOSING | {name.removeprefix("train/") for name in CLOSING}
_SIDE = ("gpu/", "host/", "process/")


def views(run: Run, keep_steps: Iterable[int] = (), limit: int = LIMITS.series_points) -> tuple[SeriesView, ...]:
    """The run's canonical signals (raw ones too, if few), each with at most `limit` points, the important ones first.

    Lowest and highest value of every bin of the step axis are kept (min-max decimation), and by force: the rows nearest to `keep_steps`,
    the first, the last, the extremes, and both ends of each run of values that are not finite.
    """
    wanted = np.unique(np.fromiter(keep_steps, dtype=np.int64))
    return tuple(_view(signal, wanted, limit // SIDE_SHARE if side else limit) for signal, side in _chosen(run))


def _chosen(run: Run) -> list[tuple[Signal, bool]]:
    """Signals worth a chart and whether they are side shows."""
    filled = {name: signal for name, signal in run.signals.items() if len(signal) and name not in _ENDINGS}
    raw = {name for name in filled if canonical(name)[1] == 50}
    known = sorted((name for name in filled if name not in raw), key=_importance)
    extra = sorted(raw) if len(raw) <= MAX_RAW else []
    return [(filled[name], name in raw or name.startswith(_SIDE)) for name in (known + extra)[:MAX_SIGNALS]]


def _importance(name: str) -> tuple[int, str]:
    if name in _FIRST:
        return _FIRST.index(name), name
    if name.startswith(_SIDE):
        return len(_FIRST) + 2, name
    return len(_FIRST) + (not name.startswith("eval/")), name


def _view(signal: Signal, wanted: npt.NDArray[np.int64], limit: int) -> SeriesView:
    finite = np.isfinite(signal.values)
    ends = _run_ends(~finite)
    rows = np.arange(len(signal)) if len(signal) <= limit else _decimate(signal, finite, ends, wanted, limit)
    values = tuple(float(v) if ok else None for v, ok in zip(signal.values[rows], finite[rows], strict=True))
    broken = _thin(np.flatnonzero(~finite), limit) if (~finite).sum() <= limit else _thin(ends, limit)
    return SeriesView(
        signal.name, signal.raw_name, tuple(signal.steps[rows].tolist()), values, tuple(signal.steps[broken].tolist()), len(signal)
    )


def _decimate(signal: Signal, finite: npt.NDArray[np.bool_], ends: Rows, wanted: npt.NDArray[np.int64], limit: int) -> Rows:
    """Indices of the rows to keep, in logging order, at most `limit`."""
    forced = np.concatenate((_extremes(signal.values, finite), _nearest(signal.steps, _thin(wanted, limit // 4)), _thin(ends, limit // 4)))
    room = max(1, (limit - len(np.unique(forced))) // 2)
    starts = _bins(signal, room)
    low = _per_bin(np.where(finite, signal.values, np.inf), starts)
    high = _per_bin(np.where(finite, -signal.values, np.inf), starts)
    return np.unique(np.concatenate((forced, low, high)))


def _extremes(values: npt.NDArray[np.float64], finite: npt.NDArray[np.bool_]) -> Rows:
    rows = np.array([0, len(values) - 1], dtype=np.intp)
    if not finite.any():
        return rows
    return np.append(rows, [np.argmin(np.where(finite, values, np.inf)), np.argmax(np.where(finite, values, -np.inf))])


def _bins(signal: Signal, count: int) -> Rows:
    """First row of each bin: equal widths on the step axis within a segment; equal numbers of rows where that makes too many."""
    first, last = int(signal.steps.min()), int(signal.steps.max())
    column = (signal.steps - first) * max(1, count - 1) // max(1, last - first)
    changed = (np.diff(column) != 0) | (np.diff(signal.segments) != 0)
    starts = np.concatenate(([0], np.flatnonzero(changed) + 1))
    return starts if len(starts) <= count else np.linspace(0, len(signal), count, endpoint=False).astype(np.intp)


def _per_bin(values: npt.NDArray[np.float64], starts: Rows) -> Rows:
    """The row with the lowest value in each bin."""
    lowest = np.minimum.reduceat(values, starts)
    sizes = np.diff(np.append(starts, len(values)))
    hits = np.flatnonzero(values == np.repeat(lowest, sizes))
    owner = np.searchsorted(starts, hits, side="right") - 1
    _, first = np.unique(owner, return_index=True)
    return hits[first]


def _nearest(steps: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> Rows:
    """The row nearest to each wanted step; the later of two."""
    order = np.argsort(steps, kind="stable")
    ranked = steps[order]
    right = np.searchsorted(ranked, wanted).clip(0, len(steps) - 1)
    left = (right - 1).clip(0)
    closer = np.where(wanted - ranked[left] < ranked[right] - wanted, left, right)
    return order[closer]


def _run_ends(mask: npt.NDArray[np.bool_]) -> Rows:
    """First and last index of every stretch of True."""
    padded = np.concatenate(([False], mask, [False]))
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return np.unique(np.concatenate((edges[::2], edges[1::2] - 1)))


def _thin(items: npt.NDArray[Whole], most: int) -> npt.NDArray[Whole]:
    """At most `most` items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return items
    return items[np.unique(np.linspace(0, len(items) - 1, max(most, 1)).round().astype(np.intp))]
