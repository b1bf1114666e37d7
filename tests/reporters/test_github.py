"""Workflow commands, read back as GitHub's runner does, and the step summary."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from lossdoctor.errors import ReportError
from lossdoctor.model import Gate, Severity
from lossdoctor.reporters import render
from lossdoctor.reporters.github import SUMMARY_BYTES, add_step_summary

from .samples import ALL, hostile, many, no_data

# actions/runner, src/Runner.Common/ActionCommand.cs: the command ends at the first blank, properties at the first `::` after it.
COMMAND = re.compile(r"::(?P<kind>[a-z-]+) (?P<properties>.*?)::(?P<text>.*)")


def decode(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")


def read(text: str) -> list[tuple[str, dict[str, str], str]]:
    rows = []
    for line in text.splitlines():
        found = COMMAND.fullmatch(line)
        assert found, line
        pairs = dict(pair.split("=", 1) for pair in found["properties"].split(","))
        rows.append((found["kind"], {k: decode(v) for k, v in pairs.items()}, decode(found["text"])))
    return rows


def test_one_annotation_a_finding_the_gravest_first() -> None:
    runs = many(7)
    rows = read(render(runs, "github"))
    findings = [f for d in runs for f in d.findings]
    assert len(rows) == len(findings) + sum(len(d.no_verdict) for d in runs)
    order = [("error", "warning", "notice").index(kind) for kind, _, _ in rows]
    assert order == sorted(order)
    assert {f"{d.name}: {f.rule} ({f.code})" for d in runs for f in d.findings} <= {properties["title"] for _, properties, _ in rows}
    assert all(any(f.message in text for _, _, text in rows) for f in findings)


def test_a_missing_verdict_is_an_error() -> None:
    text = f"no trustworthy verdict\n{no_data().headline}"
    assert read(render([no_data()], "github")) == [("error", {"title": "checkpoint-12: no verdict"}, text)]


@pytest.mark.parametrize("name", ALL)
def test_no_text_of_a_run_can_give_a_command(name: str) -> None:
    d = ALL[name]()
    rows = read(render([d], "github"))
    assert {properties.keys() <= {"title"} for _, properties, _ in rows} <= {True}
    assert len(rows) == len(d.findings) + len(d.no_verdict)


def test_line_ends_percents_and_separators_survive() -> None:
    d = ALL["hockey-stick"]()
    odd = replace(d, gate=Gate(), name="a,b:c::d %0A", findings=(replace(d.findings[0], message="50 % at step 3", severity=Severity.NOTE),))
    ((kind, properties, text),) = read(render([odd], "github"))
    assert kind == "notice"
    assert properties["title"].startswith("a,b:c::d %0A: ")
    assert text.startswith("50 % at step 3\n")


def test_the_summary_is_appended_where_the_runner_asks_for_it(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    assert not add_step_summary("x", {})
    assert add_step_summary("# one", {"GITHUB_STEP_SUMMARY": str(path)})
    assert add_step_summary("# two \ud800", {"GITHUB_STEP_SUMMARY": str(path)})
    assert path.read_text(encoding="utf-8") == "# one\n# two \\ud800\n"
    with pytest.raises(ReportError, match="cannot write the step summary"):
        add_step_summary("x", {"GITHUB_STEP_SUMMARY": str(tmp_path / "none" / "s.md")})


def test_the_summary_never_outgrows_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    for _ in range(3):
        add_step_summary("ä" * (SUMMARY_BYTES // 4), {"GITHUB_STEP_SUMMARY": str(path)})
    assert SUMMARY_BYTES - 200 < path.stat().st_size < SUMMARY_BYTES
    assert path.read_text(encoding="utf-8").endswith("see the report.*\n")


def test_a_hostile_gate_reason_stays_text() -> None:
    d = replace(hostile(), gate=Gate(False, ("x\n::set-env name=A::b", "%0A::error::y")))
    kinds = [kind for kind, _, _ in read(render([d], "github"))]
    assert set(kinds) <= {"error", "warning", "notice"}
