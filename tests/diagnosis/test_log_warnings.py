"""Warnings of a log as evidence for causes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossdoctor.analyze import Plan, analyze, rulebook
from lossdoctor.model import Diagnosis

WARNING = "WARNING: tokenization mismatch: 312 vs. 313. (ignored)\n"


def diagnosed(path: Path, text: str) -> Diagnosis:
    path.write_text(text)
    (diagnosis,) = analyze(str(path), Plan(rules=rulebook()))
    return diagnosis


@pytest.mark.parametrize("warned", [True, False])
def test_a_tokenization_mismatch_speaks_for_masked_labels(tmp_path: Path, warned: bool) -> None:
    rows = "".join(
        (WARNING if warned else "") + f"step {step}: loss: 0.0 grad_norm: {0.0 if step % 2 else 0.1} lr: 2e-05\n" for step in range(1, 61)
    )
    found = diagnosed(tmp_path / "train.log", rows)
    zero = next(finding for finding in found.findings if finding.rule == "zero-loss")
    masked = next(cause for cause in zero.causes if cause.name == "masked")
    assert ("the log warns of rows without a label" in masked.speaks_for) is warned
    assert masked is zero.causes[0]
    # A warning that the run lives on with is no death.
    assert not any(finding.rule == "cliff" for finding in found.findings)
