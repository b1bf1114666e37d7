"""Causes on runs into which one fault was put on purpose: the cause that is ranked first is the one we put in."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from lossdoctor.analyze import Plan, analyze, rulebook
from lossdoctor.diagnosis.causes import CLOSE
from lossdoctor.model import Finding

FIXTURES = Path(__file__).parents[2] / "fixtures"

KNOWN = [
    # NaN: data, learning rate, precision, no labels
    ("nan-data", "nan-loss", "data"),
    ("nan-bad-batch", "nan-loss", "data"),
    ("nan-rate-climb", "nan-loss", "learning-rate"),
    ("nan-half-precision", "nan-loss", "precision"),
    ("zero-loss-all-masked", "zero-loss", "masked"),
    ("zero-loss-answer-leaks", "zero-loss", "leak"),
    # plateau: labels, learning rate, frozen
    ("plateau-misaligned-labels", "plateau", "labels"),
    ("plateau-shuffled-classes", "plateau", "labels"),
    ("plateau-frozen", "plateau", "frozen"),
    ("lr-zero", "plateau", "learning-rate"),
    ("slow-digits", "slow-convergence", "low-learning-rate"),
    ("slow-low-rate", "slow-convergence", "low-learning-rate"),
    # sawtooth: learning rate, data order
    ("sawtooth-full-batch", "sawtooth", "learning-rate"),
    ("sawtooth-heavy-ball", "sawtooth", "learning-rate"),
    ("sawtooth-sorted-data", "sawtooth", "data-order"),
    # cliff: out of memory, killed
    ("cliff-cuda-oom", "cliff", "out-of-memory"),
    ("cliff-out-of-memory", "cliff", "out-of-memory"),
    ("cliff-killed", "cliff", "killed"),
    ("cliff-killed-wandb", "cliff", "killed"),
    # spike: outlier batch, instability; and a switch of the data
    ("loss-spike-bad-batches", "loss-spike", "outlier-batch"),
    ("level-shift-data-switch", "level-shift", "data-switch"),
    # the rest
    ("divergence-fine-tune", "divergence", "learning-rate"),
    ("divergence-ramp", "divergence", "learning-rate"),
    ("divergence-sgd", "divergence", "learning-rate"),
    ("vanishing-gradients-deep", "vanishing-gradients", "saturation"),
    ("vanishing-gradients-saturated", "vanishing-gradients", "saturation"),
    ("constant-clipping-sgd", "constant-clipping", "limit-below-norm"),
    ("eval-flat-no-mask", "eval-flat", "eval-template"),
    ("eval-flat-stale-model", "eval-flat", "stale-model"),
    ("hockey-stick-code", "hockey-stick", "too-many-epochs"),
    ("resume-optimizer-lost", "resume-discontinuity", "state-lost"),
    ("throughput-drop-thermal", "throughput-drop", "throttling"),
    ("no-warmup", "no-warmup", "no-warmup"),
    ("warmup-too-long", "warmup-too-long", "steps-not-share"),
]


@cache
def findings(fixture: str) -> tuple[Finding, ...]:
    found = analyze(str(FIXTURES / fixture), Plan(rules=rulebook()))
    return tuple(finding for diagnosis in found for finding in diagnosis.findings)


@pytest.mark.parametrize(("fixture", "rule", "cause"), KNOWN)
def test_the_cause_that_was_put_in_is_ranked_first(fixture: str, rule: str, cause: str):
    finding = next(f for f in findings(fixture) if f.rule == rule)
    first = finding.causes[0]
    assert first.name == cause, [(c.name, c.likelihood) for c in finding.causes]
    assert first.speaks_for or len(finding.causes) == 1


@pytest.mark.parametrize("fixture", sorted({fixture for fixture, _, _ in KNOWN}))
def test_every_sentence_is_filled(fixture: str):
    for finding in findings(fixture):
        for cause in finding.causes:
            for sentence in (*cause.speaks_for, *cause.against, cause.title):
                assert "unknown" not in sentence, (finding.rule, cause.name)
                assert "{" not in sentence, (finding.rule, cause.name)
        assert len({fix.setting for fix in finding.fixes}) == len(finding.fixes)
        assert not any(fix.current == fix.proposed for fix in finding.fixes)


def test_where_two_causes_stay_close_the_test_names_both():
    close = [
        f for name, _, _ in KNOWN for f in findings(name) if len(f.causes) > 1 and f.causes[1].likelihood >= CLOSE * f.causes[0].likelihood
    ]
    assert close
    assert all(f.causes[1].title in f.causes[0].test for f in close)
