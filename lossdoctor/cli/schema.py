"""lossdoctor schema"""

from __future__ import annotations

import click


@click.command("schema")
@click.argument("of", type=click.Choice(("report", "policy")), default="report")
def command(of: str) -> None:
    """Print the JSON Schema of the report (-f json), or of the policy file with this version's rules."""
    import msgspec

    from lossdoctor.analyze import rulebook
    from lossdoctor.policy.schema import schema as policy_schema
    from lossdoctor.reporters.json_report import schema as report_schema

    found = report_schema() if of == "report" else policy_schema(rulebook())
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
