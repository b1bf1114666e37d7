"""Against the last good run: new, unchanged, fixed, refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from lossdoctor.model import Diagnosis, MetricDelta, Setting, Severity, Verdict
from lossdoctor.policy import Policy, apply, exit_code
from lossdoctor.policy.baseline import mark
from lossdoctor.policy.load import parse

from .samples import EMPTY, RULES, diagnosis, finding, note, view

TODAY = date(2026, 11, 21)
EVALS = tuple(1.2 + 0.001 * (-1) ** i for i in range(24))


def gate(**table: object) -> Policy:
    return parse({"gate": {"fail_on": "new-error", **table}}, RULES, Path("lossdoctor.toml"))


def run(*findings: object, evals: tuple[float, ...] = EVALS, **changes: object) -> Diagnosis:
    return diagnosis(*findings, series=(view("train/loss", tuple(2 - 0.01 * i for i in range(40))), view("eval/loss", evals)), **changes)


def of(result: Diagnosis, metric: str) -> MetricDelta:
    assert result.baseline is not None
    return next(d for d in result.baseline.deltas if d.metric == metric)


def test_findings_are_new_unchanged_or_fixed() -> None:
    good = run(finding("constant-clipping"), finding("divergence"), name="lora_seed1")
    now = run(finding(), finding("constant-clipping", numbers={"share": 0.1}, onset_step=7, message="other"), name="lora_seed2")
    result = mark(now, good)
    assert [f.baseline for f in result.findings] == ["new", "unchanged"]
    assert result.baseline is not None
    assert [(n.rule, n.reason) for n in result.baseline.fixed] == [("divergence", "in the baseline: divergence at step 400")]
    assert exit_code(gate(), [apply(gate(), result, TODAY)]) == 1
    assert exit_code(gate(), [apply(gate(), mark(good, good), TODAY)]) == 0


def test_a_rule_that_could_not_look_has_fixed_nothing() -> None:
    good = run(finding("divergence"))
    result = mark(run(healthy=(), not_evaluated=(note("divergence", "no loss"),)), good)
    assert result.baseline is not None
    assert result.baseline.fixed == ()


@pytest.mark.parametrize(
    "changes", [{"severity": Severity.ERROR}, {"signals": ("eval/code/loss",)}], ids=["graver than before", "on another signal"]
)
def test_what_grew_worse_is_new(changes: dict[str, object]) -> None:
    assert mark(run(finding("constant-clipping", **changes)), run(finding("constant-clipping"))).findings[0].baseline == "new"


@pytest.mark.parametrize(
    ("name", "good", "now", "says"),
    [
        ("vocab_size", 32000, 50257, "good: vocab_size: 32000 and 50257"),
        ("base_model", "meta/llama-7b", "gpt2", "good: base_model: meta/llama-7b and gpt2"),
        ("base_model", "/data/llama-7b/", "meta/Llama-7B", None),
        ("base_model", "checkpoint-500", "gpt2", None),
        ("loss_type", "sum", "mean", "good: loss_type: sum and mean"),
        ("learning_rate", 1e-4, 2e-4, None),
    ],
)
def test_unlike_settings_are_refused(name: str, good: object, now: object, says: str | None) -> None:
    one, other = (run(finding(), name=n, settings=(Setting(name, v, "args"),)) for n, v in (("good", good), ("now", now)))
    result = mark(other, one)
    assert result.baseline is not None
    assert result.baseline.refused == ((says,) if says else ())
    code = exit_code(gate(), [apply(gate(), result, TODAY)])
    assert code == (3 if says else 0)
    assert result.findings[0].baseline == ("new" if says else "unchanged")


def test_another_eval_set_or_loss_scale_is_refused() -> None:
    def speed(seconds: float, rate: float) -> tuple[object, ...]:
        return (view("eval/runtime", (seconds, seconds + 1)), view("eval/samples_per_second", (rate, rate * seconds / (seconds + 1))))

    good = diagnosis(name="good", series=(view("train/loss", (2.3, 1.9)), *speed(10, 50)))
    same = diagnosis(series=(view("train/loss", (2.4, 1.9)), *speed(20, 25.04)))
    other = diagnosis(series=(view("train/loss", (18.4, 15.2)), *speed(10, 60)))
    assert mark(same, good).baseline.refused == ()
    refused = mark(other, good).baseline.refused
    assert refused[0] == "good: eval set: about 500 and 600 samples"
    assert refused[1].startswith("good: loss scale: training starts at 2.3 and 18.4")


def test_the_first_loss_is_only_compared_where_both_log_it() -> None:
    late = diagnosis(series=(view("train/loss", (2.3, 1.9), first=500),))
    assert mark(late, diagnosis(series=(view("train/loss", (10.8, 7.0), first=1),))).baseline.refused == ()


def test_runs_are_paired_by_family() -> None:
    goods = (run(name="lora_seed1"), run(name="full-ft", settings=(Setting("vocab_size", 1, "x"),)))
    assert mark(run(name="lora_seed9"), *goods).baseline.names == ("lora_seed1",)
    assert mark(run(name="other"), *goods).baseline.refused == ("no run like other in the baseline",)
    assert mark(run(name="other"), goods[0]).baseline.names == ("lora_seed1",)


def test_an_unreadable_baseline_is_refused() -> None:
    broken = diagnosis(name="b", verdict=Verdict.INCONCLUSIVE, faults=(EMPTY,))
    assert mark(run(), broken).baseline.refused == ("b could not be read",)


def test_a_change_within_the_wiggle_is_not_beyond_it() -> None:
    near, far = (run(evals=tuple(v + shift for v in EVALS)) for shift in (0.0003, 0.05))
    small, large = of(mark(near, run()), "final eval loss"), of(mark(far, run()), "final eval loss")
    assert (small.beyond, large.beyond, large.better) == (False, True, False)
    assert large.now - large.base == pytest.approx(0.05)


def test_several_seeds_show_the_noise_between_runs() -> None:
    rng = np.random.default_rng(3)
    seeds = [run(evals=tuple(v + shift for v in EVALS), name=f"lora_seed{i}") for i, shift in enumerate(rng.normal(0, 0.03, 8))]
    far = run(evals=tuple(v + 0.05 for v in EVALS))
    assert of(mark(far, seeds[0]), "final eval loss").beyond
    assert not of(mark(far, *seeds), "final eval loss").beyond


def test_a_baseline_without_curves_says_so() -> None:
    result = mark(run(), replace(run(), series=()))
    assert result.baseline is not None
    assert result.baseline.deltas == ()
    assert "no curves" in result.notes[0]
