"""A comparison in sentences and cells, the same in every format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from lossdoctor.compare import Axis, Comparison
from lossdoctor.compare.model import Parting, Versus
from lossdoctor.model import Diagnosis, MetricDelta, Scalar
from lossdoctor.numerals import number
from lossdoctor.reporters.wording import counted, hours

AXES = {Axis.STEP: "step", Axis.EPOCH: "epoch", Axis.SAMPLES: "sample", Axis.TOKENS: "token", Axis.HOURS: "hour"}


def names(comparison: Comparison) -> tuple[str, ...]:
    """A name for each run that no other has: its own, else the last part of the path that was given, else with its number."""
    own = [run.name for run in comparison.runs]
    given = [PurePath(run.argument).name or run.name for run in comparison.runs]
    numbered = [f"{name} [{i + 1}]" for i, name in enumerate(own)]
    return tuple(next(names for names in (own, given, numbered) if len(set(names)) == len(names)))


def size(run: Diagnosis) -> str:
    parts = [f"{run.steps} steps" if run.steps is not None else "", f"{number(run.epochs, 3)} epochs" if run.epochs is not None else ""]
    parts.append(hours(run.cost.hours) if run.cost.hours is not None else "")
    return ", ".join(part for part in parts if part)


def value(setting: Scalar) -> str:
    return "-" if setting is None else number(setting)


def change(delta: MetricDelta) -> str:
    """+6.6 %, or the difference where the base is 0."""
    moved = delta.now - delta.base
    return f"{moved / abs(delta.base):+.1%}".replace("%", " %") if delta.base else f"{moved:+.4g}"


def judged(delta: MetricDelta) -> str:
    """What a change is worth: better, worse or changed beyond noise; within noise; noise unknown."""
    if delta.now == delta.base:
        return "the same"
    if delta.beyond is False:
        return "within noise"
    word = {True: "better", False: "worse", None: "changed"}[delta.better]
    return f"{word}, beyond noise" if delta.beyond else f"{word}, noise unknown"


def other_settings(comparison: Comparison) -> str:
    """What the table of settings leaves out."""
    said = f"{counted(comparison.same_settings, 'other known setting')} the same"
    partial = len(comparison.partial_settings)
    return f"{said}, {counted(partial, 'setting')} known of some runs only" if partial else said


def headline(comparison: Comparison, versus: Versus) -> str:
    """One sentence on a run against the base."""
    name, base = names(comparison)[versus.run], names(comparison)[0]
    if versus.refused:
        return f"{name} cannot be compared with {base}: {'; '.join(versus.refused)}."
    for wanted in ("best eval loss", "final eval loss", "final train loss"):
        delta = next((d for d in versus.deltas if d.metric == wanted), None)
        if delta is not None:
            return f"{name}: {wanted} {number(delta.base)} -> {number(delta.now)} ({change(delta)}, {judged(delta)})."
    return f"{name} and {base} share no metric."


def parted(parting: Parting) -> str:
    """Where two curves part, in a sentence."""
    return f"{parting.signal}: {'; '.join(_parted(parting, AXES[parting.axis]))}."


def _parted(p: Parting, axis: str) -> Iterator[str]:
    if p.equal_until is not None and p.widest == 0:
        yield f"the very same values to the end ({axis} {number(p.equal_until)})"
        return
    if p.equal_until is not None:
        yield f"the very same values until {axis} {number(p.equal_until)}"
    if p.noise is None:
        yield f"{p.points} rows are too few to tell a gap from noise"
    elif p.parts_at is None:
        yield f"never apart beyond noise (a gap of {number(p.noise, 2)} counts)"
    else:
        yield f"apart beyond noise (more than {number(p.noise, 2)}) from {axis} {number(p.parts_at)}"
        if p.meets_at is not None:
            yield f"together again from {axis} {number(p.meets_at)}"
    if p.widest is not None and p.widest_at is not None and p.parts_at is not None:
        yield f"widest {p.widest:+.3g} at {axis} {number(p.widest_at)}"
    if p.base_end is not None and p.run_end is not None:
        yield f"at the end of both {number(p.base_end)} and {number(p.run_end)}"
