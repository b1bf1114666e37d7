"""lossdoctor init"""

from __future__ import annotations

from pathlib import Path

import click

from lossdoctor.errors import UsageError

PRESETS = ("finetune", "pretrain", "strict", "report-only")


@click.command("init")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="lossdoctor.toml")
@click.option("--preset", type=click.Choice(PRESETS), default="finetune", show_default=True, help="The policy to start from.")
@click.option("--ci", type=click.Choice(("github", "gitlab")), help="Print a job for this service instead.")
@click.option("--force", is_flag=True, help="Replace a file that is already there.")
def command(file: Path, preset: str, ci: str | None, force: bool) -> None:
    """Write a commented policy FILE (lossdoctor.toml; - for stdout)."""
    from lossdoctor.analyze import rulebook
    from lossdoctor.policy.init import init_text
    from lossdoctor.reporters.write import atomic

    if ci is not None:
        from lossdoctor.policy.ci import JOBS

        click.echo(JOBS[ci], nl=False)
        return
    text = init_text(rulebook(), preset)
    if str(file) == "-":
        click.echo(text, nl=False)
        return
    if file.exists() and not force:
        raise UsageError(f"{file} is already there; --force replaces it")
    atomic(file, text)
    click.echo(f"{file} written", err=True)
