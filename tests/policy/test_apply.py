"""Levels, suppressions and the gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from lossdoctor.model import Baseline, Diagnosis, Loss, Severity, Verdict
from lossdoctor.policy import Exit, FailOn, Policy, apply, exit_code
from lossdoctor.policy.load import parse

from .samples import DAMAGE, EMPTY, RULES, diagnosis, finding, note, view

TODAY = date(2026, 11, 21)
ERROR, WARNING, NOTE = finding(), finding("constant-clipping"), finding("eval-missing")


def policy(**table: object) -> Policy:
    return parse(table, RULES, Path("lossdoctor.toml"))


def suppress(rule: str = "hockey-stick", **more: object) -> Policy:
    return policy(suppress=[{"rule": rule, "reason": "three epochs on purpose", **more}])


def test_levels_move_severities_and_leave_the_verdict() -> None:
    result = apply(policy(rules={"hockey-stick": "note", "LD3": "error"}), diagnosis(ERROR, WARNING), TODAY)
    assert [f.severity for f in result.findings] == [Severity.NOTE, Severity.ERROR]
    assert result.verdict is Verdict.FAIL
    assert result.gate.reasons == ("error: constant-clipping (LD301)",)


def test_a_rule_that_is_off_is_shown_as_not_evaluated() -> None:
    crashed = diagnosis(ERROR, crashed=(note("constant-clipping", "ZeroDivisionError"),))
    result = apply(policy(rules={"ALL": "off"}), crashed, TODAY)
    assert (result.findings, result.healthy, result.crashed) == ((), (), ())
    assert {n.rule for n in result.not_evaluated} == {r.name for r in RULES}
    assert all("switched off by lossdoctor.toml" in n.reason for n in result.not_evaluated)
    assert result.gate.passed


def test_a_suppression_keeps_its_reason_and_frees_what_it_explained() -> None:
    other = finding("constant-clipping", explained_by="hockey-stick")
    result = apply(suppress(until=date(2026, 11, 21)), diagnosis(ERROR, other), TODAY)
    assert [n.reason for n in result.suppressed] == ["three epochs on purpose (until 2026-11-21)"]
    assert [(f.rule, f.explained_by) for f in result.findings] == [("constant-clipping", None)]
    assert result.gate.passed


def test_an_expired_suppression_returns_as_a_warning() -> None:
    result = apply(suppress(until=date(2026, 11, 20)), diagnosis(ERROR), TODAY)
    assert [f.severity for f in result.findings] == [Severity.WARNING]
    assert result.findings[0].message == "hockey-stick at step 400 Its suppression ended on 2026-11-20."
    assert result.notes == (
        "the suppression of hockey-stick ended on 2026-11-20 (lossdoctor.toml: suppress[0]): fix it, or renew it with a new date",
    )
    assert (result.suppressed, result.gate.passed) == ((), True)
    assert not apply(suppress(until=date(2026, 11, 20)).with_gate(fail_on=FailOn.WARNING), diagnosis(ERROR), TODAY).gate.passed


@pytest.mark.parametrize(("glob", "holds"), [("lora-*", True), ("out/*", True), ("LORA-*", False), ("other", False)])
def test_a_suppression_means_the_runs_of_its_glob(glob: str, holds: bool) -> None:
    assert bool(apply(suppress(run=glob), diagnosis(ERROR), TODAY).suppressed) is holds


def test_a_later_suppression_that_still_holds_counts() -> None:
    both = policy(
        suppress=[
            {"rule": "LD2", "reason": "old", "until": date(2026, 1, 1)},
            {"rule": "hockey-stick", "reason": "new", "until": date(2027, 1, 1)},
        ]
    )
    assert [n.reason for n in apply(both, diagnosis(ERROR), TODAY).suppressed] == ["new (until 2027-01-01)"]


def test_applying_twice_changes_nothing() -> None:
    strict = policy(preset="strict", rules={"LD1": "off"}, suppress=[{"rule": "LD2", "reason": "r", "until": date(2026, 1, 1)}])
    once = apply(strict, diagnosis(ERROR, WARNING, NOTE, faults=(DAMAGE,)), TODAY)
    assert apply(strict, once, TODAY) == once


INCONCLUSIVE = diagnosis(verdict=Verdict.INCONCLUSIVE)
UNREAD = diagnosis(verdict=Verdict.INCONCLUSIVE, faults=(EMPTY,), series=(), healthy=())
UNLIKE = diagnosis(baseline=Baseline(("good",), refused=("vocab_size 32000 and 50257",)))
NEW, OLD = finding(baseline="new"), finding(baseline="unchanged")
GATE = "gate"


@pytest.mark.parametrize(
    ("table", "found", "code"),
    [
        ({}, diagnosis(), 0),
        ({}, diagnosis(NOTE, WARNING), 0),
        ({}, diagnosis(ERROR), 1),
        ({}, diagnosis(replace(ERROR, explained_by="divergence")), 1),
        ({GATE: {"fail_on": "warning"}}, diagnosis(NOTE), 0),
        ({GATE: {"fail_on": "warning"}}, diagnosis(WARNING), 1),
        ({"preset": "report-only"}, diagnosis(ERROR), 0),
        ({"preset": "report-only"}, diagnosis(ERROR, faults=(DAMAGE,)), 3),
        ({GATE: {"fail_on": "new-error"}}, diagnosis(NEW), 1),
        ({GATE: {"fail_on": "new-error"}}, diagnosis(OLD), 0),
        ({GATE: {"fail_on": "new-error"}}, diagnosis(ERROR), 1),  # nothing to compare with: every error is new
        ({GATE: {"fail_on": "new-error"}}, diagnosis(replace(WARNING, baseline="new")), 0),
        ({}, UNLIKE, 3),
        ({"suppress": [{"rule": "LD2", "reason": "r"}]}, diagnosis(ERROR), 0),
        ({"suppress": [{"rule": "LD2", "reason": "r", "until": date(2020, 1, 1)}]}, diagnosis(ERROR), 0),
        (
            {"preset": "strict", "suppress": [{"rule": "LD2", "reason": "r", "until": date(2020, 1, 1)}], GATE: {"min_evals": 0}},
            diagnosis(ERROR),
            1,
        ),
        ({"rules": {"hockey-stick": "off"}}, diagnosis(ERROR), 0),
        ({}, diagnosis(faults=(replace(DAMAGE, loss=Loss.BENIGN),)), 0),
        ({}, diagnosis(faults=(DAMAGE,)), 3),
        ({GATE: {"allow_damage": True}}, diagnosis(faults=(DAMAGE,)), 0),
        ({GATE: {"allow_damage": True}}, diagnosis(ERROR, faults=(DAMAGE,)), 1),
        ({}, INCONCLUSIVE, 3),
        ({GATE: {"allow_inconclusive": True}}, INCONCLUSIVE, 0),
        ({GATE: {"allow_inconclusive": True, "allow_damage": True}}, UNREAD, 3),  # nothing opens the gate for nothing
        ({}, diagnosis(crashed=(note("divergence", "boom"),)), 3),
        ({"rules": {"divergence": "off"}}, diagnosis(crashed=(note("divergence", "boom"),)), 0),
        ({GATE: {"require_signals": ["eval/loss"]}}, diagnosis(), 0),
        ({GATE: {"require_signals": ["train_loss", "eval/*"]}}, diagnosis(), 0),
        ({GATE: {"require_signals": ["gpu/*/memory"]}}, diagnosis(), 3),
        ({GATE: {"require_signals": ["eval/loss"]}}, diagnosis(series=(view("eval/loss", ()),)), 3),
        ({GATE: {"min_evals": 4}}, diagnosis(), 0),
        ({GATE: {"min_evals": 5}}, diagnosis(), 3),
        ({GATE: {"min_evals": 5}, "override": [{"run": "lora-*", "min_evals": 0}]}, diagnosis(), 0),
        ({"preset": "strict"}, diagnosis(), 3),
    ],
)
def test_exit_codes(table: dict[str, object], found: Diagnosis, code: int) -> None:
    asked = policy(**table)
    result = apply(asked, found, TODAY)
    assert exit_code(asked, [result]) == code
    assert result.gate.passed is (code == 0)
    assert bool(result.gate.reasons) is (code != 0)
    assert exit_code(asked, [result], exit_zero=True) == (0 if code == 1 else code)
    assert exit_code(asked, [result], report_failed=True) == 3


def test_the_worst_run_decides_in_the_order_3_1_0() -> None:
    plain = policy()
    good, red, torn = (apply(plain, d, TODAY) for d in (diagnosis(), diagnosis(ERROR), diagnosis(faults=(DAMAGE,))))
    assert exit_code(plain, [good, red]) is Exit.FAILED
    assert exit_code(plain, [red, torn, good]) is Exit.NO_VERDICT
    assert exit_code(plain, []) is Exit.NO_VERDICT
