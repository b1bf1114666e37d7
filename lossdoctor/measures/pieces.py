"""A curve as a few straight pieces."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lossdoctor.measures.level import Floats
from lossdoctor.measures.noise import unbiased

SHORTEST = 3  # points of a piece; two are always a straight line
AMPLE = 6  # points a piece on average: three numbers each, and as many to test them
MOST = 8  # pieces; more are no description
EXACT = float(np.finfo(np.float64).eps)  # of values around one
# What a piece costs, in (n - 1) ln(squared residuals): about the 99 % quantile of what a second piece saves in white noise, which is 15 to
# 19 for 8 to 200 points (simulated; tests/shapes holds the rate that follows).
PRICE = 17


@dataclass(frozen=True, slots=True)
class Piece:
    """Points [first, last] of a straight piece, and its line's values at both ends."""

    first: int
    last: int
    begins: float
    ends: float


def straight_pieces(values: Floats, scale: Floats, least: float = EXACT, price: float = PRICE) -> tuple[Piece, ...]:
    """The partition into straight pieces that costs least: (n - 1) ln(power of the innovations) and `price` a piece.

    `scale` (n,) is the noise of the points up to a factor, `least` the deviation that rounding alone makes. The innovations are those of a
    first-order autoregression of the residuals, so that a curve may wander as far as its neighbours share noise before it needs a break,
    while the residuals of a break that was missed explain themselves badly; no estimate of noise or correlation has to be trusted. For
    each number of pieces the partition is the exact least-squares one, by dynamic programming (Bai and Perron 2003); O(n^2), meant for a
    few hundred points.
    """
    n = len(values)
    whole: tuple[Piece, ...] = (_fitted(values, 0, n),) if n else ()
    if n < 2 * SHORTEST or not (scale > 0).all():
        return whole
    rests, before = _best(values, scale, max(2, min(MOST, n // AMPLE)))
    rounding, cost, found = float(np.sum((least / scale) ** 2)), np.inf, whole
    for count, power in enumerate(rests, 1):
        if not np.isfinite(power):
            break
        pieces = _partition(values, before[:count])
        r = unbiased((values - drawn(pieces)) / scale, 0)
        asked = (n - 1) * float(np.log((power + rounding) * (1 - r * r))) + price * count
        if asked < cost:
            cost, found = asked, pieces
    return found


def _partition(values: Floats, before: npt.NDArray[np.intp]) -> tuple[Piece, ...]:
    edges = [len(values)]
    for begins in before[::-1]:
        edges.append(int(begins[edges[-1]]))
    return tuple(_fitted(values, first, end) for first, end in pairwise(edges[::-1]))


def _best(values: Floats, scale: Floats, most: int) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Squared residuals of the best partition into 1 to `most` pieces, (most,), and where its last piece begins: (most, n + 1)."""
    n, w = len(values), scale**-2.0
    t, y = np.arange(n) - (n - 1) / 2, values - np.median(values)
    sums = np.zeros((6, n + 1))
    np.cumsum([w, w * y, w * y * y, w * t * y, w * t, w * t * t], axis=1, out=sums[:, 1:])
    cost = np.full((most + 1, n + 1), np.inf)
    cost[0, 0], before = 0.0, np.zeros((most, n + 1), dtype=np.intp)
    rows = np.arange(most)
    for end in range(SHORTEST, n + 1):
        starts = end - SHORTEST + 1
        total = cost[:-1, :starts] + _residuals(sums[:, end, None] - sums[:, :starts])
        best = np.argmin(total, axis=1)
        cost[1:, end], before[:, end] = total[rows, best], best
    return cost[1:, n], before


def _residuals(sums: Floats) -> Floats:
    """Weighted sum of squared residuals of the least-squares line, from the sums of 1, y, yy, ty, t, tt: (6, k) -> (k,)."""
    w, y, yy, ty, t, tt = sums
    spread = tt - t * t / w
    shared = ty - t * y / w
    explained = np.divide(shared * shared, spread, out=np.zeros_like(spread), where=spread > 0)
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
