"""lossdoctor analyze"""

from __future__ import annotations

from pathlib import Path

import click

from lossdoctor.cli.values import settings_given

FORMATS = ("text", "concise", "md", "json", "jsonl", "junit", "sarif", "github", "gitlab", "alerts")
FAIL_ON = ("error", "warning", "new-error", "never")


@click.command("analyze")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What goes to standard output.")
@click.option("-o", "--output", "outputs", multiple=True, metavar="[FORMAT:]FILE", help="Write a report; the format from the suffix (html, md, json, jsonl, xml, sarif). Repeatable.")
@click.option("-p", "--policy", "policy_file", type=click.Path(path_type=Path), help="lossdoctor.toml; else the nearest one, or [tool.lossdoctor] in pyproject.toml.")
@click.option("--fail-on", type=click.Choice(FAIL_ON), help="What turns the gate red (exit 1).  [default: error]")
@click.option("--exit-zero", is_flag=True, help="Exit 0 where the policy fails; other exit codes stay.")
@click.option("--baseline", "baselines", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help="JSON report of the last good run. Repeatable: several seeds.")
@click.option("--allow-damage", is_flag=True, help="Damaged input is a note, not exit 3.")
@click.option("--select", multiple=True, metavar="RULE", help="Only these rules: name, code, family (LD2) or ALL. Repeatable.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Leave these rules out. Repeatable.")
@click.option("--rules", "rule_dirs", multiple=True, type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR", help="More rule files. Repeatable.")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="A hyperparameter that the logs do not tell. Repeatable.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME=COLUMN", help="The column that holds a signal, such as train/loss=my_loss. Repeatable.")
@click.option("--gpus", type=click.IntRange(1), help="Number of GPUs, for the bill.")
@click.option("--gpu-hour-cost", type=click.FloatRange(0), metavar="USD", help="Price of a GPU hour.")
@click.option("--check-weights", is_flag=True, help="Scan safetensors checkpoints for NaN and Inf.")
@click.option("--figures", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Write the charts as PNG and SVG.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Paths analysed at the same time.")
@click.option("--stable", is_flag=True, hidden=True, help="No versions, four digits: for committed reports.")
@click.option("--color", type=click.Choice(("auto", "always", "never")), default="auto", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="Only the verdict and what asks for action.")
@click.option("-v", "--verbose", is_flag=True, help="Also what was not evaluated, and how to log it.")
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], form: str, outputs: tuple[str, ...], policy_file: Path | None, fail_on: str | None, exit_zero: bool, baselines: tuple[Path, ...],
            allow_damage: bool, select: tuple[str, ...], ignore: tuple[str, ...], rule_dirs: tuple[Path, ...], given: tuple[str, ...], metrics: tuple[str, ...], gpus: int | None,
            gpu_hour_cost: float | None, check_weights: bool, figures: Path | None, jobs: int, stable: bool, color: str, quiet: bool, verbose: bool) -> None:  # fmt: skip
    """Diagnose one or many runs.

    PATH is a checkpoint directory, an output directory with several, a trainer_state.json, event files or a logdir, an offline WandB
    run, CSV / JSON lines / a plain log, wandb://entity/project/run, or - for standard input.
    """
    from lossdoctor import policy as gate
    from lossdoctor.analyze import Plan, analyze_all, rulebook
    from lossdoctor.cli.output import Output, parse_outputs
    from lossdoctor.diagnosis.diagnose import Options
    from lossdoctor.sources.load import Choices

    rules = rulebook(rule_dirs, select, ignore)
    chosen = gate.load(policy_file, Path.cwd(), rulebook(rule_dirs)).with_gate(fail_on=gate.FailOn(fail_on) if fail_on else None, allow_damage=allow_damage)
    plan = Plan(
        choices=Choices(settings=settings_given(given, "--set"), metric={k: str(v) for k, v in settings_given(metrics, "--metric").items()}, check_weights=check_weights),
        options=Options(gpus=gpus, gpu_hour_cost=gpu_hour_cost),
        rules=rules,
        policy=chosen,
        baselines=baselines,
    )
    output = Output(form, parse_outputs(outputs), figures, stable, color, 1 if verbose else -1 if quiet else 0)
    diagnoses = analyze_all(paths, plan, jobs)
    report_failed = not output.write(diagnoses, " ".join(["lossdoctor analyze", *paths]))
    ctx.exit(gate.exit_code(chosen, diagnoses, exit_zero=exit_zero, report_failed=report_failed))
