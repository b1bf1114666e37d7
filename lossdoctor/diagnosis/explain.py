"""Which finding explains which, and which comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lossdoctor.model import Finding, Severity
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


NEARBY = 0.1  # of the run: what begins within it begins together
_LOCAL = frozenset({"loss-spike", "level-shift", "no-warmup"})


def _holds(finding: Finding, name: str, found: Sequence[Finding]) -> bool:
    """A note explains nothing louder, and what happens at one place of the curve explains only what begins there."""
    other = next(f for f in found if f.rule == name)
    if name in _LOCAL:
        reach = NEARBY * max((span[1] for f in found for span in f.spans), default=0)
        together = other.onset_step is not None and finding.onset_step is not None and abs(other.onset_step - finding.onset_step) <= reach
        return together and other.severity is not Severity.NOTE
    return other.severity.rank <= finding.severity.rank


# What a reader should hear first where two findings are equally grave.
_ORDER = (
    "nan-loss", "divergence", "zero-loss", "out-of-memory", "resume-discontinuity", "loss-spike", "exploding-gradients",
    "hockey-stick", "overfitting", "plateau", "eval-flat", "vanishing-gradients", "sawtooth", "lr-zero", "schedule-ended-early", "cliff",
    "no-warmup", "lr-restart", "warmup-too-long", "slow-convergence", "underfitting", "constant-clipping",
    "reward-collapse", "kl-blowup", "entropy-collapse", "reward-flat", "dpo-not-learning", "completions-clipped", "memory-leak",
    "throughput-drop",
)  # fmt: skip


def _weight(finding: Finding) -> int:
    return _ORDER.index(finding.rule) if finding.rule in _ORDER else len(_ORDER)
