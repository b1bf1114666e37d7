"""The HTML report as text: what a browser is not needed for."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from lossdoctor.model import Claim
from lossdoctor.reporters import json_report, render
from lossdoctor.reporters.html import chart as html_chart
from lossdoctor.reporters.prepare import prepare

from .samples import ALL, HOSTILE, healthy, hockey_stick, many


@cache
def sample_page(name: str) -> str:
    return render([ALL[name]()], "html")


VOID = {"meta", "br", "img", "input", "link", "hr"}


class Outline(html.parser.HTMLParser):
    """Collects tags, attributes and headings, and insists on balanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and re.fullmatch(r"h[1-6]", self.open[-1]):
            self.headings[-1] += data


def test_the_order_is_verdict_vitals_steps_curves_findings_and_the_rest() -> None:
    page = Outline(render([hockey_stick()], "html"))
    found = [" ".join(h.split()) for h in page.headings]
    assert found[0] == "Overfitting after epoch 1. Use checkpoint-400, not checkpoint-1200."
    assert found[1:5] == ["What to do now", "The curves", "Vital signs", "Findings"]
    assert found[5].startswith("Overfitting after epoch 1")
    assert found[6:] == ["Overfitting", "Details"]


@pytest.mark.parametrize("name", ALL)
def test_tags_are_balanced_and_nothing_can_load_or_run(name: str) -> None:
    page = Outline(sample_page(name))
    tags = {tag for tag, _ in page.seen}
    assert not tags & {"img", "link", "iframe", "object", "embed", "form", "input", "base", "foreignobject", "image", "audio", "video"}
    for tag, attributes in page.seen:
        assert not [a for a in attributes if a.startswith("on") or a in {"src", "srcset", "style", "action", "formaction", "background"}], (
            tag
        )
        for value in (attributes.get("href"), attributes.get("xlink:href")):
            assert value is None or value.startswith("#")
    scripts = [attributes for tag, attributes in page.seen if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "lossdoctor-report"}, {}]


@pytest.mark.parametrize("hostile", HOSTILE[:3] + HOSTILE[4:5])
def test_hostile_text_is_escaped_wherever_it_stands(hostile: str) -> None:
    text = sample_page("hostile")
    assert hostile not in text.replace("\\u003c", "") or "<" not in hostile
    assert "49" not in re.findall(r"<strong>(.{0,20})</strong>", text)
    assert "{{ 7*7 }}" in text


def test_the_policy_allows_exactly_the_style_and_the_script_of_the_page() -> None:
    text = render([hockey_stick()], "html")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ")
    for tag, kind in (("style", "style-src"), ("script", "script-src")):
        body = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(body) == 1
        digest = base64.b64encode(hashlib.sha256(body[0].encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", [n for n in ALL if n not in {"extremes", "nan-loss"}])
def test_a_page_can_be_shown_again(name: str) -> None:
    again = json_report.load(sample_page(name))
    assert len(again) == 1
    wanted = prepare(ALL[name]())
    for field in wanted.__dataclass_fields__:
        if field != "series":
            assert getattr(again[0], field) == getattr(wanted, field), field
    used = {s for f in wanted.findings for s in f.signals} & {v.signal for v in wanted.series}
    shown = {v.signal for v in again[0].series}
    assert used <= shown if name != "hostile" else shown < used
    assert render(again, "text", unicode=True).splitlines()[0] == render([wanted], "text").splitlines()[0]


@pytest.mark.parametrize("name", ALL)
def test_one_run_stays_under_250_kilobytes(name: str) -> None:
    assert len(sample_page(name).encode()) < 250_000


def test_fifty_runs_stay_under_two_megabytes_and_the_index_comes_first() -> None:
    text = render(many(50), "html")
    assert len(text.encode()) < 2_000_000
    page = Outline(text)
    assert " ".join(page.headings[0].split()) == "50 runs: 29 fail, 7 inconclusive, 7 warn, 7 pass"
    rows = re.findall(r'<td class="nowrap"><span class="badge (\w+)">', text)
    assert rows == ["fail"] * 29 + ["inconclusive"] * 7 + ["warn"] * 7 + ["pass"] * 7
    targets = set(re.findall(r'href="#([^"]+)"', text))
    assert targets <= set(re.findall(r' id="([^"]+)"', text))


def test_a_page_that_grows_too_large_loses_charts_but_no_finding() -> None:
    d = hockey_stick()
    wordy = replace(d.findings[0], message="word " * 190, why_it_matters="why " * 240, verify="look " * 190, looks_like="like " * 190)
    runs = [replace(d, name=f"run-{i}", findings=tuple(replace(wordy, rule=f"rule-{k}") for k in range(6))) for i in range(12)]
    text = render(runs, "html")
    assert len(text.encode()) < 2_000_000
    assert text.count('<section class="card error"') == 72
    assert len(json_report.load(text)) == 12


def test_above_a_hundred_runs_there_is_only_the_table() -> None:
    text = render(many(101), "html")
    assert "<svg" not in text
    assert text.count("<tr>") == 102
    assert "table only" in text


def test_the_same_runs_give_the_same_bytes_and_stable_drops_versions() -> None:
    assert render([hockey_stick()], "html") == render([hockey_stick()], "html")
    assert "numpy 2.4.0" in render([hockey_stick()], "html")
    assert "numpy" not in render([hockey_stick()], "html", stable=True)


def test_a_healthy_run_is_told_the_limits_of_curves_and_never_scored() -> None:
    text = render([healthy()], "html")
    assert "Curves cannot show silent bugs" in text
    assert "What to do now" not in text


def test_a_chart_that_fails_costs_a_note_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise ValueError("no font")

    monkeypatch.setattr(html_chart, "inline", broken)
    said: list[str] = []
    tell: Callable[[str], None] = said.append
    text = render([hockey_stick()], "html", complain=tell)
    assert "The chart of loss could not be drawn (ValueError: no font). Its values are in the table." in text
    assert len(said) == 5
    assert "hockey-stick" in text


def test_every_state_of_a_rule_is_on_the_page() -> None:
    text = sample_page("hostile")
    for said in (" not evaluated, ", " suppressed by ", " crashed: ", "To log it:", "suppressed by the policy", "the rule failed"):
        assert said in text


def test_the_command_to_reproduce_is_clean_and_left_out_of_a_stable_page() -> None:
    command = "lossdoctor analyze x --set hub_token=hf_abcdefghijklmnopqrstuvwx \x1b[2J<b>"
    text = render([hockey_stick()], "html", command=command)
    assert "lossdoctor analyze x --set hub_token=[redacted] \\x1b[2J&lt;b&gt;" in text
    stable = render([hockey_stick()], "html", command=command, stable=True)
    assert "lossdoctor analyze runs/llama-7b-lora-v1" in stable


def test_a_number_says_what_it_is_where_that_is_known() -> None:
    d = hockey_stick()
    numbers = {"minimum": 1.03, "odd": 7.0}
    told = replace(d, findings=(replace(d.findings[0], numbers=numbers, claims={"minimum": Claim("lowest", "eval/loss", 15, 240)}),))
    page = render([told], "html")
    assert "<td>lowest of eval/loss, steps 15-240</td>" in page
    assert "What it is" in page
    assert "What it is" not in render([replace(d, findings=(replace(d.findings[0], claims={}),))], "html")
