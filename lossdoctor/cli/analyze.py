"""lossdoctor analyze"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossdoctor.cli.formats import ReportFormat
from lossdoctor.cli.values import settings_given
from lossdoctor.errors import UsageError

if TYPE_CHECKING:
    from lossdoctor.analyze import Plan
    from lossdoctor.policy import Policy

FORMATS = ("text", "concise", "md", "json", "jsonl", "junit", "sarif", "github", "gitlab", "alerts")
FAIL_ON = ("error", "warning", "new-error", "never")
FILE = click.Path(path_type=Path)
DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("-f", "--format", "form", type=ReportFormat(FORMATS), default="text", show_default=True, help="What goes to stdout."),
    click.option(
        "-o", "--output", "outputs", multiple=True, metavar="[FORMAT:]FILE",
        help="Write a report; the format from the suffix (html, md, json, jsonl, xml, sarif). Repeatable.",
    ),
    click.option(
        "-p", "--policy", "policy_file", type=FILE, metavar="FILE",
        help="lossdoctor.toml; else the nearest one, or [tool.lossdoctor] in pyproject.toml.",
    ),
    click.option("--fail-on", type=click.Choice(FAIL_ON), help="What turns the gate red (exit 1).  [default: the policy's, else error]"),
    click.option("--exit-zero", is_flag=True, help="Exit 0 where the policy fails; other exit codes stay."),
    click.option(
        "--baseline", "baselines", multiple=True, type=FILE, metavar="FILE",
        help="JSON report (-o FILE.json) of the last good run. Repeatable: several seeds.",
    ),
    click.option("--allow-damage", is_flag=True, help="Damaged input is a note, not exit 3."),
    click.option("--allow-inconclusive", is_flag=True, help="Too little data for a verdict is not exit 3."),
    click.option("--select", multiple=True, metavar="RULE", help="Only these rules: name, code, family (LD2) or ALL. Repeatable."),
    click.option("--ignore", multiple=True, metavar="RULE", help="Leave these rules out. Repeatable."),
    click.option("--rules", "rule_dirs", multiple=True, type=DIRECTORY, metavar="DIR", help="More rule files. Repeatable."),
    click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="A hyperparameter missing from the logs. Repeatable."),
    click.option(
        "--metric", "metrics", multiple=True, metavar="NAME=COLUMN",
        help="The column that holds a signal, such as train/loss=my_loss. Repeatable.",
    ),
    click.option("--gpus", type=click.IntRange(1), help="Number of GPUs, for the bill."),
    click.option("--gpu-hour-cost", type=click.FloatRange(0), metavar="USD", help="Price of a GPU hour."),
    click.option("--check-weights", is_flag=True, help="Scan safetensors checkpoints for NaN and Inf."),
    click.option(
        "--figures", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Write the charts as PNG and SVG."
    ),
    click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Paths analysed at the same time."),
    click.option("--stable", is_flag=True, hidden=True, help="No versions, six digits: for committed reports."),
    click.option("--color", type=click.Choice(("auto", "always", "never")), default="auto", show_default=True),
    click.option("-q", "--quiet", is_flag=True, help="A line for each run that does not pass, and the count."),
    click.option("-v", "--verbose", is_flag=True, help="Also every vital sign in full, what was not evaluated, and how to log it."),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as they were given."""

    paths: tuple[str, ...]
    form: str
    outputs: tuple[str, ...]
    policy_file: Path | None
    fail_on: str | None
    exit_zero: bool
    baselines: tuple[Path, ...]
    allow_damage: bool
    allow_inconclusive: bool
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    rule_dirs: tuple[Path, ...]
    given: tuple[str, ...]
    metrics: tuple[str, ...]
    gpus: int | None
    gpu_hour_cost: float | None
    check_weights: bool
    figures: Path | None
    jobs: int
    stable: bool
    color: str
    quiet: bool
    verbose: bool


def _all_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command("analyze")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@_all_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """Diagnose one or many runs.

    PATH is a checkpoint directory, an output directory with several, a trainer_state.json, event files or a logdir, an offline WandB
    run, CSV / JSON lines / a plain log, wandb://entity/project/run, or - for standard input.
    """
    ctx.exit(_analyze(Asked(**given)))


def _analyze(asked: Asked) -> int:
    """Diagnose under the policy, write every report, print, and return the exit code."""
    from lossdoctor.analyze import analyze_all
    from lossdoctor.cli.output import Output, parse_outputs
    from lossdoctor.policy import exit_code

    files = parse_outputs(asked.outputs, (*FORMATS, "html"))
    plan = _plan(asked, _policy(asked))
    diagnoses = analyze_all(asked.paths, plan, asked.jobs)
    output = Output(asked.form, files, asked.figures, asked.stable, asked.color, 1 if asked.verbose else -1 if asked.quiet else 0)
    written = output.write(diagnoses, shlex.join(["lossdoctor", "analyze", *asked.paths]))
    return exit_code(plan.policy, diagnoses, exit_zero=asked.exit_zero, report_failed=not written)


def _policy(asked: Asked) -> Policy:
    """The policy file with the options on top. Raises UsageError where new errors are asked for with nothing to compare with."""
    from lossdoctor.analyze import rulebook
    from lossdoctor.policy import FailOn, load

    policy = load(asked.policy_file, Path.cwd(), rulebook(asked.rule_dirs)).with_gate(
        fail_on=asked.fail_on,
        allow_damage=asked.allow_damage,
        allow_inconclusive=asked.allow_inconclusive,
    )
    if asked.baselines:
        policy = replace(policy, gate=replace(policy.gate, baseline=asked.baselines))
    if policy.gate.fail_on is FailOn.NEW_ERROR and not policy.gate.baseline:
        raise UsageError("--fail-on new-error needs a baseline: --baseline FILE, or gate.baseline in the policy")
    return policy


def _plan(asked: Asked, policy: Policy) -> Plan:
    from lossdoctor.analyze import Plan, read_reports, rulebook
    from lossdoctor.diagnosis.diagnose import Options
    from lossdoctor.sources.load import Choices

    columns = {name: str(column) for name, column in settings_given(asked.metrics, "--metric").items()}
    return Plan(
        choices=Choices(settings=settings_given(asked.given, "--set"), metric=columns, check_weights=asked.check_weights),
        options=Options(gpus=asked.gpus, gpu_hour_cost=asked.gpu_hour_cost),
        rules=rulebook(asked.rule_dirs, asked.select, asked.ignore),
        policy=policy,
        baselines=read_reports(policy.gate.baseline),
    )
