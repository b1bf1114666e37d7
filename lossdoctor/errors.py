"""The error tree. Everything lossdoctor raises on purpose is a `LossdoctorError`.

    LossdoctorError
    +-- UsageError            a wrong option, policy or path                         exit 2
    |   +-- PathMissing       the PATH does not exist
    |   +-- RuleError         a rule file is malformed
    +-- SourceError           a source that cannot be read at all                    exit 3
    |   +-- Unreadable        not a training log, empty, a git-lfs pointer, too large
    |   +-- RemoteError       the WandB service refused, timed out or sent half
    +-- ReportError           a report that could not be written                     exit 3

Damage inside a file that can still be read is never an exception: it is a `Fault` on the run.
"""

from __future__ import annotations


class LossdoctorError(Exception):
    """Base of every error that lossdoctor raises on purpose; `exit_code` is what the command line returns for it."""

    exit_code = 3


class UsageError(LossdoctorError):
    """A wrong option, policy or path."""

    exit_code = 2


class PathMissing(UsageError):
    """The path does not exist."""


class RuleError(UsageError):
    """A rule file is malformed; the message names file, key and the nearest valid name."""


class SourceError(LossdoctorError):
    """A source that cannot be read at all."""


class Unreadable(SourceError):
    """Not a training log, empty, a git-lfs pointer, or beyond the limits."""


class RemoteError(SourceError):
    """The WandB service refused, timed out or sent an incomplete history."""


class ReportError(LossdoctorError):
    """A report that could not be written."""
