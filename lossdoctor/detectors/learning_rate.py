"""The learning-rate schedule as it was logged."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import beyond, by_plan, lasting, longest, past_its_end, rate_jumps, spoiled
from lossdoctor.measures.level import rolling_median
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, loss_curve, named_curve
from lossdoctor.vitals.change import loss_change
from lossdoctor.vitals.progress import settled

NO_RATE = Skip(
    "fewer than 4 learning rates were logged", "transformers logs learning_rate by itself; elsewhere log scheduler.get_last_lr()"
)


def lr_zero(run: Run, *, share: float) -> Evidence | Skip | None:
    """The learning rate is exactly 0 for `share` of the run or more, other than at its end.

    Where every row prints 0 and the loss falls or blows up all the same, the rate was printed with too few decimals.
    """
    rate = named_curve(run, "train/learning_rate")
    zero = rate.values == 0
    if not zero.any() or float(zero[:-1].mean()) < share:
        return None
    leads = int(np.argmin(zero)) >= max(FEWEST, share * len(zero))
    if not zero.all() and _ended_at(rate, 0.0) is not None and not leads:
        return None  # zero only after a decay: the schedule ended early
    change = loss_change(run)
    if zero.all() and (spoiled(run) or (change is not None and change.seen and not change.excludes(share))):
        return None
    first, last = longest(zero) or (0, 0)
    numbers: dict[str, Scalar] = {
        "share": float(zero.mean()), "always": bool(zero.all()), "rows": len(rate), "peak": float(rate.values.max()),
    }  # fmt: skip
    margin, ends = 2 + 3 * float(zero.mean()), (rate.steps[first], rate.steps[last])
    return Evidence.between(numbers, ("train/learning_rate",), *ends, margin=margin, points=len(rate))


def schedule_ended_early(run: Run, *, floor: float, left: float) -> Evidence | Skip | None:
    """The learning rate falls below `floor` of its peak with more than `left` of the plan (or of the run) still to come.

    A rate that steps down from a level it had kept, and not to 0, is a schedule of steps: its last step is no end, above `floor` squared.
    """
    rate = named_curve(run, "train/learning_rate")
    peak = float(rolling_median(rate.values, 5).max(initial=0.0))  # a burst of a row or two is no peak
    ended = _ended_at(rate, floor * peak)
    if ended is not None and _stepped_down(rate, ended):
        ended = _ended_at(rate, floor**2 * peak)
    if ended is None or peak <= 0:
        return None
    first, last = int(rate.steps[0]), max(int(rate.steps[-1]), run.planned_steps or 0, 1)
    rest = (last - ended) / max(last - first, 1)
    planned = run.planned_steps is not None and rate.values[-1] == 0
    if rest <= left or int((rate.steps >= ended).sum()) < (1 if planned else 3):
        return None
    parts = run.planned_steps / ended if run.planned_steps and ended else 1.0
    whole = round(parts) if abs(parts - round(parts)) <= left * parts else None
    numbers: dict[str, Scalar] = {
        "ended_step": ended, "rest": rest, "peak": peak, "last": float(rate.values[-1]), "whole_part": whole,
    }  # fmt: skip
    return Evidence.between(numbers, ("train/learning_rate",), ended, rate.steps[-1], margin=rest / left, points=len(rate))


def lr_restart(run: Run, *, rise: float) -> Evidence | Skip | None:
    """The learning rate jumps up by `rise` of its peak after it had decayed: the schedule was started again.

    Cosine restarts and cyclic schedules come back to a peak again and again, in equal distances and by plan (a scheduler type that says
    so); a plan that is known to be anything else is not excused by regularity.
    """
    rate = named_curve(run, "train/learning_rate")
    values = rate.values
    kind = str(run.setting("lr_scheduler_type") or "").lower()
    jumps = rate_jumps(rate, rise)
    if not len(jumps) or "cycl" in kind or "plateau" in kind or by_plan(rate, jumps):
        return None
    jumps = lasting(rate, jumps)
    if not len(jumps):
        return None
    tops = [float(values[j : j + max(3, len(values) // 20)].max()) for j in jumps]
    if "restart" in kind and min(tops) >= (1 - rise) * float(values.max()):
        return None  # hard restarts come back to the full peak
    before, after = float(values[jumps[0] - 1]), float(np.max(values[jumps[0] : jumps[0] + 3]))
    peak = float(values[: jumps[0] + 1].max())
    numbers: dict[str, Scalar] = {
        "jumps": len(jumps), "before": before, "after": after, "peak": float(values.max()),
        "past_end": int(past_its_end(rate)), "after_share": after / peak if tops[0] <= (1 + rise) * after else None,
    }  # fmt: skip
    spans = tuple((int(rate.steps[j - 1]), int(rate.steps[j])) for j in jumps[:20])
    margin = max(1.0, (after - before) / (rise * peak))
    return Evidence(numbers, ("train/learning_rate",), int(rate.steps[jumps[0]]), spans, margin=margin, points=len(rate))


FEWEST = 3  # rates that show one that only rises


def warmup_too_long(run: Run, *, share: float, least_rows: int) -> Evidence | Skip | None:
    """The learning rate is still rising after `share` of the planned steps (or of the run, where the plan is unknown)."""
    rate = named_curve(run, "train/learning_rate")
    if len(rate) < FEWEST:
        return NO_RATE
    values = rate.values
    whole = run.planned_steps is not None and settled(run)
    peak_at = int(np.argmax(values >= values.max() - np.abs(np.diff(values)).max() / 1000))
    end = max(int(rate.steps[-1]), run.planned_steps or 0)
    warm = int(rate.steps[peak_at]) / max(end, 1)
    falls = int((np.diff(values[: peak_at + 1]) <= 0).sum())
    rises = peak_at == len(values) - 1
    unknown = run.window or (run.planned_steps is None and not settled(run) and rises)
    short = peak_at < least_rows and not (whole and rises)
    if unknown or short or warm < share or 2 * values[0] > values[peak_at] or 10 * falls > peak_at:
        return None
    numbers: dict[str, Scalar] = {
        "warmup_steps_found": int(rate.steps[peak_at]), "share_found": warm, "end": end, "peak": float(values[peak_at]),
    }  # fmt: skip
    return Evidence.between(numbers, ("train/learning_rate",), rate.steps[0], rate.steps[peak_at], margin=warm / share, points=len(rate))


def no_warmup(run: Run, *, start: float, jump: float, sigmas: float, absurd_rate: float, norm_fall: float) -> Evidence | Skip | None:
    """The first logged learning rate is `start` of the peak or more, and the loss jumps by `jump` of its first value within the first rows.

    A jump within the first logging interval is averaged away. What is left of it is a gradient norm that falls `norm_fall`-fold at once, at
    a rate that no Adam warms up to safely (`absurd_rate`).
    """
    rate, loss = named_curve(run, "train/learning_rate"), loss_curve(run)
    if len(rate) < FEWEST:
        return NO_RATE
    if len(loss) < 8:
        return Skip("fewer than 8 values of the training loss", "log more often")
    peak = float(rate.values.max())
    warmup = run.number("warmup_steps") or run.number("warmup_ratio") or 0.0
    if peak <= 0 or rate.values[0] < start * peak or warmup > 0 or loss.values[0] == 0:
        return None
    rows = max(4, min(len(loss) // 10, 40))
    # Medians of three: one hard batch in the first rows is no instability.
    first, top = float(loss.values[0]), float(np.max(rolling_median(loss.values[: rows + 2], 3)[1:rows]))
    settled = loss.after(int(loss.steps[min(rows, len(loss) - 2)]))
    hidden = _thrown_at_once(run, peak, absurd_rate, norm_fall)
    clear = top >= (1 + jump) * first and top - first >= sigmas * max(settled.noise, loss.noise / 5)
    clear &= settled.end.value < (first + 9 * top) / 10  # what never comes back diverges
    if hidden is None and (not clear or _usual(settled, rows, top / first - 1)):
        return None
    at = 1 + int(np.argmax(loss.values[1:rows]))
    numbers = {
        "first_loss": first, "top": float(loss.values[at]), "top_step": int(loss.steps[at]), "first_rate": float(rate.values[0]),
        "peak": peak, "thrown": hidden is not None, "first_norm": hidden and hidden[0], "norm_ratio": hidden and hidden[1],
    }  # fmt: skip
    span, margin = (int(loss.steps[0]), int(loss.steps[at])), (top / first - 1) / jump if first > 0 else 2.0
    return Evidence(numbers, ("train/loss", "train/learning_rate"), span[0], (span,), margin=margin, points=len(loss))


def _usual(later: Curve, rows: int, rise: float) -> bool:
    """Whether the loss rises by a third as much, against its level, within so many rows from a tenth of all places: so it swings."""
    if len(later) < 2 * rows or later.values.min() <= 0:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(rolling_median(later.values, 3), rows)
    return float(np.percentile(windows.max(axis=1) / windows[:, 0] - 1, 90)) >= rise / 3


def _thrown_at_once(run: Run, peak: float, absurd_rate: float, norm_fall: float) -> tuple[float, float] | None:
    """The first gradient norm of a run of Adam's, at `absurd_rate` or more, that is above 1 and `norm_fall` times the usual; how many."""
    norm = named_curve(run, "train/grad_norm")
    default = "adamw" if run.framework == "transformers" else ""
    optimizer = str(run.setting("optim") or default).lower()
    if peak < absurd_rate or "adam" not in optimizer or len(norm) < 12:
        return None
    first, usual = float(norm.values[0]), float(np.median(norm.values[len(norm) // 4 :]))
    return (first, beyond(first, usual)) if first >= max(1.0, norm_fall * usual) else None


def _ended_at(rate: Curve, floor: float) -> int | None:
    """The step from which the rate stays at or below `floor` to the end, after having been above it; None if it does not."""
    above = np.flatnonzero(rate.values > floor)
    if not len(above) or above[-1] >= len(rate) - 1:
        return None
    return int(rate.steps[above[-1] + 1])


def _stepped_down(rate: Curve, ended: int) -> bool:
    """Whether the rate, which ends above 0, fell in one step from a level that it had kept for three rows."""
    row = int(np.searchsorted(rate.steps, ended))
    before = rate.values[max(0, row - 3) : row]
    return len(before) == 3 and float(np.ptp(before)) == 0 and float(rate.values[-1]) > 0
