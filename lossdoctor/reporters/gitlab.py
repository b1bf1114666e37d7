"""GitLab code quality: a JSON array that the merge request compares with the one of the target branch, by fingerprint.

Format: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from lossdoctor.compare.fingerprint import fingerprints
from lossdoctor.model import Diagnosis, Finding, Severity
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.place import relative
from lossdoctor.reporters.prepare import prepare

NO_VERDICT = "no-verdict"
_SEVERITY = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.NOTE: "info"}


def gitlab(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """The findings as GitLab's code quality report; what has no verdict is a blocker."""
    prepared = [_with_gap(prepare(diagnosis, stable=options.stable)) for diagnosis in diagnoses]
    rows = [_issue(diagnosis, finding, mark) for diagnosis, finding, mark in fingerprints(prepared)]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"


def _with_gap(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis with one more finding if it has no verdict: one, since each reason holds names and counts that change."""
    if not diagnosis.no_verdict:
        return diagnosis
    text = f"no trustworthy verdict: {'; '.join(diagnosis.no_verdict)}"
    return replace(diagnosis, findings=(*diagnosis.findings, Finding(NO_VERDICT, "", "", Severity.ERROR, 1.0, text, {}, ())))


def _issue(diagnosis: Diagnosis, finding: Finding, mark: str) -> dict[str, object]:
    return {
        "description": f"{diagnosis.name}: {finding.message}",
        "check_name": finding.rule,
        "fingerprint": mark,
        "severity": "blocker" if finding.rule == NO_VERDICT else _SEVERITY[finding.severity],
        "location": {"path": relative(diagnosis), "lines": {"begin": 1}},
    }
