"""A diagnosis in a notebook: the whole report in a frame of its own, and the findings as a table."""

from __future__ import annotations

import html as markup
from typing import TYPE_CHECKING

from lossdoctor.model import Diagnosis

if TYPE_CHECKING:
    import pandas as pd


def iframe(diagnosis: Diagnosis, height: int = 720) -> str:
    """The HTML report as an <iframe> for `_repr_html_`: sandboxed, with styles of its own, `height` pixels high."""
    from lossdoctor.reporters import render

    page = markup.escape(render([diagnosis], "html"), quote=True)
    title = markup.escape(f"lossdoctor: {diagnosis.verdict.value}", quote=True)
    return f'<iframe title="{title}" sandbox="allow-scripts" style="width:100%;height:{height}px;border:0" srcdoc="{page}"></iframe>'


def to_frame(diagnosis: Diagnosis) -> pd.DataFrame:
    """One row a finding, most important first.

    Columns: rule, code, severity, confidence (0..1), onset_step, first_step, last_step (nullable integers), explained_by, message, and the
    change to try first as setting, current, proposed.
    """
    import pandas as pd

    rows = [
        {
            "rule": f.rule,
            "code": f.code,
            "severity": f.severity.value,
            "confidence": f.confidence,
            "onset_step": f.onset_step,
            "first_step": f.span[0] if f.span else None,
            "last_step": f.span[1] if f.span else None,
            "explained_by": f.explained_by,
            "message": f.message,
            "setting": f.fixes[0].setting if f.fixes else None,
            "current": f.fixes[0].current if f.fixes else None,
            "proposed": f.fixes[0].proposed if f.fixes else None,
        }
        for f in diagnosis.findings
    ]
    columns = (
        "rule",
        "code",
        "severity",
        "confidence",
        "onset_step",
        "first_step",
        "last_step",
        "explained_by",
        "message",
        "setting",
        "current",
        "proposed",
    )
    frame = pd.DataFrame(rows, columns=list(columns))
    steps = ("onset_step", "first_step", "last_step")
    return frame.astype({"confidence": "float64"} | dict.fromkeys(steps, "Int64"))
