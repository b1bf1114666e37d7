"""The postmortem: the headings of the template, inert text, and never too large for a comment."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.reporters import render
from lossdoctor.reporters.markdown import LIMIT_BYTES, block, code, escape

from .samples import ALL, hockey_stick, many


def test_a_failed_run_has_the_headings_of_a_postmortem_in_order() -> None:
    text = render([hockey_stick()], "md")
    headings = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert headings[:2] == ["Summary", "Vital signs"]
    assert headings[2:] == ["Impact", "Root causes", "Trigger", "Detection", "Notes", "Timeline", "Action items", "What was checked"]
    assert "- [ ] **Use checkpoint-400 (whole).**" in text
    assert "A could have been reported by a monitor at step 550" in text
    assert "num_train_epochs=1,  # was 3" in text


@pytest.mark.parametrize("name", ALL)
def test_no_markup_comes_from_the_data(name: str) -> None:
    text = render([ALL[name]()], "md")
    outside = re.sub(r"^( *)(`{3,}).*?^\1\2$", "", text, flags=re.MULTILINE | re.DOTALL)
    outside = re.sub(r"(`+).*?\1", "", outside)
    assert not re.search(r"(?<!\\)<(?!!-- -->)", outside)
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert not re.search(r"@\w", outside)
    assert "https://" not in outside


def test_many_runs_fit_into_a_comment_and_say_what_is_missing() -> None:
    text = render(many(200), "md")
    assert len(text.encode()) <= LIMIT_BYTES
    assert re.search(r"\d+ more runs left out", text)
    assert "| ❌ fail |" in text


def test_one_huge_run_is_cut_at_a_line_with_closed_fences() -> None:
    d = ALL["hostile"]()
    text = render([d], "md")
    assert len(text.encode()) <= LIMIT_BYTES
    assert text.count("\n```") % 2 == 0 or "Cut here" in text


@given(st.text(max_size=60))
def test_code_and_blocks_cannot_be_closed_from_inside(text: str) -> None:
    fence = re.match(r"`*", code(text))[0] if text else ""
    assert fence not in text or not text
    whole = block(text)
    fence = re.match(r"`{3,}", whole)[0]
    assert fence not in whole[len(fence) : -len(fence)]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("1. item", "1\\. item"),
        ("3.58 GPU hours", "3.58 GPU hours"),
        ("- item", "\\- item"),
        ("# head", "\\# head"),
        ("num_train_epochs", "num_train_epochs"),
        ("_emphasis_", "\\_emphasis\\_"),
        ("a|b", "a\\|b"),
        ("ask @someone about #12", "ask @<!-- -->someone about #<!-- -->12"),
        ("https://example.org", "https:<!-- -->//example.org"),
        ("<b>", "\\<b>"),
        ("2.06 -> 2.69", "2.06 -> 2.69"),
        ("> quote", "\\> quote"),
    ],
)
def test_text_renders_as_itself(text: str, escaped: str) -> None:
    assert escape(text) == escaped
