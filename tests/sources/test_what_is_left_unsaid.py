"""What files leave unsaid: NaN that cannot be written, sets without the word loss, settings in the head of a log, logs without a loss."""

from __future__ import annotations

import json
import math
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lossdoctor
from lossdoctor.run import Run, build
from lossdoctor.sources import text_log
from lossdoctor.sources.data_frame import read_frame
from lossdoctor.sources.load import load

ROWS = 20
LOSS = [round(2.0 * math.exp(-at / 8) + 0.3, 4) for at in range(ROWS)]


def values(run: Run, name: str) -> list[float]:
    return run.signals[name].values.tolist()


def from_text(text: str) -> Run:
    (log,) = text_log.read(StringIO(text))
    return build(log, settings=log.settings)


def written(path: Path, text: str) -> Run:
    path.write_text(text)
    return lossdoctor.load(path)


# A NaN as pandas writes it, and as JSON of other languages does.


def test_a_loss_that_ends_in_empty_cells_ends_in_nan(tmp_path: Path):
    frame = pd.DataFrame({"step": range(1, ROWS + 1), "loss": LOSS, "lr": [1e-3] * ROWS})
    frame.loc[12:, "loss"] = math.nan
    run = written(tmp_path / "metrics.csv", frame.to_csv(index=False))
    assert np.isnan(values(run, "train/loss")[12:]).all()
    assert "pandas writes so" in " ".join(run.notes)
    assert np.isnan(read_frame(frame).series[0].values[12:]).all()


def test_a_loss_that_ends_in_null_ends_in_nan(tmp_path: Path):
    rows = [{"step": at, "loss": value if at < 12 else None, "lr": 1e-3} for at, value in enumerate(LOSS)]
    run = written(tmp_path / "metrics.jsonl", "\n".join(map(json.dumps, rows)))
    assert np.isnan(values(run, "train/loss")[12:]).all()
    history = written(tmp_path / "history.json", json.dumps({"loss": [row["loss"] for row in rows], "val_loss": LOSS}))
    assert np.isnan(values(history, "train/loss")[12:]).all()


@pytest.mark.parametrize("gaps", [range(ROWS - 1, ROWS), range(1, ROWS, 2)], ids=["one row", "every other row"])
def test_other_gaps_are_missing_values(tmp_path: Path, gaps: range):
    frame = pd.DataFrame({"step": range(1, ROWS + 1), "loss": LOSS, "val_loss": LOSS})
    frame.loc[list(gaps), "loss"] = math.nan
    run = written(tmp_path / "metrics.csv", frame.to_csv(index=False))
    assert len(run.signals["train/loss"]) == ROWS - len(gaps)
    assert np.isfinite(values(run, "train/loss")).all()


def test_a_loss_that_another_one_follows_has_ended(tmp_path: Path):
    frame = pd.DataFrame({"step": range(1, ROWS + 1), "stage1_loss": LOSS, "stage2_loss": LOSS})
    frame.loc[12:, "stage1_loss"] = frame.loc[:11, "stage2_loss"] = math.nan
    run = written(tmp_path / "metrics.csv", frame.to_csv(index=False))
    assert np.isfinite(values(run, "stage1_loss")).all()


# Sets without the word loss.


@pytest.mark.parametrize(
    "line",
    ["[{e:02d}/20] lr 0.003 train {t} val {v}", "Epoch {e}, Loss: {t}, Val: {v}", "epoch={e:03d} | loss={t} | vloss={v}"],
)
def test_an_evaluation_that_is_told_by_its_set_alone(line: str):
    run = from_text("".join(line.format(e=at + 1, t=value, v=round(value * 1.1, 4)) + "\n" for at, value in enumerate(LOSS)))
    assert values(run, "train/loss") == LOSS
    assert len(run.signals["eval/loss"]) == ROWS


def test_the_tutorial_of_pytorch():
    text = "".join(f"EPOCH {at + 1}:\n  batch 1000 loss: {value}\nLOSS train {value} valid {value}\n" for at, value in enumerate(LOSS))
    assert len(from_text(text).signals["eval/loss"]) == ROWS


def test_a_score_is_no_loss():
    score = [round(0.5 + 0.02 * at, 3) for at in range(ROWS)]
    run = from_text("".join(f"Epoch {at + 1}, Loss: {LOSS[at]}, Val: {score[at]}\n" for at in range(ROWS)))
    assert "eval/loss" not in run.signals


def test_an_evaluation_on_a_line_of_its_own_and_in_another_language():
    text = "".join(f"pas {10 * at} | pierdere {value} | lr 1e-3\n   -> validare {value + 0.1:.4f} nats\n" for at, value in enumerate(LOSS))
    run = from_text(text)
    assert values(run, "train/loss") == LOSS
    assert len(run.signals["eval/loss"]) == ROWS


def test_the_improvement_that_keras_tells_is_no_row():
    line = "Epoch {e}: val_loss improved from {b} to {v}, saving model to best.keras\n"
    bar = "10/10 [==============================] - 1s 2ms/step - loss: {v} - val_loss: {v}\n"
    text = "".join(
        f"Epoch {at + 1}/{ROWS}\n" + bar.format(v=value) + line.format(e=at + 1, b="inf", v=value) for at, value in enumerate(LOSS)
    )
    run = from_text(text)
    assert all(np.isfinite(signal.values).all() for signal in run.signals.values())


# Frameworks.


def test_deepxde_prints_lists_and_minimises_their_sum():
    head = "Step      Train loss              Test loss\n"
    run = from_text(
        head + "".join(f"{60 * at:<9} [{value:.2e}, {value / 10:.2e}]    [{value:.2e}, 1.00e-01]\n" for at, value in enumerate(LOSS))
    )
    assert values(run, "train/loss") == pytest.approx([1.1 * value for value in LOSS], rel=0.01)


def test_baselines_print_a_table_within_each_iteration():
    box = "| EpRewMean       | {r}         |\n| TimestepsSoFar  | {s}       |\n"
    inner = "     pol_surr |       vf_loss |            kl\n      -0.00800 |      2.15e+03 |       0.00517\n"
    text = "".join(
        "****** Iteration ******\n" + inner + "-" * 30 + "\n" + box.format(r=100 + at, s=1024 * (at + 1)) + "-" * 30 + "\n"
        for at in range(9)
    )
    run = from_text(text)
    assert values(run, "reward") == [100.0 + at for at in range(9)]
    assert values(run, "kl") == [0.00517] * 9


def test_espnet_says_its_training_loss_once_an_epoch():
    line = "INFO: {e}epoch results: [train] loss_ctc={v}, optim0_lr0=4.000e-03 [valid] loss_ctc={v}, cer_ctc=0.8\n"
    run = from_text("".join(line.format(e=at + 1, v=value) for at, value in enumerate(LOSS)))
    assert values(run, "train/loss") == LOSS


def test_catboost_s_own_file_tells_which_metric_is_the_loss(tmp_path: Path):
    meta = {
        "learn_sets": ["learn"], "test_sets": ["test"],
        "learn_metrics": [{"best_value": "Max", "name": "Accuracy"}, {"best_value": "Min", "name": "MultiClass"}],
        "test_metrics": [{"best_value": "Max", "name": "Accuracy"}, {"best_value": "Min", "name": "MultiClass"}],
    }  # fmt: skip
    rows = [
        {"learn": [0.5, value], "iteration": at, "passed_time": 0.1, "remaining_time": 1.0, "test": [0.4, value]}
        for at, value in enumerate(LOSS)
    ]
    home = tmp_path / "catboost_info"
    home.mkdir()
    text = '{\n"meta":' + json.dumps(meta) + ',\n"iterations":[\n' + ",\n".join(map(json.dumps, rows)) + "\n]}"
    (home / "catboost_training.json").write_text(text)
    (home / "time_left.tsv").write_text("iter\tPassed\tRemaining\n0\t69\t27889\n1\t82\t16511\n")
    (home / "learn_error.tsv").write_text("iter\tAccuracy\n0\t0.5\n1\t0.5\n")
    (tmp_path / "train.log").write_text(
        "".join(f"{at}:\tlearn: 0.5\ttest: 0.4\tbest: 0.6 ({at})\ttotal: 1ms\tremaining: 1s\n" for at in range(9))
    )
    (run,) = load(str(tmp_path)).runs
    assert values(run, "train/loss") == values(run, "eval/loss") == LOSS


def test_a_history_of_rows(tmp_path: Path):
    rows = [{"loss": value, "grad_norm": 1.0} for value in LOSS]
    run = written(tmp_path / "history.json", json.dumps({"train": rows, "val": [{"loss": value, "r2": 0.1} for value in LOSS]}, indent=2))
    assert values(run, "train/loss") == values(run, "eval/loss") == LOSS


# What stands around the rows.


def test_settings_in_the_head_of_a_log():
    head = "Namespace(arch='mlp', lr=0.1, clip_grad=1.0, optimizer='sgd', epochs=90)\nOverriding: max_iters = 3000\n"
    run = from_text(head + "".join(f"iter {at}: loss {value}, time 1ms\n" for at, value in enumerate(LOSS)))
    assert run.number("learning_rate") == 0.1
    assert run.number("max_grad_norm") == 1.0
    assert run.setting("optim") == "sgd"
    assert run.planned_steps == 3000


def test_a_configuration_printed_as_json_is_no_row():
    config = json.dumps(
        {"output_dir": "out", "learning_rate": 0.05, "report_to": ["tensorboard"], "max_grad_norm": 0.02, "seed": 42}, indent=2
    )
    rows = "".join(f"{{'loss': '{value}', 'learning_rate': '0.001', 'epoch': '{at / 10 + 0.1:.1f}'}}\n" for at, value in enumerate(LOSS))
    run = from_text(config + "\n" + rows)
    assert set(values(run, "train/learning_rate")) == {0.001}
    assert run.number("max_grad_norm") == 0.02


def test_the_limit_beside_the_norm():
    run = from_text("".join(f"step {at} | loss {value} | grad norm 0.71 (clip 0.25)\n" for at, value in enumerate(LOSS)))
    assert run.number("max_grad_norm") == 0.25


def test_memory_with_its_unit_behind_a_blank():
    run = from_text("".join(f"epoch 1/8 iter {20 * at + 20} loss {value} rss {468 + 10 * at} MB\n" for at, value in enumerate(LOSS)))
    assert values(run, "process/memory")[0] == 468e6


def test_the_summary_of_the_trainer_is_no_row_of_its_own():
    rows = "".join(f"{{'loss': '{value}', 'epoch': '{(at + 1) / ROWS:.2f}'}}\n" for at, value in enumerate(LOSS))
    rows += (
        "{'eval_loss': '0.5', 'epoch': '1'}\n{'train_runtime': '10', 'train_steps_per_second': '20', 'train_loss': '0.9', 'epoch': '1'}\n"
    )
    run = from_text(rows + "***** eval metrics *****\n  epoch      =     1.0\n  eval_loss  =  0.5000\n")
    assert len(run.signals["eval/loss"]) == 1


def test_a_bar_tells_the_steps_where_epochs_have_two_digits():
    rows = "".join(
        f"{{'loss': {value}, 'learning_rate': 0.00017, 'epoch': {at / 10485:.2f}}}\n 24%|##| {at}/10485 [3:13:00<10:06:35,  4.51s/it]\n"
        for at, value in zip(range(2541, 2541 + 3 * ROWS), LOSS * 3, strict=True)
    )
    assert from_text(rows).signals["train/loss"].steps.tolist() == list(range(2541, 2541 + 3 * ROWS))


@pytest.mark.parametrize("name", ["job.o771203", "caffe.INFO"])
def test_logs_of_queues_and_of_glog(tmp_path: Path, name: str):
    (tmp_path / name).write_text("".join(f"iter {at}: loss {value}\n" for at, value in enumerate(LOSS)))
    assert len(lossdoctor.load(tmp_path).signals["train/loss"]) == ROWS


def test_a_log_without_a_loss_goes_to_the_run_beside_it(tmp_path: Path):
    (tmp_path / "metrics.csv").write_text("step,loss\n" + "".join(f"{at},{value}\n" for at, value in enumerate(LOSS)))
    (tmp_path / "samples.csv").write_text("epoch,modes,hq\n" + "".join(f"{at},8,0.9\n" for at in range(5)))
    (run,) = load(str(tmp_path)).runs
    assert values(run, "train/loss") == LOSS


def test_workers_that_are_left_behind_tell_how_it_ended():
    text = "".join(f"epoch 1 [{at}/346] loss: {value}\n" for at, value in enumerate(LOSS, 1))
    run = from_text(text + "resource_tracker: There appear to be 20 leaked semaphore objects to clean up at shutdown\n")
    assert [event.kind for event in run.events] == ["killed"]


# Tables and lines that only say half of it.


@pytest.mark.parametrize("mark", ["# ", ""], ids=["as a comment", "plain"])
def test_columns_of_numpy_savetxt(tmp_path: Path, mark: str):
    rows = np.column_stack((np.arange(ROWS), LOSS))
    np.savetxt(tmp_path / "loss.dat", rows, header="iter loss_total", comments=mark)
    run = lossdoctor.load(tmp_path / "loss.dat")
    assert values(run, "train/loss") == LOSS


def test_batches_that_count_on_through_the_epochs():
    lines = [f"{'Epoch: 1' if at == 0 else ''}\nElapsed [0:06:54] batch: {498 * (at + 1)}  loss: {value}" for at, value in enumerate(LOSS)]
    run = from_text("\n".join(lines))
    assert run.signals["train/loss"].steps.tolist() == [498 * (at + 1) for at in range(ROWS)]


def test_batches_that_begin_again_in_each_epoch():
    lines = [
        f"{f'Epoch: {at // 5 + 1}' if at % 5 == 0 else ''}\nbatch: {10 * (at % 5 + 1)}  loss: {value}" for at, value in enumerate(LOSS)
    ]
    assert from_text("\n".join(lines)).signals["train/loss"].steps.tolist() == [10 * (at + 1) for at in range(ROWS)]


def test_the_class_of_a_model_that_a_warning_names():
    rows = "\n".join(str({"loss": value, "epoch": at / 5}) for at, value in enumerate(LOSS))
    assert from_text(f"Some weights of BertForMaskedLM were not initialized\n{rows}").task == "language-model"
    assert from_text(f"Some weights of ViTForImageClassification were not initialized\n{rows}").task == "classification"
    assert from_text(rows).task == "unknown"
    told = from_text(f"Namespace(model='GPT2LMHeadModel', max_grad_norm=0.5)\n{rows}")
    assert (told.task, told.setting("max_grad_norm")) == ("language-model", 0.5)


def test_the_bar_of_an_evaluation_plans_no_training():
    lines = [f"step {at * 100} loss {value}\n100%|##########| 241/241 [00:17<00:00, 13.45it/s]" for at, value in enumerate(LOSS)]
    assert from_text("\n".join(lines)).planned_steps is None


def test_the_repr_of_training_arguments_holds_settings():
    rows = "".join(f"{{'loss': {2 - at / 50}, 'grad_norm': 2.0, 'learning_rate': 0.02, 'epoch': {at / 100}}}\n" for at in range(1, 30))
    told = from_text(f"TrainingArguments(learning_rate=0.02, max_grad_norm=0.02, optim=sgd, seed=20)\n{rows}")
    assert told.number("max_grad_norm") == 0.02
    assert told.setting("optim") == "sgd"


def test_a_table_of_episodes_is_counted_by_them(tmp_path: Path):
    run = written(tmp_path / "log.csv", "episode,reward\n" + "".join(f"{at},{at / 10 - 5}\n" for at in range(1, 40, 3)))
    assert run.signals["reward"].steps.tolist() == list(range(1, 40, 3))


def test_a_row_of_json_that_says_it_was_resumed(tmp_path: Path):
    rows = [json.dumps({"step": 10 * at, "loss": 2 - at / 50}) for at in range(40)]
    rows.insert(20, json.dumps({"event": "resume", "from": "last.ckpt", "step": 200}))
    run = written(tmp_path / "log.jsonl", "\n".join(rows) + "\n")
    assert [(event.kind, event.step) for event in run.events] == [("resume", 190)]


def test_a_dict_of_settings_is_no_row():
    rows = "".join(f"step {at}/300 loss={2 - at / 500} grad_norm=2.0 clipped=True (max_grad_norm=0.05)\n" for at in range(10, 300, 10))
    run = from_text(f"config: {{'optimizer': 'SGD', 'lr': 0.02, 'max_grad_norm': 0.05, 'total_steps': 300}}\n{rows}")
    assert run.number("max_grad_norm") == 0.05
    assert run.signals["train/loss"].steps[0] == 10
    assert not any("True" in name for name in run.signals)
