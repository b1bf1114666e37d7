"""Rules of one's own, in TOML only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lossdoctor.analyze import Plan, analyze, rulebook
from lossdoctor.detectors import DETECTORS
from lossdoctor.detectors.generic import drop, ratio_to_baseline, share_above, threshold, trend
from lossdoctor.errors import RuleError
from lossdoctor.model import Evidence, Severity, Skip
from lossdoctor.rulebook import bind, load_directory

from .runs import ROWS, learned, make, noisy

# The rule file that CONTRIBUTING.md offers to copy.
GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"
OWN = GUIDE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0].replace("eval/perplexity", "my/perplexity")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    home = tmp_path / "rules"
    home.mkdir()
    (home / "perplexity.toml").write_text(OWN)
    return home


def table(path: Path, level: float) -> str:
    rows = [f"{step},{2 - step / 1000},{level}" for step in range(10, 600, 10)]
    path.write_text("\n".join(["step,loss,my/perplexity", *rows]))
    return str(path)


def test_a_rule_file_is_all_that_it_takes(rules: Path, tmp_path: Path):
    plan = Plan(rules=rulebook(extra=[rules]))
    (diagnosis,) = analyze(table(tmp_path / "metrics.csv", 25.0), plan)
    (finding,) = [f for f in diagnosis.findings if f.code == "XX001"]
    assert finding.severity is Severity.WARNING
    assert finding.message == "my/perplexity lies above 20 in 100% of its rows."
    (healthy,) = analyze(table(tmp_path / "metrics.csv", 12.0), plan)
    assert "perplexity-too-high" in {note.rule for note in healthy.healthy}


def test_a_signal_that_was_not_logged_is_named(rules: Path, tmp_path: Path):
    path = tmp_path / "metrics.csv"
    path.write_text("\n".join(["step,loss", *(f"{step},{2 - step / 1000}" for step in range(10, 600, 10))]))
    (diagnosis,) = analyze(str(path), Plan(rules=rulebook(extra=[rules])))
    (note,) = [n for n in diagnosis.not_evaluated if n.rule == "perplexity-too-high"]
    assert "my/perplexity was not logged" in note.reason


def test_a_misspelt_threshold_is_refused(rules: Path):
    file = rules / "perplexity.toml"
    file.write_text(OWN.replace("thresholds.above", "thresholds.abve"))
    with pytest.raises(RuleError, match="did you mean 'above'"):
        bind(load_directory(rules), DETECTORS)


def fires(found: Evidence | Skip | None) -> bool:
    assert not isinstance(found, Skip), found
    return found is not None


RUN = make(
    {
        "loss": learned(),
        "up": noisy(np.linspace(1, 2, ROWS), 0.05),
        "fallen": noisy(np.concatenate((np.linspace(0.5, 0.9, 100), np.linspace(0.9, 0.6, 100))), 0.01),
        "grad_norm": noisy(np.full(ROWS, 0.9), 0.3),
        "noise": noisy(np.ones(ROWS), 0.2),
    },
    settings={"max_grad_norm": 1.0},
)


@pytest.mark.parametrize(
    ("bounds", "hit"), [({"above": 1.5}, True), ({"above": 1.8}, False), ({"below": 1.6}, True), ({"below": 1.2}, False)]
)
def test_threshold_needs_its_share_of_rows(bounds: dict[str, float], hit: bool):
    assert fires(threshold(RUN, signal="up", share=0.4, **bounds)) is hit


def test_threshold_leaves_the_beginning_out():
    assert fires(threshold(RUN, signal="up", share=0.9, above=1.45, after=0.5))
    assert not fires(threshold(RUN, signal="up", share=0.9, above=1.45))


@pytest.mark.parametrize(
    ("signal", "change", "hit"),
    [
        ("up", 0.5, True),
        ("up", 1.5, False),
        ("up", -0.1, False),
        ("train/loss", -0.3, True),
        ("noise", 0.05, False),
        ("noise", -0.05, False),
    ],
)
def test_trend_goes_one_way(signal: str, change: float, hit: bool):
    assert fires(trend(RUN, signal=signal, change=change, z=4.0)) is hit


def test_drop_from_the_best():
    found = drop(RUN, signal="fallen", fall=0.2)
    assert isinstance(found, Evidence)
    assert abs((found.onset_step or 0) - 500) <= 50
    assert not fires(drop(RUN, signal="fallen", fall=0.5))
    assert not fires(drop(RUN, signal="up", fall=0.05))


def test_ratio_to_baseline_both_ways():
    assert fires(ratio_to_baseline(RUN, signal="up", above=1.5))
    assert not fires(ratio_to_baseline(RUN, signal="up", above=2.0))
    assert fires(ratio_to_baseline(RUN, signal="train/loss", below=0.8))
    assert not fires(ratio_to_baseline(RUN, signal="noise", above=1.2, below=0.8))


def test_share_above_a_setting():
    assert fires(share_above(RUN, signal="train/grad_norm", setting="max_grad_norm", share=0.3))
    assert not fires(share_above(RUN, signal="train/grad_norm", setting="max_grad_norm", share=0.3, factor=2.0))
    assert isinstance(share_above(RUN, signal="train/grad_norm", setting="no_such", share=0.3), Skip)
