"""Facts: everything about a run that speaks for or against a cause, under the names that rule files ask for.

`FACTS` names and explains them; beside them every setting is a fact `setting.<name>`, and so is every number of the evidence. A fact that
the run does not tell is absent: it then speaks neither way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from lossdoctor.diagnosis.facts import advice, epochs, gradients, losses, machine, oscillation, schedule, setup
from lossdoctor.model import Evidence, Scalar
from lossdoctor.run import Run

__all__ = ["ALWAYS", "FACTS", "facts"]

_MODULES = (setup, schedule, epochs, losses, gradients, oscillation, machine, advice)
FACTS: Mapping[str, str] = {name: said for module in _MODULES for name, said in module.FACTS.items()}
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
    return found | losses.against(found) | advice.proposed(run, found)


@lru_cache(maxsize=2)
def _lasting(run: Run) -> Mapping[str, Scalar]:
    """The facts that do not depend on where trouble began."""
    found: dict[str, Scalar] = {f"setting.{name}": setting.value for name, setting in run.settings.items()}
    for module in (setup, schedule, epochs, losses, gradients, oscillation, machine, advice):
        found |= module.whole(run)
    return found


def _known(value: Scalar) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))
