"""Put runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lossdoctor.compare.alike import unlike
from lossdoctor.compare.axes import common
from lossdoctor.compare.curves import lay, part
from lossdoctor.compare.metrics import deltas
from lossdoctor.compare.model import Axis, Comparison, Curves, FindingRow, SettingRow, Side, Versus
from lossdoctor.errors import UsageError
from lossdoctor.model import Diagnosis, Loss, RuleNote, Scalar, Severity

_SHOWN = ("train/loss", "eval/loss", "train/grad_norm", "train/learning_rate")
_NOT_COMPARED = ("eval/runtime", "eval/samples_per_second", "eval/steps_per_second")
# These differ between any two runs and explain nothing.
_IDENTITIES = frozenset({"output_dir", "run_name", "report_to"})


def compare(sides: Sequence[Side], axis: Axis = Axis.STEP) -> Comparison:
    """Compare two or more runs with the first: settings, findings, metrics, and where the curves part.

    A run that is unlike the base (see `unlike`) gets no metric and no parting, but the reasons. Raises UsageError for fewer than two runs
    and for an axis that one of them does not tell.
    """
    if len(sides) < 2:
        raise UsageError(f"compare needs at least two runs, not {len(sides)}")
    if not common(tuple(sides), axis):
        known = ", ".join(a for a in Axis if common(tuple(sides), a))
        raise UsageError(f"not all of these runs tell their {axis}; all tell: {known}")
    runs = tuple(side.diagnosis for side in sides)
    versus = tuple(_versus(sides, i, axis) for i in range(1, len(sides)))
    alike = [sides[0], *(sides[v.run] for v in versus if not v.refused)]
    settings, same, partial = _settings(runs)
    return Comparison(runs, axis, settings, same, partial, _findings(runs), versus, _curves(sides, alike, axis), tuple(_damage(runs)))


def _damage(runs: Sequence[Diagnosis]) -> Iterator[str]:
    """What was lost of each run: a difference may lie there and not in the training."""
    for run in runs:
        lost = [fault for fault in run.faults if fault.loss is not Loss.BENIGN]
        if lost:
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            yield f"{run.argument}: damaged input, so a difference may be none: {lost[0].kind} in {lost[0].where}{more}"


def _versus(sides: Sequence[Side], run: int, axis: Axis) -> Versus:
    base, side = sides[0], sides[run]
    refused = unlike(base.diagnosis, side.diagnosis)
    if refused:
        return Versus(run, refused)
    partings = (part(base, side, run, signal, axis) for signal in _signals([base, side]))
    return Versus(run, (), deltas(side.diagnosis, [base.diagnosis]), tuple(p for p in partings if p is not None))


def _signals(sides: Iterable[Side]) -> list[str]:
    """The signals that all sides have: the well-known ones first, then further eval metrics."""
    every = [{view.signal for view in side.diagnosis.series if view.steps} for side in sides]
    shared = set.intersection(*every)
    evals = sorted(s for s in shared if s.startswith("eval/") and s not in {*_SHOWN, *_NOT_COMPARED})
    return [s for s in _SHOWN if s in shared] + evals


def _curves(sides: Sequence[Side], alike: Sequence[Side], axis: Axis) -> tuple[Curves, ...]:
    """Curves of the runs that can be compared; the others keep an empty row, so that rows and runs stay in step."""
    if len(alike) < 2:
        return ()
    laid = [
        lay([side if side in alike else Side(Diagnosis("", "", "", side.diagnosis.verdict, "")) for side in sides], s, axis) for s in _SHOWN
    ]
    return tuple(curves for curves in laid if curves is not None)


def _settings(runs: Sequence[Diagnosis]) -> tuple[tuple[SettingRow, ...], int, tuple[str, ...]]:
    """The settings whose known values differ, how many are the same, and the names of those that only some runs tell."""
    tables: list[dict[str, Scalar]] = [{s.name: s.value for s in run.settings if s.value is not None} for run in runs]
    rows = [SettingRow(name, tuple(table.get(name) for table in tables)) for name in sorted(set().union(*tables) - _IDENTITIES)]
    differing = tuple(row for row in rows if _differs([v for v in row.values if v is not None]))
    partial = tuple(row.name for row in rows if row not in differing and None in row.values)
    return differing, len(rows) - len(differing) - len(partial), partial


def _differs(values: Sequence[Scalar]) -> bool:
    return any(not _same(values[0], value) for value in values[1:])


def _same(one: Scalar, other: Scalar) -> bool:
    """2 and 2.0 are one value, True and 1 are not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _findings(runs: Sequence[Diagnosis]) -> tuple[FindingRow, ...]:
    tables = [_states(run) for run in runs]
    fired = {f.rule: RuleNote(f.rule, f.code, f.title) for run in reversed(runs) for f in run.findings}
    rows = [FindingRow(note, tuple(table.get(name, "-") for table in tables)) for name, note in fired.items()]
    return tuple(sorted(rows, key=lambda row: (min(_rank(state) for state in row.states), row.rule.code)))


def _states(run: Diagnosis) -> dict[str, str]:
    groups = (("not evaluated", run.not_evaluated), ("healthy", run.healthy), ("crashed", run.crashed), ("suppressed", run.suppressed))
    found = {note.rule: word for word, notes in groups for note in notes}
    return found | {f.rule: str(f.severity) for f in reversed(run.findings)}


def _rank(state: str) -> int:
    return Severity(state).rank if state in set(Severity) else len(Severity)
