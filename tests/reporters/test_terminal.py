"""The terminal's text fits, degrades and never acts."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.errors import UsageError
from lossdoctor.model import RuleNote
from lossdoctor.reporters import render
from lossdoctor.reporters.sparkline import carets, sparkline
from lossdoctor.reporters.terminal.console import ascii_only, cells, detect
from lossdoctor.reporters.wording import facts

from .samples import ALL, SeriesView, healthy, hockey_stick, many, nan_loss, view

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("name", [n for n in ALL if n != "hostile"])
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("unicode", [True, False])
def test_no_line_is_wider_than_the_terminal(name: str, width: int, unicode: bool) -> None:
    for verbosity in (-1, 0, 1):
        for line in render([ALL[name]()], "text", width=width, verbosity=verbosity, unicode=unicode).splitlines():
            assert cells(line) <= width, line


@pytest.mark.parametrize("name", ALL)
def test_colour_only_adds_colour(name: str) -> None:
    plain = render([ALL[name]()], "text", colour=False)
    coloured = render([ALL[name]()], "text", colour=True)
    assert "\x1b" not in plain
    assert "\x1b[1" in coloured
    assert ANSI.sub("", coloured) == plain


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("form", ["text", "concise"])
def test_an_ascii_console_gets_ascii(name: str, form: str) -> None:
    assert render([ALL[name]()], form, unicode=False, verbosity=1).isascii()


def test_the_verdict_comes_first_and_the_first_screen_decides() -> None:
    lines = render([hockey_stick()], "text").splitlines()
    assert lines[0].startswith("llama-7b-lora-v1")
    assert "✗ FAIL  Overfitting after epoch 1. Use checkpoint-400, not checkpoint-1200." in lines[2:5]
    assert len(lines) < 50
    screen = "\n".join(lines[:28])
    assert "Use checkpoint-400 (whole)" in screen
    assert "hockey-stick (LD201)   steps 400-1200   confidence 0.94" in screen


def test_what_is_explained_is_grouped_and_not_told_twice() -> None:
    text = render([nan_loss()], "text")
    assert "explains  B exploding-gradients (LD302)" in text
    assert "climbed 90-fold" not in text


def test_quiet_is_the_verdict_and_verbose_says_what_to_log() -> None:
    quiet = render([hockey_stick()], "text", verbosity=-1)
    assert "FAIL" in quiet
    assert "train loss" not in quiet
    loud = render([hockey_stick()], "text", verbosity=1)
    assert "max_memory_allocated" in loud
    assert "max_memory_allocated" not in render([hockey_stick()], "text")


def test_damage_is_named_and_a_healthy_run_is_told_its_limits() -> None:
    assert "git lfs pull" in render([ALL["no-data"]()], "text")
    assert "Curves cannot show silent bugs" in render([ALL["healthy"]()], "text")


def test_many_runs_end_in_a_table_worst_first() -> None:
    lines = render(many(7), "text").splitlines()
    at = lines.index("7 runs: 4 fail, 1 inconclusive, 1 warn, 1 pass")
    assert [line.split()[1] for line in lines[at + 1 :]] == ["fail"] * 4 + ["inconclusive", "warn", "pass"]


def test_concise_is_one_line_a_finding() -> None:
    lines = render([hockey_stick(), ALL["healthy"]()], "concise").splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("runs/llama-7b-lora-v1/trainer_state.json: error hockey-stick LD201 steps 400-1200: ")
    assert lines[3].startswith("bert-mnli/trainer_state.json: pass: ")


class Stream(io.StringIO):
    def __init__(self, terminal: bool, encoding: str) -> None:
        super().__init__()
        self.terminal, self.named = terminal, encoding

    def isatty(self) -> bool:
        return self.terminal

    @property
    def encoding(self) -> str:
        return self.named


@pytest.mark.parametrize(
    ("terminal", "environ", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"FORCE_COLOR": "0"}, False),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_follows_the_environment(terminal: bool, environ: dict[str, str], colour: bool) -> None:
    assert detect(Stream(terminal, "utf-8"), environ)["colour"] is colour


def test_width_and_encoding_follow_the_console() -> None:
    assert detect(Stream(False, "utf-8"), {"COLUMNS": "100"}) == {"width": 100, "colour": False, "unicode": True}
    assert detect(Stream(False, "UTF8"), {"COLUMNS": "1000000"})["width"] == 120
    assert detect(Stream(False, "cp1252"), {"COLUMNS": "abc"}) == {"width": 80, "colour": False, "unicode": False}
    assert detect(Stream(False, "ascii"), {"COLUMNS": "5"})["width"] == 40


def test_the_terminal_path_stays_light() -> None:
    code = (
        "import sys; from tests.reporters.samples import hockey_stick; from lossdoctor.reporters import render;"
        "render([hockey_stick()], 'text'); render([hockey_stick()], 'jsonl');"
        "print([m for m in ('pandas', 'matplotlib', 'scipy', 'jinja2', 'wandb', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "[]\n"


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(UsageError, match="'pdf': choose one of text, concise"):
        render([], "pdf")


finite = st.floats(-1e6, 1e6)


@given(st.lists(st.one_of(st.none(), finite), min_size=1, max_size=200), st.integers(10, 80))
def test_a_sparkline_has_its_width_and_marks_what_is_not_finite(values: list[float | None], width: int) -> None:
    steps = tuple(range(len(values)))
    bad = tuple(i for i, v in enumerate(values) if v is None)
    view = SeriesView("x", "x", steps, tuple(values), bad, len(values))
    line = sparkline(view, width, 0, max(len(values) - 1, 1))
    assert len(line) == width
    assert ("×" in line) == bool(bad)  # noqa: RUF001
    assert ascii_only(line).isascii()


def test_a_falling_curve_falls_and_a_spike_does_not_flatten_it() -> None:
    steps = tuple(range(100))
    values = tuple(10.0 - 0.1 * i if i != 50 else 1e9 for i in steps)
    line = sparkline(SeriesView("x", "x", steps, values, (), 100), 50, 0, 99)
    assert line[0] in "▇█"
    assert line[-1] == "▁"
    assert len(set(line)) >= 5


def test_carets_lie_under_their_spans() -> None:
    assert carets([("A", 50, 100)], 21, 0, 100) == " " * 10 + "A" + "^" * 10
    assert carets([("A", 0, 100), ("B", 50, 60)], 11, 0, 100) == "A^^^^B^^^^^"
    assert carets([], 10, 0, 100) == ""


def test_rules_that_were_not_evaluated_for_the_same_reason_share_a_line() -> None:
    notes = tuple(
        RuleNote(name, code, name, "applies to reinforcement learning only")
        for name, code in (("kl-blowup", "LD803"), ("reward-flat", "LD802"))
    )
    other = RuleNote("plateau", "LD102", "plateau", "no loss was logged", "logging_steps=10")
    text = render([replace(healthy(), not_evaluated=(notes[0], other, notes[1]))], "text", width=120, verbosity=1)
    assert "kl-blowup (LD803), reward-flat (LD802): Applies to reinforcement learning only." in text
    assert "plateau (LD102): No loss was logged. To log it: logging_steps=10" in text


def test_in_reinforcement_learning_the_reward_is_the_curve_and_a_loss_near_zero_is_no_alarm() -> None:
    steps = np.arange(10)
    series = tuple(view(name, steps, np.linspace(0.1, 0.9, 10)) for name in ("train/loss", "kl", "reward"))
    text = render([replace(healthy(), task="rl", series=series)], "text")
    assert text.index("  reward ") < text.index("  kl ")
    assert "train loss" not in text
    assert "the loss says little, and one near 0 is normal" in " ".join(text.split())


def test_a_log_by_epochs_is_measured_in_epochs() -> None:
    assert facts(replace(healthy(), steps=16, planned_steps=19, epochs=16.0, unit="epoch"))[0] == "16 of 19 epochs"
    assert facts(replace(healthy(), steps=1, planned_steps=None, epochs=1.0, unit="epoch"))[0] == "1 epoch"
    assert facts(replace(healthy(), steps=500, planned_steps=None, epochs=1.0))[:2] == ("500 steps", "1 epoch")
