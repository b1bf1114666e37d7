"""Where diagnoses go: report files first, then standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import TextIO

import click

from lossdoctor.errors import ReportError, UsageError
from lossdoctor.model import Diagnosis

SUFFIXES = {".html": "html", ".htm": "html", ".md": "md", ".json": "json", ".jsonl": "jsonl", ".xml": "junit", ".sarif": "sarif", ".txt": "text"}


def parse_outputs(outputs: Iterable[str]) -> tuple[tuple[str, Path], ...]:
    """[FORMAT:]FILE -> (format, path); the format from the suffix, html where there is none. Raises `UsageError` for an unknown one."""
    from lossdoctor.reporters import FORMATS

    found = []
    for text in outputs:
        form, colon, name = text.partition(":")
        if colon and form in FORMATS:
            found.append((form, Path(name)))
            continue
        path = Path(text)
        if path.suffix and path.suffix.lower() not in SUFFIXES:
            raise UsageError(f"-o {text}: no format for {path.suffix!r}; write FORMAT:FILE with one of {', '.join(FORMATS)}")
        found.append((SUFFIXES.get(path.suffix.lower(), "html"), path))
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
        """Write all reports, then print; False where a report could not be written (said on standard error)."""
        from lossdoctor.reporters import render
        from lossdoctor.reporters.write import atomic

        done = [self._attempt(lambda form=form, path=path: atomic(path, render(diagnoses, form, stable=self.stable, series=True, command=command, complain=_complain))) for form, path in self.files]  # type: ignore[misc]
        if self.figures is not None:
            from lossdoctor.reporters.figures import write_figures

            figures = self.figures
            done.append(self._attempt(lambda: write_figures(diagnoses, figures, stable=self.stable)))
        if os.environ.get("GITHUB_STEP_SUMMARY"):
            from lossdoctor.reporters.github import add_step_summary

            done.append(self._attempt(lambda: add_step_summary(render(diagnoses, "md", stable=self.stable))))
        self._print(render(diagnoses, self.form, stable=self.stable, verbosity=self.verbosity, width=_width(), colour=_colour(self.color, sys.stdout), unicode=_unicode(sys.stdout), command=command))
        return all(done)

    @staticmethod
    def _attempt(write: object) -> bool:
        try:
            write()  # type: ignore[operator]
        except ReportError as error:
            click.echo(f"lossdoctor: {error}", err=True)
            return False
        return True

    @staticmethod
    def _print(text: str) -> None:
        stream = sys.stdout
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()


def _complain(problem: str) -> None:
    raise ReportError(problem)


def _width() -> int:
    return max(40, min(get_terminal_size((80, 24)).columns, 120)) if sys.stdout.isatty() else 80


def _colour(choice: str, stream: TextIO) -> bool:
    """--color first, then NO_COLOR, FORCE_COLOR, then whether it is a terminal."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") in {"utf8", "utf16", "utf8sig"}
