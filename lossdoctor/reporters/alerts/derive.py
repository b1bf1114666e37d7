"""From a finding to the alert that would have caught it, with the numbers of this run; tried on this run before it is offered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lossdoctor.model import Diagnosis, Finding, SeriesView
from lossdoctor.reporters.alerts.monitor import Alert, Monitor

NORM_RECENT, SPIKE_WINDOW = 25, 25
Maker = Callable[[Finding, str], Alert]


@dataclass(frozen=True, slots=True)
class Derived:
    """An alert and the step at which it fires on this run; a finding without one has `alert` None."""

    finding: Finding
    alert: Alert | None
    fires_at: int | None = None


def derive(diagnosis: Diagnosis) -> tuple[Derived, ...]:
    """An alert for each error and warning that one of its signals, as the run logged it, would have set off."""
    return tuple(_derive(diagnosis, finding) for finding in diagnosis.loud)


def key_of(signal: str) -> str:
    """The key under which a Trainer callback sees a signal: train/loss is loss, eval/loss is eval_loss."""
    if signal.startswith("eval/"):
        return "eval_" + signal.removeprefix("eval/").replace("/", "_")
    return signal.removeprefix("train/")


def _derive(diagnosis: Diagnosis, finding: Finding) -> Derived:
    views = {view.signal: view for view in diagnosis.series}
    for signal in finding.signals:
        for make in _MAKERS.get(finding.rule, ()):
            alert = make(finding, key_of(signal))
            if signal in views and alert.key == key_of(signal) and _suits(finding.rule, signal):
                fires = replay(alert, views[signal])
                if fires is not None:
                    return Derived(finding, alert, fires)
    return Derived(finding, None)


def replay(alert: Alert, view: SeriesView) -> int | None:
    """The step at which the alert fires on a logged series; None where it stays silent."""
    monitor = Monitor([alert])
    for step, value in _rows(view):
        if monitor.see(step, {alert.key: value}):
            return step
    return None


def _rows(view: SeriesView) -> Iterator[tuple[int, float]]:
    for step, value in zip(view.steps, view.values, strict=True):
        yield step, float("nan") if value is None else value


def _suits(rule: str, signal: str) -> bool:
    """The eval rules watch the eval signals, whatever else they rest on."""
    return rule not in {"hockey-stick", "overfitting"} or signal.startswith("eval/")


def _number(finding: Finding, name: str, default: float) -> float:
    value = finding.numbers.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _rise(finding: Finding, key: str) -> Alert:
    """A tenth of the damage that was found, but 5 % at least: the alert comes early in the next run and not in the noise."""
    return Alert(finding.rule, key, "above-best", 1 + max(0.05, 0.1 * _number(finding, "rise_found", 0.0)), times=2)


def _drift(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "above-best", 1 + max(0.1, 0.5 * _number(finding, "rise_found", 0.0)), smooth=5, times=3)


def _spike(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "above-recent", max(1.5, 0.75 * _number(finding, "ratio_found", 2.0)), window=SPIKE_WINDOW)


def _norms(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "above", 3 * _number(finding, "early", 1.0), smooth=5, times=3)


def _clipping(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "above", _number(finding, "limit", 1.0), smooth=20)


def _tiny(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "below", max(1e-12, 2 * _number(finding, "median", 0.0)), smooth=5, times=3)


def _stuck(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "stuck", 0.99, smooth=5, window=20)


def _zero(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "below", 1e-3, smooth=5)


def _slower(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "below-recent", 0.7, smooth=3, times=3)


def _longer(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "above-recent", 1.5, smooth=3, times=3)


def _leak(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "above-first", 1.25, smooth=3, window=10, times=3)


def _nonfinite(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "not-finite")


def _high_kl(finding: Finding, key: str) -> Alert:
    return Alert(finding.rule, key, "above", 2.0, smooth=3)


_MAKERS: Mapping[str, Sequence[Maker]] = {
    "hockey-stick": (_rise,),
    "overfitting": (_rise,),
    "divergence": (_drift, _spike, _nonfinite),
    "loss-spike": (_spike,),
    "level-shift": (_spike, _drift),
    "nan-loss": (_nonfinite, _zero),
    "zero-loss": (_zero,),
    "exploding-gradients": (_norms,),
    "constant-clipping": (_clipping,),
    "vanishing-gradients": (_tiny,),
    "plateau": (_stuck,),
    "underfitting": (_stuck,),
    "eval-flat": (_stuck,),
    "throughput-drop": (_slower, _longer),
    "memory-leak": (_leak,),
    "out-of-memory": (_leak,),
    "kl-blowup": (_high_kl,),
}
