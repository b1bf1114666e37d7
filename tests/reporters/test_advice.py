"""The box that says what to do now."""

from __future__ import annotations

from dataclasses import replace

from lossdoctor.model import Cause, Change, Fix
from lossdoctor.reporters.advice import next_steps, setting_code

from .samples import hockey_stick


def titles(fixes: tuple[tuple[Fix, ...], ...], causes: tuple[Cause, ...] = ()) -> list[str]:
    """The steps of a run whose loud findings propose these fixes, for these causes of the first."""
    base = hockey_stick()
    one = replace(base.loud[0], explained_by=None)
    found = tuple(replace(one, rule=f"rule-{i}", code=f"LD{i}", fixes=own, causes=causes) for i, own in enumerate(fixes))
    return [step.title for step in next_steps(replace(base, findings=found)) if "checkpoint" not in step.title]


RATE = Fix("learning_rate", 1e-3, 5e-4, "it jumps")
A, B = Cause("a", "The rate is too high", 0.34, test="Halve it."), Cause("b", "The data are bad", 0.32, test="Read them.")


def test_two_causes_that_are_as_likely_are_both_named_with_the_test():
    assert titles(((),), (A, B)) == ["Find out which it is: the rate is too high; or: the data are bad"]
    assert titles(((),), (A, replace(B, likelihood=0.1))) == ["Check first whether it is this: the rate is too high"]
    assert titles(((RATE,),), (A, replace(B, likelihood=0.1)))[1] == "Test the likeliest cause: the rate is too high"


def test_a_change_is_proposed_once_and_one_that_waits_is_no_step():
    later = Fix("learning_rate", 1e-3, "decide on it after this is fixed: x", "", waits_for="x")
    decay = Fix("weight_decay", 0.0, 0.05, "")
    assert titles(((RATE,), (RATE,))) == ["Change one thing: learning_rate 0.001 → 0.0005"]
    assert titles(((RATE,), (later,))) == ["Change one thing: learning_rate 0.001 → 0.0005"]
    assert titles(((RATE,), (decay,)))[1] == "After that, in a run of its own: weight_decay 0 → 0.05"


def test_every_line_that_must_change_is_there_to_copy():
    fix = Fix("bf16", False, True, "", (Change("fp16", True, False),))
    assert setting_code(fix) == "bf16=True,  # was False\nfp16=False,  # was True"
    half = Fix("per_device_train_batch_size", 8, 4, "", (Change("gradient_accumulation_steps", None, "your value x 2"),))
    assert setting_code(half).splitlines()[1] == "# and gradient_accumulation_steps: your value x 2"
    assert setting_code(replace(fix, style="words")) == ""
