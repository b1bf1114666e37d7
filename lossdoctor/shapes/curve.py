"""Curve: a signal in step order, described once: noise, levels with errors, straight pieces, jumps, what is left, its trend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from lossdoctor.measures.level import Floats, bin_edges, binned_medians, quantum, rolling_median
from lossdoctor.measures.noise import CLIP, FEWEST, LINE, Noise, noise_of, profile, unbiased
from lossdoctor.measures.pieces import Piece, drawn, straight_pieces
from lossdoctor.measures.trend import contrasts, inflation, mann_kendall, theil_sen
from lossdoctor.run import Run, Signal
from lossdoctor.run.log import Ints
from lossdoctor.run.names import is_epoch_mean

KNOTS = 200  # medians that stand for the rows of a long curve
EIGHTHS = 8  # a level is the median of an eighth of the rows: what a reader takes for "the start" and "the end"
QUIET = 4  # times as quiet as the whole: no stretch is trusted to be quieter than that
NARROW, SOME = 3, 12  # window of the rolling median of a short curve, and rows from which on one is taken
WIDE, MANY = 5, 40  # the same of a longer one
FEW_MEANS = 5  # means over epochs; fewer say little of their noise


@dataclass(frozen=True, slots=True)
class Level:
    """The median of `rows` neighbouring rows around `step`, and its standard error."""

    value: float
    error: float
    step: int
    rows: int


@dataclass(frozen=True, eq=False)
class Curve:
    """`steps` and `values` of shape (n,) in step order, finite."""

    steps: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.steps)

    # How exact a row is.

    @cached_property
    def quantum(self) -> float:
        """The rounding step, 0 for full floats."""
        return quantum(self.values)

    @property
    def rounding(self) -> float:
        """The deviation that rounding makes: a step / sqrt 12."""
        return self.quantum / float(np.sqrt(12))

    @cached_property
    def spread(self) -> Noise:
        """Noise of single rows and what neighbours share; never below the deviation that rounding makes."""
        return noise_of(self.values, self.rounding)

    @property
    def noise(self) -> float:
        """Standard deviation of one row around the curve."""
        return self.spread.sigma

    # Where it is.

    @cached_property
    def level(self) -> Floats:
        """Medians of at most 200 bins; a short curve is its own rolling median of three or five, a dozen rows are
        themselves."""
        if len(self) > KNOTS:
            return binned_medians(self.values, KNOTS)
        return rolling_median(self.values, WIDE if len(self) >= MANY else NARROW) if len(self) >= SOME else self.values

    @cached_property
    def at(self) -> Ints:
        """Middle step of each bin."""
        if len(self) <= KNOTS:
            return self.steps
        edges = bin_edges(len(self), KNOTS)
        return np.asarray(self.steps[(edges[:-1] + edges[1:] - 1) // 2])

    @cached_property
    def level_noise(self) -> float:
        """Standard error of one value of `level`."""
        return max(self.spread.error(len(self) / len(self.level) if len(self) > KNOTS else NARROW), self.quantum / 2)

    @cached_property
    def scale(self) -> float:
        """The largest absolute level: what 'tiny' is measured against."""
        return float(np.max(np.abs(self.level))) if len(self) else 0.0

    @property
    def width(self) -> int:
        """Rows of an eighth, at least one."""
        return max(1, len(self) // EIGHTHS)

    def median(self, first: int, last: int, noise: Noise | None = None) -> Level:
        """The level of rows [first, last)."""
        part = self.values[first:last]
        return Level(float(np.median(part)), (noise or self.around).error(len(part)), int(self.steps[(first + last - 1) // 2]), len(part))

    @cached_property
    def start(self) -> Level:
        """The level of the first eighth."""
        return self.median(0, self.width)

    @cached_property
    def end(self) -> Level:
        """The level of the last eighth."""
        return self.median(len(self) - self.width, len(self))

    @cached_property
    def best(self) -> Level:
        """The lowest level of half an eighth anywhere."""
        width = max(1, self.width // 2)
        if width == 1:
            low = int(np.argmin(self.level))
            return Level(float(self.level[low]), self.level_noise, int(self.at[low]), NARROW)
        edges = bin_edges(len(self), len(self) // width)
        medians = [float(np.median(self.values[a:b])) for a, b in pairwise(edges)]
        low = int(np.argmin(medians))
        return self.median(int(edges[low]), int(edges[low + 1]))

    @property
    def fall(self) -> float:
        """From the first level to the last, as a share of the first; negative for a rise."""
        return (self.start.value - self.end.value) / (abs(self.start.value) or 1.0)

    # What it does.

    @cached_property
    def calm(self) -> Floats:
        """The level of a long curve; of a short one its rows, single outliers drawn in to three scales around their neighbours."""
        reach = CLIP * self.noise
        return self.level if len(self) > KNOTS else np.clip(self.values, self.level - reach, self.level + reach)

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The level as straight pieces, in indexes of `level`."""
        least = max(self.rounding, float(np.finfo(np.float64).eps) * self.scale)
        quiet = noise_of(self.level).sigma / QUIET if len(self) > KNOTS else self.noise / QUIET
        return straight_pieces(self.calm, profile(self.calm, max(least, quiet)), least)

    @cached_property
    def rest(self) -> Floats:
        """The rows less the straight pieces."""
        line = drawn(self.pieces)
        return self.values - (line if len(self) <= KNOTS else np.interp(self.steps, self.at, line))

    @cached_property
    def around(self) -> Noise:
        """The noise around the pieces: a jump of the level is none of it. A long curve has differences enough to know without them."""
        return noise_of(self.rest, self.rounding, unbiased(self.rest, LINE)) if FEWEST <= len(self) <= KNOTS else self.spread

    def trend(self, first: float = 0.0, last: float = 1.0) -> tuple[float, float]:
        """Total change of the level between two fractions of the rows (Theil-Sen), and the z of its Mann-Kendall test, neighbours'
        sharing taken into account."""
        whole = self.level if len(self) > KNOTS else self.values
        n = len(whole)
        part = whole[round(first * n) : max(round(last * n), 1)]
        if len(part) < NARROW:
            return 0.0, 0.0
        moved = theil_sen(np.arange(len(part), dtype=np.float64), part) * (len(part) - 1)
        alike = (
            max(1.0, self.spread.shared * n / len(self))
            if len(self) > KNOTS
            else inflation(contrasts(len(part))[0], self.around.correlation)
        )
        return moved, mann_kendall(part) / float(np.sqrt(alike))

    @property
    def span(self) -> int:
        return int(self.steps[-1] - self.steps[0]) if len(self) else 0

    # Parts of it.

    def part(self, first: float, last: float) -> Curve:
        """The rows between two fractions of the step range."""
        low, high = self.steps[0] + first * self.span, self.steps[0] + last * self.span
        return self.between(low, high)

    def between(self, first: float, last: float) -> Curve:
        """The rows with first <= step <= last."""
        rows = (self.steps >= first) & (self.steps <= last)
        return Curve(self.steps[rows], self.values[rows])

    def after(self, step: float) -> Curve:
        rows = self.steps > step
        return Curve(self.steps[rows], self.values[rows])

    def head(self, rows: int) -> float:
        """Median of the first rows."""
        return float(np.median(self.values[:rows]))

    def tail(self, share: float = 1 / EIGHTHS, least: int = 3) -> float:
        """Median of the last share of rows."""
        return float(np.median(self.values[-max(least, round(share * len(self))) :]))


@lru_cache(maxsize=64)
def curve_of(signal: Signal) -> Curve:
    """The curve of a signal; cached, since many rules ask for the same one."""
    rows = signal.in_order
    return Curve(rows.steps, rows.values)


def loss_curve(run: Run) -> Curve:
    """The training loss of a run, empty where there is none."""
    return named_curve(run, "train/loss")


def steadiest_loss(run: Run) -> tuple[Curve, str]:
    """The training loss, or its means over whole epochs where the run logs both and their levels are known better; and its signal."""
    rows = (loss_curve(run), "train/loss")
    named = ((name, s) for name, s in run.signals.items() if name != "train/loss" and is_epoch_mean(name) and len(s) >= FEW_MEANS)
    means = [(curve_of(s), name) for name, s in named]
    return min((rows, *means), key=lambda pair: pair[0].start.error) if len(rows[0]) else rows


def named_curve(run: Run, name: str) -> Curve:
    """The curve of any signal, empty where it was not logged."""
    found = run.signal(name)
    return curve_of(found) if found is not None else Curve(np.empty(0, np.int64), np.empty(0, np.float64))
