"""One line a finding and one for the vital signs, for grep and editors."""

from __future__ import annotations

from collections.abc import Sequence

from lossdoctor.model import Diagnosis, Loss
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.prepare import prepare
from lossdoctor.reporters.terminal.console import ascii_only
from lossdoctor.reporters.wording import steps_of


def concise(diagnoses: Sequence[Diagnosis], options: Options) -> str:
    """`PATH: SEVERITY RULE CODE STEPS: MESSAGE`, a line with the verdict for a run without loud findings, and one with the vital signs.

    The last is `PATH: vitals finite=good learning=unknown ...`, in the order of the questions and by their stable names.
    """
    lines: list[str] = []
    for raw in diagnoses:
        d = prepare(raw, stable=options.stable)
        shown = d.findings if options.verbosity > 0 else d.loud
        for f in shown:
            where = steps_of(f, d.unit)
            lines.append(f"{d.path}: {f.severity.value} {f.rule} {f.code}{' ' + where if where else ''}: {f.message}")
        lines += [f"{d.path}: damage {f.kind} {f.where}: {f.detail}" for f in d.faults if f.loss is not Loss.BENIGN]
        if not shown:
            lines.append(f"{d.path}: {d.verdict.value}: {d.headline}")
        if d.vitals:
            lines.append(f"{d.path}: vitals {' '.join(f'{vital.name}={vital.state.value}' for vital in d.vitals)}")
    whole = "".join(line + "\n" for line in lines)
    return whole if options.unicode else ascii_only(whole)
