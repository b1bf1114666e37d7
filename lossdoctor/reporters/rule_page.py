"""A rule as a page of fixed sections, and the rules as a list: text, Markdown, JSON. Everything comes from the rule file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Formatter

import msgspec

from lossdoctor.numerals import number
from lossdoctor.reporters.terminal.console import ascii_only
from lossdoctor.rulebook import CauseRule, Condition, FixRule, Rule

FORMATS = ("text", "md", "json")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with paragraphs, then items; a `code` block is a snippet to run."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    code: str = ""


def page(rule: Rule, form: str = "text", *, width: int = 80, unicode: bool = True, extra: Sequence[Section] = ()) -> str:
    """The whole page of a rule; `extra` sections (curves, in the catalogue) come after what it sees."""
    if form == "json":
        return msgspec.json.format(msgspec.json.encode(rule), indent=2).decode() + "\n"
    sections = list(_sections(rule))
    sections[1:1] = extra
    if form == "md":
        return (
            "\n".join([f"# {rule.name} ({rule.code})", "", rule.title, "", *(line for s in sections for line in _markdown(s))]).rstrip()
            + "\n"
        )
    text = "\n".join([f"{rule.name} ({rule.code})", rule.title, "", *(line for s in sections for line in _text(s, width))]).rstrip() + "\n"
    return text if unicode else ascii_only(text)


def listing(rules: Sequence[Rule], form: str = "text", *, unicode: bool = True) -> str:
    """One line a rule, in the order of the codes."""
    if form == "json":
        rows = [
            {"rule": r.name, "code": r.code, "title": r.title, "severity": r.severity.value, "status": r.status, "since": r.since}
            for r in rules
        ]
        return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"
    if form == "md":
        lines = ["| code | rule | severity | what it says |", "|---|---|---|---|"]
        lines += [f"| {r.code} | {r.name} | {severities(r)} | {r.title} |" for r in rules]
        return "\n".join(lines) + "\n"
    names, grades = max(len(r.name) for r in rules), max(len(severities(r)) for r in rules)
    text = "".join(f"{r.code}  {r.name:<{names}}  {severities(r):<{grades}}  {r.title}\n" for r in rules)
    return text if unicode else ascii_only(text)


def severities(rule: Rule) -> str:
    """The severities that the rule can have, worst first: error or warning."""
    found = {rule.severity, *(grade.level for grade in rule.grades)}
    return " or ".join(severity.value for severity in sorted(found, key=lambda s: s.rank))


def _sections(rule: Rule) -> Iterator[Section]:
    if rule.page is not None:
        yield Section("What it sees", (rule.page.sees,))
        yield Section("Why it matters", (rule.page.why,))
        yield Section("How it is detected", (rule.page.how,))
    yield Section("Limits", items=tuple(_limits(rule)))
    yield Section("What it needs", tuple(_needs(rule)))
    yield Section(
        "Severity",
        (severities(rule),),
        tuple(f"{g.level} where {_test(g.number, g.at_least, g.at_most)}: {g.why}".rstrip(": ") for g in rule.grades),
    )
    if rule.page is not None:
        yield Section("What looks like it but is not", (rule.page.looks_like,))
        if rule.page.known_problems:
            yield Section("Known problems", (rule.page.known_problems,))
    if rule.causes:
        yield Section("Causes", ("Ranked for each run by what speaks for and against them in it.",))
    for cause in rule.causes:
        yield from _cause(cause)
    if rule.fixes:
        yield Section("Changes it may propose", items=tuple(_fix(fix) for fix in rule.fixes))
    if rule.page is not None:
        yield Section("How to verify the fix", (rule.page.verify,))
    if rule.explained_by:
        yield Section("Explained by", ("Shown below one of these where both are found: " + ", ".join(rule.explained_by) + ".",))
    if rule.references:
        yield Section("References", items=tuple(f"{r.title} {r.url}".strip() for r in rule.references))


def _limits(rule: Rule) -> Iterator[str]:
    for name, limit in rule.thresholds.items():
        value = limit.value if isinstance(limit.value, str) else number(limit.value)
        span = (
            ""
            if limit.minimum is None or limit.maximum is None
            else f", may be set from {number(limit.minimum)} to {number(limit.maximum)}"
        )
        yield f"{rule.name}.{name} = {value}{' ' + limit.unit if limit.unit else ''}{span}: {limit.why}"


def _needs(rule: Rule) -> Iterator[str]:
    needs = rule.needs
    said = [*needs.signals, *([" or ".join(needs.any_of)] if needs.any_of else [])]
    rows = f", at least {needs.points} values" if needs.points > 1 else ""
    yield (", ".join(said) + rows if said else "Nothing that is logged.") + (f". {needs.how_to_log}" if needs.how_to_log else "")
    if rule.not_for:
        yield f"Not for {', '.join(rule.not_for)} runs."
    if rule.only_for:
        yield f"For {', '.join(rule.only_for)} runs only."


def _cause(cause: CauseRule) -> Iterator[Section]:
    items = [f"for: {_condition(c)}" for c in cause.speaks_for] + [f"against: {_condition(c)}" for c in cause.against]
    test = (f"Test: {_blank(cause.test)}",) if cause.test else ()
    yield Section(f"Cause: {cause.title}", test, tuple(items), textwrap.dedent(_blank(cause.snippet)).strip())
    for words in cause.instead:
        said = [_blank(text) for text in (words.title, words.test) if text]
        yield Section(f"Cause: {cause.title} ({words.when})", tuple(said), code=_blank(words.snippet).strip())


def _condition(condition: Condition) -> str:
    if condition.equals is not None:
        held = f"{condition.fact} is {str(condition.equals).lower() if isinstance(condition.equals, bool) else condition.equals}"
    else:
        held = _test(condition.fact, condition.at_least, condition.at_most)
    return f"{_blank(condition.says)} ({held})"


def _test(name: str, least: float | None, most: float | None) -> str:
    sides = [*([f">= {number(least)}"] if least is not None else []), *([f"<= {number(most)}"] if most is not None else [])]
    return f"{name} {' and '.join(sides)}" if sides else name


def _fix(fix: FixRule) -> str:
    target = fix.to_fact if fix.to is None else fix.to
    by = "" if fix.by is None else number(fix.by)
    change = {"divide": f"divide by {by}", "multiply": f"multiply by {by}", "set": f"set to {target}"}[fix.operation]
    bounds = [
        *([f"at least {number(fix.minimum)}"] if fix.minimum is not None else []),
        *([f"at most {number(fix.maximum)}"] if fix.maximum is not None else []),
    ]
    where = f", where the cause is {fix.cause}" if fix.cause else ""
    return f"{fix.setting}: {change}{' (' + ', '.join(bounds) + ')' if bounds else ''}{where}: {_blank(fix.why)}"


def _blank(template: str) -> str:
    """A sentence of a rule with three dots where a run's number goes."""
    return "".join(text + ("" if name is None else "...") for text, name, _, _ in Formatter().parse(template))


def _markdown(section: Section) -> Iterator[str]:
    yield f"## {section.heading}"
    yield ""
    for paragraph in section.paragraphs:
        yield from (paragraph, "")
    if section.items:
        yield from (f"- {item}" for item in section.items)
        yield ""
    if section.code:
        yield from ("```", section.code, "```", "")


def _text(section: Section, width: int) -> Iterator[str]:
    yield section.heading.upper() if not section.heading.startswith("Cause:") else section.heading
    for paragraph in section.paragraphs:
        yield textwrap.fill(paragraph, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    for item in section.items:
        yield textwrap.fill(item, width, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False)
    if section.code:
        yield textwrap.indent(section.code, "    ")
    yield ""
