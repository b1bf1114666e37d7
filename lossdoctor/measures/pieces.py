"""A curve as a few straight pieces."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lossdoctor.measures.level import Floats

SHORTEST = 3  # points of a piece; two are always a straight line


@dataclass(frozen=True, slots=True)
class Piece:
    """Points [first, last] of a straight piece, and its line's values at both ends."""

    first: int
    last: int
    begins: float
    ends: float


def straight_pieces(values: Floats, sigma: Floats, price: float) -> tuple[Piece, ...]:
    """The partition into straight pieces that costs least: squared residuals in units of `sigma` (n,), and `price` ln(n) a piece.

    Exact, by dynamic programming over all partitions (Jackson et al. 2005) with the weighted least-squares line of each; O(n^2), meant for
    a few hundred points. A price of 3 is the Bayesian information criterion of the three numbers that a piece adds (Yao 1988).
    """
    n = len(values)
    if n < 2 * SHORTEST or not (sigma > 0).all():
        return (_fitted(values, 0, n),) if n else ()
    t, w = np.arange(n, dtype=np.float64), sigma**-2.0
    sums = [np.concatenate(([0.0], np.cumsum(w * part))) for part in (np.ones(n), values, values * values, t * values, t, t * t)]
    cost = np.full(n + 1, np.inf)
    cost[0], before = 0.0, np.zeros(n + 1, dtype=np.intp)
    fee = price * float(np.log(n))
    for end in range(SHORTEST, n + 1):
        starts = np.arange(0, end - SHORTEST + 1)
        total = cost[starts] + _residuals(sums, starts, end) + fee
        best = int(np.argmin(total))
        cost[end], before[end] = total[best], starts[best]
    edges = [n]
    while edges[-1] > 0:
        edges.append(int(before[edges[-1]]))
    edges.reverse()
    return tuple(_fitted(values, first, end) for first, end in pairwise(edges))


def _residuals(sums: list[Floats], starts: npt.NDArray[np.intp], end: int) -> Floats:
    """Weighted sum of squared residuals of the least-squares line over [start, end), for each start."""
    w, y, yy, ty, t, tt = (part[end] - part[starts] for part in sums)
    spread = tt - t * t / w
    shared = ty - t * y / w
    explained: Floats = np.divide(shared**2, spread, out=np.zeros_like(spread), where=spread > 0)
    return np.asarray(np.maximum(yy - y * y / w - explained, 0.0), dtype=np.float64)


def _fitted(values: Floats, first: int, end: int) -> Piece:
    rows = np.arange(end - first, dtype=np.float64) - (end - first - 1) / 2
    part = values[first:end]
    power = float((rows * rows).sum())
    slope = float((rows * part).sum()) / power if power > 0 else 0.0
    middle = float(part.mean())
    return Piece(first, end - 1, middle + slope * float(rows[0]), middle + slope * float(rows[-1]))


def drawn(pieces: tuple[Piece, ...]) -> Floats:
    """The pieces as a curve, one value a point."""
    return np.concatenate([np.linspace(p.begins, p.ends, p.last - p.first + 1) for p in pieces]) if pieces else np.empty(0)
