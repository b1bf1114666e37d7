"""Curve: a signal made ready for shape tests: in step order, its level in bins, its noise, its warmup cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from lossdoctor.measures.level import Floats, bin_edges, binned_medians, noise, quantum, rolling_median
from lossdoctor.run import Run, Signal
from lossdoctor.run.log import Ints

BINS = 120


@dataclass(frozen=True, eq=False)
class Curve:
    """`steps` and `values` of shape (n,) in step order, finite; `level` and `at` (m <= 120): medians of bins and their middle steps."""

    steps: Ints
    values: Floats

    def __len__(self) -> int:
        return len(self.steps)

    @cached_property
    def level(self) -> Floats:
        """Medians of bins; a short curve is its own rolling median of three."""
        if len(self) <= BINS:
            return rolling_median(self.values, 5 if len(self) >= 40 else 3) if len(self) >= 5 else self.values
        return binned_medians(self.values, BINS)

    @cached_property
    def at(self) -> Ints:
        """Middle step of each bin."""
        if len(self) <= BINS:
            return self.steps
        edges = bin_edges(len(self), BINS)
        return np.asarray(self.steps[(edges[:-1] + edges[1:] - 1) // 2])

    @cached_property
    def noise(self) -> float:
        """Noise of one row, never below a third of the rounding step."""
        return max(noise(self.values), self.quantum / 3)

    @cached_property
    def level_noise(self) -> float:
        """Noise of one bin's median: 1.25 sigma / sqrt(k) for k independent rows, but never less than the medians' own scatter, since rows
        of real runs are correlated."""
        rows = max(1.0, len(self) / len(self.level)) if len(self) > BINS else 2.0
        own = noise(self.level) if len(self.level) >= 20 else 0.0
        return max(1.25 * self.noise / float(np.sqrt(rows)), own) + 1e-12 * self.scale

    @cached_property
    def quantum(self) -> float:
        return quantum(self.values)

    @cached_property
    def scale(self) -> float:
        """The largest absolute level: what 'tiny' is measured against."""
        return float(np.max(np.abs(self.level))) if len(self) else 0.0

    @property
    def span(self) -> int:
        return int(self.steps[-1] - self.steps[0]) if len(self) else 0

    def part(self, first: float, last: float) -> Curve:
        """The rows between two fractions of the step range."""
        low, high = self.steps[0] + first * self.span, self.steps[0] + last * self.span
        rows = (self.steps >= low) & (self.steps <= high)
        return Curve(self.steps[rows], self.values[rows])

    def after(self, step: float) -> Curve:
        rows = self.steps > step
        return Curve(self.steps[rows], self.values[rows])

    def head(self, rows: int) -> float:
        """Median of the first rows."""
        return float(np.median(self.values[:rows]))

    def tail(self, share: float = 0.1, least: int = 3) -> float:
        """Median of the last share of rows."""
        return float(np.median(self.values[-max(least, round(share * len(self))) :]))


@lru_cache(maxsize=64)
def curve_of(signal: Signal) -> Curve:
    """The curve of a signal; cached, since many detectors ask for the same one."""
    rows = signal.in_order
    return Curve(rows.steps, rows.values)


def loss_curve(run: Run) -> Curve:
    """The training loss of a run, empty where there is none."""
    return named_curve(run, "train/loss")


def named_curve(run: Run, name: str) -> Curve:
    """The curve of any signal, empty where it was not logged."""
    found = run.signal(name)
    return curve_of(found) if found is not None else Curve(np.empty(0, np.int64), np.empty(0, np.float64))


def spoiled(run: Run) -> bool:
    """Whether the training loss holds NaN or Inf: then its shape tells nothing beyond that."""
    loss = run.signal("train/loss")
    return loss is not None and not bool(np.isfinite(loss.values).all())


def steps_per_epoch(run: Run) -> float | None:
    """Steps of one pass over the data, from the logged epochs; None where they are unknown."""
    loss = run.signal("train/loss")
    if loss is None or run.step_is == "epoch":
        return None
    known = np.isfinite(loss.epochs) & (loss.epochs > 0)
    return float(np.median(loss.steps[known] / loss.epochs[known])) if known.any() else None


@lru_cache(maxsize=32)
def warmup_end(run: Run) -> int:
    """The last step of warmup: where the learning rate first reaches 99 % of its peak, at most half of the run; without a learning rate
    (or with one that starts at its peak) the first 5 %, at most 100 steps."""
    rate = named_curve(run, "train/learning_rate")
    first, last = run.first_step, run.last_step
    default = first + min(round(0.05 * (last - first)), 100)
    if len(rate) < 4 or rate.values.max() <= 0:
        return default
    highest = float(rate.values.max())
    peak = int(np.argmax(rate.values >= 0.99 * highest))
    # A cyclic schedule reaches its highest late; its first way up is its warmup.
    falls = np.flatnonzero((np.diff(rate.values) < 0) & (rate.values[:-1] >= 0.3 * highest))
    peak = min(peak, int(falls[0])) if len(falls) else peak
    if peak == 0:
        return default
    return int(min(rate.steps[peak], first + 0.5 * (last - first)))
