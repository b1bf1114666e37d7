"""PATH -> diagnoses: joins the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from lossdoctor.detectors import DETECTORS, discovered
from lossdoctor.diagnosis import diagnose, unreadable
from lossdoctor.diagnosis.diagnose import Options
from lossdoctor.errors import LossdoctorError, UsageError
from lossdoctor.limits import LIMITS
from lossdoctor.model import Diagnosis, Fault, Loss
from lossdoctor.policy import Policy, apply
from lossdoctor.policy.baseline import mark
from lossdoctor.rulebook import Rule, bind, load_directory, shipped
from lossdoctor.run import Run
from lossdoctor.sources.load import Choices, Loaded, load


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read and which rules to apply."""

    choices: Choices = field(default_factory=Choices)
    options: Options = field(default_factory=Options)
    rules: tuple[Rule, ...] = ()
    policy: Policy = field(default_factory=Policy)


def rulebook(extra: Sequence[Path] = (), select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[Rule, ...]:
    """The shipped rules with those of extra directories (which replace a shipped rule of the same name), filtered by name, code, family or ALL."""
    rules = {rule.name: rule for rule in shipped()}
    for directory in extra:
        rules.update({rule.name: rule for rule in load_directory(directory)})
    known = {key for rule in rules.values() for key in (rule.name, rule.code, rule.family)} | {"ALL"}
    for key in (*select, *ignore):
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, n=1)
            raise UsageError(f"no rule, code or family {key!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))

    def named(rule: Rule, keys: Sequence[str]) -> bool:
        return any(key in (rule.name, rule.code, rule.family, "ALL") for key in keys)

    return tuple(sorted((r for r in rules.values() if (not select or named(r, select)) and not named(r, ignore)), key=lambda r: r.code))


def analyze(argument: str, plan: Plan) -> list[Diagnosis]:
    """Diagnose every run at `argument`; always at least one result. Raises `UsageError` for a path that does not exist."""
    try:
        loaded = load(argument, plan.choices, LIMITS)
    except UsageError:
        raise
    except LossdoctorError as error:
        return [unreadable(argument, argument, Path(argument).name, [Fault("unreadable", Path(argument).name or argument, str(error), Loss.FATAL)])]
    return examine_loaded(argument, loaded, plan)


def examine_loaded(argument: str, loaded: Loaded, plan: Plan) -> list[Diagnosis]:
    """Diagnose what was loaded; faults of files that gave no run are reported with the first run."""
    detectors = bind(plan.rules, _detectors(plan.rules))
    name = Path(argument).name or argument
    if not loaded.runs:
        faults = loaded.faults or (Fault("no-log", name, "no training log was found here", Loss.FATAL),)
        return [unreadable(argument, argument, name, faults)]
    first = replace(loaded.runs[0], faults=(*loaded.runs[0].faults, *loaded.faults))
    return [diagnose(run, plan.rules, detectors, argument, _options(run, plan)) for run in (first, *loaded.runs[1:])]


def judged(
    diagnoses: Sequence[Diagnosis], policy: Policy, baselines: Sequence[Diagnosis] = (), today: date | None = None
) -> list[Diagnosis]:
    """The diagnoses under a policy, and against the last good runs where there are any."""
    day = today or datetime.now(UTC).date()
    return [apply(policy, mark(d, *baselines) if baselines else d, day) for d in diagnoses]


def _options(run: Run, plan: Plan) -> Options:
    """The options with the limits that the policy sets for this run."""
    return replace(plan.options, limits={**plan.options.limits, **plan.policy.limits_for(run.name, run.path)})


def _detectors(rules: Sequence[Rule]) -> Mapping[str, object]:
    """The table, and installed third-party detectors only where a rule names one."""
    return DETECTORS if all(rule.detector in DETECTORS for rule in rules) else {**discovered(), **DETECTORS}
