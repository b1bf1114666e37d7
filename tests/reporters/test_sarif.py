"""SARIF, held against the schema of the standard."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest

from lossdoctor.model import Baseline, Diagnosis, Fault, RuleNote
from lossdoctor.reporters import render

from .samples import ALL, hockey_stick, many, no_data

SCHEMA = json.loads((Path(__file__).parent / "data" / "sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
CHECKER = jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)


def read(*diagnoses: Diagnosis) -> dict[str, Any]:
    log = json.loads(render(list(diagnoses), "sarif"))
    assert not [error.message for error in CHECKER.iter_errors(log)]
    (run,) = log["runs"]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(ids)) == len(ids)
    assert all(ids[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    return run


def test_the_schema_refuses_what_is_no_sarif() -> None:
    assert not CHECKER.is_valid({"version": "2.1.0", "runs": [{}]})


@pytest.mark.parametrize("name", ALL)
def test_any_diagnosis_is_valid(name: str) -> None:
    d = ALL[name]()
    run = read(d)
    assert len(run["results"]) == len(d.findings) + len(d.suppressed)
    for result in run["results"]:
        address = urlsplit(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        assert (address.scheme, address.netloc) == ("", "")
        assert not unquote(address.path).startswith("/")
        assert "](" not in result["message"]["text"]


def test_states_against_the_baseline_and_suppressions_are_kept() -> None:
    d = hockey_stick()
    first, *rest = d.findings
    old = RuleNote("sawtooth", "LD103", "Sawtooth")
    d = replace(
        d,
        findings=(replace(first, baseline="new"), *(replace(f, baseline="unchanged") for f in rest)),
        baseline=Baseline(("good",), fixed=(old,)),
        suppressed=(RuleNote("fp16-where-bf16", "LD503", "fp16", "old cards"),),
    )
    results = {r["ruleId"]: r for r in read(d)["results"]}
    assert results["hockey-stick"]["baselineState"] == "new"
    assert {results[f.rule]["baselineState"] for f in rest} <= {"unchanged"}
    assert results["sawtooth"]["baselineState"] == "absent"
    assert results["fp16-where-bf16"]["suppressions"][0]["justification"] == "old cards"


def test_damage_and_crashes_are_notifications() -> None:
    torn = replace(hockey_stick(), faults=(Fault("torn-record", "events:4096", "one record lost"),))
    texts = [n["message"]["text"] for n in read(torn, no_data())["invocations"][0]["toolExecutionNotifications"]]
    assert texts[0] == "torn-record in events:4096: one record lost"
    assert any("sawtooth crashed" in text for text in texts)
    assert read(no_data())["invocations"][0]["executionSuccessful"] is False


def test_runs_of_one_sweep_keep_their_results_apart() -> None:
    marks = [r["partialFingerprints"]["primaryLocationLineHash"] for r in read(*many(14))["results"]]
    assert len(set(marks)) == len(marks)
