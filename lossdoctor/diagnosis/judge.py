"""Evidence -> Finding: severity, confidence and words."""

from __future__ import annotations

from collections.abc import Mapping

from lossdoctor.claims import resolve
from lossdoctor.diagnosis.confidence import confidence
from lossdoctor.model import Evidence, Finding, Scalar, Severity
from lossdoctor.rulebook import Phrase, Rule, fill
from lossdoctor.run import Run


def judge(run: Run, rule: Rule, evidence: Evidence) -> Finding:
    """Turn what was measured into a finding with the rule's words; causes and fixes come later."""
    values: dict[str, Scalar] = {name: t.value for name, t in rule.thresholds.items()}
    values.update(
        {
            "last_step": run.last_step,
            "planned_steps": run.planned_steps,
            "onset_step": evidence.onset_step,
            "unit": run.unit,
        }
    )
    values.update(evidence.numbers)
    for name, phrase in rule.phrases.items():  # a phrase may hold those before it
        values[name] = _in_words(phrase, values)
    return Finding(
        rule=rule.name,
        code=rule.code,
        title=rule.title,
        severity=severity(rule, evidence.numbers),
        confidence=confidence(evidence),
        message=fill(rule.message.headline, values),
        found=fill(rule.message.found, values),
        limit=fill(rule.message.limit, values),
        numbers=dict(evidence.numbers),
        claims=resolve(run, rule.claims, values, evidence.signals, evidence.spans),
        signals=evidence.signals,
        onset_step=evidence.onset_step,
        spans=evidence.spans,
        span=(evidence.spans[0][0], evidence.spans[-1][1]) if evidence.spans else None,
        why_it_matters=rule.page.why if rule.page else "",
        verify=rule.page.verify if rule.page else "",
        looks_like=rule.page.looks_like if rule.page else "",
    )


def _in_words(phrase: Phrase, values: Mapping[str, Scalar]) -> str:
    value = values.get(phrase.number)
    return fill(phrase.when.get("unknown" if value is None else str(value), phrase.otherwise), values)


def severity(rule: Rule, numbers: Mapping[str, Scalar]) -> Severity:
    """The first grade whose bound the evidence reaches, else the rule's own severity."""
    for grade in rule.grades:
        value = numbers.get(grade.number)
        if not isinstance(value, int | float):
            continue
        if (grade.at_least is None or value >= grade.at_least) and (grade.at_most is None or value <= grade.at_most):
            return grade.level
    return rule.severity
