"""JUnit, read back by junitparser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase

from lossdoctor.model import Diagnosis, Gate, RuleNote
from lossdoctor.reporters import render

from .samples import ALL, hockey_stick, many, no_data


def read(*diagnoses: Diagnosis) -> JUnitXml:
    return JUnitXml.fromstring(render(list(diagnoses), "junit").encode())


def cases(diagnosis: Diagnosis) -> dict[str, TestCase]:
    (suite,) = read(diagnosis)
    return {case.name: case for case in suite}


def test_every_rule_is_a_case_in_its_state() -> None:
    d = replace(hockey_stick(), suppressed=(RuleNote("x", "LD999", "X", "on purpose (until 2027-01-31)"),))
    d = replace(d, gate=Gate(False, (d.findings[0].label,)))
    found = cases(d)
    rules = [*d.findings, *d.healthy, *d.not_evaluated, *d.suppressed, *d.crashed]
    assert set(found) == {"analysis", *(f"{r.rule} ({r.code})" for r in rules)}
    (failure,) = found["hockey-stick (LD201)"].result
    assert isinstance(failure, Failure)
    assert failure.message == d.findings[0].message
    assert d.findings[0].found in failure.text
    for finding in d.findings[1:]:
        case = found[f"{finding.rule} ({finding.code})"]
        assert case.is_passed
        assert finding.message in case.system_out
    for note in d.not_evaluated:
        (skipped,) = found[f"{note.rule} ({note.code})"].result
        assert isinstance(skipped, Skipped)
        assert note.reason in skipped.message
    assert found["x (LD999)"].result[0].message == "suppressed: on purpose (until 2027-01-31)"
    assert all(found[f"{n.rule} ({n.code})"].is_passed for n in d.healthy)


def test_without_a_verdict_the_analysis_and_the_crashed_rules_are_errors() -> None:
    found = cases(no_data())
    (error,) = found["analysis"].result
    assert isinstance(error, Error)
    assert error.message == "no trustworthy verdict"
    assert "git lfs pull" in error.text
    assert isinstance(found["sawtooth (LD103)"].result[0], Error)


def test_counts_add_up_over_many_runs() -> None:
    runs = many(14)
    whole = read(*runs)
    suites = list(whole)
    assert [suite.name for suite in suites] == [d.name for d in runs]
    for count in ("tests", "failures", "errors", "skipped"):
        assert getattr(whole, count) == sum(getattr(suite, count) for suite in suites)
    assert all(suite.errors == len([c for c in suite if any(isinstance(r, Error) for r in c.result)]) for suite in suites)


@pytest.mark.parametrize("name", ALL)
def test_any_diagnosis_is_well_formed(name: str) -> None:
    assert len(list(read(ALL[name]()))) == 1
