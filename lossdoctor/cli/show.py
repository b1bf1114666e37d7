"""lossdoctor show"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lossdoctor.cli.analyze import FORMATS
from lossdoctor.cli.formats import ReportFormat
from lossdoctor.errors import UsageError


@click.command("show")
@click.argument("report", type=click.Path(path_type=Path, allow_dash=True))
@click.option("-f", "--format", "form", type=ReportFormat(FORMATS), default="text", show_default=True, help="What goes to stdout.")
@click.option("-o", "--output", "outputs", multiple=True, metavar="[FORMAT:]FILE", help="Write a report. Repeatable.")
@click.option("--color", type=click.Choice(("auto", "always", "never")), default="auto", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="A line for each run that does not pass, and the count.")
@click.option("-v", "--verbose", is_flag=True, help="Also every vital sign in full, what was not evaluated, and how to log it.")
@click.pass_context
def command(ctx: click.Context, /, *, report: Path, form: str, outputs: tuple[str, ...], color: str, quiet: bool, verbose: bool) -> None:
    """Print or write a saved REPORT (.json, .jsonl or .html; - for standard input) in another format.

    Exit code 0, whatever the report says; 2 where it is not one of ours; 3 where a file could not be written.
    """
    from lossdoctor.analyze import read_reports
    from lossdoctor.cli.output import Output, parse_outputs
    from lossdoctor.reporters.json_report import load

    if report.is_dir():
        raise UsageError(f"{report} is a directory; show prints a saved report, `lossdoctor analyze {report}` diagnoses runs")
    files = parse_outputs(outputs, (*FORMATS, "html"))
    diagnoses = load(sys.stdin.read()) if str(report) == "-" else list(read_reports([report]))
    output = Output(form, files, color=color, verbosity=1 if verbose else -1 if quiet else 0)
    ctx.exit(0 if output.write(diagnoses, f"lossdoctor show {report}") else 3)
