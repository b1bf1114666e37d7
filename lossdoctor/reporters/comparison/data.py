"""A comparison as strict JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from lossdoctor.compare import Comparison
from lossdoctor.reporters.json_report import SCHEMA_VERSION
from lossdoctor.reporters.options import Options


def json(comparison: Comparison, options: Options) -> str:
    """One object with the fields of `Comparison`; a run as name, path, verdict, headline, steps, epochs, hours; curves only with `series`.

    Numbers that are not finite are null.
    """
    raw: dict[str, Any] = msgspec.to_builtins(comparison)
    raw["runs"] = [
        {
            "name": r.name,
            "path": r.path,
            "verdict": r.verdict,
            "headline": r.headline,
            "steps": r.steps,
            "epochs": r.epochs,
            "hours": r.cost.hours,
        }
        for r in comparison.runs
    ]
    if not options.series:
        raw.pop("curves")
    whole = {"schema_version": SCHEMA_VERSION, **raw}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n"
