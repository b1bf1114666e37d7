"""Counting: what is owed, free, missed and false."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossdoctor.errors import UsageError
from lossdoctor.evaluate import Case, Label, count, evaluate, labels
from lossdoctor.model import Diagnosis, Finding, SeriesView, Severity, Verdict


def finding(rule: str, severity: Severity = Severity.WARNING, onset: int | None = None) -> Finding:
    return Finding(rule, "LD999", rule, severity, 0.7, rule, {}, ("train/loss",), onset)


def diagnosis(*findings: Finding) -> Diagnosis:
    view = SeriesView("train/loss", "loss", (1, 100), (2.0, 1.0))
    return Diagnosis("run", "run", "run", Verdict.WARN, "", findings=findings, series=(view,), steps=100)


def write(home: Path, name: str, text: str) -> None:
    (home / name).mkdir()
    (home / name / "expected.toml").write_text(text, encoding="utf-8")


def test_a_corpus_is_counted_rule_by_rule(tmp_path: Path) -> None:
    write(tmp_path, "a", 'must = ["plateau"]\nmay = ["underfitting"]\nonset_step = 10\n')
    write(tmp_path, "b", 'must = ["cliff"]\n')
    write(tmp_path, "c", "must = []\n")
    write(tmp_path, "d", 'must = ["sawtooth"]\nmade = "scripted"\n')
    said = {
        "a": diagnosis(finding("plateau", onset=30), finding("underfitting"), finding("cliff", Severity.NOTE)),
        "b": diagnosis(finding("plateau"), finding("cliff", Severity.NOTE)),
        "c": diagnosis(finding("cliff")),
        "d": diagnosis(),
    }
    result = evaluate(tmp_path, lambda path: [said[Path(path).name]])
    assert result.left_out == 1
    assert (result.total.owed, result.total.found, result.total.false) == (2, 1, 2)
    assert result.total.precision == pytest.approx(1 / 3)
    assert result.total.recall == 0.5
    assert result.rules["cliff"].precision == 0.0
    assert result.rules["plateau"].f1 == pytest.approx(2 / 3)
    assert (result.healthy, result.alarmed) == (1, 1)
    assert (result.headlines, result.headlines_right) == (2, 1)
    assert result.onset_errors == (0.2,)
    assert result.bands["low"] == (2, 4)
    assert evaluate(tmp_path, lambda path: [said[Path(path).name]], scripted=True).total.owed == 3


def test_nothing_found_has_no_precision() -> None:
    result = count([Case("a", Label(must=("plateau",)), ())])
    assert result.total.precision is None
    assert result.total.recall == 0.0


@pytest.mark.parametrize(
    ("text", "says"),
    [("must = ", "expected.toml"), ('must = "plateau"', "expected.toml"), ('must = []\nmsut = ["x"]', "msut"), ("may = []", "must")],
)
def test_a_label_that_is_malformed_is_named(tmp_path: Path, text: str, says: str) -> None:
    write(tmp_path, "a", text)
    with pytest.raises(UsageError, match=says):
        labels(tmp_path)


def test_a_directory_without_labels_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no expected\.toml"):
        labels(tmp_path)
