"""Where reports go: files, standard output, the summary of a CI step. All of them before the exit, whatever its code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from lossdoctor.errors import LossdoctorError, ReportError, UsageError
from lossdoctor.model import Diagnosis

SUFFIXES = {
    ".html": "html", ".htm": "html", ".md": "md", ".json": "json", ".jsonl": "jsonl", ".xml": "junit", ".sarif": "sarif", ".txt": "text",
    ".py": "alerts",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """A report that was asked for: its format and the file."""

    form: str
    path: Path


@dataclass(slots=True)
class Troubles:
    """What went wrong while reports were written; told on standard error at once."""

    said: list[str] = field(default_factory=list)

    def tell(self, trouble: str) -> None:
        self.said.append(trouble)
        click.echo(f"lossdoctor: {trouble}", err=True)


def targets(asked: Sequence[str], formats: Sequence[str]) -> list[Target]:
    """Parse -o [FORMAT:]FILE; without a format the suffix decides, and html without a known suffix. Raises UsageError."""
    found = [_target(text, formats) for text in asked]
    paths = [target.path for target in found]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise UsageError(f"-o {twice} is asked for twice")
    return found


def write_all(wanted: Sequence[Target], render: Callable[[Target], str], troubles: Troubles) -> None:
    """Write every report; one that fails is told and costs no other."""
    from lossdoctor.reporters.write import atomic

    for target in wanted:
        try:
            atomic(target.path, render(target))
        except LossdoctorError as error:
            troubles.tell(str(error))


def add_summary(diagnoses: Sequence[Diagnosis], troubles: Troubles) -> None:
    """Append the Markdown report to GitHub's step summary where there is one."""
    from lossdoctor.reporters import render
    from lossdoctor.reporters.github import SUMMARY_VARIABLE, add_step_summary

    if not os.environ.get(SUMMARY_VARIABLE):
        return
    try:
        add_step_summary(render(diagnoses, "md", complain=troubles.tell))
    except ReportError as error:
        troubles.tell(str(error))


def emit(text: str, troubles: Troubles) -> None:
    """Print to standard output. A reader that has gone changes nothing, a disk that is full does."""
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        troubles.tell(f"cannot write to standard output: {error.strerror or error}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _target(text: str, formats: Sequence[str]) -> Target:
    form, colon, name = text.partition(":")
    if colon and form in {*formats, "html"} and name:
        return Target(form, Path(name))
    if not text:
        raise UsageError("-o needs a file name")
    return Target(SUFFIXES.get(Path(text).suffix.lower(), "html"), Path(text))
