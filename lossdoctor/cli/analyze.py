"""lossdoctor analyze"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossdoctor.cli.gate import baselines_of, policy_given
from lossdoctor.cli.outputs import Troubles, add_summary, emit, targets, write_all
from lossdoctor.cli.values import settings_given

if TYPE_CHECKING:
    from lossdoctor.analyze import Plan
    from lossdoctor.policy import Policy

FORMATS = ("text", "concise", "md", "json", "jsonl", "junit", "sarif", "github", "gitlab", "alerts")
FILE = click.Path(path_type=Path)
DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("-f", "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What goes to stdout."),
    click.option(
        "-o", "--output", "outputs", multiple=True, metavar="[FORMAT:]FILE",
        help="Write a report; the format from the suffix (html, md, json, xml, sarif). Repeatable.",
    ),
    click.option("--select", multiple=True, metavar="RULE", help="Only these rules: name, code, family (LD2) or ALL. Repeatable."),
    click.option("--ignore", multiple=True, metavar="RULE", help="Leave these rules out. Repeatable."),
    click.option("--rules", "rule_dirs", multiple=True, type=DIRECTORY, metavar="DIR", help="More rule files. Repeatable."),
    click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="A hyperparameter that the logs do not tell. Repeatable."),
    click.option(
        "--metric", "metrics", multiple=True, metavar="NAME=COLUMN",
        help="The column that holds a signal, such as train/loss=my_loss. Repeatable.",
    ),
    click.option("--gpus", type=click.IntRange(1), help="Number of GPUs, for the bill."),
    click.option("--gpu-hour-cost", type=click.FloatRange(0), metavar="USD", help="Price of a GPU hour."),
    click.option("--check-weights", is_flag=True, help="Scan safetensors checkpoints for NaN and Inf."),
    click.option(
        "-p", "--policy", "policy_path", type=FILE, metavar="FILE",
        help="The policy; else lossdoctor.toml or pyproject.toml with [tool.lossdoctor], from here upwards.",
    ),
    click.option(
        "--fail-on", type=click.Choice(("error", "warning", "new-error", "never")),
        help="The findings that give exit code 1.  [default: what the policy says, else error]",
    ),
    click.option(
        "--baseline", "baselines", multiple=True, type=FILE, metavar="FILE",
        help="JSON report (-o FILE.json) of the last good run; repeat for several seeds.",
    ),
    click.option("--allow-damage", is_flag=True, help="Damaged input does not cost the verdict."),
    click.option("--allow-inconclusive", is_flag=True, help="Too little data does not cost the verdict."),
    click.option("--exit-zero", is_flag=True, help="Exit 0 where the policy fails (exit code 1 only)."),
    click.option("-q", "--quiet", is_flag=True, help="Only the verdict and the errors."),
    click.option("-v", "--verbose", is_flag=True, help="Also what was not evaluated, and how to log it."),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as they were given."""

    paths: tuple[str, ...]
    form: str
    outputs: tuple[str, ...]
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    rule_dirs: tuple[Path, ...]
    given: tuple[str, ...]
    metrics: tuple[str, ...]
    gpus: int | None
    gpu_hour_cost: float | None
    check_weights: bool
    policy_path: Path | None
    fail_on: str | None
    baselines: tuple[Path, ...]
    allow_damage: bool
    allow_inconclusive: bool
    exit_zero: bool
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
    """Diagnose, judge, write every report, print, and return the exit code."""
    from lossdoctor.analyze import analyze, judged
    from lossdoctor.policy import exit_code
    from lossdoctor.reporters import render
    from lossdoctor.reporters.terminal.console import detect

    wanted = targets(asked.outputs, FORMATS)
    policy = _policy(asked)
    good = baselines_of(policy)
    plan = _plan(asked, policy)
    diagnoses = judged([d for path in asked.paths for d in analyze(path, plan)], policy, good)
    troubles = Troubles()
    write_all(wanted, lambda target: render(diagnoses, target.form, series=True, complain=troubles.tell), troubles)
    add_summary(diagnoses, troubles)
    shown = render(diagnoses, asked.form, **detect(sys.stdout, os.environ), verbosity=asked.verbose - asked.quiet, complain=troubles.tell)
    emit(shown, troubles)
    return exit_code(policy, diagnoses, exit_zero=asked.exit_zero, report_failed=bool(troubles.said))


def _policy(asked: Asked) -> Policy:
    from lossdoctor.analyze import rulebook

    return policy_given(
        asked.policy_path,
        rulebook(asked.rule_dirs),
        fail_on=asked.fail_on,
        baselines=asked.baselines,
        allow_damage=asked.allow_damage,
        allow_inconclusive=asked.allow_inconclusive,
    )


def _plan(asked: Asked, policy: Policy) -> Plan:
    from lossdoctor.analyze import Plan, rulebook
    from lossdoctor.diagnosis.diagnose import Options
    from lossdoctor.sources.load import Choices

    columns = {name: str(column) for name, column in settings_given(asked.metrics, "--metric").items()}
    return Plan(
        choices=Choices(settings=settings_given(asked.given, "--set"), metric=columns, check_weights=asked.check_weights),
        options=Options(gpus=asked.gpus, gpu_hour_cost=asked.gpu_hour_cost),
        rules=rulebook(asked.rule_dirs, asked.select, asked.ignore),
        policy=policy,
    )
