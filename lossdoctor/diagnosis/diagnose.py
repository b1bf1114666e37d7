"""Run -> Diagnosis: examine by rule, judge, rank causes, explain, decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lossdoctor.diagnosis import causes, checkpoint, cost, dialects, facts, fixes, lead, marks, samples, series
from lossdoctor.diagnosis.examine import Detector, Outcome, examine, fires
from lossdoctor.diagnosis.explain import explain
from lossdoctor.diagnosis.judge import judge
from lossdoctor.diagnosis.verdict import headline, judged, verdict
from lossdoctor.model import Diagnosis, Evidence, Fault, Finding, RuleNote, Severity, Verdict
from lossdoctor.rulebook import Rule
from lossdoctor.run import Run
from lossdoctor.run.log import Floats
from lossdoctor.vitals import assess


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller may add: limits moved by a policy ('rule.threshold' -> value), the bill, and how much to work out."""

    limits: Mapping[str, float] = field(default_factory=dict)
    gpus: int | None = None
    gpu_hour_cost: float | None = None
    lead_time: bool = True


def diagnose(
    run: Run, rules: Sequence[Rule], detectors: Mapping[str, Detector], argument: str = "", options: Options | None = None
) -> Diagnosis:
    """Diagnose one run; never raises for what is in the data."""
    options = options or Options()
    outcomes = examine(run, rules, detectors, options.limits)
    by_name = {rule.name: rule for rule in rules}
    fired = [(outcome.rule, outcome.evidence) for outcome in outcomes if outcome.evidence is not None]
    findings = explain([judge(run, rule, evidence) for rule, evidence in fired], by_name)
    measured = {rule.name: evidence for rule, evidence in fired}
    spoiled = checkpoint.spoiled_from(run, findings)
    findings = tuple(
        _complete(run, finding, by_name[finding.rule], measured[finding.rule], detectors[finding.rule], options, spoiled)
        for finding in findings
    )
    findings = tuple(_spoken(run, finding) for finding in fixes.settled(findings))
    return _assemble(run, findings, outcomes, by_name, argument, options)


def _complete(
    run: Run, finding: Finding, rule: Rule, evidence: Evidence, detector: Detector, options: Options, spoiled: int | None
) -> Finding:
    """Add causes, fixes, the data window and the earliest step at which a monitor could have fired."""
    known = facts.facts(run, evidence, spoiled)
    ranked = causes.rank(rule, known)
    detectable = None
    if options.lead_time and finding.severity is not Severity.NOTE and run.points and finding.onset_step is not None:
        detectable = lead.detectable_step(
            run,
            lambda prefix: fires(prefix, rule, detector, options.limits),
            last=run.last_step,
            onset=finding.onset_step,
            spans=finding.spans,
        )
        detectable = None if detectable is None else max(detectable, finding.onset_step)  # nothing can be seen before it begins
    window = samples.window(run, finding.onset_step) if finding.onset_step is not None and rule.name in {"loss-spike", "nan-loss"} else ""
    return replace(finding, causes=ranked, fixes=fixes.propose(rule, known, ranked, run), detectable_step=detectable, samples=window)


def _spoken(run: Run, finding: Finding) -> Finding:
    """With its fixes in the words of the tool that the run was made with."""
    known = facts.facts(run, Evidence({}, ()))
    said = (dialects.spoken(fix, known) for fix in finding.fixes)
    return replace(finding, fixes=tuple(fix for fix in said if fix is not None))


def _assemble(
    run: Run, findings: tuple[Finding, ...], outcomes: Sequence[Outcome], rules: Mapping[str, Rule], argument: str, options: Options
) -> Diagnosis:
    healthy = tuple(_note(o.rule) for o in outcomes if o.evidence is None and o.skip is None and not o.crash)
    skipped = tuple(_note(o.rule, o.skip.reason, o.skip.how_to_log) for o in outcomes if o.skip is not None)
    crashed = tuple(_note(o.rule, o.crash) for o in outcomes if o.crash)
    advice = checkpoint.advise(run, findings)
    vitals = judged(assess(run), findings, rules)
    result = verdict(vitals, findings, run.faults, bool(crashed))
    moments = marks.marks(run, findings, advice)
    return Diagnosis(
        name=run.name, path=run.path, argument=argument or run.path, verdict=result,
        headline=headline(result, vitals, findings), vitals=vitals, findings=findings, healthy=healthy,
        not_evaluated=skipped, crashed=crashed, faults=run.faults, checkpoint=advice, checkpoints=run.checkpoints,
        cost=cost.cost(run, findings, advice, gpus=options.gpus, gpu_hour_cost=options.gpu_hour_cost), marks=moments,
        settings=tuple(run.settings.values()), sources=run.sources, log_events=run.events,
        series=series.views(run, {m.step for m in moments} | {s for f in findings for span in f.spans for s in span}), task=run.task,
        steps=run.last_step, planned_steps=run.planned_steps,
        epochs=_epochs(run), notes=run.notes, unit=run.unit,
    )  # fmt: skip


def unreadable(argument: str, path: str, name: str, faults: Sequence[Fault]) -> Diagnosis:
    """The diagnosis of something that could not be read: inconclusive, with the faults."""
    first = faults[0] if faults else None
    words = f"Nothing to diagnose: {first.where}: {first.detail}" if first else "Nothing to diagnose: no training log was found here."
    return Diagnosis(name=name, path=path, argument=argument, verdict=Verdict.INCONCLUSIVE, headline=words, faults=tuple(faults))


def _note(rule: Rule, reason: str = "", how: str = "") -> RuleNote:
    return RuleNote(rule.name, rule.code, rule.title, reason, how)


def _epochs(run: Run) -> float | None:
    """Epochs at the last step: the highest that was logged, in proportion where the last row lies before it."""
    logged = [(e, int(s.steps[-1])) for s in run.signals.values() if (e := _last_finite(s.epochs)) is not None]
    epoch, step = max(logged, default=(None, 0))
    exact = epoch is not None and run.step_is == "step" and 0 < step < run.last_step and not epoch.is_integer()
    return epoch * run.last_step / step if epoch is not None and exact else epoch


def _last_finite(values: Floats) -> float | None:
    import numpy as np

    good = values[np.isfinite(values)]
    return float(good[-1]) if len(good) else None
