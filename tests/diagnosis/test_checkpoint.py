from __future__ import annotations

from dataclasses import replace

import numpy as np

from lossdoctor.diagnosis.checkpoint import advise, best_eval_step
from lossdoctor.model import Checkpoint, Severity

from .samples import finding, run

EVALS = ([100, 200, 300, 400], [1.4, 1.1, 1.3, 1.5])
KEPT = tuple(Checkpoint(step, f"out/checkpoint-{step}", whole=True, resumable=True) for step in (200, 300, 400))


def test_the_best_eval_wins_and_is_there():
    advice = advise(run({"eval_loss": EVALS}, checkpoints=KEPT), [finding("overfitting", 300)])
    assert (advice.best_step, advice.exists, advice.path) == (200, True, "out/checkpoint-200")
    assert advice.resume_command is None


def test_a_best_step_that_was_not_kept_names_the_nearest():
    advice = advise(run({"eval_loss": EVALS}, checkpoints=KEPT[1:]), [])
    assert (advice.best_step, advice.exists, advice.nearest_kept) == (200, False, 300)
    assert advise(run({"eval_loss": EVALS}), []).exists is None


def test_a_damaged_best_checkpoint_is_passed_over():
    broken = Checkpoint(200, "out/checkpoint-200", whole=False, problem="truncated")
    advice = advise(run({"eval_loss": EVALS}, checkpoints=(broken, *KEPT[1:])), [])
    assert (advice.exists, advice.nearest_kept) == (False, 300)


def test_after_a_nan_the_newest_clean_one_is_resumed():
    loss = (range(10, 401, 10), [2.0] * 33 + [np.nan] * 7)
    advice = advise(run({"loss": loss, "eval_loss": EVALS}, checkpoints=KEPT), [finding("nan-loss", 340)])
    assert (advice.best_step, advice.exists) == (300, True)
    assert advice.resume_command == "trainer.train(resume_from_checkpoint='out/checkpoint-300')"
    assert "1 newer one is damaged or from after it" in advice.reason


def test_a_checkpoint_between_the_last_good_row_and_the_onset_is_not_trusted():
    loss = (range(10, 401, 10), [2.0] * 33 + [np.nan] * 7)
    kept = (*KEPT, Checkpoint(335, "out/checkpoint-335", whole=True))
    assert advise(run({"loss": loss}, checkpoints=kept), [finding("nan-loss", 340)]).best_step == 300


def test_weights_that_are_not_finite_are_never_advised():
    kept = (*KEPT[:2], Checkpoint(400, "out/checkpoint-400", whole=True, weights_finite=False))
    assert advise(run({"loss": ([400], [1.0])}, checkpoints=kept), []).best_step == 300


def test_nothing_clean_left_says_start_again():
    advice = advise(run({"loss": ([1, 2], [np.nan, np.nan])}, checkpoints=KEPT), [finding("nan-loss", 1)])
    assert (advice.exists, advice.path) == (False, None)
    assert "all 3 checkpoints here were saved after the trouble had begun" in advice.reason
    assert "start again" in advice.reason


def test_a_note_spoils_nothing():
    assert advise(run({"eval_loss": EVALS}, checkpoints=KEPT), [finding("divergence", 1, Severity.NOTE)]).best_step == 200


def test_a_cut_off_run_is_resumed_from_its_newest_whole_checkpoint():
    kept = (*KEPT[:2], Checkpoint(400, "out/checkpoint-400", whole=False, problem="truncated"))
    advice = advise(run({"loss": (range(410), np.ones(410)), "eval_loss": EVALS}, checkpoints=kept), [finding("cliff", 409)])
    assert advice.best_step == 300
    assert advice.resume_command == "trainer.train(resume_from_checkpoint='out/checkpoint-300')"


def test_a_checkpoint_without_optimizer_state_gets_no_resume_command():
    kept = (Checkpoint(100, "c", whole=True, resumable=False),)
    advice = advise(run({"loss": (range(410), np.ones(410))}, checkpoints=kept), [finding("cliff", 409)])
    assert advice.resume_command is None
    assert "no optimizer state" in advice.reason


def test_the_lowest_eval_is_the_lowest_row():
    noise = np.array([0.05, -0.04, 0.03, -0.05, 0.04, -0.03] * 5)
    trend = np.abs(np.linspace(-1, 1, 30)) * 0.1 + 2.0
    values = trend + noise
    values[27] = values.min() - 0.001
    assert best_eval_step(run({"eval_loss": (range(30), values)})) == 27
    assert best_eval_step(run({"eval_loss": (range(30), trend)})) in {14, 15}


def test_a_state_without_weights_is_no_checkpoint_to_use():
    kept = (Checkpoint(200, "out", has_weights=False),)
    advice = advise(run({"eval_loss": EVALS}, checkpoints=kept), [])
    assert (advice.best_step, advice.exists, advice.path) == (200, None, None)
    assert "no checkpoint with weights was found here" in advice.reason


def test_what_was_not_checked_for_nan_is_said_to_be_unchecked():
    asked = "not checked for NaN (--check-weights does that)"
    assert asked in advise(run({"eval_loss": EVALS}, checkpoints=KEPT), []).reason
    scanned = tuple(replace(kept, weights_finite=True) for kept in KEPT)
    assert asked not in advise(run({"eval_loss": EVALS}, checkpoints=scanned), []).reason


def test_a_checkpoint_between_two_evals_is_said_to_be_one():
    advice = advise(run({"eval_loss": EVALS}, checkpoints=(Checkpoint(250, "out/checkpoint-250"),)), [])
    assert (advice.best_step, advice.nearest_kept) == (200, 250)
    assert "not evaluated itself (beside it the eval loss is" in advice.reason


def test_without_an_eval_the_newest_whole_one_is_named():
    assert advise(run({"loss": ([400], [1.0])}, checkpoints=KEPT), []).best_step == 400
    assert advise(run({"loss": ([400], [1.0])}), []).best_step is None


def test_a_warning_of_exploding_gradients_spoils_no_weights():
    advice = advise(run({"eval_loss": EVALS}, checkpoints=KEPT), [finding("exploding-gradients", 10, Severity.WARNING)])
    assert (advice.best_step, advice.resume_command) == (200, None)
    assert advise(run({"eval_loss": EVALS}, checkpoints=KEPT), [finding("exploding-gradients", 10)]).exists is False


def test_a_kept_checkpoint_that_is_clearly_worse_than_the_best_step_is_named_but_not_advised():
    advice = advise(run({"eval_loss": EVALS}, checkpoints=KEPT[1:]), [])
    assert (advice.nearest_kept, advice.path) == (300, None)
    assert "that of step 300, whose eval loss of 1.3 is 18% above the lowest, 1.1 at step 200" in advice.reason


def test_of_the_kept_ones_the_lowest_eval_loss_wins_not_the_nearest_step():
    evals = ([100, 200, 300, 400, 500], [1.4, 1.1, 1.3, 1.2, 1.11])
    kept = tuple(Checkpoint(step, f"out/checkpoint-{step}") for step in (300, 500))
    advice = advise(run({"eval_loss": evals}, checkpoints=kept), [])
    assert (advice.best_step, advice.exists, advice.path) == (200, False, "out/checkpoint-500")
    assert "its eval loss of 1.11 is 0.9% above the lowest, 1.1 at step 200, of which no checkpoint is here" in advice.reason


def test_a_run_that_learned_nothing_has_no_checkpoint_to_use():
    advice = advise(run({"eval_loss": EVALS}, checkpoints=KEPT), [finding("plateau", 10)])
    assert (advice.best_step, advice.path) == (None, None)
    assert "see plateau" in advice.reason
    assert advise(run({"eval_loss": EVALS}, checkpoints=KEPT), [finding("plateau", 10, Severity.WARNING)]).best_step == 200


def test_a_nan_in_the_eval_loss_alone_spoils_no_weights():
    only = replace(finding("nan-loss", 100), numbers={"only_eval": True})
    logged = {"loss": (range(410), np.ones(410)), "eval_loss": ([200, 400], [np.nan, np.nan])}
    advice = advise(run(logged, checkpoints=KEPT), [only])
    assert (advice.best_step, advice.exists) == (400, True)
    assert "no finite eval loss" in advice.reason


def test_an_eval_loss_that_does_not_follow_the_training_cannot_choose():
    advice = advise(run({"eval_loss": EVALS}, checkpoints=KEPT), [finding("eval-flat", 100, Severity.WARNING)])
    assert advice.best_step == 400
    assert "cannot choose" in advice.reason


def test_whole_is_said_only_where_the_files_were_checked():
    kept = (Checkpoint(100, "c"),)
    assert "newest checkpoint" in advise(run({"loss": (range(410), np.ones(410))}, checkpoints=kept), []).reason


def test_of_several_eval_sets_the_one_that_overfits_chooses():
    other = ([100, 200, 300, 400], [1.4, 1.3, 1.2, 1.5])
    turned = replace(finding("overfitting", 300, Severity.WARNING), signals=("eval/other/loss", "train/loss"))
    assert advise(run({"eval_loss": EVALS, "eval_other_loss": other}, checkpoints=KEPT), [turned]).best_step == 300
