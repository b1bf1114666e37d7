"""What a reporter may be told besides the diagnoses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _ignore(problem: str) -> None:
    """The default of `Options.complain`."""


@dataclass(frozen=True, slots=True)
class Options:
    """Choices that every format understands or ignores.

    `stable` leaves out versions, writes the floats of JSON with 6 significant digits and makes paths relative, so that a committed report
    changes only when the diagnosis does. `series` adds the decimated signals to JSON (report files need them, standard output does not).
    `verbosity` is -1 (quiet), 0 or 1. `width` (columns), `colour` and `unicode` describe the terminal. `command` is the command line to
    reproduce the report, where known. `complain` is told, in a sentence, what a report had to leave out because drawing it failed.
    """

    stable: bool = False
    series: bool = False
    verbosity: int = 0
    width: int = 80
    colour: bool = False
    unicode: bool = True
    command: str = ""
    complain: Callable[[str], None] = _ignore
