"""Diagnoses as one HTML file: no request, no script needed, readable under any Content-Security-Policy."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lossdoctor.model import Diagnosis
from lossdoctor.numerals import number
from lossdoctor.reporters import wording
from lossdoctor.reporters.advice import setting_code
from lossdoctor.reporters.charts.palette import DARK, LIGHT
from lossdoctor.reporters.html.budget import TABLE_ONLY_ABOVE, Budget, budgets_for, most_bytes
from lossdoctor.reporters.html.embed import embedded
from lossdoctor.reporters.html.page import best_eval, run_page, telling
from lossdoctor.reporters.json_report import EMBEDDED_ID
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.prepare import prepare
from lossdoctor.reporters.redact import redact
from lossdoctor.reporters.safe_text import clean
from lossdoctor.reporters.signs import seen
from lossdoctor.reporters.sparkline import sparkline

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent.parent / "templates"
GLYPHS = {
    "fail": "✗",
    "warn": "▲",
    "pass": "✓",
    "inconclusive": "?",
    "error": "✗",
    "warning": "▲",
    "note": "●",
    "good": "✓",
    "unknown": "?",
}


def html(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """One page: for several runs an index first, worst verdict on top, and above 100 runs nothing but the index.

    A page that comes out too large for an attachment is made again with fewer charts and points, never with fewer findings.
    """
    prepared = [prepare(d, stable=options.stable) for d in diagnoses]
    ordered = sorted(prepared, key=lambda d: wording.VERDICT_ORDER.index(d.verdict))
    page = ""
    for budget in budgets_for(len(ordered)):
        page = _page(ordered, budget, options)
        if len(page.encode()) <= most_bytes(len(ordered)):
            break
    return page


def _page(ordered: Sequence[Diagnosis], budget: Budget, options: Options) -> str:
    detailed = ordered if len(ordered) <= TABLE_ONLY_ABOVE else []
    style, script = style_sheet(), _read("report.js")
    page: str = environment().get_template("report.html.j2").render(
        runs=[run_page(d, i, len(ordered), budget, options.complain) for i, d in enumerate(detailed)],
        index=[_row(d) for d in ordered] if len(ordered) != 1 else [],
        detailed=bool(detailed),
        budget=budget,
        counts=_counts(ordered),
        title=ordered[0].name if len(ordered) == 1 else f"{len(ordered)} runs",
        style=style,
        script=script,
        policy=content_policy(style, script),
        data=embedded(ordered, budget, options),
        data_id=EMBEDDED_ID,
        command="" if options.stable else clean(redact(options.command), 1_000),
    )  # fmt: skip
    return page + "\n"


def _row(d: Diagnosis) -> dict[str, object]:
    wanted = telling(d)
    drawn = sparkline(wanted, 18, wanted.steps[0], wanted.steps[-1]) if wanted is not None else ""
    return {
        "d": d,
        "best": best_eval(d),
        "sparkline": drawn,
        "signal": wanted.signal if wanted is not None else "",
        "cost": "; ".join(wording.bill(d)[-2:]),
    }


def _counts(diagnoses: Sequence[Diagnosis]) -> str:
    counts = Counter(d.verdict for d in diagnoses)
    return ", ".join(f"{counts[v]} {v.value}" for v in wording.VERDICT_ORDER if counts[v])


@lru_cache(maxsize=1)
def environment() -> Environment:
    from jinja2 import Environment as JinjaEnvironment
    from jinja2 import FileSystemLoader, StrictUndefined

    made = JinjaEnvironment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters.update(
        number=number,
        hours=wording.hours,
        likelihood=wording.likelihood,
        sentence=wording.sentence,
        steps=wording.steps_of,
        code=setting_code,
        in_words=wording.in_words,
        shell=shlex.quote,
        unbroken=wording.unbroken,
    )
    made.globals.update(
        facts=wording.facts,
        sources_of=wording.sources_of,
        bill=wording.bill,
        against=wording.against,
        same=wording.says_the_same,
        glyphs=GLYPHS,
        counted=wording.counted,
        alike=wording.alike,
        silent=wording.silent,
        seen=seen,
    )
    return made


@lru_cache(maxsize=1)
def style_sheet() -> str:
    """The style sheet with the palette of the charts written into it, light and dark."""

    def variables(colours: dict[str, str]) -> str:
        return "".join(f"--{role}:{value};" for role, value in colours.items())

    rules = "".join(f".f-{role}{{fill:var(--{role})}}.s-{role}{{stroke:var(--{role})}}" for role in LIGHT)
    sheet = _read("report.css")
    return sheet.replace("/*LIGHT*/", variables(LIGHT)).replace("/*DARK*/", variables(DARK)) + rules


def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8").strip()


def content_policy(style: str, script: str) -> str:
    """Nothing may load; only this style sheet and this script, by their hashes."""

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; base-uri 'none'; form-action 'none'"
