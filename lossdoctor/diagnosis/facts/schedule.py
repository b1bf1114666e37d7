"""The learning rate: its course, and where it stood at the onset."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lossdoctor.diagnosis.progress import row_interval, untrained, warmup_end
from lossdoctor.diagnosis.usual import USUAL
from lossdoctor.model import Scalar
from lossdoctor.run import Run, Signal
from lossdoctor.run.log import Floats, Ints
from lossdoctor.run.task import LANGUAGE_MODEL

EARLY = 0.2  # of the run
BESIDE = 0.05  # of the run: what lies so close to the end of warmup comes with it
AT_PEAK = 0.9  # of the peak: below it the rate has decayed
RATES = USUAL.learning_rate

FACTS: Mapping[str, str] = {
    "lr_peak": "highest learning rate logged (else the setting)",
    "lr_rises": "times the learning rate turned and rose again by a tenth of its peak",
    "rows_at_this_rate": "rows before the onset at its learning rate or a higher one",
    "lr_always_zero": "the learning rate is 0 in every row",
    "lr_repeats": "rows of a moving schedule on which the learning rate stood still",
    "lr_typical": "the nearest usual peak learning rate for this kind of training",
    "lr_vs_typical": "peak learning rate / the nearest usual one (1 within the usual range)",
    "lr_usual_most": "the highest usual peak for this kind of training",
    "lr_bearable": "the nearest usual peak; where none is known, what Adam bears in nearly any training, if the peak lies far above",
    "lr_is_low": "the peak is at most a twentieth of the usual one, or 1e-6 where none is known",
    "lr_is_high": "the peak is at least fifty times the usual one, or 0.03 (SGD: 1) where none is known",
    "plan_is_in_steps": "max_steps decides the length of the run",
    "schedule_is_constant": "the settings name the constant schedule, which has no warmup",
    "lr_range": "highest learning rate / lowest one above 0, after warmup",
    "lr_replanned": "before and after the onset the learning rate lies on one schedule, planned for more steps after it",
    "warmup_end": "step at which the learning rate stops rising",
    "warmup_share": "warmup / planned (else reached) steps",
    "no_warmup": "the learning rate starts at its peak",
    "onset_step": "where the finding begins",
    "onset_share": "onset / last step",
    "lr_at_onset": "learning rate at the onset",
    "lr_reached": "highest learning rate up to the onset",
    "optimizer_is_sgd": "the settings name SGD",
    "lr_share_at_onset": "learning rate at the onset / peak",
    "onset_is_early": "the onset lies in the first fifth of the run, in the warmup or at its end",
    "lr_decayed_to": "learning rate at the onset / peak, where it has decayed",
    "lr_phase": "warmup, peak, decay or constant, at the onset",
    "lr_zero_at_onset": "no step with a learning rate above 0 was taken before the onset",
    "onset_in_warmup": "the onset lies in the warmup",
    "onset_at_warmup_end": "the onset lies within 5 % of the run of the end of warmup",
    "lr_break_at_onset": "largest rise or fall of the learning rate from row to row near the onset, outside of warmup, as a ratio >= 1",
    "lr_jump_at_onset": "largest rise of the learning rate from row to row near the onset, outside of warmup, as a ratio",
}


def whole(run: Run) -> dict[str, Scalar]:
    rate = _rate(run)
    setting = run.number("learning_rate")
    end = warmup_end(run)
    found: dict[str, Scalar] = {
        "lr_peak": setting,
        "warmup_end": end,
        "warmup_share": None if end is None else end / max(1, run.planned_steps or run.last_step),
        "no_warmup": None if rate is None and run.number("warmup_steps") is None and run.number("warmup_ratio") is None else end is None,
    }
    if rate is not None:
        found |= _course(rate.values)
    found |= _against_typical(run, found["lr_peak"])
    return (
        found
        | _far_off(run, found)
        | {
            "plan_is_in_steps": (run.number("max_steps") or 0) > 0,
            "optimizer_is_sgd": _is_sgd(run),
            "schedule_is_constant": run.setting("lr_scheduler_type") == "constant",
            "lr_range": None if rate is None else _range(rate.after(end) if end is not None and end < run.last_step else rate),
        }
    )


def _range(rate: Signal) -> float | None:
    values = rate.values[rate.values > 0]
    return float(values.max() / values.min()) if len(values) else None


def _far_off(run: Run, found: Mapping[str, Scalar]) -> dict[str, Scalar]:
    peak, ratio = found.get("lr_peak"), found.get("lr_vs_typical")
    if not isinstance(peak, float):
        return {}
    low, high = RATES.far if isinstance(ratio, float) else RATES.sgd if _is_sgd(run) else RATES.adam
    found_at = ratio if isinstance(ratio, float) else peak
    bearable = found.get("lr_typical") if isinstance(ratio, float) else None if _is_sgd(run) or found_at < high else RATES.safe
    return {"lr_is_low": found_at <= low, "lr_is_high": found_at >= high, "lr_bearable": bearable}


def _is_sgd(run: Run) -> bool:
    return "sgd" in str(run.setting("optim") or "").lower()


def _rate(run: Run) -> Signal | None:
    rate = run.signal("train/learning_rate")
    rows = rate.in_order if rate is not None else None
    return rows if rows is not None and len(rows) else None


def _course(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, Scalar]:
    peak = float(values.max())
    between = (values > values.min()) & ~np.isclose(values, peak)
    still = (np.diff(values) == 0) & between[1:]
    moving = np.count_nonzero(np.diff(values)) > 10 and still.mean() < 0.5 if len(values) > 1 else False
    return {
        "lr_peak": peak if peak > 0 else None,
        "lr_always_zero": peak == 0,
        "lr_rises": _rises(values),
        "lr_repeats": int(still.sum()) if moving else 0,
    }


def _rises(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
    """How often the rate turned and rose again by a tenth of its peak, the first time up aside."""
    rises, low, high, falling = 0, float(values[0]), float(values[0]), False
    step = float(values.max()) / 10
    for value in values.tolist():
        low, high = min(low, value), max(high, value)
        if falling and value - low >= step > 0:
            rises, falling, high = rises + 1, False, value
        elif not falling and high - value >= step > 0:
            falling, low = True, value
    return rises


def _against_typical(run: Run, peak: Scalar) -> dict[str, Scalar]:
    """Only for language models under Adam, where usual values exist."""
    if run.task != LANGUAGE_MODEL or not isinstance(peak, float) or _is_sgd(run):
        return {}
    if run.setting("lora_r") is not None:
        low, high = RATES.lora
    elif untrained(run):
        low, high = RATES.scratch
    elif run.setting("base_model") is not None:
        low, high = RATES.full
    else:
        return {}
    usual = min(max(peak, low), high)
    return {"lr_typical": usual, "lr_vs_typical": peak / usual, "lr_usual_most": high}


def at(run: Run, onset: int) -> dict[str, Scalar]:
    end, rate = warmup_end(run), _rate(run)
    found: dict[str, Scalar] = {"onset_step": onset, "onset_share": onset / run.last_step if run.last_step else None}
    found["onset_is_early"] = onset <= EARLY * run.last_step
    if end is not None:
        slack = max(2 * (row_interval(rate) if rate is not None else 1), BESIDE * run.last_step)
        found |= {"onset_in_warmup": onset < end, "onset_at_warmup_end": abs(onset - end) <= slack}
        found["onset_is_early"] = found["onset_is_early"] or onset <= end + slack
    if rate is None or float(rate.values.max()) <= 0:
        return found
    row = max(0, int(np.searchsorted(rate.steps, onset, side="right")) - 1)
    value, peak = float(rate.values[row]), float(rate.values.max())
    return found | {
        "lr_at_onset": value,
        "lr_reached": reached if (reached := float(rate.values[: row + 1].max())) > 0 else None,
        "lr_share_at_onset": value / peak,
        "lr_decayed_to": value / peak if _phase(rate, row, end) == "decay" else None,
        "lr_phase": _phase(rate, row, end),
        "rows_at_this_rate": int((rate.values[:row] >= value).sum()),
        "lr_zero_at_onset": not rate.values[: row + 1].any(),
        "lr_replanned": _replanned(rate, onset, end or 0, max(peak, run.number("learning_rate") or 0)),
        **_jump(rate, row, end),
    }


def _replanned(rate: Signal, onset: int, warm: int, peak: float) -> bool | None:
    """Whether up to three rows on each side of a rise lie on one linear or cosine decay, whose end lies further away after it."""
    edge = int(np.searchsorted(rate.steps, onset, side="left"))
    rises = [row for row in range(max(1, edge - 1), min(len(rate), edge + 3)) if rate.values[row] > rate.values[row - 1]]
    if not rises or rate.steps[rises[0] - 1] <= warm:
        return None
    cut = rises[0]
    sides = slice(max(0, cut - 3), cut), slice(cut, cut + 3)
    for ends in (_linear_ends, _cosine_ends):
        before, after = (ends(rate.steps[side] - warm, rate.values[side] / peak) for side in sides)
        if min(len(before), len(after)) >= 2 and all(100 * np.ptp(found) <= found[0] for found in (before, after)):
            return bool(after[0] > before[0])
    return False


def _linear_ends(steps: Ints, shares: Floats) -> Floats:
    """Where a line from 1 at step 0 through each row meets 0."""
    return steps[shares < AT_PEAK] / (1 - shares[shares < AT_PEAK])


def _cosine_ends(steps: Ints, shares: Floats) -> Floats:
    return steps[shares < AT_PEAK] * np.pi / np.arccos(2 * shares[shares < AT_PEAK] - 1)


def _phase(rate: Signal, row: int, end: int | None) -> str:
    peak = float(rate.values.max())
    if end is not None and rate.steps[row] < end:
        return "warmup"
    after = rate.values[rate.steps >= end] if end is not None else rate.values
    if np.isclose(after, peak).all():
        return "constant"
    return "peak" if rate.values[row] >= AT_PEAK * peak else "decay"


def _jump(rate: Signal, row: int, end: int | None) -> dict[str, Scalar]:
    """Row-to-row ratios within two rows of the onset, rows of the warmup aside."""
    low, high = max(0, row - 2), min(len(rate), row + 3)
    steps, values = rate.steps[low:high], rate.values[low:high]
    usable = (values[:-1] > 0) & (values[1:] > 0) & ((steps[1:] > end) if end is not None else np.True_)
    ratios = values[1:][usable] / values[:-1][usable]
    if not len(ratios):
        return {}
    return {"lr_jump_at_onset": float(ratios.max()), "lr_break_at_onset": float(np.maximum(ratios, 1 / ratios).max())}
