"""`import lossdoctor`: load, diagnose, and what a notebook shows."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lossdoctor
from lossdoctor import api
from lossdoctor.errors import PathMissing, Unreadable, UsageError

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"


@pytest.mark.parametrize("module", [lossdoctor, api], ids=["lossdoctor", "lossdoctor.api"])
def test_the_examples(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted >= 4
    assert result.failed == 0


def test_everything_that_is_promised_is_there() -> None:
    assert set(lossdoctor.__all__) <= set(dir(lossdoctor))
    assert all(getattr(lossdoctor, name) is not None for name in lossdoctor.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = lossdoctor.nothing


def test_a_path_a_run_and_its_frame_say_the_same() -> None:
    path = FIXTURES / "hockey-stick-digits"
    run = lossdoctor.load(path)
    by_path, by_run, by_frame = (lossdoctor.diagnose(one) for one in (path, run, run.history))
    assert by_path.findings == by_run.findings
    assert by_path.verdict is by_frame.verdict
    assert by_path.findings[0].rule == by_frame.findings[0].rule == "hockey-stick"
    assert by_path.findings[0].onset_step == by_frame.findings[0].onset_step


def test_a_wide_frame_is_read_by_its_step_column_or_index_and_not_changed() -> None:
    steps = np.arange(1, 301) * 10
    frame = pd.DataFrame({"step": steps, "loss": 1.2 + 2 * np.exp(-steps / 500), "lr": 2e-4, "note": "words"})
    frame.loc[50, "loss"] = np.nan
    before = frame.copy()
    found = lossdoctor.diagnose(frame)
    assert found.verdict.value == "pass"
    assert found.steps == 3000
    pd.testing.assert_frame_equal(frame, before)
    assert lossdoctor.diagnose(frame.set_index("step")).verdict is found.verdict
    history = api.load(FIXTURES / "healthy-table").history
    assert lossdoctor.diagnose(history).task


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame({"loss": [1.0]}), "no step column"),
        (pd.DataFrame({"step": [1], "note": ["x"]}), "no numeric column"),
        (pd.DataFrame({"step": ["a"], "loss": [1.0]}), "not numeric"),
        (pd.DataFrame({"step": [np.nan], "loss": [1.0]}), "no step numbers"),
        (pd.DataFrame({"step": [1e30], "loss": [1.0]}), "no step numbers"),
    ],
)
def test_a_frame_that_is_no_log_is_refused(frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        lossdoctor.diagnose(frame)


def test_paths_that_hold_nothing_or_too_much(tmp_path: Path) -> None:
    with pytest.raises(PathMissing):
        lossdoctor.load(tmp_path / "nowhere")
    with pytest.raises(PathMissing):
        lossdoctor.diagnose(tmp_path / "nowhere")
    with pytest.raises(Unreadable, match="no training log"):
        lossdoctor.load(tmp_path)
    assert lossdoctor.diagnose(tmp_path).verdict.value == "inconclusive"
    for name, rate in (("a", 50), ("b", 90)):
        rows = "".join(f"{i},{2 + np.exp(-i / rate)}\n" for i in range(100))
        (tmp_path / f"{name}.csv").write_text("step,loss\n" + rows, encoding="utf-8")
    for call in (lossdoctor.load, lossdoctor.diagnose):
        with pytest.raises(UsageError, match="holds 2 runs"):
            call(tmp_path)


def test_a_policy_moves_the_gate(tmp_path: Path) -> None:
    path = FIXTURES / "hockey-stick-digits"
    assert not lossdoctor.diagnose(path).gate.passed
    policy = tmp_path / "lossdoctor.toml"
    policy.write_text('[gate]\nfail_on = "never"\n', encoding="utf-8")
    assert lossdoctor.diagnose(path, policy).gate.passed


def test_a_notebook_shows_the_report_and_a_table() -> None:
    diagnosis = lossdoctor.diagnose(FIXTURES / "hockey-stick-digits")
    assert list(diagnosis.to_frame()["rule"]) == [finding.rule for finding in diagnosis.findings]
    assert diagnosis._repr_html_().startswith("<iframe ")
