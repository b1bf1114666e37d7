"""NaN or Inf in a loss, logged or hidden."""

from __future__ import annotations

import numpy as np

from lossdoctor.model import Evidence
from lossdoctor.run import Run, Signal


def nan_loss(run: Run, *, first_rows: int, hidden_rows: int) -> Evidence | None:
    """Find losses that are not finite, and the zeros under which HuggingFace's logging_nan_inf_filter hides them.

    A loss of exactly 0 with a non-finite gradient norm at the same step is a hidden NaN; `hidden_rows` of them in a row are needed. A
    single non-finite gradient norm with a finite loss is a skipped fp16 step, not this rule's matter.
    """
    train = run.signal("train/loss")
    bad_train = _nonfinite(train)
    hidden = _hidden(run, train, hidden_rows)
    rows = np.union1d(bad_train, hidden)
    bad_evals = [(signal, _nonfinite(signal)) for signal in _eval_losses(run)]
    bad_evals = [(signal, steps) for signal, steps in bad_evals if len(steps)]
    if not len(rows) and not bad_evals:
        return None
    onset = int(min([*rows[:1], *(steps[0] for _, steps in bad_evals)]))
    total = len(train) if train is not None else 0
    before = int((train.steps < onset).sum()) if train is not None else 0
    last = int(train.steps.max()) if train is not None and len(train) else onset
    after = (
        0
        if train is None
        else int(np.isfinite(train.values[(train.steps > (rows[-1] if len(rows) else onset)) & (train.values != 0)]).sum())
    )
    span_end = int(max([*rows[-1:], *(steps[-1] for _, steps in bad_evals)]))
    numbers = {
        "nan_rows": len(rows),
        "hidden_rows_found": len(hidden),
        "eval_rows": sum(len(steps) for _, steps in bad_evals),
        "first_step": onset,
        "rows_before": before,
        "in_first_rows": before < first_rows,
        "share": len(rows) / total if total else 0.0,
        "only_eval": not len(rows),
        "recovered": bool(len(rows)) and after > 2 * len(rows) and after >= 5,
        "hidden": bool(len(hidden)),
        "where": "eval loss" if not len(rows) else "training loss",
        "until_end": span_end >= last,
        "lasting": 0 if bool(len(rows)) and after > 2 * len(rows) and after >= 5 else 1,
    }
    signals = (
        *(["train/loss"] if len(rows) else []),
        *(["train/grad_norm"] if len(hidden) else []),
        *(signal.name for signal, _ in bad_evals),
    )
    return Evidence(numbers, signals, onset, ((onset, span_end),), margin=10.0)


def _eval_losses(run: Run) -> list[Signal]:
    return [signal for name, signal in run.signals.items() if name.startswith("eval/") and name.endswith("loss")]


def _nonfinite(signal: Signal | None) -> np.ndarray:
    return np.unique(signal.steps[~np.isfinite(signal.values)]) if signal is not None else np.empty(0, dtype=np.int64)


def _hidden(run: Run, train: Signal | None, least: int) -> np.ndarray:
    norm = run.signal("train/grad_norm")
    if train is None or norm is None:
        return np.empty(0, dtype=np.int64)
    zeros = train.steps[train.values == 0]
    found = np.intersect1d(zeros, norm.steps[~np.isfinite(norm.values)])
    return found if len(found) >= least else np.empty(0, dtype=np.int64)
