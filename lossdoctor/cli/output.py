"""Where diagnoses go: report files first, then the summary of a CI step, then standard output. All before the exit, whatever its code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from lossdoctor.errors import ReportError, UsageError
from lossdoctor.model import Diagnosis

SUFFIXES = {
    ".html": "html", ".htm": "html", ".md": "md", ".json": "json", ".jsonl": "jsonl", ".xml": "junit", ".sarif": "sarif", ".txt": "text",
    ".py": "alerts",
}  # fmt: skip


@dataclass(slots=True)
class Troubles:
    """What went wrong while reports were written; said on standard error at once, and reason enough for exit code 3."""

    said: list[str] = field(default_factory=list)

    def say(self, trouble: str) -> None:
        self.said.append(trouble)
        click.echo(f"lossdoctor: {trouble}", err=True)

    def attempt(self, write: Callable[[], object]) -> None:
        """Do it; a ReportError is said and costs no other report."""
        try:
            write()
        except ReportError as error:
            self.say(str(error))


def parse_outputs(outputs: Iterable[str], formats: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """[FORMAT:]FILE -> (format, path); the format from the suffix, html where there is none. Raises `UsageError`."""
    found: list[tuple[str, Path]] = []
    for text in outputs:
        form, colon, name = text.partition(":")
        if not (colon and name and form in formats):
            name, form = text, SUFFIXES.get(Path(text).suffix.lower(), "" if Path(text).suffix else "html")
        if not name or name.endswith(("/", os.sep)):
            raise UsageError(f"-o {text}: names a directory; name a file, such as {name}report.html")
        if form not in formats:
            raise UsageError(f"-o {text}: no format for {Path(text).suffix!r}; write FORMAT:FILE with one of {', '.join(formats)}")
        if any(path == Path(name) for _, path in found):
            raise UsageError(f"-o {text}: {name} is asked for twice")
        found.append((form, Path(name)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Output:
    """What to print and which reports to write."""

    form: str = "text"
    files: tuple[tuple[str, Path], ...] = ()
    figures: Path | None = None
    stable: bool = False
    color: str = "auto"
    verbosity: int = 0

    def write(self, diagnoses: Sequence[Diagnosis], command: str) -> bool:
        """Write all reports, then print; False where something could not be written or drawn (said on standard error)."""
        from lossdoctor.reporters import render
        from lossdoctor.reporters.github import add_step_summary
        from lossdoctor.reporters.write import atomic

        troubles = Troubles()

        def drawn(form: str, **more: Any) -> str:
            return render(diagnoses, form, stable=self.stable, command=command, complain=troubles.say, **more)

        for form, path in self.files:
            troubles.attempt(lambda form=form, path=path: atomic(path, drawn(form, series=True)))  # type: ignore[misc]
        if self.figures is not None:
            from lossdoctor.reporters.figures import write_figures

            figures = self.figures
            troubles.attempt(lambda: write_figures(diagnoses, figures, stable=self.stable))
        if os.environ.get("GITHUB_STEP_SUMMARY"):
            troubles.attempt(lambda: add_step_summary(drawn("md")))
        emit(drawn(self.form, verbosity=self.verbosity, **terminal(self.color)), troubles)
        return not troubles.said


def terminal(color: str) -> dict[str, int | bool]:
    """The width, colour and characters of standard output; `color` auto, always or never."""
    from lossdoctor.reporters.terminal.console import detect

    found = detect(sys.stdout, os.environ)
    return found if color == "auto" else {**found, "colour": color == "always"}


def emit(text: str, troubles: Troubles) -> None:
    """Print to standard output. A reader that has gone changes nothing about the code already decided, a full disk does."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            troubles.say(f"cannot write to standard output: {error.strerror or error}")
        # What is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
