"""SARIF 2.1.0 (OASIS): one run of the tool over all diagnoses, as code scanning services read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from lossdoctor.compare.fingerprint import fingerprint, fingerprints
from lossdoctor.model import Diagnosis, Finding, Loss, RuleNote, Severity
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.place import uri
from lossdoctor.reporters.prepare import prepare

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_STATE = {"new": "new", "unchanged": "unchanged", "fixed": "absent"}


def sarif(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """The diagnoses as a SARIF log; suppressed findings carry their reason, fixed ones are absent, damage is a tool notification."""
    prepared = [prepare(diagnosis, stable=options.stable) for diagnosis in diagnoses]
    rules = _rules(prepared)
    order = [rule["id"] for rule in rules]
    results = [_result(d, f, mark, order) for d, f, mark in fingerprints(prepared)]
    results += [row for d in prepared for row in _silent(d, order)]
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "lossdoctor", **_version(prepared), "rules": rules}},
                "invocations": [_invocation(prepared)],
                "results": results,
                "columnKind": "unicodeCodePoints",
            }
        ],
    }
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode() + "\n"


def _version(diagnoses: Iterable[Diagnosis]) -> dict[str, str]:
    found = next((d.versions["lossdoctor"] for d in diagnoses if "lossdoctor" in d.versions), None)
    return {} if found is None else {"version": found, "semanticVersion": found}


def _rules(diagnoses: Iterable[Diagnosis]) -> list[dict[str, Any]]:
    known: dict[str, dict[str, Any]] = {}
    for d in diagnoses:
        every: tuple[Finding | RuleNote, ...] = (*d.findings, *_quiet(d))
        for note in every:
            known.setdefault(
                note.rule, {"id": note.rule, "shortDescription": {"text": note.title or note.rule}, "properties": {"code": note.code}}
            )
        for finding in d.findings:
            if finding.why_it_matters:
                known[finding.rule]["fullDescription"] = {"text": finding.why_it_matters}
    return sorted(known.values(), key=lambda rule: (rule["properties"]["code"], rule["id"]))


def _quiet(diagnosis: Diagnosis) -> tuple[RuleNote, ...]:
    fixed = diagnosis.baseline.fixed if diagnosis.baseline else ()
    return (*diagnosis.suppressed, *fixed, *diagnosis.crashed, *diagnosis.healthy, *diagnosis.not_evaluated)


def _result(diagnosis: Diagnosis, finding: Finding, mark: str, order: list[str]) -> dict[str, Any]:
    state = {"baselineState": _STATE[finding.baseline]} if finding.baseline in _STATE else {}
    return {
        **_place(diagnosis, finding, order),
        "level": _LEVEL[finding.severity],
        "message": _message(_text(finding)),
        "partialFingerprints": {"primaryLocationLineHash": mark},  # the one that GitHub compares
        "rank": round(100 * min(max(finding.confidence, 0.0), 1.0), 1),
        "properties": {"confidence": finding.confidence, "onset_step": finding.onset_step, "signals": finding.signals},
        **state,
    }


def _text(finding: Finding) -> str:
    lines = [finding.message, *(f"Cause: {c.title} ({c.likelihood:.0%})." for c in finding.causes[:3])]
    lines += [f"Try first: {fix.setting} {fix.current} -> {fix.proposed}." for fix in finding.fixes[:1]]
    return "\n".join(line for line in lines if line) or finding.rule


def _silent(diagnosis: Diagnosis, order: list[str]) -> Iterator[dict[str, Any]]:
    """Suppressed and fixed findings: results that no one has to act upon, but that must not be lost."""
    for note in diagnosis.suppressed:
        excuse = {"kind": "external", "status": "accepted", "justification": note.reason}
        yield {**_quiet_result(diagnosis, note, "suppressed", order), "suppressions": [excuse]}
    for note in diagnosis.baseline.fixed if diagnosis.baseline else ():
        yield {**_quiet_result(diagnosis, note, "fixed since the baseline", order), "baselineState": "absent"}


def _quiet_result(diagnosis: Diagnosis, note: RuleNote, state: str, order: list[str]) -> dict[str, Any]:
    finding = Finding(note.rule, note.code, note.title, Severity.NOTE, 1.0, "", {}, ())
    mark = {"primaryLocationLineHash": fingerprint(finding, f"{diagnosis.path} {diagnosis.name} {state}")}
    text = _message(f"{note.title or note.rule}: {state}")
    return {**_place(diagnosis, finding, order), "level": "note", "message": text, "partialFingerprints": mark}


def _message(text: str) -> dict[str, str]:
    """A message without embedded links (SARIF 2.1.0, 3.11.6): no log decides where a reader of it can click to."""
    return {"text": text.replace("](", "] (")}


def _place(diagnosis: Diagnosis, finding: Finding, order: list[str]) -> dict[str, Any]:
    location = {
        "physicalLocation": {"artifactLocation": {"uri": uri(diagnosis)}, "region": {"startLine": 1}},
        "logicalLocations": [{"name": diagnosis.name, "kind": "object"}],
    }
    return {"ruleId": finding.rule, "ruleIndex": order.index(finding.rule), "locations": [location]}


def _invocation(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    notices = [
        {"level": "error" if fault.loss is Loss.FATAL else "warning", "message": {"text": f"{fault.kind} in {fault.where}: {fault.detail}"}}
        for d in diagnoses
        for fault in d.faults
        if fault.loss is not Loss.BENIGN
    ]
    notices += [{"level": "error", "message": {"text": f"rule {n.rule} crashed: {n.reason}"}} for d in diagnoses for n in d.crashed]
    return {"executionSuccessful": not any(d.no_verdict for d in diagnoses), "toolExecutionNotifications": notices}
