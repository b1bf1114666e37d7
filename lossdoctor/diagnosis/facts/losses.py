"""Levels of the losses: against chance, against their own past, against each other."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lossdoctor.diagnosis.progress import row_interval, steps_per_epoch
from lossdoctor.measures.level import noise
from lossdoctor.model import Scalar
from lossdoctor.numerals import number
from lossdoctor.run import Run, Signal

Floats = npt.NDArray[np.float64]

NEAR = 0.05  # of a level: within it two levels are the same to a reader
_ERROR = re.compile(r"loss|error", re.IGNORECASE)
LITTLE = 0.005  # of a level: shares of a smaller fall mean nothing
SAME = 1e-4  # of a loss: what the last printed digit and a GPU's order of summing leave of equal losses

FACTS: Mapping[str, str] = {
    "loss_start": "median of the first three training losses",
    "loss_end": "median of the last tenth of the training losses",
    "loss_min": "lowest training loss",
    "loss_drop": "(start - end) / start",
    "early_drop_share": "share of the fall of the loss that its first tenth gave",
    "first_epoch_drop": "fall of the loss within the first epoch, as a share of its start: what is learned there is not learned by heart",
    "late_drop_share": "share of the fall of the loss that its last fifth gave",
    "start_vs_chance": "first losses / the score of guessing that the evidence names",
    "early_jump": "highest loss of the first tenth of the rows / the first one",
    "loss_noise": "noise of one row / level",
    "loss_zero_share": "share of training losses that are exactly 0",
    "zero_loss_nan_norm": "the loss is exactly 0 where the gradient norm is NaN",
    "zero_loss_zero_norm": "the loss is exactly 0 where the gradient norm is exactly 0",
    "finite_loss_nan_norm": "share of rows with a finite, non-zero loss and a gradient norm that is not finite",
    "nan_loss_finite_norm": "share of the rows whose loss is not finite that have a finite gradient norm",
    "other_error_stands": "another loss or error of the training stands still above 0, in words, where the training loss is 0",
    "rate_moved_in_vain": "the learning rate changed by half or more, and the loss did not move",
    "nonfinite_rows": "training losses that are NaN or Inf",
    "repeats_each_epoch": "losses one epoch apart are equal to 4 digits",
    "ln_vocab": "ln(vocab_size): the loss of a uniform guess over the vocabulary",
    "ln_labels": "ln(num_labels): the loss of a uniform guess over the classes",
    "start_vs_ln_vocab": "first losses / ln(vocab_size)",
    "end_vs_ln_vocab": "last losses / ln(vocab_size)",
    "end_vs_ln_labels": "last losses / ln(num_labels)",
    "end_is_chance": "the last losses lie within 5 % of a uniform guess",
    "eval_points": "evals",
    "eval_first": "first eval loss",
    "eval_last": "last eval loss",
    "eval_min": "lowest eval loss",
    "eval_min_share": "step of the lowest eval loss / last step",
    "eval_min_epoch": "epoch of the lowest eval loss",
    "eval_constant": "all eval losses are equal to all digits",
    "eval_nonfinite": "eval losses that are NaN or Inf",
    "eval_fall": "(first - lowest eval loss) / first",
    "eval_over_train": "first eval loss / training loss at that step",
    "eval_metric_constant": "an eval metric other than the loss is equal to all digits in three or more evals",
    "train_fall_after_best": "fall of the training loss after the lowest eval loss, as a share",
    "rows_before_onset": "training losses logged before the onset",
    "nan_at_once": "at most two rows were logged before the onset",
    "loss_before_onset": "median of the ten rows before the onset",
    "level_after": "median of the last third of the rows after the onset",
    "after_ratio": "level after / before the onset",
    "after_is_chance": "after the onset the loss stays within 5 % of a uniform guess or of its start, where it did not stand before",
    "happens_again": "after a resume from before the onset, the same step is bad again",
    "onset_at_eval": "the row of the onset is the first after an eval, and evals are rare",
}


def whole(run: Run) -> dict[str, Scalar]:
    found = _evals(run)
    loss = run.signal("train/loss")
    if loss is None:
        return found
    found |= {"nonfinite_rows": int((~np.isfinite(loss.values)).sum()), "loss_zero_share": float((loss.values == 0).mean())} | _with_norm(
        run, loss
    )
    rows = loss.in_order
    if len(rows) < 3:
        return found
    if not rows.values.any():
        found["other_error_stands"] = _stands(run)
    start, end = float(np.median(rows.values[:3])), float(np.median(rows.values[-max(3, len(rows) // 10) :]))
    found |= {
        "loss_start": start,
        "loss_end": end,
        "loss_min": float(rows.values.min()),
        "loss_drop": (start - end) / start if start > 0 else None,
        "early_jump": float(rows.values[: max(5, len(rows) // 10)].max() / rows.values[0]) if rows.values[0] > 0 else None,
        "loss_noise": noise(rows.values) / abs(end) if end and len(rows) >= 8 else None,
        "repeats_each_epoch": _repeats(run, rows),
        "first_epoch_drop": _first_epoch(run, rows, start),
    }
    return found | _where_it_fell(rows.values, start, end) | _against_chance(run, start, end)


def _stands(run: Run) -> str | None:
    """An error that the training leaves where it is, though its loss is 0."""
    others = [s.in_order for name, s in run.signals.items() if _ERROR.search(name) and not name.startswith("eval/")]
    still = [s for s in others if len(s) >= 3 and s.values[0] > 0 and np.ptp(s.values) <= SAME * s.values[0]]
    return f"{still[0].raw_name} stands at {number(float(still[0].values[0]))}" if still else None


def _where_it_fell(values: Floats, start: float, end: float) -> dict[str, Scalar]:
    """Shares of the fall in the first tenth and the last fifth, where there is a fall beyond half a percent and the noise of a row."""
    fall = start - end
    if len(values) < 20 or fall <= max(LITTLE * abs(start), noise(values)):
        return {}
    tenth, fifth = values[: max(3, len(values) // 10)], values[-(len(values) // 5) :]
    return {
        "early_drop_share": (start - float(np.median(tenth[-3:]))) / fall,
        "late_drop_share": (float(np.median(fifth[:5])) - end) / fall,
    }


def _with_norm(run: Run, loss: Signal) -> dict[str, Scalar]:
    norm = run.signal("train/grad_norm")
    if norm is None:
        return {}
    if len(loss) == len(norm) and bool((loss.steps == norm.steps).all()):
        values, norms = loss.values, norm.values
    else:
        _, mine, its = np.intersect1d(loss.steps, norm.steps, return_indices=True)
        values, norms = loss.values[mine], norm.values[its]
    if not len(values):
        return {}
    return {
        "zero_loss_nan_norm": bool(((values == 0) & ~np.isfinite(norms)).any()),
        "zero_loss_zero_norm": bool(((values == 0) & (norms == 0)).any()),
        "nan_loss_finite_norm": float(np.isfinite(norms[broken]).mean()) if (broken := ~np.isfinite(values)).any() else None,
        "finite_loss_nan_norm": float((np.isfinite(values) & (values != 0) & ~np.isfinite(norms)).mean()),
    }


def _repeats(run: Run, rows: Signal) -> bool | None:
    """Whether the same batch gives the same loss an epoch later: no weight moved."""
    length = steps_per_epoch(run)
    lag = round(length / row_interval(rows)) if length else 0
    if lag < 2 or len(rows) < 2 * lag:
        return None
    same = np.isclose(rows.values[:-lag], rows.values[lag:], rtol=SAME, atol=0)
    return bool(same.mean() > 0.5 and np.ptp(rows.values[:lag]) > 0)


def _first_epoch(run: Run, rows: Signal, start: float) -> float | None:
    length = steps_per_epoch(run)
    first = rows.values[rows.steps <= length] if length else rows.values[:0]
    return 1 - float(np.median(first[-3:])) / start if len(first) >= 5 and start > 0 else None


def _against_chance(run: Run, start: float, end: float) -> dict[str, Scalar]:
    vocabulary, labels = run.number("vocab_size"), run.number("num_labels")
    word = math.log(vocabulary) if vocabulary and vocabulary > 1 and run.task != "classification" else None
    label = math.log(labels) if labels and labels > 1 and run.task == "classification" else None
    chance = word or label
    return {
        "ln_vocab": word,
        "ln_labels": label,
        "start_vs_ln_vocab": start / word if word else None,
        "end_vs_ln_vocab": end / word if word else None,
        "end_vs_ln_labels": end / label if label else None,
        "end_is_chance": _near(end, chance) if chance else None,
    }


def _evals(run: Run) -> dict[str, Scalar]:
    signal = next(run.eval_losses(), None)
    if signal is None:
        return {"eval_points": 0, "eval_metric_constant": _metric_constant(run)}
    rows = signal.in_order
    found: dict[str, Scalar] = {
        "eval_points": len(signal),
        "eval_nonfinite": int((~np.isfinite(signal.values)).sum()),
        "eval_metric_constant": _metric_constant(run),
    }
    if not len(rows):
        return found
    best = int(np.argmin(rows.values))
    length = steps_per_epoch(run)
    first, lowest, last = float(rows.values[0]), float(rows.values[best]), float(rows.values[-1])
    found |= {
        "eval_first": first,
        "eval_last": last,
        "eval_min": lowest,
        "eval_min_share": int(rows.steps[best]) / max(1, run.last_step),
        "eval_min_epoch": int(rows.steps[best]) / length if length else None,
        "eval_constant": len(rows) >= 3 and bool(np.ptp(rows.values) == 0),
        "eval_fall": (first - lowest) / first if first > 0 else None,
    }
    return found | _beside_train(run, rows, best)


def _metric_constant(run: Run) -> bool | None:
    """A constant metric while the model trains: constant predictions."""
    counted = [
        s
        for name, s in run.signals.items()
        if name.startswith("eval/") and not name.endswith(("loss", "second", "time", "epoch", "samples"))
    ]
    usable = [s for s in counted if len(s) >= 3 and s.values[0] not in {0.0, 1.0}]
    return any(bool(np.ptp(s.values) == 0) for s in usable) if usable else None


def _beside_train(run: Run, evals: Signal, best: int) -> dict[str, Scalar]:
    loss = run.signal("train/loss")
    rows = loss.in_order if loss is not None else None
    if rows is None or len(rows) < 6:
        return {}
    beside = rows.values[rows.steps <= evals.steps[0]][-5:]
    after = rows.values[rows.steps > evals.steps[best]]
    before = rows.values[rows.steps <= evals.steps[best]][-5:]
    fall = None
    if len(after) >= 3 and len(before) >= 3:
        fall = 1 - float(np.median(after[-5:])) / float(np.median(before)) if float(np.median(before)) > 0 else None
    ratio = float(evals.values[0] / np.median(beside)) if len(beside) and np.median(beside) > 0 else None
    # Some versions of transformers log the training loss summed over the accumulation steps: a low ratio says nothing then.
    if ratio is not None and ratio < 1 and run.number("gradient_accumulation_steps") != 1:
        ratio = None
    return {"eval_over_train": ratio, "train_fall_after_best": fall}


def against(found: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The start against the score of guessing that a detector worked out without settings; the fall against the moves of the rate."""
    fall, span = found.get("loss_drop", found.get("eval_fall")), found.get("lr_range")
    vain = {"rate_moved_in_vain": abs(fall) <= LITTLE and span >= 2} if isinstance(fall, float) and isinstance(span, float) else {}
    start, end, chance = found.get("loss_start"), found.get("loss_end"), found.get("chance")
    if not (isinstance(start, float) and isinstance(end, float) and isinstance(chance, float) and chance > 0):
        return dict(vain)
    return {**vain, "start_vs_chance": start / chance, "end_is_chance": _near(end, chance)}


def _near(level: float, other: float) -> bool:
    return abs(level / other - 1) <= NEAR


def at(run: Run, onset: int) -> dict[str, Scalar]:
    loss = run.signal("train/loss")
    if loss is None:
        return {}
    earlier = int((loss.steps < onset).sum())
    found: dict[str, Scalar] = {"rows_before_onset": earlier, "nan_at_once": earlier <= 2, "onset_at_eval": _at_eval(run, loss, onset)}
    rows = loss.in_order
    before, after = rows.values[rows.steps < onset][-10:], rows.values[rows.steps >= onset]
    if len(before) < 3 or len(after) < 3:
        return found
    floor, level = float(np.median(before)), float(np.median(after[-max(3, len(after) // 3) :]))
    start = float(np.median(rows.values[:3]))
    chance = [c for name in ("ln_vocab", "ln_labels") if isinstance(c := _against_chance(run, start, level)[name], float)]
    return found | {
        "happens_again": _again(loss, onset, floor),
        "loss_before_onset": floor,
        "level_after": level,
        "after_ratio": level / floor if floor > 0 else None,
        "after_is_chance": any(_near(level, c) and not _near(floor, c) for c in [*chance, start] if c > 0),
    }


def _again(loss: Signal, onset: int, floor: float) -> bool | None:
    """Whether every segment that passed the onset was bad there: chance would not strike the same step twice."""
    here = loss.values[loss.steps == onset]
    if len(here) < 2 or floor <= 0:
        return None
    return bool((~np.isfinite(here) | (here > 2 * floor)).all())


def _at_eval(run: Run, loss: Signal, onset: int) -> bool | None:
    """Whether an eval stands right before the onset, where evals are rare enough for that to mean something."""
    signal = next(run.eval_losses(), None)
    if signal is None or len(signal) < 2 or row_interval(signal) < 5 * row_interval(loss):
        return None
    earlier = signal.steps[signal.steps < onset]
    return bool(len(earlier)) and onset - int(earlier.max()) <= row_interval(loss)
