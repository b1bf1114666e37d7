"""GitHub workflow commands: one annotation a finding, the gravest first (a step shows ten of a kind), and the step summary.

Escaping as in actions/toolkit, packages/core/src/command.ts: % and line ends in the text, in properties also colons and commas.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lossdoctor.errors import ReportError
from lossdoctor.model import Diagnosis, Finding, Severity, Verdict
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.prepare import prepare

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
SUMMARY_BYTES = 1 << 20  # GitHub refuses the upload of a larger summary
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def github(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """The diagnoses as workflow commands, a line each."""
    prepared = [prepare(diagnosis, stable=options.stable) for diagnosis in diagnoses]
    missing = [_command("error", d, "no verdict", _why(d, reason)) for d in prepared for reason in d.no_verdict]
    found = sorted(((f, d) for d in prepared for f in d.findings), key=lambda pair: pair[0].severity.rank)
    return "".join(line + "\n" for line in (*missing, *(_annotation(d, f) for f, d in found)))


def add_step_summary(text: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Append Markdown to the summary of the running GitHub step; False where there is none. Raises ReportError if it cannot be written.

    What would go beyond GitHub's limit of 1 MiB (which drops the whole summary) is left out with a note.
    """
    path = environment.get(SUMMARY_VARIABLE)
    if not path:
        return False
    try:
        there = Path(path).stat().st_size if Path(path).exists() else 0
        with Path(path).open("ab") as file:
            file.write(_fit(text, SUMMARY_BYTES - there - 1))
    except OSError as error:
        raise ReportError(f"cannot write the step summary {path}: {error.strerror or error}") from error
    return True


def _fit(text: str, room: int) -> bytes:
    data = text.encode("utf-8", "backslashreplace")
    note = b"\n\n*The rest does not fit into a step summary; see the report.*\n"
    if len(data) + 1 <= room:
        return data + b"\n"
    return data[: room - len(note)].decode("utf-8", "ignore").encode() + note if room > len(note) else b""


def _annotation(diagnosis: Diagnosis, finding: Finding) -> str:
    text = [finding.message]
    text += [f"Found {finding.found}; limit {finding.limit}."] if finding.found and finding.limit else []
    text += [f"Try first: {fix.setting} {fix.current} -> {fix.proposed}." for fix in finding.fixes[:1]]
    text += [f"Explained by {finding.explained_by}."] if finding.explained_by else []
    text += [f"{finding.baseline.capitalize()} against the baseline."] if finding.baseline else []
    return _command(_COMMANDS[finding.severity], diagnosis, f"{finding.rule} ({finding.code})", "\n".join(text))


def _why(diagnosis: Diagnosis, reason: str) -> str:
    """The gate's reason; where the data do not allow a verdict the headline says what was seen and what is missing."""
    return f"{reason}\n{diagnosis.headline}" if diagnosis.verdict is Verdict.INCONCLUSIVE else reason


def _command(kind: str, diagnosis: Diagnosis, title: str, text: str) -> str:
    return f"::{kind} title={_property(f'{diagnosis.name}: {title}')}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
