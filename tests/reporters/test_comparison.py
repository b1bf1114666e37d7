"""A comparison in every format."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from lossdoctor.compare import Axis, Comparison, Side, compare
from lossdoctor.errors import UsageError
from lossdoctor.model import Setting
from lossdoctor.reporters.comparison import FORMATS, render

from .samples import HOSTILE, healthy, hockey_stick, view


def pair() -> Comparison:
    base = replace(hockey_stick(), name="base", settings=(Setting("learning_rate", 2e-4, "args"), Setting("seed", 1, "args")))
    steps = np.arange(10, 1201, 10)
    loss = np.interp(steps, base.series[0].steps, [v or 0.0 for v in base.series[0].values]) + np.where(steps > 600, 0.4, 0.0)
    other = replace(
        base,
        name="run",
        findings=base.findings[1:],
        settings=(Setting("learning_rate", 5e-4, "args"), Setting("seed", 1, "args")),
        series=(view("train/loss", steps, loss), *base.series[1:]),
    )
    return compare([Side(base), Side(other)])


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_tells_the_difference(form: str) -> None:
    text = render(pair(), form)
    for word in ("base", "run", "learning_rate", "0.0002", "0.0005", "hockey-stick", "LD201", "train/loss"):
        assert word in text, word


def test_the_text_says_where_the_curves_part() -> None:
    text = render(pair(), "text", width=100)
    assert "train/loss: the very same values until step" in text
    assert "apart beyond noise" in text
    assert "settings that differ (1 other known setting the same)" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_json_is_strict_and_keeps_curves_for_files() -> None:
    def refuse(text: str) -> float:
        raise AssertionError(text)

    plain = json.loads(render(pair(), "json"), parse_constant=refuse)
    assert plain["schema_version"] == 1
    assert [r["name"] for r in plain["runs"]] == ["base", "run"]
    assert plain["settings"] == [{"name": "learning_rate", "values": [2e-4, 5e-4]}]
    assert "curves" not in plain
    curves = json.loads(render(pair(), "json", series=True), parse_constant=refuse)["curves"]
    assert {len(row) for one in curves for row in one["values"]} == {len(one["grid"]) for one in curves for _ in "x"} or len(curves) > 1


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in {"src", "href", "xlink:href", "action"}]


def test_the_page_loads_nothing_and_draws_the_curves() -> None:
    page = Page()
    page.feed(render(pair(), "html"))
    assert page.tags.count("svg") >= 2
    assert "script" not in page.tags
    assert all(address.startswith("#") for address in page.addresses)


def test_charts_lie_over_the_axis_that_was_asked_for() -> None:
    one = replace(hockey_stick(), name="one", epochs=3.0)
    text = render(compare([Side(one), Side(replace(one, name="other", epochs=1.5))], Axis.EPOCH), "html")
    assert "over epochs 0.0" in text
    assert ">epoch</text>" in text
    assert ">step</text>" not in text


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_names_stay_text(form: str) -> None:
    base = hockey_stick()
    evil = [
        replace(base, name=h, headline=h, findings=(replace(base.findings[0], rule=h, title=h),), settings=(Setting(h, h, h),))
        for h in HOSTILE[:12]
    ]
    text = render(compare([Side(d) for d in evil]), form)
    assert "\x1b" not in text
    assert "\u202e" not in text
    if form in {"html", "md"}:
        assert not re.search(r"(?<!\\)<(script|img|svg on)", text)


def test_unlike_runs_show_why_and_no_metric() -> None:
    one, other = (replace(healthy(), name=n, settings=(Setting("vocab_size", v, "config.json"),)) for n, v in (("a", 32000), ("b", 50257)))
    text = render(compare([Side(one), Side(other)]), "text")
    assert "b cannot be compared with a: vocab_size: 32000 and 50257." in text
    assert "final train loss" not in text


def test_many_runs_and_equal_names_are_told_apart() -> None:
    runs = compare([Side(healthy()) for _ in range(6)])
    for form in ("text", "md", "html"):
        assert f"{healthy().name} [6]" in render(runs, form).replace("\\", "")
    assert "2 more runs not drawn" in render(runs, "html")


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown format"):
        render(pair(), "xml")
    with pytest.raises(UsageError, match="at least two"):
        compare([Side(healthy())])
    with pytest.raises(UsageError, match="not all of these runs tell their tokens; all tell: step"):
        compare([Side(healthy()), Side(healthy())], Axis.TOKENS)


def test_the_learning_rate_is_not_logarithmic_and_the_axis_begins_at_zero() -> None:
    text = render(pair(), "html")
    assert "learning rate over steps 0 to 1200." in text
    assert "centred rolling median" in text
