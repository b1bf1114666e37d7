"""JUnit XML: a suite a run, a test case a rule, as Jenkins, GitLab and GitHub's test reporters read it.

A finding that the gate blames is a failure, any other finding passes with its text in system-out. What was not evaluated or is suppressed
is skipped, with the reason. A rule that crashed and an analysis without a trustworthy verdict are errors. The vital signs are properties
of the suite and words of the analysis: as cases of their own they would fail twice for one finding.
"""

from __future__ import annotations

import xml.etree.ElementTree as Tree
from collections.abc import Sequence

from lossdoctor.model import Diagnosis, Finding, RuleNote
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.prepare import prepare

ANALYSIS = "analysis"


def junit(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """The diagnoses as one JUnit document."""
    suites = Tree.Element("testsuites", name="lossdoctor")
    for diagnosis in diagnoses:
        suites.append(_suite(prepare(diagnosis, stable=options.stable)))
    for count in ("tests", "failures", "errors", "skipped"):
        suites.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    Tree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Tree.tostring(suites, encoding="unicode") + "\n"


def _suite(diagnosis: Diagnosis) -> Tree.Element:
    suite = Tree.Element("testsuite", name=diagnosis.name)
    _properties(suite, diagnosis)
    _analysis(suite, diagnosis)
    for finding in diagnosis.findings:
        _finding(suite, diagnosis, finding)
    for note in diagnosis.crashed:
        Tree.SubElement(_case(suite, diagnosis, note), "error", type="crashed", message=note.reason or "the rule crashed")
    for note in diagnosis.suppressed:
        Tree.SubElement(_case(suite, diagnosis, note), "skipped", message=f"suppressed: {note.reason}")
    for note in diagnosis.not_evaluated:
        hint = f"; to have it next time: {note.how_to_log}" if note.how_to_log else ""
        Tree.SubElement(_case(suite, diagnosis, note), "skipped", message=f"not evaluated: {note.reason}{hint}")
    for note in diagnosis.healthy:
        _case(suite, diagnosis, note)
    for count, tag in (
        ("tests", "testcase"),
        ("failures", "testcase/failure"),
        ("errors", "testcase/error"),
        ("skipped", "testcase/skipped"),
    ):
        suite.set(count, str(len(suite.findall(tag))))
    return suite


def _properties(suite: Tree.Element, diagnosis: Diagnosis) -> None:
    found = {"path": diagnosis.path, "verdict": str(diagnosis.verdict), "headline": diagnosis.headline}
    found |= {f"vital.{vital.name}": str(vital.state) for vital in diagnosis.vitals} | dict(diagnosis.versions)
    bag = Tree.SubElement(suite, "properties")
    for name, value in found.items():
        Tree.SubElement(bag, "property", name=name, value=value)


def _analysis(suite: Tree.Element, diagnosis: Diagnosis) -> None:
    """The case that is red when there is no verdict to rely on."""
    case = Tree.SubElement(suite, "testcase", classname=diagnosis.name, name=ANALYSIS)
    faults = "\n".join(f"{f.kind} ({f.loss}) in {f.where}: {f.detail}" for f in diagnosis.faults)
    if diagnosis.no_verdict:
        Tree.SubElement(case, "error", type="no-verdict", message="; ".join(diagnosis.no_verdict)).text = faults
    vitals = [f"{vital.state}: {vital.title}: {vital.says} {vital.wanted}".rstrip() for vital in diagnosis.vitals]
    text = "\n".join((diagnosis.headline, *vitals, *diagnosis.notes, *([faults] if faults and not diagnosis.no_verdict else [])))
    Tree.SubElement(case, "system-out").text = text


def _finding(suite: Tree.Element, diagnosis: Diagnosis, finding: Finding) -> None:
    case = _case(suite, diagnosis, finding)
    text = _words(finding)
    if diagnosis.gate.blames(finding):
        Tree.SubElement(case, "failure", type=str(finding.severity), message=finding.message).text = text
    else:
        Tree.SubElement(case, "system-out").text = f"{finding.severity}: {finding.message}\n{text}"


def _words(finding: Finding) -> str:
    lines = [f"found: {finding.found}", f"limit: {finding.limit}", *(f"cause: {c.title} ({c.likelihood:.0%})" for c in finding.causes)]
    lines += [f"try: {fix.setting} {fix.current} -> {fix.proposed} ({fix.why})" for fix in finding.fixes]
    lines += [f"{name}: {value}" for name, value in finding.numbers.items()]
    return "\n".join(lines)


def _case(suite: Tree.Element, diagnosis: Diagnosis, note: Finding | RuleNote) -> Tree.Element:
    return Tree.SubElement(suite, "testcase", classname=diagnosis.name, name=f"{note.rule} ({note.code})")
