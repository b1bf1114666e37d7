"""All vital signs of a run, in the order in which a reader asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lossdoctor.claims import resolve
from lossdoctor.model import Vital
from lossdoctor.run import Run
from lossdoctor.vitals import course, progress, values
from lossdoctor.vitals.answer import Answer

# name: (title, question, whether nothing is called healthy without a good answer)
QUESTIONS: Mapping[str, tuple[str, Callable[[Run], Answer], bool]] = {
    "finite": ("finite numbers", values.finite, True),
    "level": ("plausible level", values.level, True),
    "learning": ("learning", progress.learning, True),
    "kept": ("kept its gains", progress.kept, True),
    "steady": ("steady", course.steady, False),
    "generalises": ("generalizes", course.generalises, False),
    "complete": ("complete", course.complete, False),
    "machine": ("machine", course.machine, False),
}


# What the numbers of the answers are: see `claims.grammar`.
CLAIMS: Mapping[str, Mapping[str, str]] = {
    "finite": {
        "values": "estimate: values of everything that is called a loss",
        "bad": "estimate: those of them that are not finite",
    },
    "level": {
        "lowest": "lowest of signal",
        "highest": "highest of signal",
        "end": "median of train/loss in the last 1/8",
        "guess": "reference: what guessing scores",
    },
    "learning": {
        "first": "value of signal at the start",
        "last": "value of signal at the end",
        "first_level": "median of signal in the first 1/8",
        "last_level": "median of signal in the last 1/8",
        "rows": "rows of signal",
        "gain": "estimate: how much better, as a share of the larger level",
        "error": "estimate: standard error of the gain",
    },
    "kept": {
        "end": "median of signal in the last 1/8",
        "best": "level of signal around best_step",
        "rows": "estimate: rows of the loss",
    },
    "generalises": {
        "first": "value of signal at the start",
        "last": "value of signal at the end",
        "lowest": "lowest of signal",
        "lowest_step": "step of signal",
    },
}


def assess(run: Run) -> tuple[Vital, ...]:
    """One vital for each question, good or unknown: what makes one bad is a finding."""
    found = []
    for name, (title, question, decisive) in QUESTIONS.items():
        with np.errstate(all="ignore"):  # losses may be as large as a float holds
            answer = question(run)
        known = resolve(run, CLAIMS.get(name, {}), answer.numbers)
        found.append(Vital(name, title, answer.state, answer.says, answer.numbers, wanted=answer.wanted, decisive=decisive, claims=known))
    return tuple(found)
