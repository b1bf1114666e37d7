"""Speed of the run: sudden slow stretches and stalls."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import beyond, longest
from lossdoctor.measures.level import Floats, rolling_median, sigma
from lossdoctor.measures.trend import theil_sen
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.run.log import Ints
from lossdoctor.shapes.curve import Curve, named_curve

HOW = "log tokens_per_second (include_num_input_tokens_seen=True), or keep the event files: their wall times tell the speed"
WINDOW, TENTH = 5, 10  # rows; part of the run's time that is worth a warning
RATES = ("perf/tokens_per_second", "perf/samples_per_second", "perf/steps_per_second")


def throughput_drop(run: Run, *, below: float, below_wall: float, share: float, sigmas: float) -> Evidence | Skip | None:
    """A stretch of `share` of the rows at least (and five rows) whose speed, a rolling median of five, is under `below` of the baseline
    (`below_wall` where only wall times tell it), and that stands apart: by `sigmas` scales of the speeds before, or since the speed falls
    all along by as much, in a trend of as many.

    The baseline is the median of the faster half of the rows. Tokens a second first, then samples, steps, step time, wall times of the
    events; in reinforcement learning only tokens, because completions grow.
    """
    found = _speed(run)
    if found is None:
        return Skip("no speed of the training rows is known, from a rate, a step time or wall times", HOW)
    name, steps, rate = found
    if run.task == tasks.RL and name != "perf/tokens_per_second":
        return Skip("in reinforcement learning the step time follows the length of the completions", "log tokens_per_second")
    if len(rate) < 12:
        return Skip("fewer than 12 speeds were logged", HOW)
    smooth = rolling_median(rate, WINDOW)
    baseline = float(np.median(smooth[smooth >= np.median(smooth)]))
    early = float(np.median(smooth[1 : max(4, len(smooth) // 4)]))
    baseline = max(min(baseline, 2 * early), early)  # an odd fast stretch is no baseline
    if name == "wall time":  # other work on the machine slows a stretch now and then
        below, share = below_wall, 2 * share
    slow = smooth < below * baseline
    first, last = longest(slow) or (0, -1)
    rows = last - first + 1
    declines = _declines(Curve(steps, np.log(rate)), float(np.log(below)), sigmas)
    if rows < max(WINDOW, share * len(rate)) or not (declines or (first >= 5 and _apart(rate[:first], rate[first : last + 1], sigmas))):
        return None
    speed = float(np.median(rate[first : last + 1]))
    lost = rows / len(rate) * beyond(baseline - speed, speed)  # of the time that the run would have taken
    numbers: dict[str, Scalar] = {
        "baseline": baseline, "slow": speed, "ratio": speed / baseline, "from_step": int(steps[first]), "to_step": int(steps[last]),
        "rows": rows, "share_found": rows / len(rate), "recovered": last < len(rate) - 3, "signal": name,
        "lost": min(lost, 10**6), "grave": int(lost >= 1 / TENTH or last >= len(rate) - 3),
    }  # fmt: skip
    return Evidence.between(numbers, (name,), steps[first], steps[last], margin=beyond(below * baseline, speed), points=len(rate))


def _apart(before: Floats, slow: Floats, sigmas: float) -> bool:
    """Whether the slow rows are no tail of the usual scatter, in logarithms; what slows down steadily scatters around its own line."""
    usual, now = (np.log(np.maximum(speeds, np.finfo(np.float64).tiny)) for speeds in (before, slow))
    return float(np.median(usual) - np.median(now)) >= sigmas * max(_scatter(usual), _scatter(now))


def _declines(speed: Curve, least: float, sigmas: float) -> bool:
    """Whether a curve of logarithms falls by `least` over all its rows, row by row or by a trend of so many standard errors, to its end."""
    (moved, z), steadily = speed.trend(), bool((np.diff(speed.values) < 0).all())
    return moved <= least and (steadily or z <= -sigmas) and speed.trend(1 / 2)[0] < 0


def _scatter(values: Floats) -> float:
    rows = np.arange(len(values), dtype=np.float64)
    return sigma(values - theil_sen(rows, values) * rows)


def stall(run: Run, *, seconds: float, factor: float) -> Evidence | Skip | None:
    """A gap between two logged rows of more than `seconds` and `factor` times the usual one, both in wall time a step."""
    loss = run.signal("train/loss")
    if loss is None or not np.isfinite(loss.times).any():
        return Skip("no wall times are known for the rows of the training loss", HOW)
    times, steps = loss.times[np.isfinite(loss.times)], loss.steps[np.isfinite(loss.times)]
    gaps = np.diff(times)
    if len(gaps) < 8:
        return Skip("fewer than 9 rows with wall times", HOW)
    usual = float(np.median(gaps))
    longest = int(np.argmax(np.where(np.diff(steps) > 0, gaps, 0)))
    gap = float(gaps[longest])
    if gap < seconds or gap < factor * usual:
        return None
    stalls = int(((gaps >= seconds) & (gaps >= factor * usual) & (np.diff(steps) > 0)).sum())
    span = (int(steps[longest]), int(steps[longest + 1]))
    numbers: dict[str, Scalar] = {
        "gap_seconds": gap, "gap_hours": gap / 3600, "usual_seconds": usual, "ratio": beyond(gap, usual), "after_step": span[0],
        "stalls": stalls,
    }  # fmt: skip
    return Evidence(numbers, ("train/loss",), span[0], (span,), margin=gap / max(seconds, factor * usual), points=len(gaps))


def _speed(run: Run) -> tuple[str, Ints, Floats] | None:
    """(name, steps, speed) of the best measure of speed that was logged; higher is faster."""
    for name in RATES:
        curve = named_curve(run, name)
        if len(curve) >= 12:
            return name, curve.steps, curve.values
    curve = named_curve(run, "perf/step_seconds")
    each = "per" in run.signals["perf/step_seconds"].raw_name.lower() if len(curve) else False
    clock = not each and bool((np.diff(curve.values) >= 0).all())  # some log the time since the start under that name
    if len(curve) >= 12 and (curve.values > 0).all() and not clock:
        return "perf/step_seconds", curve.steps, 1.0 / curve.values
    return _from_wall_times(run)


def _from_wall_times(run: Run) -> tuple[str, Ints, Floats] | None:
    """Steps a second between logged rows; rows beside an evaluation or a save are left out, they pause the training."""
    loss = run.signal("train/loss")
    if loss is None or loss.segments[-1] > 0:
        return None
    known = np.isfinite(loss.times)
    steps, times = loss.steps[known], loss.times[known]
    if len(steps) < 13:
        return None
    rate = np.diff(steps) / np.diff(times)
    pauses = np.concatenate([s.steps for name, s in run.signals.items() if name.startswith("eval/")] or [np.empty(0, np.int64)])
    saves = run.number("save_steps")
    paused = np.isin(steps[:-1], pauses) | np.isin(steps[1:], pauses)
    if saves and saves >= 1:
        paused |= (steps[:-1] // int(saves)) != (steps[1:] // int(saves))
    keep = ~paused & (np.diff(times) > 0) & (np.diff(steps) > 0)
    keep[0] = False  # the first interval holds compilation and warm caches
    return ("wall time", steps[1:][keep], rate[keep]) if keep.sum() >= 12 else None
