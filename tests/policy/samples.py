"""Rules and diagnoses made by hand, so that the gate is tested apart from the detectors."""

from __future__ import annotations

from typing import Any

from lossdoctor.model import Diagnosis, Fault, Finding, Loss, RuleNote, SeriesView, Severity, Verdict
from lossdoctor.rulebook import Rule, Threshold
from lossdoctor.rulebook.rule import Message


def rule(name: str, code: str, severity: Severity = Severity.ERROR, **thresholds: Threshold) -> Rule:
    return Rule(
        code=code,
        name=name,
        title=name.replace("-", " "),
        severity=severity,
        detector="d",
        message=Message("h", "f"),
        thresholds=thresholds,
    )


RULES = (
    rule("divergence", "LD101", rise=Threshold(1.2, "why", 1.05, 5.0, "x")),
    rule("hockey-stick", "LD201", eval_rise=Threshold(0.05, "eval noise is below", 0.01, 0.5), signal=Threshold("eval/loss", "why")),
    rule("eval-missing", "LD204", Severity.NOTE),
    rule("constant-clipping", "LD301", Severity.WARNING, share=Threshold(0.9, "why", 0.5, 1.0)),
)


def finding(name: str = "hockey-stick", **changes: Any) -> Finding:
    known = next(r for r in RULES if r.name == name)
    plain: dict[str, Any] = {
        "rule": name, "code": known.code, "title": known.title, "severity": known.severity, "confidence": 0.9,
        "message": f"{name} at step 400", "numbers": {"rise": 0.248}, "signals": ("eval/loss",), "onset_step": 400, "span": (400, 1200),
        "found": "24.8 % above", "limit": "5 %",
    }  # fmt: skip
    return Finding(**plain | changes)


def view(signal: str, values: tuple[float | None, ...], first: int = 100, every: int = 100) -> SeriesView:
    steps = tuple(first + every * i for i in range(len(values)))
    return SeriesView(signal, signal.replace("/", "_"), steps, values, points=len(values))


def note(name: str, reason: str = "", how: str = "") -> RuleNote:
    known = next(r for r in RULES if r.name == name)
    return RuleNote(name, known.code, known.title, reason, how)


def diagnosis(*findings: Finding, **changes: Any) -> Diagnosis:
    ranks = [f.severity.rank for f in findings]
    verdict = Verdict.PASS if not ranks or min(ranks) == 2 else (Verdict.FAIL, Verdict.WARN)[min(ranks)]
    plain: dict[str, Any] = {
        "name": "lora-v1", "path": "out/lora-v1", "argument": "out", "verdict": verdict, "headline": "headline", "findings": findings,
        "healthy": (note("divergence"),), "not_evaluated": (note("eval-missing", "no eval signal", "set eval_steps"),),
        "series": (view("train/loss", (2.3, 1.9, 1.4, 1.1)), view("eval/loss", (1.2, 1.0, 1.1, 1.2))),
    }  # fmt: skip
    return Diagnosis(**plain | changes)


DAMAGE = Fault("torn-record", "events.out.tfevents.1:4096", "the last record is cut", Loss.LOSSY)
EMPTY = Fault("empty-file", "trainer_state.json", "nothing in it", Loss.FATAL)
