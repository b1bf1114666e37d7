"""lossdoctor rules"""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from lossdoctor.errors import UsageError

FORMATS = ("text", "md", "json")
DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("rules")
@click.argument("name", required=False)
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What goes to stdout.")
@click.option("--rules", "rule_dirs", multiple=True, type=DIRECTORY, metavar="DIR", help="More rule files. Repeatable.")
def command(name: str | None, form: str, rule_dirs: tuple[Path, ...]) -> None:
    """List the rules, or print the whole page of the rule NAME (a name or a code such as LD201)."""
    from lossdoctor.analyze import rulebook
    from lossdoctor.cli.output import Troubles, emit, terminal
    from lossdoctor.reporters.rule_page import listing, page

    rules = rulebook(rule_dirs)
    shape = terminal("auto")
    if name is None:
        emit(listing(rules, form, unicode=bool(shape["unicode"])), Troubles())
        return
    found = next((rule for rule in rules if name.lower() in (rule.name, rule.code.lower())), None)
    if found is None:
        near = difflib.get_close_matches(name, [key for rule in rules for key in (rule.name, rule.code)], n=1)
        raise UsageError(f"no rule {name!r}" + (f" (did you mean {near[0]!r}?)" if near else "; `lossdoctor rules` lists them"))
    emit(page(found, form, width=shape["width"], unicode=bool(shape["unicode"])), Troubles())
