"""The committed gallery in reports/: what lossdoctor says of every fixture, and a page for every rule.

    python -m tests.gallery.make        writes it anew (make gallery)

Versions are left out, paths are relative and floats have six digits, so a file changes only where a diagnosis does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from lossdoctor.analyze import Plan, analyze, rulebook
from lossdoctor.cli.evaluate import summary, table
from lossdoctor.evaluate import Label, evaluate, labels
from lossdoctor.model import Diagnosis
from lossdoctor.reporters import render
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.rule_page import Section, listing, page
from lossdoctor.reporters.terminal.curves import curves
from lossdoctor.rulebook import Rule

ROOT = Path(__file__).parents[2]
SHOWN = ("hockey-stick-sft", "plateau-misaligned-labels", "sawtooth-heavy-ball", "cliff-cuda-oom", "divergence-ramp", "healthy-cosine")

HEAD = """# The gallery

What lossdoctor says of every run in [fixtures](../fixtures/README.md), as it is committed: the terminal's text, the JSON object, and the
HTML report of six of them. [rules](rules/README.md) has a page for every rule. `make gallery` writes all of it anew, and a test compares it
byte for byte.

| run | verdict | what it says | reports |
|---|---|---|---|
"""
DEMO = "hockey-stick-sft"
RULES_HEAD = """# The rules

Written from `rules/*.toml`, which holds their words and limits. `lossdoctor rules NAME` prints the same page.

"""


def gallery() -> Iterator[tuple[str, str]]:
    """Every file of reports/ as (path below it, content)."""
    rules = rulebook()
    plan = Plan(rules=rules)
    labelled = {home.name: label for home, label in labels(ROOT / "fixtures").items()}
    diagnosed = {name: analyze(f"fixtures/{name}", plan) for name in labelled}
    index = HEAD
    for name, runs in diagnosed.items():
        kinds = {"text": "txt", "json": "json", **({"html": "html"} if name in SHOWN else {})}
        for form, suffix in kinds.items():
            yield f"{name}.{suffix}", render(runs, form, stable=True, command=f"lossdoctor analyze fixtures/{name}")
        links = " ".join(f"[{suffix}]({name}.{suffix})" for suffix in kinds.values())
        headline = render(runs[:1], "json", stable=True).split('"headline": "', 1)[1].split('",\n', 1)[0].replace("|", "\\|")
        index += f"| {name} | {' '.join(run.verdict.value for run in runs)} | {headline} | {links} |\n"
    yield "README.md", index
    yield from _catalogue(rules, labelled, diagnosed)
    yield "../README.md", _readme(diagnosed)


def _readme(diagnosed: dict[str, list[Diagnosis]]) -> str:
    """The README with what the demo prints and the table of the accuracy as they are today."""
    result = evaluate(ROOT / "fixtures", lambda path: diagnosed[Path(path).name])
    shown = render(diagnosed[DEMO], "text", stable=True)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = _between(text, "demo", f"```\n$ lossdoctor analyze fixtures/{DEMO}\n{shown}```")
    return _between(text, "accuracy", "\n".join([*table(result, "md"), "", *(f"- {line}" for line in summary(result))]))


def _between(text: str, name: str, content: str) -> str:
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    head, tail = text.index(start) + len(start), text.index(end)
    return f"{text[:head]}\n\n{content}\n\n{text[tail:]}"


def _catalogue(rules: tuple[Rule, ...], labelled: dict[str, Label], diagnosed: dict[str, list[Diagnosis]]) -> Iterator[tuple[str, str]]:
    table = listing(rules, "md")
    for rule in rules:
        table = table.replace(f"| {rule.name} |", f"| [{rule.name}]({rule.name}.md) |")
        fires = next((name for name, label in labelled.items() if rule.name in label.must), None)
        fires = fires or next((name for name, label in labelled.items() if rule.name in label.note), None)
        near = next((name for name, label in labelled.items() if rule.name in label.silent), None)
        curves_of = [_curves("A run that has it", fires, labelled, diagnosed), _curves("A near miss", near, labelled, diagnosed)]
        yield f"rules/{rule.name}.md", page(rule, "md", extra=[section for section in curves_of if section is not None])
    yield "rules/README.md", RULES_HEAD + table


def _curves(heading: str, name: str | None, labelled: dict[str, Label], diagnosed: dict[str, list[Diagnosis]]) -> Section | None:
    if name is None:
        return None
    return Section(heading, (f"[{name}](../{name}.txt): {labelled[name].how}",), code="\n".join(curves(diagnosed[name][0], Options())))


def write(target: Path) -> list[str]:
    """Write the gallery into a directory, remove what it no longer holds, and name the files that changed."""
    made = dict(gallery())
    changed = []
    for name, content in made.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
            changed.append(name)
    for path in sorted(target.rglob("*.*")):
        if path.is_file() and path.relative_to(target).as_posix() not in made:
            path.unlink()
            changed.append(f"{path.relative_to(target)} (removed)")
    return changed


if __name__ == "__main__":
    os.chdir(ROOT)
    for line in write(ROOT / "reports"):
        sys.stdout.write(f"reports/{line}\n")
