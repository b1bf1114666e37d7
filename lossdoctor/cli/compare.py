"""lossdoctor compare"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lossdoctor.cli.output import Troubles, emit, parse_outputs, terminal
from lossdoctor.errors import UsageError

if TYPE_CHECKING:
    from lossdoctor.compare import Side

FORMATS = ("text", "md", "json", "html")
AXES = ("step", "epoch", "samples", "tokens", "hours")
CLOCK_POINTS = 500


@click.command("compare")
@click.argument("paths", nargs=-1, required=True, metavar="BASE RUN...")
@click.option("--by", type=click.Choice(AXES), default="step", show_default=True, help="What the curves are laid over.")
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What goes to stdout.")
@click.option("-o", "--output", "outputs", multiple=True, metavar="[FORMAT:]FILE", help="Write a report (html, md, json). Repeatable.")
@click.pass_context
def command(ctx: click.Context, /, paths: tuple[str, ...], by: str, form: str, outputs: tuple[str, ...]) -> None:
    """What changed from BASE to RUN, beyond noise.

    Each is a path as for analyze, or a saved JSON or HTML report. Settings, findings and metrics side by side, and where the curves part.
    Runs with another tokenizer, base model, eval set or scale of the loss are not compared: exit code 3, as for
    damaged input.
    """
    from lossdoctor.compare import Axis, compare
    from lossdoctor.reporters.comparison import render
    from lossdoctor.reporters.write import atomic

    files = parse_outputs(outputs, FORMATS)
    result = compare([_side(path) for path in paths], Axis(by))
    troubles = Troubles()
    for kind, path in files:
        troubles.attempt(lambda kind=kind, path=path: atomic(path, render(result, kind, series=True, complain=troubles.say)))  # type: ignore[misc]
    emit(render(result, form, **terminal("auto"), complain=troubles.say), troubles)
    ctx.exit(3 if troubles.said or result.damage or any(versus.refused for versus in result.versus) else 0)


def _side(path: str) -> Side:
    """The one run at a path. Raises UsageError where there are several or none that can be read."""
    sides = _saved(path) or _analysed(path)
    if len(sides) != 1:
        names = ", ".join(side.diagnosis.path for side in sides[:5])
        raise UsageError(f"{path} holds {len(sides)} runs; name one of them: {names}{', ...' if len(sides) > 5 else ''}")
    if not sides[0].diagnosis.series:
        raise UsageError(f"{path}: no curves to compare: {sides[0].diagnosis.headline}")
    return sides[0]


def _saved(path: str) -> list[Side]:
    """The runs in a saved report; none where the file is no report."""
    from lossdoctor.compare import Side
    from lossdoctor.limits import LIMITS
    from lossdoctor.reporters import json_report

    file = Path(path)
    if file.suffix.lower() not in {".json", ".jsonl", ".html"} or not file.is_file() or file.stat().st_size > LIMITS.json_bytes:
        return []
    try:
        return [Side(diagnosis) for diagnosis in json_report.load(file.read_text(encoding="utf-8"))]
    except (UsageError, UnicodeDecodeError):
        return []


def _analysed(path: str) -> list[Side]:
    from lossdoctor.analyze import Plan, examine_loaded, rulebook
    from lossdoctor.compare import Side
    from lossdoctor.diagnosis.cost import clock
    from lossdoctor.sources.load import load

    loaded = load(path)
    diagnoses = examine_loaded(path, loaded, Plan(rules=rulebook()))
    clocks = [clock(run) for run in loaded.runs] or [None]
    sides = []
    for diagnosis, time in zip(diagnoses, clocks, strict=True):
        if time is None:
            sides.append(Side(diagnosis))
            continue
        every = max(1, len(time.steps) // CLOCK_POINTS)
        sides.append(Side(diagnosis, tuple(time.steps[::every].tolist()), tuple(time.hours.cumsum()[::every].tolist())))
    return sides
