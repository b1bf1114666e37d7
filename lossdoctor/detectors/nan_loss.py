"""NaN or Inf in a loss, logged or hidden, or in the gradients all the time."""

from __future__ import annotations

import numpy as np

from lossdoctor.model import Evidence, Scalar
from lossdoctor.run import Run, Signal
from lossdoctor.run.log import Ints
from lossdoctor.vitals.change import loss_change


def nan_loss(run: Run, *, first_rows: int, hidden_rows: int, norm_share: float) -> Evidence | None:
    """Find losses that are not finite, under whatever name, and the zeros under which HuggingFace's logging_nan_inf_filter hides them.

    A loss of exactly 0 with a non-finite gradient norm at the same step is a hidden NaN; `hidden_rows` of them in a row are needed. A
    gradient norm that is not finite on `norm_share` of the rows, or on the last two, is the same trouble seen earlier, unless the loss
    still falls; a single one with a finite loss is a skipped fp16 step.
    """
    train = run.signal("train/loss")
    losses = [signal for signal in run.loss_like() if not signal.name.startswith("eval/")]
    hidden, norms = _hidden(run, train, hidden_rows), _norms(run, norm_share)
    bad = {signal.name: _nonfinite(signal) for signal in losses}
    rows = np.unique(np.concatenate([hidden, *bad.values()])) if bad else hidden
    evals = [(signal, _nonfinite(signal)) for signal in run.loss_like() if signal.name.startswith("eval/")]
    evals = [(signal, steps) for signal, steps in evals if len(steps)]
    only_norm = not len(rows) and not evals
    if only_norm and (not len(norms) or _learns(run)):
        return None
    where = norms if only_norm else rows
    onset = int(min([*where[:1], *(steps[0] for _, steps in evals)]))
    whole = max([s for s in (*losses, run.signal("train/grad_norm")) if s is not None], key=len, default=None)
    steps = whole.steps if whole is not None else where
    after = _finite_after(train, int(where[-1]) if len(where) else onset)
    span_end = int(max([*where[-1:], *(steps[-1] for _, steps in evals)]))
    recovered = bool(len(where)) and after > 2 * len(where) and after >= 5
    numbers: dict[str, Scalar] = {
        "nan_rows": len(where), "hidden_rows_found": len(hidden), "eval_rows": sum(len(steps) for _, steps in evals),
        "first_step": onset, "in_first_rows": bool((steps < onset).sum() < first_rows),
        "share": len(where) / len(steps) if len(steps) else 0.0, "only_eval": not len(where),
        "recovered": recovered, "hidden": bool(len(hidden)),
        "where": _named(run, bad, only_eval=not len(where), only_norm=only_norm),
        "lasting": int(not recovered),
    }  # fmt: skip
    norm = ["train/grad_norm"] if len(hidden) or only_norm else []
    signals = (*(name for name, steps in bad.items() if len(steps)), *norm, *(signal.name for signal, _ in evals))
    return Evidence(numbers, signals, onset, ((onset, span_end),), margin=10)


def _nonfinite(signal: Signal) -> Ints:
    return np.unique(signal.steps[~np.isfinite(signal.values)])


def _finite_after(train: Signal | None, step: int) -> int:
    return 0 if train is None else int(np.isfinite(train.values[(train.steps > step) & (train.values != 0)]).sum())


def _hidden(run: Run, train: Signal | None, least: int) -> Ints:
    norm = run.signal("train/grad_norm")
    if train is None or norm is None:
        return np.empty(0, dtype=np.int64)
    found = np.intersect1d(train.steps[train.values == 0], _nonfinite(norm))
    return found if len(found) >= least else found[:0]


def _norms(run: Run, share: float) -> Ints:
    """Steps of gradient norms that are not finite, where they are many or stand at the end."""
    norm = run.signal("train/grad_norm")
    if norm is None:
        return np.empty(0, dtype=np.int64)
    finite = np.isfinite(norm.values)
    lasting = not finite[-2:].any() and len(finite) >= 2
    return _nonfinite(norm) if lasting or (~finite).mean() >= share else np.empty(0, dtype=np.int64)


def _learns(run: Run) -> bool:
    change = loss_change(run)
    return change is not None and change.seen and change.gain > 0


def _named(run: Run, bad: dict[str, Ints], *, only_eval: bool, only_norm: bool) -> str:
    if only_norm:
        return "gradient norm"
    if only_eval:
        return "eval loss"
    names = [run.signals[name].raw_name for name, steps in bad.items() if len(steps) and name != "train/loss"]
    return "training loss" if len(bad.get("train/loss", ())) or not names else ", ".join(names[:3])
