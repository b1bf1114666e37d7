"""Simulated curves: noise of several kinds, around a level of 2 or around a fall, a step, a bend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from lossdoctor.shapes.curve import Curve
from lossdoctor.vitals.change import change_of

Floats = npt.NDArray[np.float64]
Shape = Callable[[Floats], Floats]

LEVEL = 2.0
NOISE = 0.05  # of the level
BURN = 100  # rows until an autoregression has forgotten its start


def autoregression(rng: np.random.Generator, n: int, r: float) -> Floats:
    """First-order autoregression with deviation 1."""
    return np.asarray(lfilter([np.sqrt(1 - r * r)], [1, -r], rng.normal(size=n + BURN))[BURN:])


NOISES: Mapping[str, Callable[[np.random.Generator, int], Floats]] = {
    "white": lambda rng, n: rng.normal(size=n),
    "r=.5": lambda rng, n: autoregression(rng, n, 0.5),
    "r=.8": lambda rng, n: autoregression(rng, n, 0.8),
    "t3": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
    "rounded": lambda rng, n: rng.normal(size=n),
}


def straight(fall: float) -> Shape:
    return lambda x: -fall * x


def exponential(fall: float) -> Shape:
    return lambda x: -fall * (1 - np.exp(-5 * x))


def late(fall: float) -> Shape:
    return lambda x: -fall * np.maximum(0, 2 * x - 1)


def step(fall: float, at: float = 1 / 3) -> Shape:
    return lambda x: np.where(x > at, -fall, 0.0)


def bend(fall: float) -> Shape:
    return lambda x: fall * np.abs(2 * x - 1)


def values(noise: str, n: int, seed: int, shape: Shape | None = None) -> Floats:
    """Rows around a level of 2; `shape` and the noise in shares of it. Rounded ones to a tenth, which is the noise's deviation."""
    moved = shape(np.linspace(0, 1, n)) if shape is not None else 0.0
    rows = LEVEL * (1 + moved + NOISE * NOISES[noise](np.random.default_rng([seed, n]), n))
    return np.round(rows, 1) if noise == "rounded" else rows


def curve_of_rows(rows: Floats) -> Curve:
    return Curve(10 * np.arange(len(rows), dtype=np.int64), rows)


def curves(noise: str, n: int, runs: int, shape: Shape | None = None) -> Iterator[Curve]:
    return (curve_of_rows(values(noise, n, seed, shape)) for seed in range(runs))


def share(test: Callable[[Curve], object], noise: str, n: int, runs: int, shape: Shape | None = None) -> float:
    """In what share of the curves a test finds something."""
    return sum(bool(test(curve)) for curve in curves(noise, n, runs, shape)) / runs


def changed(curve: Curve) -> bool:
    change = change_of(curve, "loss")
    return change is not None and (change.seen or change.lost)


def fell(curve: Curve) -> bool:
    change = change_of(curve, "loss")
    return change is not None and change.seen


def broken(curve: Curve) -> bool:
    return len(curve.pieces) > 1
