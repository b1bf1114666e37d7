"""The option -f of commands that print a report."""

from __future__ import annotations

import click


class ReportFormat(click.Choice[str]):
    """What standard output can be; of a page it says how to get one."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value.lower() in ("html", "htm"):
            self.fail("a page is written to a file: -o report.html", param, ctx)
        return super().convert(value, param, ctx)
