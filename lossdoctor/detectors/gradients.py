"""The gradient norm: clipped all the time, exploding, vanishing."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import warmup_end
from lossdoctor.measures.level import rolling_median
from lossdoctor.model import Evidence, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, loss_curve, named_curve

HOW = "transformers >= 4.38 logs grad_norm by itself; elsewhere log what clip_grad_norm_ returns"


def constant_clipping(
    run: Run, *, some_share: float, constant_share: float, severe_factor: float, sgd_factor: float, default_limit: float
) -> Evidence | Skip | None:
    """Share of post-warmup rows whose norm (logged before clipping) exceeds `max_grad_norm`.

    A limit that is not in the settings is taken as HF's default. `harm` says whether anything else points at the clipping: the median
    effective learning-rate factor min(1, limit / norm) below `severe_factor`, with nearly all rows clipped.
    """
    norm = named_curve(run, "train/grad_norm")
    if len(norm) < 5:
        return Skip("fewer than 5 gradient norms", HOW)
    limit = run.number("max_grad_norm")
    known = limit is not None
    if limit is not None and limit <= 0:
        return None
    limit = limit or default_limit
    steady = norm.after(warmup_end(run))
    if len(steady) < 5:
        steady = norm
    values = steady.values
    above = values > limit * 1.0001
    share = float(above.mean())
    at_limit = float((np.abs(values / limit - 1) < 1e-3).mean())
    if at_limit > 0.5:
        return Skip("the logged norms sit exactly at the limit: they were logged after clipping", HOW)
    if share < some_share or (not known and run.framework not in ("transformers", "")):
        return None
    factor = float(np.median(np.minimum(1.0, limit / np.maximum(values, 1e-30))))
    sgd = "sgd" in str(run.setting("optim") or "").lower()
    chosen = known and abs(limit - default_limit) > 1e-9  # with the default limit and Adam it is what most healthy runs do
    severe = share >= constant_share and ((known and sgd and factor <= sgd_factor) or (chosen and factor <= severe_factor))
    p90 = float(np.quantile(values, 0.9))
    numbers = {
        "share": share,
        "limit": limit,
        "limit_known": known,
        "factor": factor,
        "median": float(np.median(values)),
        "p90": p90,
        "p95": float(np.quantile(values, 0.95)),
        "max": float(values.max()),
        "harm": 1 if severe else 0,
        "rows": len(steady),
    }
    span = (int(steady.steps[0]), int(steady.steps[-1]))
    return Evidence(numbers, ("train/grad_norm",), span[0], (span,), margin=max(1.0, share / some_share), points=len(steady))


def exploding_gradients(run: Run, *, factor: float, absolute: float, burst: float, burst_share: float) -> Evidence | Skip | None:
    """The post-warmup norm leaves its early stable median: it stays `factor` times above it at the end, or it bursts.

    A burst is a norm `burst` times the median of the run; bursts count when they are more than `burst_share` of the rows and reach
    `absolute`. Norms below `absolute` are never called exploding: a small norm that grows tenfold is still small.
    """
    norm = named_curve(run, "train/grad_norm")
    if len(norm) < 8:
        return Skip("fewer than 8 gradient norms", HOW)
    steady = norm.after(warmup_end(run)) if len(norm.after(warmup_end(run))) >= 8 else norm
    if len(norm) - len(steady) > 0.3 * len(norm):
        steady = norm.after(norm.steps[0] + 0.05 * norm.span)
    values = steady.values
    early = float(np.median(values[: max(3, len(values) // 5)]))
    median = float(np.median(values))
    late = float(np.median(values[-max(3, len(values) // 5) :]))
    peak = float(values.max())
    lowest = float(np.min(steady.level))
    reference = min(max(early, 1e-12), 3 * max(lowest, 1e-12))
    staying = late >= factor * reference and late >= absolute
    # The lower quartile: where every second row bursts, the median is itself a burst.
    usual = max(float(np.quantile(values, 0.25)), 0.1)
    bursts = values >= max(burst * usual, 10 * absolute)
    bursting = float(bursts.mean()) >= burst_share and int(bursts.sum()) >= 3
    trouble = _with_loss_trouble(run, steady, values >= max(0.2 * burst * usual, 5 * absolute))
    unclipped = run.number("max_grad_norm") == 0 and median >= 50 * absolute
    if not (staying or bursting or trouble >= 3 or unclipped):
        return None
    hits = np.flatnonzero(values >= factor * reference if staying else values >= 0.2 * burst * usual)
    onset = int(steady.steps[hits[0]]) if len(hits) else int(steady.steps[0])
    numbers = {
        "early": early, "median": median, "late": late, "peak": peak, "ratio": late / reference if staying else peak / usual,
        "trouble": trouble, "bursts": int(bursts.sum()), "burst_share_found": float(bursts.mean()),
        "kind": "staying" if staying else "bursts" if bursting else "bursts with loss trouble" if trouble >= 3 else "large and not clipped",
        "rows": len(steady), "grave": 1 if peak >= 1e3 * max(usual, 0.1) or (staying and late >= 10 * factor * reference) else 0,
        "high_rows_absolute": int((values > 10).sum()), "p95": float(np.quantile(values, 0.95)), "mean": float(values.mean()),
    }  # fmt: skip
    return Evidence(
        numbers,
        ("train/grad_norm",),
        onset,
        ((onset, int(steady.steps[-1])),),
        margin=max(1.0, late / (factor * reference)) if staying else max(1.0, float(bursts.mean()) / burst_share),
        points=len(steady),
    )


def _with_loss_trouble(run: Run, norm: Curve, high: np.ndarray) -> int:
    """How many of the high norms go with a training loss 1.5 times its usual level within two rows."""
    loss = loss_curve(run)
    if len(loss) < 12 or not high.any():
        return 0
    usual = rolling_median(loss.values, max(5, len(loss) // 10) | 1)
    bad = np.convolve(loss.values > 1.5 * np.abs(usual) + 3 * loss.noise, np.ones(5), "same") > 0
    return int(np.isin(norm.steps[high], loss.steps[bad]).sum())


def vanishing_gradients(run: Run, *, tiny: float, against_peak: float, flat: float) -> Evidence | Skip | None:
    """The median norm is below `tiny` (or below `against_peak` of its peak) while the loss stands still within `flat`, not near zero."""
    norm = named_curve(run, "train/grad_norm")
    if len(norm) < 5:
        return Skip("fewer than 5 gradient norms", HOW)
    loss = loss_curve(run)
    late = norm.after(norm.steps[0] + 0.4 * norm.span)
    rest = loss.after(norm.steps[0] + 0.4 * norm.span)
    if len(late) < 3 or len(rest) < 3 or loss.tail() < 0.05 or abs(rest.fall) > flat:
        return None
    median, peak = float(np.median(late.values)), float(norm.values.max())
    scale = max(1.0, loss.scale) if abs(loss.fall) <= flat else 1.0
    small = median < tiny * scale
    faded = peak > 0 and median < against_peak * peak and median < 10 * tiny * scale
    if not (small or faded):
        return None
    numbers = {
        "median": median,
        "peak": peak,
        "exactly_zero": peak == 0.0,
        "level": loss.tail(),
        "fall": loss.fall,
        "rows": len(norm),
    }
    return Evidence(
        numbers,
        ("train/grad_norm", "train/loss"),
        int(norm.steps[0]),
        ((int(norm.steps[0]), int(norm.steps[-1])),),
        margin=min(10.0, tiny * scale / max(median, 1e-30)) if small else 2.0,
        points=len(norm),
    )
