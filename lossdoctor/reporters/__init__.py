"""Diagnoses as text, JSON, Markdown and HTML; every reporter draws from `Diagnosis` alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from lossdoctor.errors import UsageError
from lossdoctor.model import Diagnosis
from lossdoctor.reporters.options import Options

FORMATS = {
    "text": "lossdoctor.reporters.terminal.text:text",
    "concise": "lossdoctor.reporters.terminal.concise:concise",
    "md": "lossdoctor.reporters.markdown:markdown",
    "json": "lossdoctor.reporters.json_report:json",
    "jsonl": "lossdoctor.reporters.json_report:jsonl",
    "html": "lossdoctor.reporters.html.report:html",
    "junit": "lossdoctor.reporters.junit:junit",
    "sarif": "lossdoctor.reporters.sarif:sarif",
    "github": "lossdoctor.reporters.github:github",
    "gitlab": "lossdoctor.reporters.gitlab:gitlab",
    "alerts": "lossdoctor.reporters.alerts.report:alerts",
}

Reporter = Callable[[Sequence[Diagnosis], Options], str]


def render(diagnoses: Sequence[Diagnosis], format: str, **options: Any) -> str:  # noqa: A002
    """Return the diagnoses in one of FORMATS; `options` are the fields of `Options`.

    The reporter's module is imported only here, so that text output pays for neither jinja2 nor matplotlib. Raises UsageError for an
    unknown format.
    """
    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}: choose one of {', '.join(FORMATS)}")
    module, name = FORMATS[format].split(":")
    reporter: Reporter = getattr(import_module(module), name)
    return reporter(diagnoses, Options(**options))
