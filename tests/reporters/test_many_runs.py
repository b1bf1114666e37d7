"""A page of more than a hundred runs is a table, and still holds every finding for `show`."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from lossdoctor.errors import UsageError
from lossdoctor.reporters import render
from lossdoctor.reporters.json_report import load

from .samples import many


def test_a_table_of_runs_can_be_shown_in_every_other_format():
    runs = many(101)
    page = render(runs, "html")
    again = load(page)
    assert sorted(d.name for d in again) == sorted(d.name for d in runs)
    assert sorted(f.message for d in again for f in d.findings) == sorted(f.message for d in load(render(runs, "json")) for f in d.findings)
    for form in ("text", "concise", "md", "json", "jsonl", "junit", "sarif", "github", "gitlab", "html"):
        assert render(again, form)
    assert len(page) < 1_000 * len(runs)


@pytest.mark.parametrize(
    "packed", [7, "%%%", base64.b64encode(b"not zlib").decode(), base64.b64encode(zlib.compress(b"not json")).decode()]
)
def test_a_damaged_table_is_refused(packed):
    with pytest.raises(UsageError, match="not a lossdoctor report"):
        load(json.dumps({"schema_version": 1, "packed": packed}))
