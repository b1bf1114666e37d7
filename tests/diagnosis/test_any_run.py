"""Whatever was logged, the second half of a diagnosis does not raise and stays within its bounds."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from lossdoctor.diagnosis.checkpoint import advise
from lossdoctor.diagnosis.cost import cost
from lossdoctor.diagnosis.marks import MAX_CHECKPOINTS, MAX_EPOCHS, marks
from lossdoctor.diagnosis.samples import window
from lossdoctor.diagnosis.series import views
from lossdoctor.model import Checkpoint

from .samples import finding, run

COLUMNS = st.sampled_from(["loss", "eval_loss", "lr", "grad_norm", "gpu.0.gpu", "mine", "train_runtime", "step_time"])
ROWS = st.lists(st.tuples(st.integers(0, 3000), st.floats(allow_nan=True, allow_infinity=True)), min_size=1, max_size=60)
RULES = st.sampled_from(["nan-loss", "divergence", "overfitting", "cliff", "plateau", "loss-spike"])


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(COLUMNS, ROWS, max_size=5), st.lists(st.tuples(RULES, st.none() | st.integers(0, 3000)), max_size=3),
    st.lists(st.tuples(st.integers(0, 3000), st.none() | st.booleans()), max_size=5),
    st.none() | st.floats(0.5, 2000), st.none() | st.floats(0.01, 1e5),
)  # fmt: skip
def test_nothing_raises(columns: dict, found: list, kept: list, per_epoch: float | None, seconds: float | None):
    checkpoints = tuple(Checkpoint(step, f"checkpoint-{step}", whole=whole, resumable=whole) for step, whole in kept)
    signals = {name: ([s for s, _ in rows], [v for _, v in rows]) for name, rows in columns.items()}
    one = run(signals, per_epoch=per_epoch, seconds=seconds, checkpoints=checkpoints)
    findings = [finding(rule, onset) for rule, onset in found]
    advice = advise(one, findings)
    if advice.exists:
        assert any(c.step == advice.nearest_kept and c.whole is not False for c in checkpoints)
    bill = cost(one, findings, advice, gpus=2, gpu_hour_cost=1.0)
    for hours in (bill.hours_after_best, bill.hours_after_onset, bill.hours_since_checkpoint):
        assert hours is None or (bill.hours is not None and -1e-9 <= hours <= bill.hours + 1e-9)
    assert bill.money_wasted is None or (math.isfinite(bill.money_wasted) and bill.money_wasted >= 0)
    moments = marks(one, findings, advice)
    assert sum(m.kind == "epoch" for m in moments) <= MAX_EPOCHS
    assert sum(m.kind == "checkpoint" for m in moments) <= MAX_CHECKPOINTS + 1
    assert all(len(view.steps) <= 100 for view in views(one, {m.step for m in moments}, 100))
    for one_finding in findings:
        if one_finding.onset_step is not None:
            window(one, one_finding.onset_step)
