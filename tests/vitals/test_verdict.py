"""The verdict follows from the vital signs, and these from what was measured: over every fixture, and over runs of any kind."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossdoctor.analyze import Options, Plan, analyze, rulebook
from lossdoctor.diagnosis import diagnose
from lossdoctor.diagnosis.verdict import verdict
from lossdoctor.model import Diagnosis, Fault, Severity, State, Verdict
from lossdoctor.vitals import assess

from ..detectors.runs import BOUND, RULES, cosine, learned, make, noisy

FIXTURES = sorted(path.parent for path in (Path(__file__).parents[2] / "fixtures").glob("*/expected.toml"))
DECISIVE = {"finite", "level", "learning", "kept"}
Floats = np.ndarray


def judged(run: object) -> Diagnosis:
    return diagnose(run, list(RULES.values()), BOUND, options=Options(lead_time=False))  # type: ignore[arg-type]


@cache
def of_fixture(path: Path) -> Diagnosis:
    return analyze(str(path), Plan(rules=rulebook(), options=Options(lead_time=False)))[0]


def holds_together(d: Diagnosis) -> None:
    """Bad and findings imply each other; pass needs the decisive ones good; what is unknown is said, and what would have told."""
    loud = [f for f in d.findings if f.severity is not Severity.NOTE]
    assert [v.name for v in d.vitals] == ["finite", "level", "learning", "kept", "steady", "generalises", "complete", "machine"]
    assert {v.name for v in d.vitals if v.decisive} == DECISIVE
    for vital in d.vitals:
        backed = tuple(f.rule for f in loud if RULES[f.rule].vital == vital.name)
        assert (vital.state is State.BAD) == bool(backed)
        assert vital.findings == backed
        assert vital.says
    if d.verdict is Verdict.PASS:
        assert not loud
        assert all(v.state is State.GOOD for v in d.vitals if v.decisive)
    if d.verdict is Verdict.INCONCLUSIVE and not d.faults and not d.crashed:
        assert any(v.decisive and v.state is State.UNKNOWN and v.says in d.headline for v in d.vitals)
    assert (d.verdict in (Verdict.WARN, Verdict.FAIL)) == bool(loud)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_vitals_and_findings_hold_together_on_every_fixture(path: Path) -> None:
    holds_together(of_fixture(path))


@given(
    st.lists(st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, 0.0]), max_size=40),
    st.lists(st.floats(0, 1e3) | st.just(np.nan), max_size=6),
    st.sampled_from(["loss", "val_loss", "lr", "ctc_loss", "reward"]),
)
def test_vitals_and_findings_hold_together_on_any_rows(values: list[float], evals: list[float], name: str) -> None:
    signals = {name: np.array(values)} if values else {}
    more = {"eval_loss": (np.arange(1, len(evals) + 1) * 20, np.array(evals))} if evals and name != "val_loss" else {}
    holds_together(judged(make({**signals, **more})))


def states(run: object) -> dict[str, str]:
    return {vital.name: vital.state.value for vital in judged(run).vitals}


def test_a_run_that_learned_and_ended_at_its_best_passes() -> None:
    d = judged(make({"loss": learned(), "learning_rate": cosine()}))
    assert d.verdict is Verdict.PASS
    assert "went from 3.003 to 1.539 over 200 rows (-42%" in d.headline


@pytest.mark.parametrize(
    ("values", "unknown"),
    [
        ([2.5], {"learning", "kept"}),  # one row
        ([1.60, 1.58, 1.61, 1.56], {"learning", "kept"}),  # four rows that fell by less than their noise
        (noisy(np.full(100, 2.26), 0.01), {"learning"}),  # a hundred rows that stand still at a level that a trained model reaches
    ],
)
def test_what_nobody_could_sign_is_inconclusive(values: list[float], unknown: set[str]) -> None:
    d = judged(make({"loss": np.array(values)}, settings={"lora_r": 16}))
    assert d.verdict is Verdict.INCONCLUSIVE
    assert {v.name for v in d.vitals if v.decisive and v.state is State.UNKNOWN} == unknown
    assert all(v.wanted for v in d.vitals if v.name in unknown)


def test_a_big_effect_needs_few_rows() -> None:
    assert states(make({"loss": np.array([2.5, 1.2, 0.8, 0.7])}))["learning"] == "good"
    assert judged(make({"loss": np.array([14.4, 14.4, 8196.0])})).verdict is Verdict.FAIL
    assert judged(make({"loss": np.array([2.7, np.nan])})).verdict is Verdict.FAIL


def test_a_learning_rate_alone_is_no_health() -> None:
    d = judged(make({"learning_rate": cosine()}))
    assert d.verdict is Verdict.INCONCLUSIVE
    assert "No loss was found" in d.headline


def test_rows_that_would_have_shown_a_fall_and_show_none_are_a_warning() -> None:
    d = judged(make({"loss": noisy(np.full(100, 1.26), 0.01)}))
    assert (d.verdict, d.findings[0].rule) == (Verdict.WARN, "plateau")
    assert judged(make({"loss": noisy(np.full(100, 1.26), 1.0)})).verdict is Verdict.INCONCLUSIVE


def test_a_loss_that_only_a_name_suggests_is_judged_but_never_passed() -> None:
    d = judged(make({"ctc_loss": np.concatenate([learned(), learned()[-1] * np.linspace(1, 9, 60)])}))
    assert (d.verdict, d.findings[0].rule) == (Verdict.FAIL, "divergence")
    d = judged(make({"a_loss": learned(), "b_loss": learned()}))
    assert d.verdict is Verdict.INCONCLUSIVE
    assert "it may be a_loss, b_loss" in d.headline


def test_means_over_epochs_show_a_plateau_that_noisy_rows_hide() -> None:
    rows, epochs = np.arange(1, 321) * 10, np.arange(1, 21) * 160
    means = noisy(np.full(20, 1.7), 0.005)
    noise = noisy(np.full(320, 1.7), 1.2)
    assert states(make({"train_loss_step": (rows, noise)}))["learning"] == "unknown"
    assert states(make({"train_loss_step": (rows, noise), "train_loss_epoch": (epochs, means)}))["learning"] == "bad"


def test_a_loss_nobody_named_is_said_by_name_and_never_passed() -> None:
    d = judged(make({"my_fancy_loss": learned()}))
    assert d.verdict is Verdict.INCONCLUSIVE
    assert "--metric train/loss=my_fancy_loss" in d.headline


def test_nan_in_any_loss_is_found_whatever_its_name() -> None:
    assert judged(make({"my_fancy_loss": np.array([1.0, np.nan, np.nan])})).verdict is Verdict.FAIL


def test_the_divergence_of_an_autoencoder_is_no_policy() -> None:
    assert judged(make({"loss": learned(), "recon": learned(), "kl": np.linspace(1, 9, 200)})).verdict is Verdict.PASS


def test_the_loss_of_a_policy_is_never_passed() -> None:
    rising = {"reward": noisy(np.linspace(-3, 4, 100), 0.1), "kl": np.full(100, 0.02), "loss": noisy(np.zeros(100), 0.01)}
    assert judged(make(rising)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("first", "last", "verdict"), [(20, 400, Verdict.PASS), (-1500, -200, Verdict.PASS), (20, 30, Verdict.INCONCLUSIVE)]
)
def test_a_reward_that_rose_to_several_times_its_start_needs_no_scale(first: float, last: float, verdict: Verdict) -> None:
    reward = np.minimum(np.linspace(first, 2 * last - first, 100), last)
    rows = {"rollout/ep_rew_mean": noisy(reward, abs(last - first) / 100), "train/loss": noisy(np.full(100, 0.1), 0.05)}
    assert judged(make(rows)).verdict is verdict


def test_damage_takes_a_pass_away() -> None:
    vitals = assess(make({"loss": learned()}))
    assert verdict(vitals, (), (), crashed=False) is Verdict.PASS
    assert verdict(vitals, (), (Fault("cut", "x", "y"),), crashed=False) is Verdict.INCONCLUSIVE
    assert verdict(vitals, (), (), crashed=True) is Verdict.INCONCLUSIVE
