"""How far a signal got better, and whether its noise could have feigned that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossdoctor.measures.trend import normal, smooth_trend
from lossdoctor.run import Run, Signal
from lossdoctor.run import task as tasks
from lossdoctor.run.direction import direction
from lossdoctor.shapes.curve import Curve, curve_of, steadiest_loss

SURE = 3.0  # standard errors of a single comparison: one chance in 700
LIKELY = 2.576  # z of the better of two trends of the whole curve: one chance in 70
FEWEST = 3  # rows; of two nothing tells the noise


@dataclass(frozen=True, slots=True)
class Change:
    """A signal from its first level to its last. `gain`: how much better, as a share of the larger of the two (negative: worse), with its
    standard `error`; `seen`: better beyond noise; `lost`: worse beyond noise."""

    signal: str
    rows: int
    first: float
    last: float
    gain: float
    error: float
    seen: bool
    lost: bool

    def excludes(self, gain: float) -> bool:
        """Whether a gain as large as this would have been seen."""
        return self.gain + 2 * self.error < gain


def change_of(curve: Curve, name: str, sign: int = -1) -> Change | None:
    """Compare the first eighth of a curve with its last; `sign` is -1 where lower is better. None for fewer than two rows.

    A difference counts as seen beyond `SURE` standard errors (as rare as that in Student's t with n - 2 degrees of freedom), where a smooth
    trend of the whole curve is beyond `LIKELY`, or where each row is better than the one before (of four, that is chance once in 24).
    """
    n = len(curve)
    if n < 2:
        return None
    start, end = curve.median(0, curve.width, curve.around), curve.median(n - curve.width, n, curve.around)
    scale = max(abs(start.value), abs(end.value)) or 1.0
    error = float(np.hypot(start.error, end.error))
    gained = sign * (end.value - start.value)
    known = n >= FEWEST and error > 0
    z = normal(float(gained) / error, max(n - 2, 1)) if known else 0.0
    trend = sign * smooth_trend(curve.calm)
    monotone = bool((np.sign(np.diff(curve.values)) == np.sign(sign * gained)).all()) and n > FEWEST
    return Change(
        name, n, start.value, end.value, gained / scale, min(error / scale, 1.0) if known else 1.0,
        seen=gained > 0 and known and (z > SURE or trend > LIKELY or monotone),
        lost=gained < 0 and known and (z < -SURE or trend < -LIKELY or monotone),
    )  # fmt: skip


def loss_change(run: Run) -> Change | None:
    """Of the training loss."""
    return change_of(*steadiest_loss(run))


def eval_change(run: Run) -> Change | None:
    """Of the eval loss; of several eval sets the one that gained least."""
    changes = [c for signal in run.eval_losses() if (c := change_of(curve_of(signal), signal.name)) is not None]
    return min(changes, key=lambda change: change.gain, default=None)


def metric_changes(run: Run, since: float = -np.inf) -> tuple[Change, ...]:
    """Of every eval metric (and of the reward) whose name tells which way is better, from a step on."""
    found = []
    for name, signal in run.signals.items():
        if run.task == tasks.RL and _is_reward(signal):
            sign = 1
        else:
            told = name.startswith("eval/") or (run.task == tasks.PREFERENCE and name.startswith("rewards/"))
            sign = direction(name) if told and not name.endswith("loss") else 0
        change = change_of(curve_of(signal).between(since, np.inf), name, sign) if sign else None
        found += [change] if change is not None else []
    return tuple(found)


def reward_change(run: Run) -> Change | None:
    """Of the mean reward, the measure of reinforcement learning that has a scale of its own."""
    named = [signal for name, signal in run.signals.items() if _is_reward(signal) and "std" not in name]
    best = min(named, key=lambda signal: (signal.name != "reward", signal.name), default=None)
    return change_of(curve_of(best), best.name, 1) if best is not None else None


def _is_reward(signal: Signal) -> bool:
    name = signal.name.lower()
    return name == "reward" or name.endswith(("rew_mean", "reward", "reward_mean", "rewards/mean", "return", "return_mean"))
