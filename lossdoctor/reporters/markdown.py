"""The diagnosis as a postmortem section in Markdown, with the headings of Google's SRE postmortem template."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lossdoctor.model import Diagnosis, Loss, State, Verdict
from lossdoctor.reporters import wording
from lossdoctor.reporters.advice import DO_NOW, Group, decision, groups, heading, next_steps
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.overview import chosen
from lossdoctor.reporters.prepare import prepare
from lossdoctor.reporters.signals import look
from lossdoctor.reporters.signs import Sign, beside, seen, signs
from lossdoctor.reporters.sparkline import sparkline
from lossdoctor.reporters.terminal.curves import ends
from lossdoctor.reporters.timeline import timeline
from lossdoctor.reporters.wording import sentence

LIMIT_BYTES = 60_000
_SPECIAL = re.compile(r"([\\`*\[\]<|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_LINE_START = re.compile(r"^(\s*)([-+=:#](?=\s|$)|[#>])")
_NUMBERED = re.compile(r"^(\s*\d+)([.)])(?=\s|$)")
_ACTIVE = re.compile(r"[@#](?=\w)|(?<=:)//|(?<=www)\.")
_ICONS = {Verdict.FAIL: "❌", Verdict.WARN: "⚠️", Verdict.PASS: "✅", Verdict.INCONCLUSIVE: "❔"}
_TONES = {"good": "✅", "unknown": "❔", "warning": "⚠️", "error": "❌"}


def markdown(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """All runs, worst first after a table of them; at most 60 kB of UTF-8 (a pull-request comment holds 64 kB): what is cut is said."""
    prepared = sorted((prepare(d, stable=options.stable) for d in diagnoses), key=lambda d: wording.VERDICT_ORDER.index(d.verdict))
    sections = ["\n".join(_run(d)) for d in prepared]
    if len(prepared) != 1:
        sections.insert(0, "\n".join(_index(prepared)))
    return _fitted(sections)


def escape(text: str) -> str:
    """Text that renders as itself in GitHub-flavoured Markdown: no markup, no HTML, no table cell, and, by an empty comment in
    their middle, no mention, no reference and no bare link."""
    quoted = _NUMBERED.sub(r"\1\\\2", _LINE_START.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", text)))
    return _ACTIVE.sub(lambda m: f"<!-- -->{m[0]}" if m[0][0] in "/." else f"{m[0]}<!-- -->", quoted)


def code(text: str) -> str:
    """Inline code, with a fence longer than any run of backticks inside."""
    fence = "`" * (max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text.replace('|', chr(92) + '|')}{pad}{fence}" if text else ""


def block(text: str, language: str = "") -> str:
    """A fenced block that its content cannot close."""
    fence = "`" * max(max((len(run) for run in re.findall(r"`+", text)), default=0) + 1, 3)
    return f"{fence}{language}\n{text}\n{fence}"


def _run(d: Diagnosis) -> Iterator[str]:
    yield f"## {_ICONS[d.verdict]} {d.verdict.value.upper()}: {escape(d.name)}"
    yield ""
    yield "### Summary"
    yield f"**{escape(d.headline)}**"
    said = ", ".join((*wording.facts(d), *([wording.sources_of(d)] if wording.sources_of(d) else [])))
    if said:
        yield f"\n{escape(said)}."
    advice = decision(d)
    if advice is not None:
        yield f"\n**{escape(advice.title)}.** {escape(advice.detail)}".rstrip()
    if d.verdict is Verdict.PASS:
        yield f"\n{escape(seen(d)) + ' ' if d.vitals else ''}{wording.silent(d)}"
    yield from _vitals(d)
    yield from _curves(d)
    if d.verdict is not Verdict.PASS and wording.bill(d):
        yield from ("", "### Impact", *(f"- {escape(line)}" for line in wording.bill(d)))
    loud = [g for g in groups(d) if g.finding in d.loud]
    if loud:
        yield from _causes(loud, d.unit)
        yield from _trigger(loud, d.unit)
        yield from _detection(loud, d.unit)
    notes = [(g.letter, g.finding) for g in groups(d) if g.finding not in d.loud]
    if notes:
        yield from ("", "### Notes", *(f"- {mark}. {escape(f.message)} ({code(f.rule)})" for mark, f in notes))
    if d.baseline is not None:
        yield from ("", f"### Against the baseline {escape(', '.join(d.baseline.names))}")
        yield from (f"- {escape(said)}" for said in wording.against(d.baseline))
    yield from _timeline(d)
    steps = next_steps(d)
    if steps:
        yield from ("", f"### {'Action items' if heading(steps) == DO_NOW else heading(steps)}")
        for step in steps:
            yield f"- [ ] **{escape(step.title)}.** {escape(step.detail)}".rstrip()
            if step.code:
                yield "\n" + "\n".join("  " + line for line in block(step.code, "python").splitlines())
    yield from _checked(d)


def _vitals(d: Diagnosis) -> Iterator[str]:
    rows = beside(signs(d), next_steps(d))
    if rows:
        yield from ("", "### Vital signs", "", "| | question | what was seen |", "|---|---|---|")
        yield from (f"| {_TONES[row.tone]} {row.state.value} | {_question(row)} | {_told(row)} |" for row in rows)


def _question(row: Sign) -> str:
    return escape(row.titles) if row.state is State.GOOD else f"**{escape(row.titles)}**"


def _told(row: Sign) -> str:
    named = "; ".join(f"{mark}. {finding.title}" for mark, finding in row.blamed)
    hidden = [f"{rule} is suppressed by the policy." for rule in row.hidden]
    parts = [escape(row.says), f"({escape(named)})" if row.says and named else escape(named), *(escape(says) for says in hidden)]
    return " ".join(part for part in (*parts, f"→ {escape(row.wanted)}" if row.wanted else "") if part)


def _curves(d: Diagnosis) -> Iterator[str]:
    views = chosen(d)
    if views:
        first, last = min(v.steps[0] for v in views), max(v.steps[-1] for v in views)
        lines = [f"{look(v.signal).title[:16]:<16} {sparkline(v, 40, first, last)}  {ends(v)}" for v in views]
        yield from ("", block("\n".join(lines), "text"))


def _causes(loud: Sequence[Group], unit: str) -> Iterator[str]:
    yield from ("", "### Root causes")
    for group in loud:
        f = group.finding
        where = f", {steps}" if (steps := wording.steps_of(f, unit)) else ""
        head = f"({code(f.rule)} {escape(f.code)}, {f.severity.value}, confidence {f.confidence:.2f}{where})"
        yield f"\n**{group.letter}. {escape(f.title)}** {head}\n"
        yield escape(f.message)
        if f.found:
            yield f"\nFound: {escape(f.found)}. Limit: {escape(f.limit)}."
        for index, cause in enumerate(f.causes, 1):
            says = "".join(
                [
                    f" For: {escape('; '.join(cause.speaks_for))}." if cause.speaks_for else "",
                    f" Against: {escape('; '.join(cause.against))}." if cause.against else "",
                ]
            )
            yield f"{chr(10) if index == 1 else ''}{index}. {escape(cause.title)} ({wording.likelihood(cause.likelihood)}).{says}"
        for mark, inner in group.explained:
            yield f"\nFollows from it: {mark}. {escape(inner.title)} ({code(inner.rule)}). {escape(inner.message)}"


def _trigger(loud: Sequence[Group], unit: str) -> Iterator[str]:
    begun = [g for g in loud if g.finding.onset_step is not None]
    if begun:
        yield from ("", "### Trigger")
        yield from (f"- {g.letter} began at {unit} {g.finding.onset_step}." for g in begun)


def _detection(loud: Sequence[Group], unit: str) -> Iterator[str]:
    seen = [g for g in loud if g.finding.detectable_step is not None]
    if seen:
        yield from ("", "### Detection")
        yield from (
            f"- {g.letter} could have been reported by a monitor at {unit} {g.finding.detectable_step} ({code(g.finding.rule)})."
            for g in seen
        )


def _timeline(d: Diagnosis) -> Iterator[str]:
    moments = timeline(d)
    if moments:
        yield from ("", "### Timeline", "", "| step | what | details |", "|---:|---|---|")
        yield from (f"| {m.step if m.step is not None else '-'} | {escape(m.kind)} | {escape(m.text)} |" for m in moments)


def _checked(d: Diagnosis) -> Iterator[str]:
    yield from ("", "### What was checked")
    counts = {
        "fired": d.findings,
        "found nothing": d.healthy,
        "not evaluated": d.not_evaluated,
        "suppressed": d.suppressed,
        "crashed": d.crashed,
    }
    yield ", ".join(f"{len(group)} {word}" for word, group in counts.items()) + "."
    if d.crashed or d.not_evaluated:
        yield ""
    yield from (f"- crashed: {code(n.rule)} {escape(n.reason)}" for n in d.crashed)
    for group in wording.alike(d.not_evaluated):
        names, how = ", ".join(code(note.rule) for note in group), group[0].how_to_log
        yield f"- not evaluated: {names} {escape(sentence(group[0].reason))}" + (f" To log it: {code(how)}" if how else "")
    damage = [f for f in d.faults if f.loss is not Loss.BENIGN]
    if damage:
        yield from ("", "### Damage in the input")
        yield from (f"- {escape(f.kind)} in {code(f.where)}: {escape(f.detail)}" for f in damage)


def _index(diagnoses: Sequence[Diagnosis]) -> Iterator[str]:
    yield f"# {wording.counted(len(diagnoses), 'run')}"
    yield from ("", "| verdict | run | what was found |", "|---|---|---|")
    for d in diagnoses:
        yield f"| {_ICONS[d.verdict]} {d.verdict.value} | {escape(d.name)} | {escape(d.headline)} |"


def _fitted(sections: Sequence[str]) -> str:
    """Whole sections while they fit; the first one that does not is cut at a line, and the rest is counted."""
    text = ""
    for index, section in enumerate(sections):
        candidate = f"{text}\n{section}\n" if text else f"{section}\n"
        if len(candidate.encode()) <= LIMIT_BYTES - 300:
            text = candidate
            continue
        room = LIMIT_BYTES - 300 - len(text.encode())
        head = section.encode()[: max(room, 0)].decode("utf-8", "ignore").rpartition("\n")[0] if index <= 1 else ""
        left = len(sections) - index - (1 if head else 0)
        fence = "\n```" if head.count("\n```") % 2 else ""
        rest = f"{wording.counted(left, 'more run')} left out. " if left else ""
        note = f"_Cut here: a comment holds 64 kB. {rest}The JSON and HTML reports have everything._"
        return f"{text}\n{head}{fence}\n\n{note}\n"
    return text
