"""How often the diagnosis is right on our own fixtures. They are ours: the figures say that nothing broke, not how it does on your runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossdoctor.analyze import Plan, analyze, rulebook
from lossdoctor.cli.evaluate import summary, table
from lossdoctor.evaluate import Evaluation, count, evaluate

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def result() -> Evaluation:
    plan = Plan(rules=rulebook())
    return evaluate(FIXTURES, lambda path: analyze(path, plan))


@pytest.fixture(scope="module")
def judged(result: Evaluation) -> Evaluation:
    """The runs whose fault has a rule."""
    known = {rule.name for rule in rulebook()}
    return count([case for case in result.cases if set(case.label.must) <= known])


def test_nearly_every_warning_is_right_and_nearly_every_fault_found(
    result: Evaluation, judged: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print("\n" + "\n".join([*table(result, "text"), *summary(result)]))
    assert result.total.precision is not None
    assert result.total.precision >= 0.95
    assert judged.total.recall is not None
    assert judged.total.recall >= 0.9


def test_no_healthy_run_is_alarmed(result: Evaluation) -> None:
    assert result.healthy >= 20
    assert [case.name for case in result.cases if not case.label.must and case.false] == []


def test_the_headline_is_the_fault(judged: Evaluation) -> None:
    assert judged.headlines >= 40
    assert judged.headlines_right / judged.headlines >= 0.8


def test_the_onset_is_near(result: Evaluation) -> None:
    assert len(result.onset_errors) >= 10
    assert result.onset_error is not None
    assert result.onset_error <= 0.03


def test_every_run_could_be_read(result: Evaluation) -> None:
    assert result.unreadable == ()
