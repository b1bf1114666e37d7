from __future__ import annotations

from dataclasses import replace

import numpy as np

from lossdoctor.model import Checkpoint

from .runs import EVERY, ROWS, cosine, learned, level, make, noisy, onset, steps

BASE = {"loss": learned(), "grad_norm": noisy(np.full(ROWS, 0.8), 0.05), "learning_rate": cosine()}


def test_steps_that_a_restart_repeats():
    at = np.concatenate((steps(100), steps(140)[70:]))
    run = make({"loss": (at, learned(len(at)))})
    assert level(run, "duplicate-steps") == "note"
    assert onset(run, "duplicate-steps") == 71 * EVERY
    assert level(make(BASE), "duplicate-steps") == "healthy"


def test_one_doubled_row_in_a_thousand_is_nothing():
    at = np.sort(np.concatenate((steps(1000), [500 * EVERY])))
    assert level(make({"loss": (at, learned(len(at)))}), "duplicate-steps") == "healthy"


def test_few_rows_where_there_could_be_more():
    assert level(make({"loss": learned(8)}, every=100), "sparse-logging") == "note"
    assert level(make({"loss": learned(8)}, every=1), "sparse-logging") == "healthy"
    assert level(make({"loss": learned(8)}, every=1, step_is="epoch"), "sparse-logging") == "healthy"
    assert level(make(BASE), "sparse-logging") == "healthy"
    assert level(make({"eval_loss": learned(8)}), "sparse-logging") == "skipped"


def test_missing_signals_by_task():
    assert level(make({"loss": learned()}), "missing-signal") == "note"
    assert level(make({"loss": learned(), "learning_rate": cosine()}), "missing-signal") == "healthy"
    assert level(make({"loss": learned(), "reward": learned()}), "missing-signal") == "note"
    assert level(make({"reward": learned(), "reward_std": learned(), "kl": learned()}), "missing-signal") == "healthy"


def saved(*at: int) -> tuple[Checkpoint, ...]:
    return tuple(Checkpoint(step, f"checkpoint-{step}") for step in at)


def test_checkpoints_of_another_run():
    given = {"save_steps": 100, "save_strategy": "steps"}
    assert level(make(BASE, settings=given, checkpoints=saved(100, 150, 200, 1000)), "mixed-runs") == "note"
    alone = make(BASE, settings=given, checkpoints=saved(100, 200, 900, 1000))
    assert level(alone, "mixed-runs") == "healthy"
    assert level(replace(alone, foreign_checkpoints=(150, 300)), "mixed-runs") == "note"
    assert level(make(BASE, settings={**given, "save_strategy": "epoch"}, checkpoints=saved(150, 300)), "mixed-runs") == "healthy"
    # Nothing lies where save_steps says: it is not how this run saves.
    assert level(make(BASE, settings={"save_steps": 500}, checkpoints=saved(157, 314)), "mixed-runs") == "healthy"


def test_two_writers_and_one_restart():
    at = np.empty(ROWS, dtype=np.int64)
    at[::2], at[1::2] = steps(ROWS // 2), steps(ROWS // 2) // 3
    assert level(make({"loss": (at, learned())}), "mixed-runs") == "warning"
    once = np.concatenate((steps(100), steps(140)[70:]))
    assert level(make({"loss": (once, learned(len(once)))}), "mixed-runs") == "healthy"


def test_an_eval_that_can_never_come():
    given = {"eval_strategy": "steps", "eval_steps": 5000}
    assert level(make(BASE, settings=given, planned_steps=1000), "eval-never") == "note"
    assert level(make(BASE, settings={**given, "eval_steps": 100}, planned_steps=1000), "eval-never") == "healthy"
    assert level(make(BASE, settings={**given, "eval_strategy": "epoch"}, planned_steps=1000), "eval-never") == "healthy"
    logged = {**BASE, "eval_loss": (np.array([200, 400]), np.array([2.0, 1.9]))}
    assert level(make(logged, settings=given, planned_steps=1000), "eval-never") == "healthy"


EVALS = np.arange(100, 1001, 100)


def leaky(lead_first: float, lead_last: float, end: float = 0.1, sigma: float = 0.01) -> dict[str, object]:
    """A loss that is memorised over many epochs, and an eval loss that is ahead by a share that moves from first to last."""
    at = steps()
    train = 2.3 * np.exp(-np.log(2.3 / end) * at / at[-1])
    beside = np.interp(EVALS, at, train)
    return {
        "loss": train * (1 + noisy(np.zeros(ROWS), sigma)),
        "eval_loss": (EVALS, beside / (1 + np.linspace(lead_first, lead_last, len(EVALS)))),
    }


def test_eval_ahead_for_good_over_many_epochs_is_a_leak():
    assert level(make(leaky(0.08, 0.3), per_epoch=25), "eval-leakage") == "note"
    assert level(make(leaky(0.08, 0.3, end=0.02), per_epoch=25), "eval-leakage") == "warning"


def test_dropout_few_epochs_and_overfitting_are_no_leak():
    assert level(make(leaky(0.3, 0.05), per_epoch=25), "eval-leakage") == "healthy"
    assert level(make(leaky(0.08, 0.3), per_epoch=900), "eval-leakage") == "healthy"
    assert level(make(leaky(0.1, -0.5), per_epoch=25), "eval-leakage") == "healthy"
    assert level(make(leaky(0.08, 0.3)), "eval-leakage") == "skipped"
