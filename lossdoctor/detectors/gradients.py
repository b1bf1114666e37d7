"""The gradient norm: clipped all the time, exploding, vanishing."""

from __future__ import annotations

import re

import numpy as np

from lossdoctor.detectors.curve import beyond, warmup_end
from lossdoctor.measures.level import rolling_median
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import EIGHTHS, Curve, loss_curve, named_curve
from lossdoctor.vitals.change import SURE

DEFAULT = 1.0  # max_grad_norm of HuggingFace; 300 of 324 real runs use it
_OF_LAYER = re.compile(
    r"grad(?:ient)?s?_?(?:\d(?:\.\d)?_)?norms?[/_.(](?!total|step|epoch|before|after|clip|max|mean|avg)\w"
    r"|(?:^|[/_.])g_?norms?[/_.(](?!total|step|epoch|before|after|clip|max|mean|avg)\w"
    r"|(?:^|[/_.])grad(?:ient)?s?[/_.]\w{0,40}(?:layer|block|conv|linear|fc|weight)",
    re.IGNORECASE,
)
HOW = "transformers >= 4.38 logs grad_norm by itself; elsewhere log what clip_grad_norm_ returns"


def constant_clipping(run: Run, *, some_share: float, constant_share: float, severe_factor: float) -> Evidence | Skip | None:
    """Share of post-warmup rows whose norm (logged before clipping) exceeds `max_grad_norm`.

    A limit that is not in the settings is that of transformers where that wrote the log, else unknown. `harm` says whether anything else
    points at the clipping: the median effective learning-rate factor min(1, limit / norm) below `severe_factor`, with nearly all rows
    clipped. Adam makes up for a smaller factor; SGD does not, and half is harm where its loss is still falling.
    """
    norm = named_curve(run, "train/grad_norm")
    if len(norm) < 5:
        return Skip("fewer than 5 gradient norms", HOW)
    limit = run.number("max_grad_norm")
    known = limit is not None
    if limit is not None and limit <= 0:
        return None
    limit = limit or DEFAULT
    steady = norm.after(warmup_end(run))
    if len(steady) < 5:
        steady = norm
    values = steady.values
    at_limit = np.isclose(values, limit)
    above = (values > limit) & ~at_limit
    share = float(above.mean())
    if at_limit.mean() > 0.5:
        return Skip("the logged norms sit exactly at the limit: they were logged after clipping", HOW)
    if share < some_share or (not known and run.framework != "transformers"):
        return None
    factor = float(np.median(np.minimum(1.0, limit / np.maximum(values, np.finfo(np.float64).tiny))))
    chosen = known and limit != DEFAULT  # with the default limit and Adam it is what most healthy runs do
    held_back = "sgd" in str(run.setting("optim") or "").lower() and factor <= 1 / 2 and loss_curve(run).trend(1 / 2)[1] <= -2
    severe = share >= constant_share and chosen and (factor <= severe_factor or held_back)
    numbers = {
        "share": share, "limit": limit, "limit_known": known, "factor": factor, "median": float(np.median(values)),
        "max": float(values.max()), "harm": 1 if severe else 0, "rows": len(steady),
    }  # fmt: skip
    margin, ends = max(1.0, share / some_share), (steady.steps[0], steady.steps[-1])
    return Evidence.between(numbers, ("train/grad_norm",), *ends, margin=margin, points=len(steady))


def exploding_gradients(run: Run, *, factor: float, absolute: float, burst: float, burst_share: float) -> Evidence | Skip | None:
    """The norm leaves its early stable level: it ends `factor` times above it, it bursts, or nothing clips a norm that is always large.

    A burst is a norm `burst` times the run's lower quartile; bursts count when they are `burst_share` of the rows, or a few of them go
    with trouble of the loss. Norms below `absolute` are never called exploding: a small norm that grows tenfold is still small. Half of
    `factor` will do where the loss ends at twice its best: two signs of one thing. Of fewer than eight rows the last must be `burst` times
    the highest of the first three or more.
    """
    norm = named_curve(run, "train/grad_norm")
    if len(norm) < 8:
        return _thrown(norm, burst, factor * absolute) or Skip("fewer than 8 gradient norms", HOW)
    steady = norm.after(min(warmup_end(run), norm.steps[0] + norm.span / 5))
    values, fifth = steady.values, max(3, len(steady) // 5)
    early, median, late = float(np.median(values[:fifth])), float(np.median(values)), float(np.median(values[-fifth:]))
    peak, usual = float(values.max()), max(float(np.median(values[values <= median])), absolute / 20)
    reference = max(min(early, 3 * float(np.min(steady.level))), absolute / 20)
    high = values >= max(burst * usual, factor * absolute)
    late_rows, top = steady.part(1 - 1 / EIGHTHS, 1), float(np.median(values[-3:]))
    trouble = _with_loss_trouble(run, steady, values >= max(factor * usual, factor * absolute / 2))
    kinds = {
        "staying": late >= max(factor / (2 if _doubled(loss_curve(run)) else 1) * reference, absolute),
        "bursts": float(high.mean()) >= burst_share and int(high.sum()) >= 3,
        "bursts with loss trouble": trouble >= 3,
        "climbing": late_rows.trend()[1] >= SURE and top >= max(factor * usual, factor * absolute / 2),
        "large and not clipped": run.number("max_grad_norm") == 0 and median >= burst * absolute / 2,
    }
    kind = next((name for name, holds in kinds.items() if holds), None)
    if kind is None:
        return None
    ratio = late / reference if kind == "staying" else top / usual if kind == "climbing" else peak / usual
    hits = np.flatnonzero(high if kind == "bursts" else values >= (min(factor * reference, late) if kind == "staying" else factor * usual))
    onset = int(steady.steps[hits[0]]) if len(hits) else int(steady.steps[0])
    numbers: dict[str, Scalar] = {
        "early": early, "median": median, "late": late, "peak": peak,
        "ratio": beyond(late, early) if kind == "staying" else beyond(peak, median), "trouble": trouble, "bursts": int(high.sum()),
        "burst_share_found": float(high.mean()), "kind": kind, "rows": len(steady), "steady_from": int(steady.steps[0]),
        "burst_from": max(burst * usual, factor * absolute),
        "grave": int(peak >= factor * burst * usual or (kind == "staying" and late >= factor**2 * reference)),
    }  # fmt: skip
    margin = max(1.0, ratio / factor if kind == "staying" else float(high.mean()) / burst_share)
    return Evidence.between(numbers, ("train/grad_norm",), onset, steady.steps[-1], margin=margin, points=len(steady))


def _thrown(norm: Curve, burst: float, least: float) -> Evidence | None:
    """A few norms, of which all from some row on stand far above all before it: an effect of that size needs no noise."""
    values = norm.values
    first = next((at for at in range(3, len(values)) if values[at:].min() >= max(burst * values[:at].max(), least)), None)
    if first is None:
        return None
    early, late, peak = float(np.median(values[:first])), float(values[-1]), float(values.max())
    numbers: dict[str, Scalar] = {
        "early": early, "median": float(np.median(values)), "late": late, "peak": peak, "ratio": late / early, "trouble": 0,
        "steady_from": int(norm.steps[0]), "burst_from": float(values[first:].min()),
        "bursts": len(values) - first, "kind": "staying", "rows": len(norm), "grave": 1,
    }  # fmt: skip
    return Evidence.between(numbers, ("train/grad_norm",), norm.steps[first], norm.steps[-1], margin=late / early / burst, points=len(norm))


def _doubled(loss: Curve) -> bool:
    """Whether a loss ends at twice its best level or more, beyond its noise."""
    if len(loss) < 12:
        return False
    best, end = loss.best, loss.end
    return end.value >= 2 * best.value > 0 and end.value - best.value > SURE * float(np.hypot(best.error, end.error))


def _with_loss_trouble(run: Run, norm: Curve, high: np.ndarray) -> int:
    """How many of the high norms go with a training loss half as high again as its usual level within two rows."""
    loss = loss_curve(run)
    if len(loss) < 12 or not high.any():
        return 0
    usual = rolling_median(loss.values, max(5, len(loss) // 10) | 1)
    bad = np.convolve(loss.values > usual + np.abs(usual) / 2 + 3 * loss.noise, np.ones(5), "same") > 0
    return int(np.isin(norm.steps[high], loss.steps[bad]).sum())


def vanishing_gradients(run: Run, *, tiny: float, flat: float, least: float) -> Evidence | Skip | None:
    """The median norm is below `tiny` while the loss, above `least`, ends no better than it began by more than `flat`.

    `tiny` is of the root of the loss where that is large: a squared error has gradients of its root.
    """
    name, norm = _quietest_norm(run)
    loss = loss_curve(run)
    if min(len(norm), len(loss)) < (5 if norm.values.any() else 3):
        return Skip("fewer than 5 gradient norms", HOW)
    late = norm.part(0.5, 1)
    median, peak = float(np.median(late.values)), float(norm.values.max())
    limit = tiny * max(1.0, float(np.sqrt(min(abs(loss.start.value), abs(loss.end.value)))))
    within = flat * abs(loss.start.value) + 2 * float(np.hypot(loss.start.error, loss.end.error))
    if loss.tail() < least or loss.start.value - loss.end.value > within or median >= limit:
        return None
    numbers: dict[str, Scalar] = {
        "median": median, "peak": peak, "level": loss.tail(), "fall": loss.fall, "rows": len(norm),
    }  # fmt: skip
    return Evidence.between(numbers, (name, "train/loss"), norm.steps[0], norm.steps[-1], margin=beyond(limit, median), points=len(norm))


def _quietest_norm(run: Run) -> tuple[str, Curve]:
    """The norm of all gradients, or where single layers were logged the one of the layer that learns least; a layer whose norm is exactly
    0 is frozen on purpose, as far as anybody can tell."""
    layers = {name: named_curve(run, name) for name in run.signals if _OF_LAYER.search(name)}
    trained = {name: curve for name, curve in layers.items() if len(curve) and float(curve.values.max()) > 0}
    whole = ("train/grad_norm", named_curve(run, "train/grad_norm"))
    return min(trained.items(), key=lambda pair: float(np.median(pair[1].part(0.5, 1).values)), default=whole)
