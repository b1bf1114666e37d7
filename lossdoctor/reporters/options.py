"""What a reporter may be told besides the diagnoses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Choices that every format understands or ignores.

    `stable` leaves out versions, writes floats with 4 significant digits and makes paths relative, so that a committed report changes only
    when the diagnosis does. `series` adds the decimated signals to JSON (report files need them, standard output does not). `verbosity` is
    -1 (quiet), 0 or 1. `width` (columns), `colour` and `unicode` describe the terminal. `command` is the command line to reproduce the
    report, where known.
    """

    stable: bool = False
    series: bool = False
    verbosity: int = 0
    width: int = 80
    colour: bool = False
    unicode: bool = True
    command: str = ""
