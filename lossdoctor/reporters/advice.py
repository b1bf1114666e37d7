"""What to do now: which checkpoint, which one change, which test. The same three steps in every format."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from lossdoctor.model import Cause, Change, CheckpointAdvice, Diagnosis, Finding, Fix, Loss, State, Verdict, Vital
from lossdoctor.numerals import number
from lossdoctor.reporters.wording import change, in_words, sentence

MOST_STEPS = 3
AS_LIKELY = 0.9  # of the likeliest cause: then the test is for both, and decides
DO_NOW, LOG_NEXT = "What to do now", "What to log next time"
_ANSWERS = "That would answer:"


@dataclass(frozen=True, slots=True)
class NextStep:
    """One thing to do: what, why, text to copy (a command, a setting or code), and the letter of the finding that it is for."""

    title: str
    detail: str = ""
    code: str = ""
    letter: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A finding with its letter and the findings that it explains."""

    letter: str
    finding: Finding
    explained: tuple[tuple[str, Finding], ...] = ()


def letter(index: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    alphabet = string.ascii_uppercase
    head, tail = divmod(index, 26)
    return (letter(head - 1) if head else "") + alphabet[tail]


def groups(diagnosis: Diagnosis) -> tuple[Group, ...]:
    """The findings in their order, each explained one under the one that explains it; letters follow the order of `findings`."""
    named = [(letter(i), f) for i, f in enumerate(diagnosis.findings)]
    present = {f.rule for _, f in named} | {f.code for _, f in named}
    explained = {mark for mark, f in named if f.explained_by in present and f.explained_by not in {f.rule, f.code}}
    roots = {f.rule: mark for mark, f in named} | {f.code: mark for mark, f in named}

    def root_of(mark: str, finding: Finding, depth: int = 0) -> str:
        if mark not in explained or depth > len(named):
            return mark
        parent = roots[finding.explained_by or ""]
        return root_of(parent, dict(named)[parent], depth + 1)

    children: dict[str, list[tuple[str, Finding]]] = {}
    for mark, finding in named:
        root = root_of(mark, finding)
        if root != mark:
            children.setdefault(root, []).append((mark, finding))
    inside = {mark for below in children.values() for mark, _ in below}
    return tuple(Group(mark, f, tuple(children.get(mark, ()))) for mark, f in named if mark not in inside)


def checkpoint_name(advice: CheckpointAdvice, here: str = "") -> str:
    """`checkpoint-400`; a directory whose name does not tell the step is named together with it, the run's own is what was read."""
    step = used_step(advice) or advice.best_step
    if not advice.path or str(step) in PurePath(advice.path).name:
        return PurePath(advice.path).name if advice.path else f"checkpoint-{step}"
    if advice.path == here:
        return f"the model in this directory itself, of step {step}"
    return f"the checkpoint of step {step} in {advice.path}"


def used_step(advice: CheckpointAdvice) -> int | None:
    """The step of the checkpoint on disk that should be used, if there is one."""
    if advice.nearest_kept is not None:
        return advice.nearest_kept if advice.path is not None or advice.exists else None
    return advice.best_step if advice.exists else None


def decision(diagnosis: Diagnosis) -> NextStep | None:
    """Which checkpoint to use and why; None where nothing is known, and where a healthy run has none."""
    advice = diagnosis.checkpoint
    why = sentence(advice.reason)
    if advice.best_step is None:
        return NextStep("No checkpoint to use", why) if why and diagnosis.verdict is not Verdict.PASS else None
    if advice.exists:
        state = {True: " (whole)", False: " (damaged, do not use it as it is)", None: ""}[advice.whole]
        return NextStep(f"Use {checkpoint_name(advice, diagnosis.path)}{state}", why, advice.resume_command or "")
    if advice.exists is False and advice.nearest_kept is not None and advice.path is None:
        return NextStep(f"The checkpoint of the best step, {advice.best_step}, was not kept", why)
    if advice.exists is False and advice.nearest_kept is not None:
        why = why or f"The best step was {advice.best_step}, but it was not saved."
        return NextStep(f"Use {checkpoint_name(advice, diagnosis.path)}", why, advice.resume_command or "")
    unknown = (
        "it was not saved, and no other checkpoint was kept" if advice.exists is False else "whether it was saved cannot be seen from here"
    )
    return NextStep(f"The best step was {advice.best_step}", why or sentence(unknown))


def next_steps(diagnosis: Diagnosis) -> tuple[NextStep, ...]:
    """At most three: the checkpoint, the one change, the test that separates the causes; for a run without a verdict, what to log.

    Where nothing is wrong the checkpoint is no step: it stands beside the verdict.
    """
    steps: list[NextStep] = []
    chosen = decision(diagnosis)
    if chosen is not None and used_step(diagnosis.checkpoint) is not None and diagnosis.verdict in {Verdict.FAIL, Verdict.WARN}:
        steps.append(chosen)
    steps += _for_findings(diagnosis)
    if len(steps) < MOST_STEPS and diagnosis.verdict is Verdict.INCONCLUSIVE:
        steps += _for_missing(diagnosis)
    return tuple(steps[:MOST_STEPS])


def heading(steps: Sequence[NextStep]) -> str:
    """What stands over the steps: where there is nothing to do but to log more, it says so."""
    only_logging = all(step.detail.startswith(_ANSWERS) for step in steps)
    return LOG_NEXT if steps and only_logging else DO_NOW


def first_fix(group: Group) -> Fix | None:
    """The one change to try first: the group's own, else that of a finding it explains."""
    return next((f.fixes[0] for f in (group.finding, *(f for _, f in group.explained)) if f.fixes), None)


def _for_findings(diagnosis: Diagnosis) -> list[NextStep]:
    loud = [g for g in groups(diagnosis) if g.finding in diagnosis.loud]
    steps: list[NextStep] = []
    for group in loud[:1]:
        fix, causes = first_fix(group), group.finding.causes
        if fix is not None:
            start = "Do" if in_words(fix.proposed) else "Change"
            steps.append(
                NextStep(f"{start} one thing: {change(fix.setting, fix.current, fix.proposed, '→')}", sentence(fix.why), setting_code(fix))
            )
        if causes and (causes[0].test or causes[0].snippet):
            steps.append(NextStep(_test_title(causes, alone=fix is None), causes[0].test, causes[0].snippet, group.letter))
        if not steps and group.finding.verify:
            steps.append(NextStep(f"Look into: {_small(group.finding.title)}", group.finding.verify))
    proposed = {fix.changes[0] for group in loud[:1] if (fix := first_fix(group)) is not None}
    for group in loud[1:]:
        fix = first_fix(group)
        if fix is not None and not fix.waits_for and fix.changes[0] not in proposed:
            proposed.add(fix.changes[0])
            title = f"After that, in a run of its own: {change(fix.setting, fix.current, fix.proposed, '→')}"
            steps.append(NextStep(title, sentence(f"For {_small(group.finding.title)}: {fix.why}"), setting_code(fix), group.letter))
    return steps


def _test_title(causes: Sequence[Cause], *, alone: bool) -> str:
    if len(causes) > 1 and causes[1].likelihood >= AS_LIKELY * causes[0].likelihood:
        return f"Find out which it is: {_small(causes[0].title)}; or: {_small(causes[1].title)}"
    return f"{'Check first whether it is this' if alone else 'Test the likeliest cause'}: {_small(causes[0].title)}"


def _for_missing(diagnosis: Diagnosis) -> list[NextStep]:
    faults = [
        NextStep(f"Repair the input: {f.kind} in {f.where}", sentence(f.detail)) for f in diagnosis.faults if f.loss is not Loss.BENIGN
    ]
    if diagnosis.vitals:
        return faults + [NextStep(step_title(text), _answers(vitals)) for text, vitals in wanted(diagnosis.vitals).items()]
    hints = dict.fromkeys(note.how_to_log for note in diagnosis.not_evaluated if note.how_to_log)
    return faults + [NextStep("Log what was missing", "", text) for text in hints]


def wanted(vitals: Iterable[Vital]) -> dict[str, tuple[Vital, ...]]:
    """What to log, each with the vitals that it answers: first what a verdict waits for."""
    found: dict[str, tuple[Vital, ...]] = {}
    for vital in sorted((v for v in vitals if v.state is State.UNKNOWN and v.wanted), key=lambda v: not v.decisive):
        found[vital.wanted] = (*found.get(vital.wanted, ()), vital)
    return found


def step_title(want: str) -> str:
    """What a vital wants as the title of a step, which gets its full stop from the format."""
    return want.rstrip(".")


def _answers(vitals: Iterable[Vital]) -> str:
    return f"{_ANSWERS} {', '.join(vital.title for vital in vitals)}."


def setting_code(fix: Fix) -> str:
    """The change with all that belongs to it, as lines to copy into the configuration of the run's tool; empty for advice in words."""
    if fix.style == "words" or in_words(fix.proposed):
        return ""
    line = _yaml_line if fix.style == "yaml" else _python_line
    return "\n".join(f"# and {c.setting}: {c.proposed}" if in_words(c.proposed) else line(c) for c in fix.changes)


def _python_line(change: Change) -> str:
    """A keyword argument; what is a literal already stays one."""
    value = change.proposed
    literal = repr(value) if isinstance(value, str) and not value.startswith("{") else number(value, 6)
    return f"{change.setting}={literal},{_was(change)}"


def _yaml_line(change: Change) -> str:
    """YAML reads a number such as 1e-5 as a word: only 1.0e-5 is one."""
    value = change.proposed
    text = str(value).lower() if isinstance(value, bool) else number(value, 6)
    head, e, power = text.partition("e")
    if isinstance(value, float) and e and "." not in head:
        text = f"{head}.0e{power}"
    return f"{change.setting}: {text}{_was(change)}"


def _was(change: Change) -> str:
    return "" if change.current is None else f"  # was {number(change.current, 6)}"


def _small(title: str) -> str:
    """A title inside a sentence: first letter small unless it is an acronym or a name such as NaN."""
    plain = title[:1].isupper() and (title[1:2].islower() or title[1:2] == " ") and title[:3] != "NaN"
    return title[0].lower() + title[1:] if plain else title
