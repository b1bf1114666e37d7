"""Real runs through the gate, from the command line to the exit code, in every format, each read back by a parser that is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from junitparser import Error, Failure, JUnitXml

from lossdoctor.cli.main import run
from lossdoctor.model import Diagnosis
from lossdoctor.reporters import json_report

from .shell import FIXTURES

RED, GREEN = FIXTURES / "hockey-stick-digits", FIXTURES / "healthy-text"
SARIF = json.loads((FIXTURES.parent / "tests/reporters/data/sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
FORMATS = ("junit", "sarif", "gitlab", "json", "jsonl", "md", "github", "concise", "text")


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def policy(text: str) -> list[str]:
    Path("lossdoctor.toml").write_text(text, encoding="utf-8")
    return []


def suppress(until: str) -> list[str]:
    return policy(f"[[suppress]]\nrule = 'LD2'\nreason = 'epochs on purpose'\nuntil = {until}\n")


def baseline(change: Callable[[dict[str, Any]], None] = lambda report: None, of: Path = RED) -> list[str]:
    """--baseline with the report of a good run, as a person saved it."""
    assert run(["analyze", str(of), "-o", "good.json", "-f", "concise", "--exit-zero"]) == 0
    report = json.loads(Path("good.json").read_text())
    change(report)
    Path("good.json").write_text(json.dumps(report))
    return ["--baseline", "good.json", "--fail-on", "new-error"]


def without_findings(report: dict[str, Any]) -> None:
    report["findings"] = []


def of_another_tokenizer(report: dict[str, Any]) -> None:
    report["settings"] = [{"name": "vocab_size", "value": 99, "source": "config.json"}]


def torn() -> Path:
    """A fixture's state, cut in the middle."""
    source = FIXTURES / "healthy-converged" / "trainer_state.json"
    Path("torn").mkdir()
    Path("torn/trainer_state.json").write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    return Path("torn")


# name: (what is analysed, the options, the exit code, the state of hockey-stick in JUnit)
SCENARIOS: dict[str, tuple[Callable[[], Path], Callable[[], list[str]], int, str]] = {
    "green": (lambda: GREEN, list, 0, "passed"),
    "red": (lambda: RED, list, 1, "failure"),
    "exit-zero": (lambda: RED, lambda: ["--exit-zero"], 0, "failure"),
    "report-only": (lambda: RED, lambda: policy("preset = 'report-only'"), 0, "passed"),
    "suppressed": (lambda: RED, lambda: suppress("2999-01-01"), 0, "skipped"),
    "expired": (lambda: RED, lambda: suppress("2020-01-01"), 0, "passed"),
    "expired, warnings fail": (lambda: RED, lambda: [*suppress("2020-01-01"), "--fail-on", "warning"], 1, "failure"),
    "moved limit": (lambda: RED, lambda: policy("[limits]\n'hockey-stick.rise' = 1.0\noverfitting.rise = 1.0"), 0, "passed"),
    "known error": (lambda: RED, baseline, 0, "passed"),
    "new error": (lambda: RED, lambda: baseline(without_findings), 1, "failure"),
    "unlike baseline": (lambda: FIXTURES / "hockey-stick-sft", lambda: baseline(of_another_tokenizer), 3, ""),
    "damaged": (torn, list, 3, ""),
    "damage allowed": (torn, lambda: ["--allow-damage", "--allow-inconclusive", "--fail-on", "never"], 0, ""),
    "missing signal": (lambda: GREEN, lambda: policy("[gate]\nrequire_signals = ['gpu/*/memory']"), 3, "passed"),
    "too few evals": (lambda: GREEN, lambda: policy("[gate]\nmin_evals = 1000"), 3, "passed"),
    "nothing there": (lambda: FIXTURES / "training", list, 3, ""),
    "report not written": (lambda: GREEN, lambda: ["-o", "no/such/place.json"], 3, "passed"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_gate_in_all_formats(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, options, code, state = SCENARIOS[name]
    given = options()
    files = [word for form in FORMATS for word in ("-o", f"{form}:report.{form}")]
    assert run(["analyze", str(path()), *given, *files, "-f", "jsonl"]) == code
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    passed = {"exit-zero": False, "report not written": True}.get(name, code == 0)
    assert read_all(printed[-1]).gate.passed is passed
    if state:
        assert hockey_stick_in_junit() == state


def read_all(printed: dict[str, Any]) -> Diagnosis:
    """Read every report back and hold them against each other."""
    junit = JUnitXml.fromfile("report.junit")
    sarif = json.loads(Path("report.sarif").read_text())
    jsonschema.Draft4Validator(SARIF).validate(sarif)
    saved = json.loads(Path("report.json").read_text())
    jsonschema.Draft202012Validator(json_report.schema()).validate(saved)
    jsonschema.Draft202012Validator(json_report.schema()).validate(printed)
    (diagnosis,) = json_report.load(Path("report.json").read_text())
    (issues, annotations) = json.loads(Path("report.gitlab").read_text()), Path("report.github").read_text().splitlines()
    assert printed["findings"] == saved["findings"]
    assert len(annotations) == len(diagnosis.findings) + len(diagnosis.no_verdict)
    assert len(issues) == len(diagnosis.findings) + bool(diagnosis.no_verdict)
    results = sarif["runs"][0]["results"]
    assert sorted(r["ruleId"] for r in results if "suppressions" not in r and r.get("baselineState") != "absent") == sorted(
        f.rule for f in diagnosis.findings
    )
    assert sarif["runs"][0]["invocations"][0]["executionSuccessful"] is not bool(diagnosis.no_verdict)
    red = [r for suite in junit for case in suite for r in case.result if isinstance(r, Failure | Error)]
    assert bool(red) is not diagnosis.gate.passed
    assert all(Path(f"report.{form}").stat().st_size for form in ("md", "text", "concise"))
    return diagnosis


def hockey_stick_in_junit() -> str:
    case = next(case for suite in JUnitXml.fromfile("report.junit") for case in suite if case.name.startswith("hockey-stick"))
    return type(case.result[0]).__name__.lower() if case.result else "passed"
