"""Five other tools and lossdoctor on the same labelled runs.

    python -m tests.benchmarks.competitors.run [--home DIR] [--corpus DIR] [--show]

Installs each tool at its pinned version into an environment of its own below --home (a cache that is made once), asks each about every run
of real training that it can read, translates the answers by mapping.toml, and counts as `lossdoctor evaluate` does. Needs a network for
the installation only. The runs are ours and their recipes were changed until the curve showed the fault: that favours us.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lossdoctor.analyze import Plan, analyze, rulebook
from lossdoctor.evaluate import Case, Evaluation, Label, count, labels
from lossdoctor.model import Diagnosis

from .tools import Answer, Tool, ask, install, mapping, tools

ROOT = Path(__file__).parents[3]
CACHE = Path(tempfile.gettempdir()) / "lossdoctor-competitors"


def translated(answers: Iterable[Answer], names: dict[str, list[str]], label: Label) -> tuple[str, ...]:
    """The rules that `answers` pay for: every owed one that they may mean, else a free one, else the first meaning (a false alarm)."""
    said: dict[str, None] = {}
    free = (*label.may, *label.note)
    for key in dict.fromkeys(_key(answer, names) for answer in answers):
        meanings = names[key]
        owed = [rule for rule in meanings if rule in label.must]
        said |= dict.fromkeys(owed or [rule for rule in meanings if rule in free][:1] or meanings[:1])
    return tuple(said)


def _key(answer: Answer, names: dict[str, list[str]]) -> str:
    key = f"{answer.id}: {answer.title}"
    if key in names or answer.id in names:
        return key if key in names else answer.id
    raise SystemExit(f"mapping.toml does not say what the answer {key!r} means")


Said = dict[Path, tuple[Answer, ...] | None]


def theirs(tool: Tool, home: Path, corpus: dict[Path, Label]) -> Said:
    """What `tool` says of each run; None where it could not read it."""
    with tempfile.TemporaryDirectory() as cwd:
        return {path: ask(tool, home, path, Path(cwd)) for path in corpus}


def their_cases(said: Said, names: dict[str, list[str]], corpus: dict[Path, Label], *, notes: bool) -> tuple[Case, ...]:
    """A case a run; with `notes`, what the tool says below a warning counts as well."""
    return tuple(
        Case(
            path.name,
            corpus[path],
            translated([answer for answer in answers or () if notes or answer.loud], names, corpus[path]),
            readable=answers is not None,
        )
        for path, answers in said.items()
    )


def our_cases(said: Mapping[Path, Sequence[Diagnosis]], corpus: dict[Path, Label], *, notes: bool) -> tuple[Case, ...]:
    return tuple(
        Case(
            path.name,
            corpus[path],
            tuple(dict.fromkeys(f.rule for diagnosis in diagnoses for f in (diagnosis.findings if notes else diagnosis.loud))),
            readable=any(diagnosis.series for diagnosis in diagnoses),
        )
        for path, diagnoses in said.items()
    )


def judged(cases: Iterable[Case], names: Iterable[str] | None = None) -> Evaluation:
    """The figures over the runs called `names`, or over all. The bands of confidence are none of this comparison."""
    chosen = [case for case in cases if names is None or case.name in names]
    return count([replace(case, confidences=(0.0,) * len(case.loud), onsets=(None,) * len(case.loud)) for case in chosen])


def table(rows: dict[str, Evaluation]) -> list[str]:
    lines = ["| tool | faults found | false alarms | precision | recall | healthy runs alarmed | could not read |", "|---|" + "---:|" * 6]
    for name, result in rows.items():
        total = result.total
        precision, recall = ("-" if value is None else f"{value:.2f}" for value in (total.precision, total.recall))
        alarmed, unread = f"{result.alarmed} of {result.healthy}", f"{len(result.unreadable)} of {len(result.cases)}"
        lines.append(f"| {name} | {total.found} of {total.owed} | {total.false} | {precision} | {recall} | {alarmed} | {unread} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=CACHE, help="where the tools are installed")
    parser.add_argument("--corpus", type=Path, default=ROOT / "fixtures", help="labelled runs, in the format of fixtures/README.md")
    parser.add_argument("--show", action="store_true", help="list what each tool missed and raised")
    given = parser.parse_args()
    corpus = {path.resolve(): label for path, label in labels(given.corpus).items() if label.made != "scripted"}
    for tool in tools():
        install(tool, given.home)
    plan = Plan(rules=rulebook())
    ours = {path: analyze(str(path), plan) for path in corpus}
    others = {tool: theirs(tool, given.home, corpus) for tool in tools()}
    for notes in (False, True):
        cases = {"lossdoctor": our_cases(ours, corpus, notes=notes)}
        for tool, said in others.items():
            cases[f"{tool.name} {tool.version}"] = their_cases(said, mapping()[tool.name], corpus, notes=notes)
        common = set.intersection(*({case.name for case in found if case.readable} for found in cases.values()))
        level = "all that they say, notes too" if notes else "warnings and errors"
        print(f"\n{level}; all {len(corpus)} runs of real training\n")
        print("\n".join(table({name: judged(found) for name, found in cases.items()})))
        print(f"\n{level}; the {len(common)} runs that every tool could read\n")
        print("\n".join(table({name: judged(found, common) for name, found in cases.items()})), flush=True)
        if given.show and not notes:
            print("\n" + "\n".join(shown(cases)))
    return 0


def shown(cases: dict[str, tuple[Case, ...]]) -> Iterable[str]:
    for tool, found in cases.items():
        for case in found:
            if not case.readable or case.missed or case.false:
                state = "" if case.readable else " could not read;"
                yield f"{tool}: {case.name}:{state} missed {', '.join(case.missed) or '-'}; false {', '.join(case.false) or '-'}"


if __name__ == "__main__":
    sys.exit(main())
