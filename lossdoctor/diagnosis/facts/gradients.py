"""The gradient norm (HuggingFace logs it before clipping): its level, its signatures, whether it led the loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lossdoctor.diagnosis.progress import warmup_end
from lossdoctor.model import Scalar
from lossdoctor.run import Run, Signal

Floats = npt.NDArray[np.float64]

LEAD_ROWS = 10  # in public reports the norm moves one to ten rows before the loss
LEAD_RATIO = 3.0  # times its median: there the norm has left its usual scatter

FACTS: Mapping[str, str] = {
    "grad_norm_median": "median gradient norm after warmup",
    "grad_norm_late_ratio": "median of the last tenth of the norms / median of the first half after warmup",
    "grad_norm_zero_share": "share of norms that are exactly 0",
    "grad_norm_nonfinite": "norms that are NaN or Inf",
    "grad_norm_repeats": "longest stretch of rows with the same norm (0 aside)",
    "zero2_signature": "the same norm of 1.0 or 1.41421 on three or more rows in a row: NaN gradients under DeepSpeed ZeRO-2",
    "clipped_share": "share of rows after warmup with a norm above max_grad_norm",
    "clip_factor": "median of min(1, max_grad_norm / norm): what clipping leaves of the step",
    "grad_norm_lead": "largest norm in the ten rows before the onset / median of the thirty rows before those",
    "grad_norm_lead_rows": "how many rows before the onset the norm first passed three times its median",
    "grad_norm_led": "the norm passed three times its median before the onset",
    "grad_norm_at_onset_ratio": "norm at the onset / median before it",
    "grad_norm_straight": "ln(norm) rises on a straight line up to the onset (R2 of the last twenty rows, where it rises)",
}


def whole(run: Run) -> dict[str, Scalar]:
    norm = run.signal("train/grad_norm")
    if norm is None:
        return {}
    values = _settled(run, norm)
    longest, repeated = _longest_repeat(norm.values)
    found: dict[str, Scalar] = {
        "grad_norm_nonfinite": int((~np.isfinite(norm.values)).sum()),
        "grad_norm_zero_share": float((norm.values == 0).mean()),
        "grad_norm_repeats": longest,
        "zero2_signature": longest >= 3 and bool(np.isclose(repeated, (1.0, 2**0.5)).any()),
    }
    if not len(values):
        return found
    middle, late = float(np.median(values)), float(np.median(values[-max(3, len(values) // 10) :]))
    early = float(np.median(values[: max(3, len(values) // 2)]))
    found |= {
        "grad_norm_median": middle,
        "grad_norm_late_ratio": late / early if early > 0 and len(values) >= 8 else None,
    }
    return found | _clipping(run, values)


def _settled(run: Run, norm: Signal) -> Floats:
    """Finite norms after warmup; all of them where that leaves fewer than five."""
    rows, end = norm.in_order, warmup_end(run)
    later = rows.values[rows.steps > end] if end is not None else rows.values
    return later if len(later) >= 5 else rows.values


def _longest_repeat(values: Floats) -> tuple[int, float]:
    """Length and value of the longest stretch of equal norms; single precision repeats exactly or not at all."""
    same = (np.diff(values) == 0) & (values[1:] != 0) if len(values) > 1 else np.zeros(0, dtype=bool)
    if not same.any():
        return 1, float("nan")
    edges = np.flatnonzero(np.diff(np.concatenate(([0], same.view(np.int8), [0]))))
    lengths = edges[1::2] - edges[::2]
    longest = int(np.argmax(lengths))
    return int(lengths[longest]) + 1, float(values[edges[2 * longest]])


def _clipping(run: Run, values: Floats) -> dict[str, Scalar]:
    limit = run.number("max_grad_norm")
    if limit is None or limit <= 0:
        return {}
    return {
        "clipped_share": float((values > limit).mean()),
        "clip_factor": float(np.median(np.minimum(1, limit / np.maximum(values, np.finfo(np.float64).tiny)))),
    }


def at(run: Run, onset: int) -> dict[str, Scalar]:
    norm = run.signal("train/grad_norm")
    rows = norm.in_order if norm is not None else None
    if rows is None:
        return {}
    before = rows.values[rows.steps < onset]
    if len(before) < 8:
        return {}
    window = min(LEAD_ROWS, len(before) // 2)
    base, lead = float(np.median(before[-4 * window : -window])), before[-window:]  # norms sink while a model learns
    if base <= 0:
        return {}
    over = np.flatnonzero(lead >= LEAD_RATIO * base)
    ratio = float(lead.max()) / base
    here = rows.values[rows.steps == onset]
    return {
        "grad_norm_lead": ratio,
        "grad_norm_led": ratio >= LEAD_RATIO,
        "grad_norm_lead_rows": window - int(over[0]) if len(over) else None,
        "grad_norm_at_onset_ratio": float(here[-1]) / base if len(here) else None,
        "grad_norm_straight": _straight(before[-20:]),
    }


def _straight(values: Floats) -> float | None:
    """R2 of a line through ln(norm), where it rises at least threefold."""
    if len(values) < 8 or values.min() <= 0:
        return None
    x, y = np.arange(len(values)), np.log(values)
    slope, offset = np.polyfit(x, y, 1)
    if slope * len(values) < np.log(3) or np.ptp(y) == 0:
        return None
    return float(1 - np.var(y - slope * x - offset) / np.var(y))
