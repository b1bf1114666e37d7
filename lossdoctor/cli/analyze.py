"""lossdoctor analyze"""

from __future__ import annotations

from pathlib import Path

import click

from lossdoctor.cli.values import settings_given

FORMATS = ("text", "concise", "md", "json", "jsonl", "junit", "sarif", "github", "gitlab", "alerts")


@click.command("analyze")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What goes to standard output.")
@click.option("-o", "--output", "outputs", multiple=True, metavar="[FORMAT:]FILE", help="Write a report; the format from the suffix (html, md, json, xml, sarif). Repeatable.")
@click.option("--select", multiple=True, metavar="RULE", help="Only these rules: name, code, family (LD2) or ALL. Repeatable.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Leave these rules out. Repeatable.")
@click.option("--rules", "rule_dirs", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR", help="More rule files. Repeatable.")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="A hyperparameter that the logs do not tell. Repeatable.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME=COLUMN", help="The column that holds a signal, such as train/loss=my_loss. Repeatable.")
@click.option("--gpus", type=click.IntRange(1), help="Number of GPUs, for the bill.")
@click.option("--gpu-hour-cost", type=click.FloatRange(0), metavar="USD", help="Price of a GPU hour.")
@click.option("--check-weights", is_flag=True, help="Scan safetensors checkpoints for NaN and Inf.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 where the policy fails (exit code 1 only).")
@click.option("-q", "--quiet", is_flag=True, help="Only the verdict and the errors.")
@click.option("-v", "--verbose", is_flag=True, help="Also what was not evaluated, and how to log it.")
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], form: str, outputs: tuple[str, ...], select: tuple[str, ...], ignore: tuple[str, ...], rule_dirs: tuple[Path, ...],
            given: tuple[str, ...], metrics: tuple[str, ...], gpus: int | None, gpu_hour_cost: float | None, check_weights: bool, exit_zero: bool, quiet: bool, verbose: bool) -> None:  # fmt: skip
    """Diagnose one or many runs.

    PATH is a checkpoint directory, an output directory with several, a trainer_state.json, event files or a logdir, an offline WandB
    run, CSV / JSON lines / a plain log, wandb://entity/project/run, or - for standard input.
    """
    from lossdoctor.analyze import Plan, analyze, rulebook
    from lossdoctor.diagnosis.diagnose import Options
    from lossdoctor.reporters import render
    from lossdoctor.sources.load import Choices

    plan = Plan(
        choices=Choices(settings=settings_given(given, "--set"), metric={k: str(v) for k, v in settings_given(metrics, "--metric").items()}, check_weights=check_weights),
        options=Options(gpus=gpus, gpu_hour_cost=gpu_hour_cost),
        rules=rulebook(rule_dirs, select, ignore),
    )
    diagnoses = [d for path in paths for d in analyze(path, plan)]
    click.echo(render(diagnoses, form), nl=False)
    ctx.exit(0)
