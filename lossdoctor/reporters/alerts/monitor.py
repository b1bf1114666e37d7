"""Watch the logs of a running training. This file needs nothing but Python: `lossdoctor analyze -f alerts` puts it into the callback."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Alert:
    """A condition on one logged value.

    The value is smoothed by the median of the last `smooth` logs and must hold for `times` logs in a row. `kind`: not-finite, above, below
    (the limit itself), above-best (limit x the lowest so far), above-recent and below-recent (limit x the median of the `window` logs
    before), above-first (limit x the median of the first `window` logs), stuck (not below limit x the best of `window` logs ago).
    """

    name: str
    key: str
    kind: str
    limit: float = 0.0
    smooth: int = 1
    window: int = 25
    times: int = 1


class Monitor:
    """Give it every log; it returns the alerts that fire, each once."""

    def __init__(self, alerts: Iterable[Alert]) -> None:
        self.alerts = tuple(alerts)
        self.raw: dict[int, list[float]] = defaultdict(list)
        self.smoothed: dict[int, list[float]] = defaultdict(list)
        self.streak: dict[int, int] = defaultdict(int)
        self.fired: set[int] = set()

    def see(self, step: int, logs: Mapping[str, object]) -> list[tuple[Alert, str]]:
        """Take the values logged at a step and return [(alert, sentence)] for what fires now."""
        found = []
        for i, alert in enumerate(self.alerts):
            value = logs.get(alert.key)
            if i in self.fired or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            hit = self._hit(i, alert, float(value))
            self.streak[i] = self.streak[i] + 1 if hit else 0
            if self.streak[i] >= alert.times:
                self.fired.add(i)
                found.append((alert, f"{alert.name}: {alert.key} = {value:.4g} at step {step} ({alert.kind} {alert.limit:.4g})"))
        return found

    def _hit(self, i: int, alert: Alert, value: float) -> bool:
        if not math.isfinite(value):
            return alert.kind == "not-finite"
        if alert.kind == "not-finite":
            return False
        raw, past = self.raw[i], self.smoothed[i]
        raw.append(value)
        now = median(raw[-alert.smooth :])
        past.append(now)
        return len(raw) >= alert.smooth and self._beyond(alert, now, past[:-1][alert.smooth - 1 :])

    @staticmethod
    def _beyond(alert: Alert, now: float, past: list[float]) -> bool:
        kind, limit, window = alert.kind, alert.limit, alert.window
        if kind == "above":
            return now > limit
        if kind == "below":
            return now < limit
        if kind == "above-best":
            return bool(past) and min(past) > 0 and now > limit * min(past)
        if len(past) < window:
            return False
        if kind == "above-recent":
            return now > limit * median(past[-window:])
        if kind == "below-recent":
            return now < limit * median(past[-window:])
        if kind == "above-first":
            return now > limit * median(past[:window])
        return now > limit * min(past[: len(past) - window + 1])
