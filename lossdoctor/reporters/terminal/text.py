"""The full text of a diagnosis: verdict first, then the vital signs, the curve, the findings, and what was not checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lossdoctor.model import Diagnosis, Finding, Loss, RuleNote, Severity, Verdict
from lossdoctor.reporters import wording
from lossdoctor.reporters.advice import Group, decision, first_fix, groups, next_steps
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.prepare import prepare
from lossdoctor.reporters.terminal.console import GLYPHS, SEVERITY_STYLE, VERDICT_STYLE, ascii_only, cells, fold, paint
from lossdoctor.reporters.terminal.curves import curves
from lossdoctor.reporters.terminal.table import table
from lossdoctor.reporters.terminal.vitals import vitals

READABLE, FEW = 120, 3  # columns of a line that is read easily; runs that are told in full
MARKS = {Severity.ERROR: "✗", Severity.WARNING: "▲", Severity.NOTE: "●"}


def text(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """One run in full. Of many the table first, then each in full where they are few or the reader wants all; quietly, the table alone,
    without those that pass."""
    prepared = [prepare(d, stable=options.stable) for d in diagnoses]
    prose = replace(options, width=min(options.width, READABLE))
    blocks = []
    if len(prepared) > 1 or options.verbosity < 0:
        shown = [v for v in wording.VERDICT_ORDER if options.verbosity >= 0 or v is not Verdict.PASS]
        blocks.append("\n".join(table(prepared, options, shown)))
    if options.verbosity > 0 or (options.verbosity == 0 and len(prepared) <= FEW):
        blocks += ["\n".join(_run(d, prose)) for d in prepared]
    elif options.verbosity == 0:
        blocks.append("\n".join(_wrapped("Each run in full: -v, or name its path alone.", "", prose)))
    whole = "\n\n".join(blocks) + "\n"
    return whole if options.unicode else ascii_only(whole)


def _run(d: Diagnosis, options: Options) -> Iterator[str]:
    def dim(line: str) -> str:
        return paint(line, "dim", colour=options.colour)

    head = "   ".join(part for part in (", ".join(wording.facts(d)), wording.sources_of(d)) if part)
    name = paint(d.name, "bold", colour=options.colour)
    if cells(d.name) + 3 + cells(head) <= options.width:
        yield f"{name}   {dim(head)}" if head else name
    else:
        yield name
        yield from (dim(line) for line in _wrapped(head, "  ", options))
    yield ""
    yield from _verdict(d, options)
    if d.vitals:
        yield from ("", *vitals(d, options))
    drawn = list(curves(d, options))
    if drawn:
        yield ""
        yield from drawn
    for index, group in enumerate(groups(d)):
        if index == 0 or group.finding.severity is not Severity.NOTE:
            yield ""
        yield from _finding(group, d, options)
    yield from _damage(d, options)
    if d.baseline is not None:
        yield from ("", *(line for said in wording.against(d.baseline) for line in _labelled("baseline", said, options)))
    if d.verdict is Verdict.INCONCLUSIVE and not d.vitals:
        yield from _missing(d, options)
    if counts := _counts(d, options):
        yield from ("", *(dim(line) for line in _wrapped(counts, "", options)))
    if options.verbosity > 0:
        yield from _details(d, options)
    if d.verdict is Verdict.PASS:
        yield from (dim(line) for line in _wrapped(wording.silent(d), "", options))


def _verdict(d: Diagnosis, options: Options) -> Iterator[str]:
    word = f"{GLYPHS[d.verdict]} {wording.VERDICT_WORDS[d.verdict]}"
    lines = list(_wrapped(d.headline, " " * (len(word) + 2), options))
    styled = paint(word, "bold", VERDICT_STYLE[d.verdict], colour=options.colour)
    yield f"{styled}  {paint(lines[0].strip() if lines else '', 'bold', colour=options.colour)}"
    yield from (paint(line, "bold", colour=options.colour) for line in lines[1:])
    advice = decision(d)
    if advice is not None:
        yield from _labelled("checkpoint", f"{advice.title}. {advice.detail}", options)
        if advice.code and d.verdict is not Verdict.PASS:
            yield from _labelled("resume with", advice.code, options)
    if d.verdict is not Verdict.PASS and wording.bill(d):
        yield from _labelled("cost", ", ".join(wording.bill(d)), options)
    if not d.gate.passed:
        yield from _labelled("gate failed", "; ".join(d.gate.reasons) or "by the policy", options)


def _finding(group: Group, d: Diagnosis, options: Options) -> Iterator[str]:
    f = group.finding
    glyph = paint(f"{MARKS[f.severity]} {wording.SEVERITY_WORDS[f.severity]:<7}", SEVERITY_STYLE[f.severity], colour=options.colour)
    head = f"{glyph}  {group.letter}  {paint(f'{f.rule} ({f.code})', 'bold', colour=options.colour)}"
    used = 13 + len(group.letter) + cells(f"{f.rule} ({f.code})")
    for part in (wording.steps_of(f, d.unit), f"confidence {f.confidence:.2f}", f.baseline or ""):
        if part and used + 3 + cells(part) > options.width:
            yield head
            head, used = f"    {part}", 4 + cells(part)
        elif part:
            head, used = f"{head}   {part}", used + 3 + cells(part)
    yield head
    if not wording.says_the_same(d.headline, f.message):
        yield from _wrapped(f.message, "    ", options)
    if f.severity is Severity.NOTE and options.verbosity <= 0:
        return
    fix = first_fix(group)
    if fix is not None:
        yield from _labelled("try first", f"{wording.change(fix.setting, fix.current, fix.proposed, '→')}: {fix.why}", options)
    elif f.causes and f.causes[0].test:
        yield from _labelled("test first", f.causes[0].test, options)
    yield from _causes(f, options)
    if f.verify:
        yield from _labelled("fixed if", f.verify, options)
    if f.detectable_step is not None:
        yield from _labelled("seen by", f"{d.unit} {f.detectable_step}: a monitor could have reported it there", options)
    if group.explained:
        below = ", ".join(f"{mark} {g.rule} ({g.code})" for mark, g in group.explained)
        yield from _labelled("explains", below, options)


def _causes(f: Finding, options: Options) -> Iterator[str]:
    shown = f.causes if options.verbosity > 0 else f.causes[:2]
    for index, cause in enumerate(shown):
        says = f"{cause.title} ({wording.likelihood(cause.likelihood)})"
        if cause.speaks_for:
            says += f": {'; '.join(cause.speaks_for)}"
        if options.verbosity > 0 and cause.against:
            says += f". Against: {'; '.join(cause.against)}"
        yield from _labelled("why" if index == 0 else "or", says, options)


def _damage(d: Diagnosis, options: Options) -> Iterator[str]:
    told = d.headline if not d.vitals else ""  # of a place without a log the headline says it all
    shown = [f for f in d.faults if (f.loss is not Loss.BENIGN or options.verbosity > 0) and f.detail not in told]
    if shown:
        yield ""
    for fault in shown[:8]:
        yield paint(f"! {'damage' if fault.loss is not Loss.BENIGN else 'note'}", "yellow", colour=options.colour) + f"   {fault.kind}"
        yield from _wrapped(f"in {fault.where}: {fault.detail}", "    ", options)
    if len(shown) > 8:
        yield f"    and {len(shown) - 8} more (all of them in the JSON and HTML reports)"
    for note in d.crashed:
        yield f"{paint('! crashed', 'red', colour=options.colour)}  {note.rule} ({note.code})"
        yield from _wrapped(note.reason, "    ", options)


def _missing(d: Diagnosis, options: Options) -> Iterator[str]:
    steps = [s for s in next_steps(d) if not s.title.startswith("Repair")]
    for step in steps:
        yield from ("", *_labelled("next", f"{step.title}: {step.detail or step.code}", options))


def _counts(d: Diagnosis, options: Options) -> str:
    parts = [f"{wording.counted(len(d.healthy), 'rule')} found nothing"] if d.healthy or d.vitals else []
    parts += [f"{len(group)} {word}" for word, group in (("suppressed", d.suppressed), ("crashed", d.crashed)) if group]
    if d.not_evaluated:
        hint = "" if options.verbosity > 0 else " (-v says why, and how to log what they need)"
        parts.append(f"{len(d.not_evaluated)} not evaluated{hint}")
    return ", ".join(parts)


def _details(d: Diagnosis, options: Options) -> Iterator[str]:
    def rows(title: str, notes: Sequence[RuleNote]) -> Iterator[str]:
        for group in wording.alike(notes):
            names, reason, how = ", ".join(f"{n.rule} ({n.code})" for n in group), group[0].reason, group[0].how_to_log
            says = f"{names}: {wording.sentence(reason)}" if reason else names
            yield from _labelled(title, f"{says}{' To log it: ' + how if how else ''}", options)

    yield from rows("no data", d.not_evaluated)
    yield from rows("hidden", d.suppressed)
    if d.healthy:
        yield from _labelled("nothing by", ", ".join(note.rule for note in d.healthy), options)
    for note in d.sources:
        says = f"{note.path} ({note.kind}, {wording.counted(note.points, 'point')})"
        yield from _labelled("read", says + (f": {note.remark}" if note.remark else ""), options)
    for remark in d.notes:
        yield from _labelled("note", remark, options)


def _labelled(label: str, says: str, options: Options) -> Iterator[str]:
    lines = fold(says, options.width - 17, unicode=options.unicode) or [""]
    head = paint(f"{label:>11}", "dim", colour=options.colour)
    yield f"    {head}  {lines[0]}"
    yield from (f"{'':17}{line}" for line in lines[1:])


def _wrapped(says: str, indent: str, options: Options) -> list[str]:
    return fold(says, options.width, unicode=options.unicode, indent=indent)
