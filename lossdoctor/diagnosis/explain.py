"""Which finding explains which, which comes first, and the one sentence on top."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lossdoctor.model import Fault, Finding, Loss, Severity, Verdict
from lossdoctor.rulebook import Rule


def explain(findings: Iterable[Finding], rules: Mapping[str, Rule]) -> tuple[Finding, ...]:
    """Mark each finding that another explains, and order them: unexplained first, then by severity, rank of the rule and confidence."""
    found = list(findings)
    names = {f.rule for f in found}
    explained = [
        replace(f, explained_by=next((name for name in rules[f.rule].explained_by if name in names and _holds(f, name, found)), None))
        for f in found
    ]
    return tuple(
        sorted(
            explained,
            key=lambda f: (f.severity is Severity.NOTE, f.explained_by is not None, f.severity.rank, _weight(f), -f.confidence, f.code),
        )
    )


_LOCAL = frozenset({"loss-spike", "level-shift", "no-warmup"})


def _holds(finding: Finding, name: str, found: Sequence[Finding]) -> bool:
    """A note explains nothing louder, and what happens at one place of the curve explains only what begins there."""
    other = next(f for f in found if f.rule == name)
    if name in _LOCAL:
        reach = 0.1 * max((span[1] for f in found for span in f.spans), default=0)
        together = other.onset_step is not None and finding.onset_step is not None and abs(other.onset_step - finding.onset_step) <= reach
        return together and other.severity is not Severity.NOTE
    return other.severity.rank <= finding.severity.rank


# What a reader should hear first where two findings are equally grave.
_ORDER = (
    "nan-loss", "divergence", "zero-loss", "out-of-memory", "resume-discontinuity", "cliff", "loss-spike", "exploding-gradients",
    "hockey-stick", "overfitting", "plateau",
    "vanishing-gradients", "sawtooth", "lr-zero", "schedule-ended-early", "no-warmup", "lr-restart", "warmup-too-long", "slow-convergence",
    "underfitting", "eval-flat", "constant-clipping",
    "reward-collapse", "kl-blowup", "entropy-collapse", "reward-flat", "dpo-not-learning", "completions-clipped", "memory-leak",
    "throughput-drop",
)  # fmt: skip


def _weight(finding: Finding) -> int:
    return _ORDER.index(finding.rule) if finding.rule in _ORDER else len(_ORDER)


def verdict(findings: Iterable[Finding], points: int, faults: Iterable[Fault], crashed: bool, evaluated: int) -> Verdict:
    """The worst severity; inconclusive where nothing could be read or judged, or where data was lost and nothing was found."""
    worst = min((f.severity.rank for f in findings), default=9)
    if worst == Severity.ERROR.rank:
        return Verdict.FAIL
    if worst == Severity.WARNING.rank:
        return Verdict.WARN
    damaged = any(fault.loss is not Loss.BENIGN for fault in faults)
    return Verdict.INCONCLUSIVE if points == 0 or evaluated == 0 or damaged or crashed else Verdict.PASS


def headline(found: Sequence[Finding], result: Verdict, points: int, steps: int) -> str:
    """One sentence for the whole run."""
    if found and found[0].severity is not Severity.NOTE:
        return found[0].message
    if result is Verdict.INCONCLUSIVE:
        if not points:
            return "There is no curve here: what was read holds no training values."
        return "Too little could be read to say that this run is healthy."
    return f"Healthy as far as the curves show: {steps} steps, no finding that asks for action."
