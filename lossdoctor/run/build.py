"""Log -> Run: canonical names, segments, task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lossdoctor.model import Setting, SourceNote
from lossdoctor.run.candidates import assumed, says_training_loss, sums_of_parts
from lossdoctor.run.log import Log, Series
from lossdoctor.run.names import CLOSING, canonical, in_company
from lossdoctor.run.run import Run, Signal
from lossdoctor.run.segments import segments
from lossdoctor.run.stand_ins import stand_ins
from lossdoctor.run.task import task_of

TELLING = 0.2  # of an epoch: below it epochs of two digits do not tell its length
FEW, MORE = 8, 4  # rows of a summary at most, and how many times more the curve has that it sums up
_LIMITS = ("max", "limit", "clip", "clip_norm", "clip_value", "max_norm", "grad_clip", "clip_grad", "max_grad_norm")
MAX_PLAN = 1 << 40  # streaming data sets log 9223372036854775807 epochs


def build(
    log: Log,
    *,
    settings: Sequence[Setting] = (),
    path: str = "",
    name: str = "",
    metric: Mapping[str, str] | None = None,
    notes: Iterable[SourceNote] = (),
) -> Run:
    """Make a Run of one (possibly merged) log.

    `settings` are already merged, in order of trust; `metric` maps a canonical signal to the column that holds it, over the alias table.
    """
    signals = _signals(log.series, {raw: signal for signal, raw in (metric or {}).items()})
    taken = assumed(signals)
    named = {one.raw_name for one in taken.values()}
    signals = {key: one for key, one in signals.items() if key not in named} | taken
    by_name = {s.name: s for s in (*_limits(signals), *settings)}
    planned = log.planned_steps if log.planned_steps is not None and 0 < log.planned_steps < MAX_PLAN else None
    loss = signals.get("train/loss")
    if planned and loss is not None and len(loss) and int(loss.steps.max()) >= 2 * planned:
        planned = None  # the length of an evaluation, as its bar counted it
    epochs = log.planned_epochs if log.planned_epochs is not None and 0 < log.planned_epochs < MAX_PLAN else None
    closing = any(key in signals for key in CLOSING)
    return Run(
        name=name or log.name, path=path or str(log.path), signals=signals, settings=by_name, checkpoints=log.checkpoints,
        events=log.events, faults=log.faults,
        sources=tuple(notes) or (SourceNote(log.kind, str(log.path), log.points, "read"),),
        planned_steps=planned or _plan_from_epochs(signals, epochs, log.step_is), planned_epochs=epochs or _epochs_set(by_name),
        reached_step=log.reached_step, finished=True if closing else log.finished, early_stopped=log.early_stopped,
        evidence_beyond_state=log.kind != "trainer_state",
        best_step=log.best_step, assumed_loss=_assumed(taken), step_is=log.step_is,
        framework=log.framework, task=task_of(signals, by_name), notes=log.notes,
    )  # fmt: skip


def _epochs_set(settings: Mapping[str, Setting]) -> float | None:
    """The epochs that the settings ask for, unless they limit the steps."""
    steps, epochs = (settings[name].value if name in settings else None for name in ("max_steps", "num_train_epochs"))
    limited = isinstance(steps, int | float) and steps > 0
    return float(epochs) if isinstance(epochs, int | float) and not limited and 0 < epochs < MAX_PLAN else None


def _limits(signals: Mapping[str, Signal]) -> Iterable[Setting]:
    """The limit of the gradient norm where each row tells it beside the norm: `grad norm 0.71 (clip 0.25)`."""
    norm = signals.get("train/grad_norm")
    for name in _LIMITS:
        told = signals.get(name)
        if norm is not None and told is not None and np.array_equal(told.steps, norm.steps) and len(set(told.values.tolist())) == 1:
            yield Setting("max_grad_norm", float(told.values[0]), f"{told.raw_name} in the log")


def _assumed(taken: Mapping[str, Signal]) -> bool:
    """Whether nothing says that the column that was taken is the loss: neither its name nor that the same is evaluated."""
    return bool(taken) and "eval/loss" not in taken and not says_training_loss(taken["train/loss"].raw_name)


def _signals(series: Sequence[Series], chosen: Mapping[str, str]) -> dict[str, Signal]:
    """Map raw names to canonical ones; where some meet, the best rank wins, a summary of a few rows loses to a curve, and the others keep
    their raw names."""
    chosen = {**in_company(one.name for one in series), **chosen}
    named: dict[str, list[tuple[int, int, float, Series]]] = {}
    for order, one in enumerate(series):
        signal, rank, scale = (chosen[one.name], -1, 1.0) if one.name in chosen else canonical(one.name)
        named.setdefault(signal, []).append((rank, order, scale, one))
    found, losers = {}, []
    for signal, entries in named.items():
        most = max(len(one.steps) for *_, one in entries)
        entries.sort(key=lambda entry: (entry[0] >= 0 and len(entry[3].steps) <= min(FEW, most / MORE), *entry[:2]))
        found[signal] = _signal(signal, entries[0][3], entries[0][2])
        losers += entries[1:]
    for *_, one in sorted(losers, key=lambda entry: entry[1]):
        found.setdefault(one.name, _signal(one.name, one, 1.0))
    found |= sums_of_parts(found)
    return found | stand_ins(found)


def _signal(name: str, one: Series, scale: float) -> Signal:
    values = one.values if scale == 1.0 else one.values * scale
    parts = (one.steps, values, one.epochs, one.times, segments(one.steps))
    for part in parts:
        part.flags.writeable = False
    return Signal(name, one.name, *parts, one.unit)


def _plan_from_epochs(signals: Mapping[str, Signal], epochs: float | None, step_is: str) -> int | None:
    """Steps of the plan where only epochs are known: steps per epoch from the logged epochs."""
    if epochs is not None and step_is == "epoch":
        return round(epochs)
    loss = signals.get("train/loss")
    if epochs is None or loss is None or not len(loss) or not math.isfinite(loss.epochs[-1]) or loss.epochs[-1] < TELLING:
        return None
    if bool((loss.epochs == np.floor(loss.epochs)).all()):
        return None  # the number of the epoch, not the share that is done
    rate = float(np.nanmedian(loss.steps[loss.epochs > 0] / loss.epochs[loss.epochs > 0]))
    return round(rate * epochs) if math.isfinite(rate) and rate > 0 else None
