"""A pytest fixture for training tests: `lossdoctor_check("out")` fails the test where the policy's gate is red.

def test_training(lossdoctor_check):
    train("out")
    lossdoctor_check("out", fail_on="warning")
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lossdoctor.model import Diagnosis

Check = Callable[..., list[Diagnosis]]


@pytest.fixture
def lossdoctor_check() -> Check:
    """Diagnose a path under the project's policy (the nearest lossdoctor.toml, or `policy`) and fail with the report if the gate is red.

    Returns the diagnoses otherwise. `fail_on` is error, warning, new-error or never and goes over the policy's own word.
    """

    def check(path: str | Path, *, policy: str | Path | None = None, fail_on: str | None = None) -> list[Diagnosis]:
        __tracebackhide__ = True
        from lossdoctor.analyze import Plan, analyze, read_reports, rulebook
        from lossdoctor.policy import Exit, exit_code, load
        from lossdoctor.reporters import render

        rules = rulebook()
        chosen = load(None if policy is None else Path(policy), Path.cwd(), rules).with_gate(fail_on=fail_on)
        diagnoses = analyze(str(path), Plan(rules=rules, policy=chosen, baselines=read_reports(chosen.gate.baseline)))
        if exit_code(chosen, diagnoses) is not Exit.PASSED:
            pytest.fail(render(diagnoses, "text"), pytrace=False)
        return diagnoses

    return check
