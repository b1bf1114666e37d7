"""A diagnosis in a notebook: the whole report in a frame of its own, the findings and the vital signs as tables."""

from __future__ import annotations

import html as markup
from typing import TYPE_CHECKING

from lossdoctor.model import Diagnosis, State

if TYPE_CHECKING:
    import pandas as pd


def iframe(diagnosis: Diagnosis, height: int = 720) -> str:
    """The HTML report as an <iframe> for `_repr_html_`: sandboxed, with styles of its own, `height` pixels high."""
    from lossdoctor.reporters import render

    page = markup.escape(render([diagnosis], "html"), quote=True)
    title = markup.escape(f"lossdoctor: {diagnosis.verdict.value}", quote=True)
    return f'<iframe title="{title}" sandbox="allow-scripts" style="width:100%;height:{height}px;border:0" srcdoc="{page}"></iframe>'


def to_frame(diagnosis: Diagnosis) -> pd.DataFrame:
    """One row a finding, most important first; `vitals_frame` has the questions.

    Columns: rule, code, severity, confidence (0..1), onset_step, first_step, last_step (nullable integers), explained_by, message, the
    change to try first as setting, current, proposed, and vital, the name of the vital sign that the finding makes bad (none for a note).
    """
    import pandas as pd

    blamed = {rule: vital.name for vital in diagnosis.vitals for rule in vital.findings}
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
            "vital": blamed.get(f.rule),
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
        "vital",
    )
    frame = pd.DataFrame(rows, columns=list(columns))
    steps = ("onset_step", "first_step", "last_step")
    return frame.astype({"confidence": "float64"} | dict.fromkeys(steps, "Int64"))


def vitals_frame(diagnosis: Diagnosis) -> pd.DataFrame:
    """One row a vital sign, in the order of the questions: a frame of its own, since a finding and a question are different rows.

    The index is the vital's name, so that `frame.loc["learning", "state"]` reads well. Columns: title, state (a categorical, bad before
    unknown before good, so that sorting puts trouble first), decisive, says, wanted, findings (a tuple of rules), numbers (a dict).
    """
    import pandas as pd

    columns = ("title", "state", "decisive", "says", "wanted", "findings", "numbers")
    rows = [(v.title, v.state.value, v.decisive, v.says, v.wanted, v.findings, dict(v.numbers)) for v in diagnosis.vitals]
    frame = pd.DataFrame(rows, columns=list(columns), index=pd.Index([v.name for v in diagnosis.vitals], name="name", dtype="object"))
    order = pd.CategoricalDtype([State.BAD.value, State.UNKNOWN.value, State.GOOD.value], ordered=True)
    return frame.astype(dict.fromkeys(columns, "object") | {"state": order, "decisive": "bool"})
