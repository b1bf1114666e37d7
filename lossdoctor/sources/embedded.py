"""Training curves inside other documents: the table of a model card, the outputs of a notebook, a table that was pasted into a log.

The Trainer writes its results into README.md as a Markdown table and shows them in a notebook as an HTML table; a script's own lines stand
in a notebook as the text of its cells.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.run.candidates import is_loss
from lossdoctor.run.log import Log
from lossdoctor.sources import tabular, text_log
from lossdoctor.sources.files import read_bytes
from lossdoctor.sources.tabular_cells import number_of
from lossdoctor.sources.text_lines import encoding, run_name

_NOTEBOOK = re.compile(r'\s*\{[^}]{0,4000}"(?:cells|nbformat|metadata)"', re.DOTALL)
_RULE = re.compile(r"\s{0,20}:?-{1,200}:?\s{0,20}")
_EMPTY = frozenset(("no log", "n/a", "-"))
_MOST_CELLS = 200
_TABLE = re.compile(r"<table.*?</table>", re.DOTALL | re.IGNORECASE)
_ROW = re.compile(r"<tr.*?>(.*?)</tr>", re.DOTALL | re.IGNORECASE)
_CELL = re.compile(r"<t[hd][^>]{0,200}>(.*?)</t[hd]>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]{0,400}>")

Rows = list[list[str]]


def looks_like(path: Path, limits: Limits = LIMITS) -> bool:
    """Whether a document holds a table with a loss and at least one row, or is a notebook whose outputs hold a log."""
    try:
        return bool(read(path, limits))
    except (Unreadable, OSError):
        return False


def read(path: Path, limits: Limits = LIMITS) -> list[Log]:
    """One Log a table with a loss, else what the text of a notebook's outputs holds; raises Unreadable where there is neither."""
    data = read_bytes(path, limits.json_bytes)
    text = data.decode(encoding(data), errors="replace")
    notebook = _notebook(text) if path.suffix.lower() == ".ipynb" or _NOTEBOOK.match(text) else None
    found = list(tables(text)) if notebook is None else [table for one in notebook for table in (*_html_tables(one), *tables(one))]
    logs = [log for table in found for log in tabular.read(path, None, limits, _tsv(table))]
    if notebook is not None and not logs:
        logs = [replace(log, path=path, name=run_name(path)) for log in text_log.read(io.StringIO("\n".join(notebook)), limits)]
    logs = [log for log in logs if log.points]
    if not logs:
        raise Unreadable(f"{path.name}: no table with a loss in it")
    if len(logs) == 1:
        return logs
    many = len(logs)
    return [
        replace(log, name=f"{log.name} (table {number} of {many})", extra={**log.extra, "training": f"table {number} of {many}"})
        for number, log in enumerate(logs, 1)
    ]


def tables(text: str) -> Iterator[Rows]:
    """The tables in a text, cells between bars or tabs, whose header names a loss."""
    table: Rows = []
    for line in (*text.splitlines(), ""):
        cells = _cells(line)
        if table and cells and abs(len(cells) - len(table[0])) <= 1:
            table.append(cells)
            continue
        if _is_curve(table):
            yield table
        table = [cells] if any(map(is_loss, cells)) and not any(map(_is_number, cells)) else []


def _cells(line: str) -> list[str]:
    line = line.strip()
    mark = "|" if "|" in line else "\t"
    if mark not in line or len(line) > 1 << 14:
        return []
    return [cell.strip() for cell in line.strip("|" if mark == "|" else "").split(mark)][:_MOST_CELLS]


def _is_curve(table: Rows) -> bool:
    return any(any(map(_is_number, row)) for row in table[1:])


def _is_number(cell: str) -> bool:
    return number_of(cell) is not None


def _tsv(table: Rows) -> bytes:
    """A table as the bytes of a TSV file."""
    width = len(table[0])
    body = [row for row in table[1:] if not all(_RULE.fullmatch(cell) for cell in row)]
    kept = [["" if cell.lower() in _EMPTY else cell for cell in (row + [""] * width)[:width]] for row in (table[0], *body)]
    return "\n".join("\t".join(cell.replace("\t", " ") for cell in row) for row in (*kept, [])).encode()


def _notebook(text: str) -> list[str] | None:
    """The outputs of a notebook's cells as texts; None where it is no notebook."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list):
        return None
    outputs = [one for cell in cells if isinstance(cell, dict) for one in cell.get("outputs") or () if isinstance(one, dict)]
    return [said for one in outputs for said in _said(one)]


def _said(output: dict[str, Any]) -> Iterator[str]:
    """The text of one output, its HTML before its plain text; a traceback is text as well."""
    data = output.get("data")
    shown: Sequence[Any] = [data.get("text/html"), data.get("text/plain")] if isinstance(data, dict) else []
    trace = output.get("traceback")
    for said in (output.get("text"), *shown, trace):
        if isinstance(said, list):
            yield ("\n" if said is trace else "").join(str(line) for line in said)
        elif isinstance(said, str):
            yield said


def _html_tables(text: str) -> Iterator[Rows]:
    for found in _TABLE.findall(text):
        rows = [[html.unescape(_TAG.sub("", cell)).strip() for cell in _CELL.findall(row)][:_MOST_CELLS] for row in _ROW.findall(found)]
        rows = [row for row in rows if row]
        if rows and any(map(is_loss, rows[0])) and _is_curve(rows):
            yield rows
