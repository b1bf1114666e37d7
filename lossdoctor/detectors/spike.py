"""Upward jumps of the training loss that come back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.detectors.curve import warmup_end
from lossdoctor.measures.extremes import tail_chance
from lossdoctor.measures.level import MAD_TO_SIGMA, Floats, rolling_median, row_medians, sigma
from lossdoctor.model import Evidence
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.shapes.curve import loss_curve

LEAST_OF_START = 0.03  # near zero a fivefold wiggle of a thousandth is nothing
LEAST_CHANCE = 0.01  # expected events as high in a run of this scatter
MOST_APART = 4
RL_RATIO, RL_HEIGHT = 30.0, 1e-2  # a policy loss hovers around zero: only a jump out of all proportion tells


@dataclass(frozen=True, slots=True)
class Event:
    """One jump: rows [first, last], the highest value, how many times the level before it, how many noise scales."""

    first: int
    last: int
    height: float
    ratio: float
    sigmas: float


def loss_spike(
    run: Run,
    *,
    window: int,
    sigmas: float,
    ratio: float,
    pair_ratio: float,
    slow_ratio: float,
    slow_rows: int,
    slow_sigmas: float,
    sharp_ratio: float,
    most: int,
) -> Evidence | None:
    """Find rows far above the trailing median of `window` rows, in isolated events.

    A row belongs to an event when it stands more than `sigmas` (growing with the logarithm of the length) noise scales over the trailing
    median. The event counts when its top is `ratio` times the level, or two rows in a row are `pair_ratio` times it, or `slow_rows` rows
    `slow_ratio` times it. Many such events are heavy-tailed batch noise, not spikes: more than `most` count only if they are rare.
    """
    curve = loss_curve(run)
    if len(curve) < 12:
        return None
    values = curve.values
    width = min(window, max(5, len(curve) // 4))
    base, scale = _trailing(values, width)
    bar = sigmas + 1.5 * np.log10(max(len(values), 100) / 100)
    # The MAD of a few rows is itself noisy: half of the run's own scatter is the least.
    rest = values - rolling_median(values, width | 1)
    scatter = sigma(rest)
    floor = np.maximum(np.maximum(scale, 0.5 * scatter), np.maximum(curve.quantum, 0.01 * np.abs(base)))
    excess = (values - base) / floor
    start = int(np.searchsorted(curve.steps, warmup_end(run), side="right"))
    skip = max(width // 2, 3, min(start, len(values) // 10))
    outside = np.flatnonzero(excess > bar)
    candidates = _events(outside, values, base, floor)
    # Against the centred median: the trailing one lags behind a new level for as long as its window.
    usual = _outside(candidates, rest, skip)
    events = [
        e
        for e in candidates
        if e.first >= skip
        and (
            _counts(e, values, base, ratio, pair_ratio, slow_ratio, slow_rows)
            or (e.ratio >= sharp_ratio and e.sigmas >= 1.5 * bar and _lingers(e, excess))
        )
        and (run.task == tasks.RL or _isolated(e, usual, base, lingers=_lingers(e, excess)))
    ]
    events += _slow_events(values, base, floor, slow_ratio, slow_rows, slow_sigmas, skip, events)
    events = sorted((e for e in events if _returns(e, values, base)), key=lambda e: e.first)
    height_at_start = float(np.median(np.abs(values[: max(5, len(values) // 20)])))
    reach = (RL_RATIO, RL_HEIGHT) if run.task == tasks.RL else (0.0, LEAST_OF_START * height_at_start)
    events = [e for e in events if e.ratio >= reach[0] and e.height - base[e.first] >= reach[1]]
    if run.task == tasks.RL and float((np.abs(excess) > bar).mean()) > 0.12:
        return None  # it swings both ways all the time
    if run.task == tasks.RL:
        events = [e for e in events if _kl_jumps(run, int(curve.steps[e.first]), int(curve.steps[e.last]))]
    if not events or len(events) > max(most, 0.002 * len(values)):
        return None
    top = max(events, key=lambda e: e.ratio)
    first = events[0]
    numbers = {
        "spikes": len(events), "height": top.height, "ratio_found": min(top.ratio, 1e9), "sigmas_found": min(top.sigmas, 1e9),
        "level": float(base[top.first]), "top_step": int(curve.steps[top.first]),
        "rows_high": top.last - top.first + 1, "rows": len(curve), "recovery": "slow" if top.last - top.first >= 5 else "fast",
        "bar": float(bar),
    }  # fmt: skip
    spans = tuple((int(curve.steps[e.first]), int(curve.steps[e.last])) for e in events[:20])
    return Evidence(numbers, ("train/loss",), int(curve.steps[first.first]), spans, margin=max(1.0, top.ratio / ratio), points=len(curve))


def _kl_jumps(run: Run, first: int, last: int) -> bool:
    """Whether the divergence from the reference policy jumps with the loss: then the policy was thrown, else the loss only scatters."""
    kl = run.signal("kl")
    if kl is None or len(kl) < 12:
        return False
    inside = kl.values[(kl.steps >= first) & (kl.steps <= last)]
    return bool(len(inside)) and float(np.nanmax(inside)) > 10 * max(float(np.nanmedian(kl.values)), 1e-6)


def _trailing(values: Floats, width: int) -> tuple[Floats, Floats]:
    """Median and MAD noise of the `width` rows before each row; the first rows use what there is."""
    padded = np.concatenate((np.full(width, values[: max(3, width // 3)].max()), values[:-1]))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    if len(values) > 20_000:  # the level moves slowly over that many rows
        stride = max(1, width // 5)
        median = row_medians(windows[::stride])
        spread = row_medians(np.abs(windows[::stride] - median[:, None]))
        index = np.minimum(np.arange(len(values)) // stride, len(median) - 1)
        return median[index], MAD_TO_SIGMA * spread[index]
    median = row_medians(windows)
    return median, MAD_TO_SIGMA * row_medians(np.abs(windows - median[:, None]))


def _events(outside: np.ndarray, values: Floats, base: Floats, floor: Floats) -> list[Event]:
    """Merge outlying rows that are at most three rows apart."""
    found = []
    for rows in np.split(outside, np.flatnonzero(np.diff(outside) > 3) + 1) if len(outside) else []:
        first, last = int(rows[0]), int(rows[-1])
        top = first + int(np.argmax(values[first : last + 1]))
        level = float(base[first])
        height = float(values[top])
        found.append(Event(first, last, height, height / level if level > 0 else np.inf, float((height - level) / floor[first])))
    return found


def _lingers(event: Event, excess: Floats) -> bool:
    """Whether the rows after the top stay up as well: the weights were moved. A single bad batch leaves no trace in the next row."""
    after = excess[event.first : event.first + 5]
    return len(after) >= 4 and int((after > 2.5).sum()) >= 4


def _slow_events(
    values: Floats, base: Floats, floor: Floats, ratio: float, rows: int, sigmas: float, skip: int, known: list[Event]
) -> list[Event]:
    """Jumps too low for a single row: medians of five rows that stay `ratio` times over the level before, `sigmas` scales of a median."""
    middle = rolling_median(values, 5)
    if len(values) <= rows:
        return []
    # Neighbouring rows may be correlated: the medians' own scatter, not only what independent rows would give.
    unit = np.maximum(0.56 * floor, sigma(middle - rolling_median(values, max(25, len(values) // 10) | 1)))
    bars = np.where(base > 0, np.maximum(ratio * base, base + sigmas * unit), np.inf)[: len(values) - rows + 1]
    high = np.flatnonzero(np.lib.stride_tricks.sliding_window_view(middle, rows).min(axis=1) >= bars)
    found: list[Event] = []
    free = skip
    for i in map(int, high):
        if i < free:
            continue
        level = float(base[i])
        stays = middle[i:] >= level + 0.5 * (float(np.max(middle[i : i + rows])) - level)
        last = i + max(rows, int(np.argmin(stays)) if not stays.all() else len(stays)) - 1
        top = float(np.max(values[i : last + 1]))
        if not any(e.first - 3 <= last and i <= e.last + 3 for e in known) and last - i < 0.35 * len(values):
            found.append(Event(i, last, top, top / level, float((top - level) / floor[i])))
        free = last + max(rows, len(values) // 10)
    return found


def _counts(event: Event, values: Floats, base: Floats, ratio: float, pair_ratio: float, slow_ratio: float, slow_rows: int) -> bool:
    level = float(base[event.first])
    rows = values[event.first : event.last + 1]
    if event.ratio >= ratio:
        return True
    if len(rows) >= 2 and float(np.sort(rows)[-2]) >= pair_ratio * level:
        return True
    return bool((rows >= slow_ratio * level).sum() >= slow_rows)


def _outside(events: list[Event], rest: Floats, skip: int) -> Floats:
    """The rows after the first `skip` that belong to no candidate; where candidates are many, they are the tail and stay in."""
    inside = np.zeros(len(rest), dtype=bool)
    for event in sorted(events, key=lambda e: e.sigmas)[-MOST_APART:]:
        inside[max(0, event.first - 2) : event.last + 3] = True
    return rest[skip:][~inside[skip:]]


def _isolated(event: Event, others: Floats, base: Floats, *, lingers: bool) -> bool:
    """The event stands out from the tail of this run's own scatter: no more than a hundredth of an event as high was to be expected.

    Several rows together are not independent draws of that tail; they need less.
    """
    chance = tail_chance(event.height - float(base[event.first]), others)
    return chance <= (20 * LEAST_CHANCE if lingers or event.last - event.first >= 2 else LEAST_CHANCE)


def _returns(event: Event, values: Floats, base: Floats) -> bool:
    """It comes back by two fifths at least: what does not is divergence or a level shift."""
    after = values[event.last + 1 :]
    if not len(after):
        return False
    level = float(base[event.first])
    best = float(np.min(np.convolve(after, np.full(min(3, len(after)), 1 / min(3, len(after))), "valid")))
    return best < level + 0.6 * (event.height - level)
