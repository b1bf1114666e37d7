"""Numbers, spans and durations in words, the same in every format."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath

from lossdoctor.model import Baseline, Diagnosis, Finding, MetricDelta, RuleNote, Scalar, Severity, Verdict
from lossdoctor.numerals import number

CURVES_ARE_SILENT = "Curves cannot show silent bugs: look at samples of the model's output as well."
LOSS_OF_A_POLICY = "In reinforcement learning the loss says little, and one near 0 is normal: judge the reward and the KL."
VERDICT_WORDS = {Verdict.PASS: "PASS", Verdict.WARN: "WARN", Verdict.FAIL: "FAIL", Verdict.INCONCLUSIVE: "INCONCLUSIVE"}
VERDICT_ORDER = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.PASS)
SEVERITY_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def likelihood(share: float) -> str:
    return f"{round(100 * share)}%"


def hours(value: float) -> str:
    """Wall hours as people say them: 9.5 s, 45 s, 12 min, 2 h 41 min, 3 d 4 h."""
    if not math.isfinite(value):
        return "unknown time"
    seconds = value * 3600
    if seconds < 90:
        return f"{number(seconds, 2)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    whole, rest = divmod(minutes, 60)
    if whole < 48:
        return f"{whole} h {rest} min" if rest else f"{whole} h"
    return f"{whole // 24} d {whole % 24} h"


def silent(diagnosis: Diagnosis) -> str:
    """What a healthy verdict does not say, and what looks ill there and is not."""
    return f"{LOSS_OF_A_POLICY} {CURVES_ARE_SILENT}" if diagnosis.task == "rl" else CURVES_ARE_SILENT


def says_the_same(headline: str, message: str) -> bool:
    """Whether the headline already holds the whole message."""
    return bool(message) and message.rstrip(".") in headline


def counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def steps_of(finding: Finding, unit: str = "step") -> str:
    """Where a finding is: `steps 400-1200`, `from step 400`, or nothing for a finding about the whole run."""
    span = finding.span or (finding.spans[0] if finding.spans else None)
    if span is not None:
        return f"{unit} {span[0]}" if span[0] == span[1] else f"{unit}s {span[0]}-{span[1]}"
    return f"from {unit} {finding.onset_step}" if finding.onset_step is not None else ""


def facts(diagnosis: Diagnosis) -> tuple[str, ...]:
    """The size of a run: steps done of steps planned, epochs, wall time, task."""
    found: list[str] = []
    done, planned = diagnosis.steps, diagnosis.planned_steps
    if done is not None:
        found.append(f"{done} of {planned} {diagnosis.unit}s" if planned and planned != done else counted(done, diagnosis.unit))
    if diagnosis.epochs is not None and diagnosis.epochs != done:
        found.append(f"{(epochs := number(diagnosis.epochs, 3))} epoch{'' if epochs == '1' else 's'}")
    if diagnosis.cost.hours is not None:
        found.append(hours(diagnosis.cost.hours))
    if diagnosis.task not in {"", "unknown"}:
        found.append(diagnosis.task)
    return tuple(found)


def sources_of(diagnosis: Diagnosis) -> str:
    """What was read, counted: `trainer_state.json + 2 event files`."""
    named = [note for note in diagnosis.sources if note.points > 0]
    if not named:
        return ""
    first, rest = named[0], len(named) - 1
    label = PurePath(first.path).name or first.kind
    return label if not rest else f"{label} + {counted(rest, 'more source')}"


def sentence(text: str) -> str:
    """With a capital letter in front and a full stop behind, unless the first word is a name such as `bf16` or `max_grad_norm`."""
    first = text.split(" ", 1)[0]
    text = text[:1].upper() + text[1:] if first.isalpha() and first.islower() else text
    return text if not text or text[-1] in ".!?:`)" else text + "."


def unbroken(text: str) -> str:
    """With no-break spaces where a line must not end: before a percent sign and after a plus-minus sign."""
    return text.replace("± ", "±\u00a0").replace("+- ", "+-\u00a0").replace(" %", "\u00a0%")


def alike(notes: Sequence[RuleNote]) -> tuple[tuple[RuleNote, ...], ...]:
    """Notes that say the same of several rules, together; in the order of their first one."""
    found: dict[tuple[str, str], list[RuleNote]] = {}
    for note in notes:
        found.setdefault((note.reason, note.how_to_log), []).append(note)
    return tuple(tuple(group) for group in found.values())


def in_words(proposed: Scalar) -> bool:
    """Whether what a fix proposes is advice (`half of what you use`) rather than a value to type in."""
    return isinstance(proposed, str) and " " in proposed.strip()


def change(name: str, current: Scalar, proposed: Scalar, arrow: str = "->") -> str:
    """A change: `num_train_epochs 3 -> 1`, `weight_decay -> 0.05` where no log told the old one, `labels: read ten` for advice."""
    if in_words(proposed):
        return f"{name}: {proposed}"
    return f"{name} {arrow} {number(proposed)}" if current is None else f"{name} {number(current)} {arrow} {number(proposed)}"


def moved(delta: MetricDelta) -> str:
    """A metric against its baseline: `eval/loss 1.21 -> 1.35 (worse, beyond noise)`."""
    judged = {True: "better", False: "worse", None: "changed"}[delta.better] if delta.beyond else "within noise"
    if delta.beyond is None:
        judged = "noise unknown"
    return f"{delta.metric} {number(delta.base)} → {number(delta.now)} ({judged}{', beyond noise' if delta.beyond else ''})"


def against(baseline: Baseline) -> tuple[str, ...]:
    """What the comparison with the last good run says, a sentence each."""
    if baseline.refused:
        return tuple(f"not comparable with {', '.join(baseline.names)}: {reason}" for reason in baseline.refused)
    said = [moved(d) for d in baseline.deltas]
    said += [f"fixed: {note.title} ({note.rule})" for note in baseline.fixed]
    return tuple(said) or (f"nothing changed beyond noise against {', '.join(baseline.names)}",)


def bill(diagnosis: Diagnosis) -> tuple[str, ...]:
    """What the trouble cost, a sentence each; nothing where no time was logged."""
    cost = diagnosis.cost
    said: list[str] = []
    if _worth_saying(cost.hours_after_best):
        said.append(f"about {hours(cost.hours_after_best or 0)} after the best eval")
    if _worth_saying(cost.hours_after_onset):
        said.append(f"about {hours(cost.hours_after_onset or 0)} after the trouble began")
    if _worth_saying(cost.hours_since_checkpoint):
        said.append(f"about {hours(cost.hours_since_checkpoint or 0)} since the last usable checkpoint")
    if cost.gpu_hours_wasted and cost.gpu_hours_wasted >= 0.01:
        said.append(f"{number(cost.gpu_hours_wasted, 3)} GPU hours wasted")
    if cost.money_wasted and cost.money_wasted >= 0.01:
        said.append(f"{cost.money_wasted:.2f} {cost.currency}")
    return tuple(said)


def _worth_saying(value: float | None) -> bool:
    """At least a second."""
    return value is not None and value * 3600 >= 1
