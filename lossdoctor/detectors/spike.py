"""Jumps of the training loss that come back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.detectors.curve import lasting, rate_jumps, spoiled, warmup_end
from lossdoctor.measures.extremes import tail_chance
from lossdoctor.measures.level import MAD_TO_SIGMA, Floats, row_medians
from lossdoctor.model import Evidence
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.shapes.curve import Curve, loss_curve, named_curve

GAP = 3  # rows between two outlying ones that are still one event
APART = 4  # events that are left out when the tail of the others is measured; where there are more, they are the tail
FEWEST, MANY = 4, 12  # rows among which one may stand alone, and rows whose level and noise can be followed
RESTART = 10  # part of the peak by which a learning rate turns up that is started again
LONG = 20_000  # rows; the level moves slowly over that many


@dataclass(frozen=True, slots=True)
class Event:
    """One jump: rows [first, last], the level before it, its highest value, its height in noise scales of one row."""

    first: int
    last: int
    level: float
    height: float
    sigmas: float

    @property
    def ratio(self) -> float:
        return self.height / self.level if self.level > 0 else np.inf

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


def loss_spike(
    run: Run, *, window: int, sigmas: float, ratio: float, slow_ratio: float, slow_rows: int, least: float, rare: float,
) -> Evidence | None:  # fmt: skip
    """Find rows far above the level of the `window` rows before them, in isolated events that come back.

    The less they last the higher they must reach: one row `ratio` times the level, or half as far above it where that is above the start
    of the run; `slow_rows` of them `slow_ratio`; in
    noise the median of so many rows stands `sigmas` standard errors (growing with the logarithm of the length) above the level. Near zero
    nothing counts below `least` of the first losses, and no more than `rare` events as high may be expected from the tail of the run's own
    scatter. A single step that ends an epoch is its last, smaller batch; a restart of the learning rate has its
    own rule. Among fewer rows than `MANY` only one counts that stands `ratio`
    squared above all others, while these differ by less than half.
    """
    curve = loss_curve(run)
    if len(curve) < FEWEST or (spoiled(run) and len(curve) < max(window, MANY)):
        return None
    base, noise = _before(curve, min(window, max(5, len(curve) // 4)))
    bar = sigmas + float(np.log(max(len(curve), 100) / 100) / np.sqrt(2))  # so grows the highest of so many rows of Laplace noise
    usual = float(np.median(curve.level))
    once = min(ratio, max((1 + ratio) / 2, curve.start.value / usual)) if usual > 0 else ratio
    found = _events(curve, base, noise, bar, {1: once, slow_rows: slow_ratio}) if len(curve) >= MANY else []
    skip = int(np.searchsorted(curve.steps, warmup_end(run), side="right"))
    skip = max(GAP, min(skip, len(curve) // 10))
    tail = _tail(curve, found, base, skip)
    smallest = least * float(np.median(np.abs(curve.values[: curve.width])))
    rate = named_curve(run, "train/learning_rate")
    restarts = np.searchsorted(curve.steps, rate.steps[lasting(rate, rate_jumps(rate, 1 / RESTART))])
    chances = {event: tail_chance(event.height - event.level, tail) / min(event.rows, slow_rows) ** 2 for event in found}
    second = sorted(chances.values())[1:2]  # two as high as that are expected together its square / 2 times (Poisson)
    rare = max(rare, *second) if second and second[0] ** 2 / 2 <= rare else rare
    events = _alone(curve, ratio) or [
        event
        for event in found
        if event.first >= skip
        and event.height - event.level >= smallest
        and _returns(event, curve.values)
        and not (np.abs(restarts - event.first) <= GAP).any()
        and not (event.rows == 1 and _ends_an_epoch(run, int(curve.steps[event.first])))
        and chances[event] <= rare
        and (run.task != tasks.RL or _kl_jumps(run, curve, event))
    ]
    if not events:
        return None
    top = max(events, key=lambda e: e.ratio)
    numbers = {
        "spikes": len(events), "height": top.height, "ratio_found": min(top.ratio, 10**9), "sigmas_found": min(top.sigmas, 10**9),
        "level": top.level,
        "top_step": int(curve.steps[top.first + int(np.argmax(curve.values[top.first : top.last + 1]))]),
        "rows": len(curve), "recovery": "slow" if top.rows > 2 else "fast", "bar": bar,
    }  # fmt: skip
    spans = tuple((int(curve.steps[e.first]), int(curve.steps[e.last])) for e in events[:20])
    return Evidence(numbers, ("train/loss",), spans[0][0], spans, margin=max(1.0, top.ratio / ratio), points=len(curve))


def _alone(curve: Curve, ratio: float) -> list[Event]:
    """One of a few rows, not among the first two nor the last, far above the others, which lie close together."""
    values, at = curve.values, int(np.argmax(curve.values))
    others = np.delete(values, at)
    low, high, top, level = float(others.min()), float(others.max()), float(values[at]), float(np.median(others))
    if len(values) >= MANY or not 2 <= at < len(values) - 1 or low <= 0 or 2 * high >= 3 * low or top < ratio**2 * high:
        return []
    return [Event(at, at, level, top, (top - level) / max(high - low, curve.quantum, level / 100))]


def _before(curve: Curve, width: int) -> tuple[Floats, Floats]:
    """Level of the `width` rows before each row, and their noise, at least half of the run's; the first rows use what there is."""
    values = curve.values
    padded = np.concatenate((np.full(width, values[: max(3, width // 3)].max()), values[:-1]))
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)
    stride = max(1, width // 5) if len(values) > LONG else 1
    level = row_medians(windows[::stride])
    moves = row_medians(np.abs(np.diff(windows[::stride], axis=1))) * MAD_TO_SIGMA / np.sqrt(2)
    index = np.minimum(np.arange(len(values)) // stride, len(level) - 1)
    floor = max(curve.noise / 2, curve.quantum)
    return level[index], np.maximum(moves[index], np.maximum(floor, np.abs(level[index]) / 100))


def _events(curve: Curve, base: Floats, noise: Floats, bar: float, needed: dict[int, float]) -> list[Event]:
    """The jumps whose median over some rows is high enough for so many rows, merged where they touch."""
    values, n = curve.values, len(curve)
    high = np.zeros(n, dtype=bool)
    for rows, ratio in needed.items():
        windows = np.lib.stride_tricks.sliding_window_view(values, rows) if n >= rows else np.empty((0, rows))
        middle = row_medians(windows) if rows > 2 else windows.min(axis=1)
        levels, unit = base[: len(middle)], noise[: len(middle)]
        error = unit * np.sqrt((np.pi / 2 if rows > 2 else 1.0) / max(1, rows - 1))
        high[: len(middle)] |= (levels > 0) & (middle >= ratio * levels) & (middle - levels >= bar * error)
    found: list[Event] = []
    for first in map(int, np.flatnonzero(high)):
        if found and first <= found[-1].last + GAP:
            continue
        level, ahead = float(base[first]), values[first : first + max(needed)]
        start = first + int(np.argmax(ahead > (level + float(ahead.max())) / 2))
        last = _until(values, start, level)
        top = float(values[start : last + 1].max())
        found.append(Event(start, last, level, top, (top - level) / float(noise[first])))
    return found


def _until(values: Floats, first: int, level: float) -> int:
    """The last row before the loss is back below the middle between the level and the first heights, for two rows together."""
    half = level + (float(np.median(values[first : first + 2])) - level) / 2
    below = values[first:] < half
    back = below[:-1] & below[1:]
    if back.any():
        return first + max(int(np.argmax(back)) - 1, 0)
    return max(first, len(values) - 2) if below[-1] else len(values) - 1


def _tail(curve: Curve, events: list[Event], base: Floats, skip: int) -> Floats:
    """What the rows after the first `skip` stand above their level, the strongest few events left out."""
    inside = np.zeros(len(curve), dtype=bool)
    for event in sorted(events, key=lambda e: e.sigmas)[-APART:]:
        inside[max(0, event.first - 2) : event.last + GAP] = True
    return (curve.values - np.interp(curve.steps, curve.at, curve.level))[skip:][~inside[skip:]]


def _returns(event: Event, values: Floats) -> bool:
    """It comes back by three quarters, within a third of the run: what does not is divergence or a level shift."""
    after = values[event.last + 1 :]
    if not len(after) or event.rows > len(values) // 3:
        return False
    lowest = float(row_medians(np.lib.stride_tricks.sliding_window_view(after, min(3, len(after)))).min())
    return lowest < event.level + (event.height - event.level) / 4


def _ends_an_epoch(run: Run, step: int) -> bool:
    """Whether every step is logged, and this one is the last of a pass over the data, of which the rows tell the share that is done."""
    rows = run.signals["train/loss"].in_order
    whole = rows.epochs == np.round(rows.epochs)
    every = len(rows) > 1 and float(np.median(np.diff(rows.steps))) <= 1
    return every and run.step_is == "step" and bool(whole[rows.steps == step].all()) and 2 * int(whole.sum()) < len(rows)


def _kl_jumps(run: Run, curve: Curve, event: Event) -> bool:
    """Whether the divergence from the reference policy jumps with the loss: then the policy was thrown, else the loss only scatters."""
    kl = named_curve(run, "kl")
    inside = kl.between(int(curve.steps[event.first]), int(curve.steps[event.last]))
    return len(kl) >= 12 and len(inside) > 0 and float(inside.values.max()) > 10 * max(float(np.median(kl.values)), kl.noise)
