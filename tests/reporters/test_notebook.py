"""A diagnosis in a notebook."""

from __future__ import annotations

import html
import re

from lossdoctor.reporters.notebook import iframe, to_frame

from .samples import healthy, hockey_stick, hostile


def test_the_findings_are_a_table_with_typed_columns_even_when_there_are_none() -> None:
    frame = to_frame(hockey_stick())
    assert list(frame["rule"]) == ["hockey-stick", "overfitting", "constant-clipping"]
    assert list(frame["first_step"]) == [400, 450, 70]
    assert frame.loc[0, ["setting", "current", "proposed"]].tolist() == ["num_train_epochs", 3, 1]
    empty = to_frame(healthy())
    assert len(empty) == 0
    assert (empty.dtypes[["confidence", "onset_step"]] == frame.dtypes[["confidence", "onset_step"]]).all()


def test_the_frame_holds_the_report_and_cannot_be_left() -> None:
    for make in (hockey_stick, hostile):
        text = iframe(make())
        match = re.fullmatch(r'<iframe title="[^"<>]*" sandbox="allow-scripts" style="[^"]*" srcdoc="([^"]*)"></iframe>', text, re.DOTALL)
        assert match is not None
        assert html.unescape(match[1]).lstrip().startswith("<!doctype html>")
