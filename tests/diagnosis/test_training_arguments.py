"""Every diff that the fixtures' reports give to copy makes a valid configuration of transformers.

transformers is no dependency: `LOSSDOCTOR_TRANSFORMERS=/path/to/python` names an interpreter that has it (and torch); without it, and
where this one has none, the test is skipped. All diffs are tried in one process, since the import takes seconds.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from lossdoctor.analyze import Plan, analyze, rulebook
from lossdoctor.evaluate import labels
from lossdoctor.model import Diagnosis
from lossdoctor.reporters.advice import setting_code

FIXTURES = Path(__file__).parents[2] / "fixtures"
PYTHON = os.environ.get("LOSSDOCTOR_TRANSFORMERS") or (sys.executable if importlib.util.find_spec("transformers") else "")
PROBE = """
import dataclasses, json, sys
from transformers import TrainingArguments
known = {field.name for field in dataclasses.fields(TrainingArguments)}
def fault(settings):
    try:
        TrainingArguments(**{k: v for k, v in settings.items() if k in known} | {"output_dir": "out", "use_cpu": True, "report_to": []})
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
print(json.dumps([fault(settings) for settings in json.load(sys.stdin)]))
"""


@cache
def diagnosed() -> dict[str, Diagnosis]:
    plan = Plan(rules=rulebook())
    return {home.name: d for home in labels(FIXTURES) for d in analyze(str(home), plan)}


def diffs() -> dict[str, dict[str, object]]:
    """Rule and setting -> the run's own settings with the lines of one fix typed over them."""
    found: dict[str, dict[str, object]] = {}
    for name, diagnosis in diagnosed().items():
        told = {s.name: s.value for s in diagnosis.settings if s.value is not None}
        for finding in diagnosis.findings:
            for fix in finding.fixes:
                code = setting_code(fix)
                if code and fix.style == "python":
                    found[f"{name}: {finding.rule}: {code}"] = {**told, **typed(code)}
    return found


def typed(code: str) -> dict[str, object]:
    """Lines of keyword arguments as Python reads them."""
    call = ast.parse(f"f({code}\n)", mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}


def test_there_are_diffs_and_python_can_read_them():
    assert len(diffs()) > 20


@pytest.mark.skipif(not PYTHON, reason="no transformers: LOSSDOCTOR_TRANSFORMERS names a Python that has it")
def test_training_arguments_take_every_diff():
    cases = diffs()
    asked = json.dumps(list(cases.values()))
    done = subprocess.run([PYTHON, "-c", PROBE], input=asked, capture_output=True, text=True, check=True, timeout=300)
    faults = json.loads(done.stdout.splitlines()[-1])
    assert {case: fault for case, fault in zip(cases, faults, strict=True) if fault} == {}


def test_no_report_proposes_two_values_for_one_setting_or_the_present_one():
    for name, diagnosis in diagnosed().items():
        decided: dict[str, object] = {}
        for finding in diagnosis.findings:
            assert len({fix.setting for fix in finding.fixes}) == len(finding.fixes), name
            for change in (change for fix in finding.fixes if not fix.waits_for for change in fix.changes):
                assert change.current != change.proposed, (name, change)
                assert decided.setdefault(change.setting, change.proposed) == change.proposed, (name, finding.rule, change)
