"""Facts: everything about a run that speaks for or against a cause, under the names that rule files ask for.

`FACTS` names and explains them; beside them every setting is a fact `setting.<name>`, and so is every number of the evidence. A fact that
the run does not tell is absent: it then speaks neither way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from lossdoctor.diagnosis.facts import advice, domain, epochs, evaluation, gradients, losses, machine, oscillation, schedule, setup
from lossdoctor.model import Evidence, Scalar
from lossdoctor.run import Run

__all__ = ["ALWAYS", "BOTH", "FACTS", "facts"]

_MODULES = (setup, domain, schedule, epochs, evaluation, losses, gradients, oscillation, machine, advice)
BOTH: Mapping[str, tuple[str, ...]] = {
    "trainer_evals_at_epochs": ("has_trainer", "evals_at_epochs"),
    "trainer_labels_text": ("has_trainer", "labels_text"),
    "trainer_reads_text": ("has_trainer", "reads_text"),
    "text_positions_known": ("positions_known", "reads_text"),
    "speaks_from_disk": ("speaks", "has_checkpoint"),
    "no_warmup_at_start": ("no_warmup", "onset_is_early"),
    "soon_after_start": ("in_first_rows", "rows_before_onset"),
    "lacks_norm_in_trainer": ("has_trainer", "no_norm"),
    "trainer_left_checkpoint": ("has_trainer", "has_clean_checkpoint"),
    "retries_from_disk": ("has_clean_checkpoint", "positions_known"),
}
FACTS: Mapping[str, str] = {
    **{name: said for module in _MODULES for name, said in module.FACTS.items()},
    **{name: " and ".join(parts) for name, parts in BOTH.items()},
}
ALWAYS = advice.ALWAYS


def facts(run: Run, evidence: Evidence, spoiled: int | None = None) -> dict[str, Scalar]:
    """All facts of a run as seen from one finding; where names meet, the evidence's number wins.

    `spoiled` is the first step from which no checkpoint can be trusted, whichever finding says so.
    """
    with np.errstate(all="ignore"):  # logs hold infinities; what becomes NaN is left out below
        found = _seen_from(run, evidence, spoiled)
    return {name: value for name, value in found.items() if _known(value)}


def _seen_from(run: Run, evidence: Evidence, spoiled: int | None) -> dict[str, Scalar]:
    onset = evidence.onset_step
    found = dict(_lasting(run))
    if onset is not None:
        for module in (schedule, epochs, losses, gradients, machine):
            found |= module.at(run, onset)
    found |= advice.at(run, onset, spoiled)
    found |= evidence.numbers
    found |= losses.against(found) | advice.proposed(run, found)
    return found | _both(found)


def _both(found: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Facts that are two others at once, for words that need both."""
    return {name: all(bool(found.get(one)) for one in parts) for name, parts in BOTH.items()}


@lru_cache(maxsize=2)
def _lasting(run: Run) -> Mapping[str, Scalar]:
    """The facts that do not depend on where trouble began."""
    found: dict[str, Scalar] = {f"setting.{name}": setting.value for name, setting in run.settings.items()}
    for module in _MODULES:
        found |= module.whole(run)
    return found


def _known(value: Scalar) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))
