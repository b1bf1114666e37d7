"""lossdoctor evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lossdoctor.evaluate import Evaluation, Score

FORMATS = ("text", "md", "json")
DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("evaluate")
@click.argument("corpus", type=DIRECTORY)
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What goes to stdout.")
@click.option(
    "--rules",
    "rule_dirs",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="More rule files. Repeatable.",
)
@click.option("--scripted", is_flag=True, help="Count runs whose values were written by hand, too.")
def command(corpus: Path, form: str, rule_dirs: tuple[Path, ...], scripted: bool) -> None:
    """Precision and recall on a directory of labelled runs.

    Each run has an expected.toml beside its files that says which rules must be found (must) and which may be (may, note); every other
    warning is a false alarm.
    """
    import msgspec

    from lossdoctor.analyze import Plan, analyze, rulebook
    from lossdoctor.cli.output import Troubles, emit
    from lossdoctor.evaluate import evaluate

    plan = Plan(rules=rulebook(rule_dirs))
    result = evaluate(corpus, lambda path: analyze(path, plan), scripted=scripted)
    if form == "json":
        text = msgspec.json.format(msgspec.json.encode(_plain(result)), indent=2).decode() + "\n"
    else:
        text = "\n".join([*table(result, form), "", *summary(result), *_errors(result)]) + "\n"
    emit(text, Troubles())


def table(result: Evaluation, form: str) -> list[str]:
    """One line a rule and one for all of them, as text or md."""
    rows = [(name, *_cells(score)) for name, score in result.rules.items()] + [("all rules", *_cells(result.total))]
    head = ("rule", "expected", "found", "false alarms", "precision", "recall", "F1")
    if form == "md":
        lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
        return [lines[0], "|---|" + "---:|" * (len(head) - 1), *lines[1:]]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return ["  ".join(cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(row)) for row in (head, *rows)]


def _cells(score: Score) -> tuple[str, ...]:
    ratios = ("-" if value is None else f"{value:.2f}" for value in (score.precision, score.recall, score.f1))
    return (str(score.owed), str(score.found), str(score.false), *ratios)


def summary(result: Evaluation) -> list[str]:
    """What the table does not tell, a sentence a line."""
    bands = ", ".join(f"{name} {right}/{every}" for name, (right, every) in result.bands.items() if every)
    lines = [
        f"{len(result.cases)} runs: {result.headlines} with a fault, {result.healthy} healthy; {result.left_out} scripted ones left out",
        f"healthy runs alarmed: {result.alarmed} of {result.healthy}",
        f"headline right: {result.headlines_right} of {result.headlines}",
        f"warnings that are right, by confidence: {bands or 'none'}",
    ]
    if result.causes:
        lines.append(f"cause right: first {result.causes_first} of {result.causes}, among the first two {result.causes_among_two}")
    if result.onset_error is not None:
        lines.append(f"onset: median error {result.onset_error:.1%} of the run, over {len(result.onset_errors)} known onsets")
    if result.unreadable:
        lines.append(f"could not be read: {', '.join(result.unreadable)}")
    return lines


def _errors(result: Evaluation) -> list[str]:
    missed = [f"missed       {rule:24} {case.name}" for case in result.cases for rule in case.missed]
    false = [f"false alarm  {rule:24} {case.name}" for case in result.cases for rule in case.false]
    return ["", *missed, *false] if missed or false else []


def _plain(result: Evaluation) -> dict[str, Any]:
    def score(one: Score) -> dict[str, Any]:
        return {
            "owed": one.owed,
            "found": one.found,
            "false_alarms": one.false,
            "precision": one.precision,
            "recall": one.recall,
            "f1": one.f1,
        }

    return {
        "schema_version": 1,
        "runs": len(result.cases),
        "left_out": result.left_out,
        "total": score(result.total),
        "rules": {name: score(one) for name, one in result.rules.items()},
        "healthy": {"runs": result.healthy, "alarmed": result.alarmed},
        "headline": {"runs": result.headlines, "right": result.headlines_right},
        "confidence": {name: {"warnings": every, "right": right} for name, (right, every) in result.bands.items()},
        "causes": {"known": result.causes, "first": result.causes_first, "among_two": result.causes_among_two},
        "onset_error_median": result.onset_error,
        "unreadable": list(result.unreadable),
        "errors": [
            {"run": case.name, "missed": list(case.missed), "false_alarms": list(case.false)}
            for case in result.cases
            if case.missed or case.false
        ],
    }  # fmt: skip
