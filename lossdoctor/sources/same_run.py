"""Whether two logs tell of one run: the same values at the same steps, or in the same order where a log counts rows, epochs or calls.

Agreement must mean something: losses that are all 0, or all ln 2, are alike in many runs. There the other curves decide, and where they
say as little, the place does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lossdoctor.run import Log, Series
from lossdoctor.run.log import Floats
from lossdoctor.run.names import canonical, plain

SAME_SHARE = 0.9  # of the places that both logs have, this share must hold the same value
PRINTED = 6e-4  # transformers prints 4 significant digits from 5.0 on
EXACT = 1e-4
DECIMALS = (3, 4, 5, 6)  # what a writer may have rounded to; 4 in transformers through 4.57. Two decimals tell no runs apart
TELLING = 3  # distinct values that make an agreement one
_SCHEDULED = ("train/learning_rate", "train/epoch", "perf/", "gpu/", "host/", "process/")
_SAME_TIME, _ANOTHER_TIME = 30.0, 600.0  # seconds
_OWN_STEPS = "step"
_COUNTING = (
    "time", "lr", "per_second", "per_sec", "per_iter", "percent", "progress", "step", "epoch", "token", "sample", "episodes", "iter", "eta",
)  # fmt: skip
_CHECKED_NAMES = 64
_LOOKED_AT = 1000  # of the steps that were logged twice and differ, at most twice as many are looked at


def same_run(one: Log, other: Log) -> bool:
    """Whether two logs with curves are of the same run."""
    if one.path == other.path and one.extra.get("training") != other.extra.get("training"):
        return False
    if one.kind == other.kind and one.kind in {"trainer_state", "wandb", "wandb_api", "tensorboard"}:
        return is_copy(one, other)
    clock = _clock_apart(one, other)
    if clock is not None and clock > _ANOTHER_TIME:
        return False  # the same training with the same seed, run again
    ordered = any(log.step_is != _OWN_STEPS or log.kind == "text" for log in (one, other))
    relative = PRINTED if "text" in {one.kind, other.kind} else EXACT
    for signal in ("train/loss", "eval/loss"):
        a, b = named(one, signal), named(other, signal)
        if a is None or b is None:
            continue
        values = agreeing(a, b, relative, ordered=ordered)
        if values is None:
            return not len(np.intersect1d(a.steps, b.steps)) and _same_runtimes(one, other)
        return (
            telling(values)
            or (clock is not None and clock < _SAME_TIME)
            or _same_runtimes(one, other)
            or _others_agree(one, other, relative, ordered=ordered)
            or beside(one, other)
        )
    return _others_agree(one, other, relative, ordered=ordered)


def _clock_apart(one: Log, other: Log) -> float | None:
    """Seconds between the wall times of the same losses, None where either log has none or reads them from dates without a zone."""
    a, b = named(one, "train/loss"), named(other, "train/loss")
    if a is None or b is None or not {one.kind, other.kind} <= {"tensorboard", "wandb", "wandb_api"}:
        return None
    _, i, j = np.intersect1d(a.steps, b.steps, return_indices=True)
    apart = np.abs(a.times[i] - b.times[j])
    known = apart[np.isfinite(apart)]
    return float(np.median(known)) if len(known) else None


def _same_runtimes(one: Log, other: Log) -> bool:
    """Whether both hold the same measured seconds of evaluations, the last one at least: no two runs do."""
    a, b = named(one, "eval/runtime"), named(other, "eval/runtime")
    if a is None or b is None:
        return False
    values = agreeing(a, b, EXACT)
    if values is None and np.isclose(a.values[-1], b.values[-1], rtol=1e-6):
        values = a.values[-1:]
    return values is not None and telling(values)


def is_copy(one: Log, other: Log) -> bool:
    """Whether two logs hold the same series to the last bit, wall times included."""
    mine, theirs = ({series.name: series for series in log.series} for log in (one, other))
    if not mine or mine.keys() != theirs.keys():
        return False
    fields = ("steps", "values", "times")
    if not any(telling(series.values) or np.isfinite(series.times).any() for series in one.series):
        return False
    return all(np.array_equal(getattr(mine[n], f), getattr(theirs[n], f), equal_nan=f != "steps") for n in mine for f in fields)


def beside(one: Log, other: Log) -> bool:
    """Whether one log lies in or below the directory of the other."""
    here, there = place(one.path), place(other.path)
    return here == there or here in there.parents or there in here.parents


def place(path: Path) -> Path:
    """The directory of a log: of a checkpoint's state the output directory, of a WandB file the directory of the run."""
    parent = path.parent if path.suffix or "tfevents" in path.name else path
    return parent.parent if parent.name.lower().startswith(("checkpoint-", "files")) else parent


def agreeing(a: Series, b: Series, relative: float, *, ordered: bool = False) -> Floats | None:
    """The values on which two series agree, None where they do not: at shared steps, or (`ordered`) row by row from the start."""
    if ordered and (values := _in_order(a, b, relative)) is not None:
        return values
    return _at_steps(a, b, relative)


def telling(values: Floats) -> bool:
    """Whether agreement on these values is no accident."""
    finite = values[np.isfinite(values)]
    return len(np.unique(np.round(finite, 6))) >= min(TELLING, len(values)) and (len(values) >= TELLING or _uncommon(finite))


def _uncommon(values: Floats) -> bool:
    """One or two values tell runs apart where they are not round."""
    return bool(len(values)) and bool((np.abs(values * 100 - np.round(values * 100)) > 1e-9).any())


def named(log: Log, signal: str) -> Series | None:
    """The series that becomes a canonical signal: the one whose name ranks first."""
    ranked = [(canonical(s.name)[1], index, s) for index, s in enumerate(log.series) if canonical(s.name)[0] == signal and len(s.steps)]
    return min(ranked, key=lambda entry: entry[:2])[2] if ranked else None


def close(x: Floats, y: Floats, relative: float = EXACT) -> npt.NDArray[np.bool_]:
    """Which values are the same, given float32, the digits printed and the decimals that either writer rounded to."""
    quantum = max(_rounding(x), _rounding(y))
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(x - y) <= 0.51 * quantum + relative * np.abs(y)
        return np.asarray(near | (np.isnan(x) & np.isnan(y)) | (x == y))


def _rounding(values: Floats) -> float:
    """The step of the decimals that all values are rounded to, 0 where they are not; values that are all whole are not rounded by this."""
    finite = values[np.isfinite(values) & (np.abs(values) < 1e6)]
    for decimals in DECIMALS:
        if len(finite) and np.allclose(finite, np.round(finite, decimals), rtol=2e-7, atol=1e-12):
            return 0.0 if np.array_equal(finite, np.round(finite)) and finite.any() else 10.0**-decimals
    return 0.0


def _in_order(a: Series, b: Series, relative: float) -> Floats | None:
    n = min(len(a.values), len(b.values))
    x, y = a.values[:n], b.values[:n]
    return x if n >= 2 and close(x, y, relative).mean() >= SAME_SHARE else None


def _at_steps(a: Series, b: Series, relative: float) -> Floats | None:
    """A restart logs steps twice: then either row may be the one that the other log kept."""
    shared, i, j = np.intersect1d(a.steps, b.steps, return_indices=True)
    if len(shared) < min(TELLING, len(a.steps), len(b.steps)) or not len(shared):
        return None
    x, y = a.values[i], b.values[j]
    equal = close(x, y, relative)
    odd = np.flatnonzero(~equal)
    if len(odd) > len(shared) // 2:
        return None
    if len(odd):
        left, right = _sorted(a), _sorted(b)
        looked = odd[:: 1 + len(odd) // _LOOKED_AT]
        kept = [_either_row(_rows(left, shared[k]), _rows(right, shared[k]), relative) for k in looked]
        return x if 1 - len(odd) / len(shared) * (1 - sum(kept) / len(kept)) >= SAME_SHARE else None
    return x


def _either_row(ours: Floats, theirs: Floats, relative: float) -> bool:
    return len(ours) + len(theirs) > 2 and bool(close(ours[:, None], theirs[None, :], relative).any())


def _sorted(one: Series) -> tuple[npt.NDArray[np.int64], Floats]:
    order = np.argsort(one.steps, kind="stable")
    return one.steps[order], one.values[order]


def _rows(ordered: tuple[npt.NDArray[np.int64], Floats], step: np.int64) -> Floats:
    steps, values = ordered
    return values[np.searchsorted(steps, step, "left") : np.searchsorted(steps, step, "right")][:_CHECKED_NAMES]


def _others_agree(one: Log, other: Log, relative: float, *, ordered: bool) -> bool:
    """Whether all curves with the same name agree, schedules and clocks aside, on values that tell."""
    found = []
    for a, b in _like_named(one, other):
        values = agreeing(a, b, relative, ordered=ordered)
        if values is None:
            return False
        found.append(values)
    return bool(found) and telling(np.concatenate(found))


def _like_named(one: Log, other: Log) -> Iterator[tuple[Series, Series]]:
    mine, theirs = _by_name(one.series), _by_name(other.series)
    shared = [name for name in mine if name in theirs]
    if not shared:
        mine, theirs = _by_last_part(mine), _by_last_part(theirs)
        shared = [name for name in mine if name in theirs]
    for name in shared[:_CHECKED_NAMES]:
        yield mine[name], theirs[name]


def _by_name(series: Sequence[Series]) -> dict[str, Series]:
    return {plain(s.name): s for s in series if len(s.steps) and not canonical(s.name)[0].startswith(_SCHEDULED) and not _clock(s.name)}


def _clock(name: str) -> bool:
    """Whether a series only counts or follows a plan: two runs of one script have it in common."""
    last = plain(name).rsplit("/", 1)[-1]
    return last == "pid" or any(word in last for word in _COUNTING)


def _by_last_part(series: Mapping[str, Series]) -> dict[str, Series]:
    """The series under the last part of their names, where only one has it."""
    lasts = [name.rsplit("/", 1)[-1] for name in series]
    return {last: one for last, one in zip(lasts, series.values(), strict=True) if lasts.count(last) == 1}


def same_ending(summary: Log, other: Log) -> bool:
    """Whether the last values that a WandB summary keeps are those with which the curves of a log of another kind end."""
    if other.kind == summary.kind:
        return False
    matched, compared = [], 0
    for one in summary.series:
        signal = canonical(one.name)[0]
        if signal.startswith(_SCHEDULED) or _clock(one.name) or (curve := named(other, signal)) is None:
            continue
        compared += 1
        if np.isfinite(one.values[-1]) and close(one.values[-1:], curve.values[-1:], PRINTED).all():
            matched.append(float(one.values[-1]))
    return len(matched) >= 0.6 * compared and _uncommon(np.asarray(matched))
