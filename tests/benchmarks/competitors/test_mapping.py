"""The comparison's own arithmetic; the tools themselves are not needed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossdoctor.evaluate import Case, Label
from lossdoctor.rulebook.load import shipped

from .run import judged, table, translated
from .tools import Answer, mapping, source_of, tools

MEANINGS = {"up": ["divergence", "no-warmup"], "up: at once": ["no-warmup"], "talk": []}


def said(answer: str, title: str = "") -> Answer:
    return Answer(answer, title, loud=True)


def test_every_meaning_is_a_rule_of_ours() -> None:
    names = {rule.name for rule in shipped()}
    assert {rule for answers in mapping().values() for meanings in answers.values() for rule in meanings} <= names


def test_every_tool_is_pinned_and_mapped() -> None:
    assert sorted(mapping()) == sorted(tool.name for tool in tools())
    assert all(tool.version[0].isdigit() for tool in tools())


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (Label(must=("no-warmup",)), ("no-warmup",)),
        (Label(must=("no-warmup", "divergence")), ("divergence", "no-warmup")),
        (Label(must=("plateau",), may=("no-warmup",)), ("no-warmup",)),
        (Label(must=()), ("divergence",)),
    ],
)
def test_an_answer_pays_for_all_it_may_mean(label: Label, expected: tuple[str, ...]) -> None:
    assert translated([said("up"), said("up"), said("talk")], MEANINGS, label) == expected


def test_the_title_goes_first_and_unknown_answers_stop() -> None:
    assert translated([said("up", "at once")], MEANINGS, Label(must=("divergence",))) == ("no-warmup",)
    with pytest.raises(SystemExit, match="sideways"):
        translated([said("sideways")], MEANINGS, Label(must=()))


def test_a_run_that_cannot_be_read_is_a_miss_and_counted_apart() -> None:
    cases = (
        Case("a", Label(must=("plateau",)), ("plateau",)),
        Case("b", Label(must=("plateau",)), (), readable=False),
        Case("c", Label(must=()), ("divergence",)),
    )
    assert table({"tool": judged(cases)})[-1] == "| tool | 1 of 2 | 1 | 0.50 | 0.50 | 1 of 1 | 1 of 3 |"
    assert table({"tool": judged(cases, {"a"})})[-1] == "| tool | 1 of 1 | 0 | 1.00 | 1.00 | 0 of 0 | 0 of 1 |"


def test_the_newest_state_is_handed_over(tmp_path: Path) -> None:
    for name, steps in (("checkpoint-900", 900), ("checkpoint-1000", 1000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text(f'{{"global_step": {steps}}}')
    by_name = {tool.name: tool for tool in tools()}
    assert source_of(by_name["losslint"], tmp_path) == tmp_path / "checkpoint-1000" / "trainer_state.json"
    assert source_of(by_name["finetune-doctor"], tmp_path) == tmp_path
    assert source_of(by_name["finetune-doctor"], tmp_path / "nothing") is None
