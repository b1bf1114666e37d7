"""The result of a comparison: words and numbers only, so that every reporter can draw from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lossdoctor.model import Diagnosis, MetricDelta, RuleNote, Scalar


class Axis(StrEnum):
    """What the curves are laid over."""

    STEP = "step"
    EPOCH = "epoch"
    SAMPLES = "samples"
    TOKENS = "tokens"
    HOURS = "hours"


@dataclass(frozen=True, slots=True)
class Side:
    """A run to compare: its diagnosis, and where it is known the hours that had passed at each of `steps` (both rising)."""

    diagnosis: Diagnosis
    steps: tuple[int, ...] = ()
    hours: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting that differs; one value a run, None where it is not known."""

    name: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A rule that fired in at least one run; one state a run: error, warning, note, healthy, suppressed, not evaluated, crashed, or -."""

    rule: RuleNote
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    """A signal of all runs on one grid of the axis; None where a run has no value there. `values` holds one row a run."""

    signal: str
    axis: Axis
    grid: tuple[float, ...]
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Parting:
    """Where a run's curve leaves that of the base, on the axis.

    `equal_until`: up to here both logged the very same values (None: never). `parts_at`: from here the gap is beyond `noise`; None where it
    never is for long. `meets_at`: from here to the end it is within the noise again. `noise` is the half width of what chance explains of
    the gap of one smoothed point (about 99.7 %), None where the rows are too few to tell, and then nothing is said to part. `base_end` and
    `run_end` are the smoothed values at the end of what both have.
    """

    signal: str
    run: int
    axis: Axis
    points: int
    noise: float | None
    equal_until: float | None = None
    parts_at: float | None = None
    meets_at: float | None = None
    widest_at: float | None = None
    widest: float | None = None
    base_end: float | None = None
    run_end: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Versus:
    """A run against the base: why it cannot be compared, else its metrics and where its curves part."""

    run: int
    refused: tuple[str, ...] = ()
    deltas: tuple[MetricDelta, ...] = ()
    partings: tuple[Parting, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more runs side by side, the first of them the base. `partial_settings` are told by some of the runs only; `damage` says
    what was lost of the input."""

    runs: tuple[Diagnosis, ...]
    axis: Axis
    settings: tuple[SettingRow, ...]
    same_settings: int
    partial_settings: tuple[str, ...]
    findings: tuple[FindingRow, ...]
    versus: tuple[Versus, ...]
    curves: tuple[Curves, ...]
    damage: tuple[str, ...] = ()
