"""The machine contract: strict JSON, the documented names, and nothing lost on the way back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.errors import UsageError
from lossdoctor.model import Claim, Cost, Diagnosis, Finding, Setting, Severity, Verdict
from lossdoctor.reporters import json_report, render
from lossdoctor.reporters.options import Options
from lossdoctor.reporters.prepare import prepare

from .samples import ALL, hockey_stick, many

CONTRACT = {
    "schema_version",
    "argument",
    "path",
    "name",
    "verdict",
    "gate",
    "headline",
    "findings",
    "suppressed",
    "crashed",
    "healthy",
    "not_evaluated",
    "faults",
    "checkpoint",
    "cost",
    "settings",
    "sources",
    "versions",
}
FINDING = {
    "rule",
    "code",
    "severity",
    "confidence",
    "onset_step",
    "span",
    "detectable_step",
    "numbers",
    "message",
    "baseline",
    "causes",
    "fixes",
    "explained_by",
}


def refuse(text: str) -> float:
    raise AssertionError(f"{text} is not JSON")


def strict(text: str) -> dict:
    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("name", ALL)
def test_json_is_strict_and_has_the_documented_fields(name: str) -> None:
    row = strict(render([ALL[name]()], "json"))
    assert row.keys() >= CONTRACT
    assert "series" not in row
    for finding in row["findings"]:
        assert finding.keys() >= FINDING
        assert all(cause.keys() >= {"name", "title", "likelihood", "for", "against", "test", "snippet"} for cause in finding["causes"])
        assert all(fix.keys() == {"setting", "from", "to", "why", "together", "style", "waits_for"} for fix in finding["fixes"])


@pytest.mark.parametrize("name", [n for n in ALL if n != "extremes"])
def test_a_report_file_reads_back_equal(name: str) -> None:
    diagnosis = prepare(ALL[name]())
    assert json_report.load(render([diagnosis], "json", series=True)) == [diagnosis]


def test_one_run_is_an_object_many_are_a_list_and_jsonl_is_a_line_each() -> None:
    runs = many(3)
    whole = strict(render(runs, "json"))
    lines = render(runs, "jsonl").splitlines()
    assert [r["name"] for r in whole["runs"]] == [d.name for d in runs] == [strict(line)["name"] for line in lines]
    assert (
        json_report.load(render(runs, "json", series=True))
        == [prepare(d) for d in runs]
        == json_report.load(render(runs, "jsonl", series=True))
    )


def test_numbers_that_are_not_finite_are_strings_and_come_back() -> None:
    diagnosis = ALL["extremes"]()
    text = render([diagnosis], "json", series=True)
    assert strict(text)["findings"][0]["numbers"] == {"a": "nan", "b": "inf", "c": "-inf", "d": None, "e": True}
    assert strict(text)["cost"]["hours"] == "nan"
    again = json_report.load(text)[0]
    assert math.isnan(again.findings[0].numbers["a"])
    assert again.findings[0].numbers["c"] == -math.inf
    assert again.series == diagnosis.series


scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text(max_size=20))
names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


@given(numbers=st.dictionaries(names, scalars, max_size=4), value=scalars, hours=st.none() | st.floats(0, 1e9), text=st.text(max_size=50))
def test_whatever_a_diagnosis_holds_comes_back(numbers: dict, value: object, hours: float | None, text: str) -> None:
    finding = Finding("rule", "LD101", text, Severity.NOTE, 0.5, text, numbers, ("train/loss",))
    made = prepare(
        Diagnosis(
            "n",
            "p",
            "a",
            Verdict.WARN,
            text,
            findings=(finding,),
            settings=(Setting("x", value, "s", (("t", value),)),),
            cost=Cost(hours=hours),
        )
    )
    again = json_report.load(render([made], "json", series=True))[0]
    words = {"nan", "inf", "-inf"}
    if value not in words and not words & {v for v in numbers.values() if isinstance(v, str)}:
        assert again == made


def test_a_number_named_like_a_renamed_field_keeps_its_name() -> None:
    base = hockey_stick()
    odd = replace(base, findings=(replace(base.findings[0], numbers={"for": 1, "to": 2, "current": 3}),))
    row = strict(render([odd], "json"))
    assert row["findings"][0]["numbers"] == {"for": 1, "to": 2, "current": 3}
    assert json_report.load(render([odd], "json"))[0].findings[0].numbers == {"for": 1, "to": 2, "current": 3}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a lossdoctor report"),
        ("[1, 2]", "no schema_version"),
        ('{"a": 1}', "no schema_version"),
        ('{"schema_version": 99}', "update lossdoctor"),
        ('{"schema_version": "1"}', "schema version"),
        ('{"schema_version": 1, "runs": 3}', "not a list"),
        ('{"schema_version": 1, "runs": [3]}', "not an object"),
        ('{"schema_version": 1, "name": "x"}', "missing required field"),
        ("<html></html>", "holds no lossdoctor report"),
        ('{"schema_version": 1}\n{"schema', "not a lossdoctor report"),
    ],
)
def test_what_is_no_report_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        json_report.load(text)


def test_the_schema_names_the_fields_of_the_wire() -> None:
    definitions = json_report.schema()["$defs"]
    assert definitions["Fix"]["properties"].keys() == {"setting", "from", "to", "why", "together", "style", "waits_for"}
    assert definitions["Change"]["properties"].keys() == {"setting", "from", "to"}
    assert "for" in definitions["Cause"]["properties"]
    assert definitions["Diagnosis"]["properties"].keys() >= CONTRACT
    row = json_report.to_dict(hockey_stick(), Options(series=True))
    assert row.keys() == definitions["Diagnosis"]["properties"].keys()
    assert row["gate"].keys() == definitions["Gate"]["properties"].keys()


def test_numbers_from_numpy_become_plain_ones() -> None:
    base = hockey_stick()
    numbers = {"a": np.float64(0.5), "b": np.int64(3), "c": np.float32(2), "d": np.bool_(True)}
    loss = replace(
        base.series[0], values=tuple(np.float64(v) for v in base.series[0].values), steps=tuple(np.int64(s) for s in base.series[0].steps)
    )
    odd = replace(
        base, findings=(replace(base.findings[0], numbers=numbers, onset_step=np.int64(450)),), series=(loss,), epochs=np.float64(3)
    )
    row = strict(render([odd], "json", series=True))
    assert row["findings"][0]["numbers"] == {"a": 0.5, "b": 3, "c": 2, "d": True}
    assert row["series"][0]["values"] == list(base.series[0].values)
    assert render([odd], "html")


def test_a_stable_report_has_short_floats() -> None:
    def floats(value: object) -> Iterator[float]:
        if isinstance(value, float):
            yield value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from floats(inner)

    assert all(value == float(f"{value:.6g}") for value in floats(json_report.to_dict(hockey_stick(), Options(stable=True, series=True))))


def test_what_a_number_claims_is_told_and_comes_back() -> None:
    claim = Claim("lowest", "eval/loss", 15, 240)
    d = hockey_stick()
    told = replace(d, findings=(replace(d.findings[0], claims={"minimum": claim}), *d.findings[1:]))
    row = json_report.to_dict(told, Options())
    assert row["findings"][0]["claims"] == {"minimum": {"statistic": "lowest", "signal": "eval/loss", "first": 15, "last": 240}}
    assert json_report.load(json_report.encode(row))[0].findings[0].claims == {"minimum": claim}
