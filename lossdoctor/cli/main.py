"""The command group, loaded lazily so that --help is quick, and the mapping of errors to exit codes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click

from lossdoctor.errors import LossdoctorError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "analyze": ("lossdoctor.cli.analyze", "Diagnose one or many runs; write reports; exit 1 if the policy fails."),
    "compare": ("lossdoctor.cli.compare", "What changed from one run to another, beyond noise."),
    "inputs": ("lossdoctor.cli.inputs", "What was found at PATH: sources, signals, settings, checkpoints, damage."),
    "rules": ("lossdoctor.cli.rules", "List the rules, or print a rule's whole page."),
    "show": ("lossdoctor.cli.show", "Print or write a saved report in another format."),
    "evaluate": ("lossdoctor.cli.evaluate", "Precision and recall on a directory of labeled runs."),
    "estimate": ("lossdoctor.cli.estimate", "Memory of a training step on one GPU, before it runs."),
    "init": ("lossdoctor.cli.init", "Write a commented policy file."),
    "schema": ("lossdoctor.cli.schema", "Print the JSON Schema of the report or of the policy file."),
}


class Lazy(click.Group):
    """Imports a command's module only when it is called; the help needs only the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}.{_meant(name, args[1:])}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


def _meant(name: str, rest: Sequence[str]) -> str:
    """What was probably meant by a word that is no command: one that is spelled alike, or a path without its command."""
    import difflib
    import shlex
    from pathlib import Path

    if near := difflib.get_close_matches(name, COMMANDS, n=1):
        return f" Did you mean {near[0]!r}?"
    if not (Path(name).exists() or "://" in name):
        return ""
    command = "show" if name.lower().endswith((".html", ".htm")) else "analyze"
    return f" Did you mean: {shlex.join(['lossdoctor', command, name, *rest])}"


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from lossdoctor.version import VERSION

        click.echo(f"lossdoctor {VERSION}")
        ctx.exit()


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit.")
def cli() -> None:
    """Read what a training run left behind and say what went wrong, why, and what to change.

    \b
    lossdoctor analyze checkpoint-dir                  the diagnosis, in the terminal
    lossdoctor analyze checkpoint-dir -o report.html   a self-contained report
    lossdoctor analyze out --fail-on error             a CI gate

    Exit codes: 0 passed, 1 the policy failed, 2 usage error, 3 no trustworthy verdict.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its documented code."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(arguments))


def _terminate(number: int, _: object) -> NoReturn:
    """Leave as after Ctrl-C, so that a report that is being written is cleaned up: 143 for SIGTERM, as shells count."""
    sys.exit(128 + number)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: click alone would give 1, the code of findings, to everything."""
    try:
        result = cli.main(args=None if arguments is None else list(arguments), prog_name="lossdoctor", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return 2
    except LossdoctorError as error:
        click.echo(f"lossdoctor: {error}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("lossdoctor: interrupted", err=True)
        return 130
    except BrokenPipeError:
        # The reader has gone; what is left in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0
