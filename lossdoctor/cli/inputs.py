"""lossdoctor inputs"""

from __future__ import annotations

import click

from lossdoctor.cli.values import settings_given

FORMATS = ("text", "json")


@click.command("inputs")
@click.argument("path")
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What goes to stdout.")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="A hyperparameter missing from the logs. Repeatable.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME=COLUMN",
    help="The column that holds a signal, such as train/loss=my_loss. Repeatable.",
)
@click.option("--check-weights", is_flag=True, help="Scan safetensors checkpoints for NaN and Inf.")
@click.pass_context
def command(ctx: click.Context, /, *, path: str, form: str, given: tuple[str, ...], metrics: tuple[str, ...], check_weights: bool) -> None:
    """What was found at PATH, before any diagnosis.

    Sources, signals with counts and spans, settings and where they were read, checkpoints, log events, damage, and what was left aside.
    Exit code 3 where no run could be read.
    """
    from lossdoctor.cli.output import Troubles, emit, terminal
    from lossdoctor.errors import LossdoctorError, UsageError
    from lossdoctor.model import Fault, Loss
    from lossdoctor.reporters.inputs import render
    from lossdoctor.sources.load import Choices, Loaded, load

    columns = {name: str(column) for name, column in settings_given(metrics, "--metric").items()}
    try:
        loaded = load(path, Choices(settings_given(given, "--set"), columns, check_weights))
    except UsageError:
        raise
    except LossdoctorError as error:
        loaded = Loaded(faults=(Fault("unreadable", path, str(error), Loss.FATAL),))
    troubles = Troubles()
    emit(render(path, loaded.runs, loaded.faults, loaded.ignored, form, unicode=bool(terminal("auto")["unicode"])), troubles)
    ctx.exit(0 if loaded.runs and not troubles.said else 3)
