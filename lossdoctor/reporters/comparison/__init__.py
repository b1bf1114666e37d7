"""A comparison as text, Markdown, JSON and HTML."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

from lossdoctor.compare import Comparison
from lossdoctor.errors import UsageError
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.prepare import inert, prepare

FORMATS = {
    "text": "lossdoctor.reporters.comparison.text:text",
    "md": "lossdoctor.reporters.comparison.markdown:markdown",
    "json": "lossdoctor.reporters.comparison.data:json",
    "html": "lossdoctor.reporters.comparison.page:html",
}


def render(comparison: Comparison, format: str, **options: Any) -> str:  # noqa: A002
    """Return the comparison in one of FORMATS; `options` are the fields of `Options`. Raises UsageError for an unknown format."""
    if format not in FORMATS:
        raise UsageError(f"unknown format {format!r}: choose one of {', '.join(FORMATS)}")
    module, name = FORMATS[format].split(":")
    chosen = Options(**options)
    safe = inert(replace(comparison, runs=()))
    runs = tuple(prepare(run, stable=chosen.stable) for run in comparison.runs)
    text: str = getattr(import_module(module), name)(replace(safe, runs=runs), chosen)
    return text
