from __future__ import annotations

import msgspec
import pytest

from lossdoctor.diagnosis.judge import judge
from lossdoctor.model import Evidence
from lossdoctor.rulebook import Phrase, Rule, fill
from lossdoctor.rulebook.rule import Message

from .samples import run

RULE = msgspec.convert(
    {"id": "LD999", "name": "x", "title": "X", "severity": "note", "detector": "x", "message": {"headline": "", "found": ""}}, Rule
)


def said(headline: str, phrase: Phrase, **numbers: float | str | bool | None) -> str:
    rule = msgspec.structs.replace(RULE, message=Message(headline, ""), phrases={"words": phrase})
    return judge(run({"loss": ([1, 2], [1.0, 1.0])}), rule, Evidence(numbers, ())).message


def test_a_phrase_puts_a_number_into_words_of_its_own():
    death = Phrase("death", otherwise="the log says {death}", when={"oom": "out of memory", "unknown": "no log says why"})
    assert said("It ended: {words}.", death, death="oom") == "It ended: out of memory."
    assert said("It ended: {words}.", death, death="fire") == "It ended: the log says fire."
    assert said("It ended: {words}.", death, death=None) == "It ended: no log says why."


def test_a_phrase_tells_true_from_one_and_may_name_other_numbers():
    back = Phrase("recovered", otherwise=" for good", when={"True": " until step {until}"})
    assert said("Slow{words}.", back, recovered=True, until=30) == "Slow until step 30."
    assert said("Slow{words}.", back, recovered=1) == "Slow for good."


def test_a_log_by_epochs_is_told_in_epochs():
    rule = msgspec.structs.replace(RULE, message=Message("From {unit} {onset_step}.", ""))
    by_epoch = run({"loss": ([1, 2], [1.0, 1.0])}, step_is="epoch")
    assert judge(by_epoch, rule, Evidence({}, (), onset_step=2)).message == "From epoch 2."
    assert judge(run({"loss": ([1, 2], [1.0, 1.0])}), rule, Evidence({}, (), onset_step=2)).message == "From step 2."


@pytest.mark.parametrize(
    ("value", "spec", "words"),
    [
        (12190.0, ".3g", "12190"),
        (0.997, ".0%", "99.7%"),
        (5e-5, ".2g", "5e-5"),
        (4.167e22, ".3g", "4.17e22"),
        (0.0, ".3g", "0"),
        (3.2, ".1f", "3.2"),
        (0.24, ".0%", "24%"),
    ],
)
def test_powers_of_ten_read_as_an_engineer_writes_them(value: float, spec: str, words: str):
    assert fill(f"{{x:{spec}}}", {"x": value}) == words
