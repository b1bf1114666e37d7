"""What stands for a run among many: its best eval and one curve."""

from __future__ import annotations

from lossdoctor.model import Diagnosis, SeriesView
from lossdoctor.reporters.signals import amount

_OF_A_POLICY = ("reward", "kl")
_MOST_CURVES = 4


def best_eval(d: Diagnosis) -> str:
    """The lowest eval loss, a dash where none was logged."""
    known = [v for view in d.series if view.signal == "eval/loss" for v in view.values if v is not None]
    return amount("eval/loss", min(known)) if known else "-"


def telling(d: Diagnosis) -> SeriesView | None:
    """The one curve: the first signal of the first loud finding, else the eval loss, else the first of the terminal's."""
    known = {v.signal: v for v in d.series if v.steps}
    wanted = [*(s for f in d.loud for s in f.signals), "eval/loss", *(v.signal for v in chosen(d))]
    return next((known[s] for s in wanted if s in known), None)


def chosen(d: Diagnosis) -> tuple[SeriesView, ...]:
    """Train and eval loss first (in reinforcement learning reward and KL), then the signals of the loud findings; at most four."""
    known = {view.signal: view for view in d.series if view.steps}
    first = _OF_A_POLICY if d.task == "rl" and known.keys() & set(_OF_A_POLICY) else ("train/loss", "eval/loss")
    wanted = [*first, *(signal for f in d.loud for signal in f.signals)]
    picked = list(dict.fromkeys(signal for signal in wanted if signal in known)) or list(known)[:2]
    return tuple(known[signal] for signal in picked[:_MOST_CURVES])
