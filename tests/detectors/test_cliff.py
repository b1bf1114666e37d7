"""A run that ends before its plan: what its sources and the last words of its log say of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lossdoctor.model import LogEvent

from .runs import cosine, learned, level, make, outcome


def test_cliff_needs_more_than_a_checkpoint():
    cut = {"loss": learned(120), "learning_rate": cosine()[:120]}
    assert level(make(cut, planned_steps=1000, kind="tensorboard"), "cliff") == "warning"
    assert level(make(cut, planned_steps=1000, kind="trainer_state"), "cliff") == "skipped"
    assert level(make(cut, planned_steps=1000, early_stopped=True), "cliff") == "healthy"
    assert level(make(cut, planned_steps=600, finished=True), "cliff") == "healthy"


def test_cliff_of_what_was_printed():
    cut = {"loss": learned(120), "learning_rate": cosine()[:120]}
    # The first rows may be cut out of a longer log; what was kept through a good part of the plan is hardly an excerpt.
    assert level(make(cut, planned_steps=10_000), "cliff") == "note"
    assert level(make(cut, planned_steps=1000), "cliff") == "warning"
    late = {"loss": (np.arange(30) * 10 + 5000, learned(30))}
    assert level(make(late, planned_steps=20000), "cliff") == "skipped"
    killed = LogEvent("killed", "Killed", "train.log:200")
    assert level(make(cut, events=(killed,)), "cliff") == "error"
    assert level(make(cut, planned_steps=1000, events=(killed,)), "cliff") == "error"
    assert level(make(cut, planned_steps=600, finished=True, events=(killed,)), "cliff") == "healthy"
    # A death that training went on after, in the log itself or by its step, is no end.
    assert level(make(cut, events=(replace(killed, numbers={"went_on": 1.0}),)), "cliff") == "skipped"
    assert level(make(cut, events=(replace(killed, step=200),)), "cliff") == "skipped"
    assert level(make(cut, events=(replace(killed, step=595),)), "cliff") == "error"


def test_cliff_by_the_user_or_by_the_numbers():
    cut = {"loss": learned(120), "learning_rate": cosine()[:120]}
    stopped = LogEvent("interrupt", "KeyboardInterrupt", "train.log:200", numbers={"raised": 1.0})
    assert level(make(cut, planned_steps=1000, events=(stopped,)), "cliff") == "warning"
    assert level(make(cut, events=(stopped,)), "cliff") == "note"
    numbers = LogEvent("nan-message", "ValueError: loss is NaN", "train.log:200", numbers={"raised": 1.0})
    assert level(make(cut, events=(numbers,)), "cliff") == "warning"


def test_cliff_quotes_the_reason_not_its_echo():
    oom = LogEvent("oom", "CUDA out of memory", "train.log:1")
    echo = LogEvent("sigterm", "got signal: 15", "train.log:2")
    said = outcome(make({"loss": learned(120)}, events=(oom, echo)), "cliff")
    assert said.evidence is not None
    assert said.evidence.numbers["death"] == "oom"
