"""GitLab code quality, held against the documented fields."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from lossdoctor.model import Diagnosis
from lossdoctor.reporters import render

from .samples import ALL, hockey_stick, many, no_data

# https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {"path": {"type": "string", "pattern": "^(?!/|\\./)"}, "lines": {"required": ["begin"]}},
            },
        },
    },
}


def read(*diagnoses: Diagnosis) -> list[dict[str, Any]]:
    rows = json.loads(render(list(diagnoses), "gitlab"))
    jsonschema.validate(rows, SCHEMA)
    return rows


@pytest.mark.parametrize("name", ALL)
def test_every_finding_is_an_issue(name: str) -> None:
    d = ALL[name]()
    assert len(read(d)) == len(d.findings) + bool(d.no_verdict)


def test_fingerprints_are_unique_and_outlive_a_wiggle() -> None:
    runs = many(14)
    marks = [row["fingerprint"] for row in read(*runs)]
    assert len(set(marks)) == len(marks)
    again = replace(
        hockey_stick(),
        name=hockey_stick().name + "_seed7",
        findings=tuple(replace(f, message="other", onset_step=7, numbers={}) for f in hockey_stick().findings),
    )
    assert [r["fingerprint"] for r in read(again)] == [r["fingerprint"] for r in read(hockey_stick())]


def test_a_missing_verdict_is_one_blocker() -> None:
    (row,) = read(no_data())
    assert (row["severity"], row["check_name"]) == ("blocker", "no-verdict")
