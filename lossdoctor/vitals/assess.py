"""All vital signs of a run, in the order in which a reader asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lossdoctor.model import Vital
from lossdoctor.run import Run
from lossdoctor.vitals import course, progress, values
from lossdoctor.vitals.answer import Answer

# name: (title, question, whether nothing is called healthy without a good answer)
QUESTIONS: Mapping[str, tuple[str, Callable[[Run], Answer], bool]] = {
    "finite": ("finite numbers", values.finite, True),
    "level": ("plausible level", values.level, True),
    "learning": ("learning", progress.learning, True),
    "kept": ("kept what it won", progress.kept, True),
    "steady": ("steady", course.steady, False),
    "generalises": ("generalises", course.generalises, False),
    "complete": ("complete", course.complete, False),
    "machine": ("machine", course.machine, False),
}


def assess(run: Run) -> tuple[Vital, ...]:
    """One vital for each question, good or unknown: what makes one bad is a finding."""
    found = []
    for name, (title, question, decisive) in QUESTIONS.items():
        with np.errstate(all="ignore"):  # losses may be as large as a float holds
            answer = question(run)
        found.append(Vital(name, title, answer.state, answer.says, answer.numbers, wanted=answer.wanted, decisive=decisive))
    return tuple(found)
