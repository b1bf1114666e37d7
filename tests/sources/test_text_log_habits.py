"""Logs as scripts of one's own, tutorials and rarer frameworks print them: the rows are made here, one style a function."""

from __future__ import annotations

import math
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lossdoctor
from lossdoctor.run import Run, build
from lossdoctor.sources import text_log

ROWS = 8
TRAIN = [round(2.3 * math.exp(-0.1 * at), 4) for at in range(ROWS)]
EVAL = [round(2.2 * math.exp(-0.08 * at), 4) for at in range(ROWS)]
EPOCHS = list(range(1, ROWS + 1))
BAR = "\u2588" * 10


def lines(row: Callable[[int, float, float], str]) -> str:
    """One line an epoch (counted from 1): `row(epoch, train loss, eval loss)`."""
    return "".join(f"{row(epoch, TRAIN[epoch - 1], EVAL[epoch - 1])}\n" for epoch in EPOCHS)


def framed(row: Callable[[int, float, float], str]) -> str:
    header = "\u250f\u2501\u2501\u2533\u2501\u2501\u2513\n\u2503 Epoch \u2503 Train loss \u2503 Val loss \u2503\n\u2521\u2501\u2501\u2547\u2501\u2501\u2529\n"  # noqa: E501
    return header + lines(row)


# The text, the steps, and whether there are evals at the same steps.
HABITS: dict[str, tuple[str, list[int], bool]] = {
    "a data frame of pandas": (
        pd.DataFrame({"epoch": EPOCHS, "train_loss": TRAIN, "val_loss": EVAL}).to_string() + "\n", EPOCHS, True,
    ),
    "a table of rich": (framed(lambda e, t, v: f"\u2502 {e:5d} \u2502 {t:10.4f} \u2502 {v:8.4f} \u2502"), EPOCHS, True),
    "numpy 2": (lines(lambda e, t, v: f"{{'epoch': {e}, 'loss': np.float32({t}), 'val_loss': np.float64({v})}}"), EPOCHS, True),
    "jax": (lines(lambda e, t, v: f"step {e}: loss Array({t}, dtype=float32)"), EPOCHS, False),
    "tensorflow": (lines(lambda e, t, v: f"epoch {e} loss tf.Tensor({t}, shape=(), dtype=float32)"), EPOCHS, False),
    "Chinese": (lines(lambda e, t, v: f"\u7b2c{e}\u8f6e\u8bad\u7ec3: \u8bad\u7ec3\u635f\u5931: {t}, \u9a8c\u8bc1\u635f\u5931: {v}"), EPOCHS, True),  # noqa: E501
    "arrows": (lines(lambda e, t, v: f">>> ep {e:03d} :: tr_loss \u2192 {t:.4f} / va_loss \u2192 {v:.4f}"), EPOCHS, True),
    "short names": (lines(lambda e, t, v: f"[{e:03d}/020] trn_loss {t} | vld_loss {v}"), EPOCHS, True),
    "loguru": (lines(lambda e, t, v: f"2024-05-01 10:00:00.123 | INFO     | __main__:train:42 - epoch {e} loss {t}"), EPOCHS, False),
    "fractions of an epoch": (lines(lambda e, t, v: f"epoch {e / 4:.2f} loss {t}"), EPOCHS, False),
    "a course": (lines(lambda e, t, v: f"Cost after iteration {e * 100}: {t}"), [e * 100 for e in EPOCHS], False),
    "darknet": (
        lines(lambda e, t, v: f" {e}: {t:.6f}, {t:.6f} avg loss, 0.001000 rate, 5.35 seconds, {64 * e} images"), EPOCHS, False,
    ),
    "a pipe behind the step": (lines(lambda e, t, v: f"{e * 10} | loss {t:.4f} | lr 3e-04 | 13808.90ms"), [e * 10 for e in EPOCHS], False),
    "thousands": (lines(lambda e, t, v: f"Step {e},000: loss {t}"), [e * 1000 for e in EPOCHS], False),
    "the CIFAR tutorial": (lines(lambda e, t, v: f"[1, {e * 2000:5d}] loss: {t}"), [e * 2000 for e in EPOCHS], False),
    "the seq2seq tutorial": (lines(lambda e, t, v: f"0m {e}s (- 20m 0s) ({e * 5} {e}%) {t:.4f}"), [e * 5 for e in EPOCHS], False),
    "batches counted anew": (
        lines(lambda e, t, v: f"Epoch: {e}, Steps: 281 | Train Loss: {t} Vali Loss: {v} Test Loss: 9.9"), [281 * e for e in EPOCHS], True,
    ),
    "minimind": (
        lines(lambda e, t, v: f"Epoch:[0/19]({e * 100}/24681) loss:{t} lr:0.0005"), [e * 100 for e in EPOCHS], False,
    ),
    "Marian": (
        lines(lambda e, t, v: f"[2021-07-17 21:10:31] Ep. 1 : Up. {e * 2000} : Sen. 529,093 : Cost {t} : Time 817.42s"),
        [e * 2000 for e in EPOCHS], False,
    ),
    "MONAI": (lines(lambda e, t, v: f"{e}/10, train_loss: {t}"), EPOCHS, False),
    "Marian with its validation": (
        lines(
            lambda e, t, v: f"[2021-07-17 21:10:31] Ep. 1 : Up. {e * 2000} : Sen. 529,093 : Cost {t} : Time 817.42s\n"
            f"[2021-07-17 21:12:31] [valid] Ep. 1 : Up. {e * 2000} : cross-entropy : {v} : new best"
        ),
        [e * 2000 for e in EPOCHS], True,
    ),
    "CLU of JAX": (
        lines(lambda e, t, v: f"I0101 12:00:00.123456 140 logging_writer.py:48] [{e * 100}] accuracy=0.3, loss={t}, val_loss={v}"),
        [e * 100 for e in EPOCHS], True,
    ),
    "Catalyst": (
        lines(lambda e, t, v: f"train ({e}/20) accuracy: 0.6 | loss: {t} | lr: 0.1\nvalid ({e}/20) accuracy: 0.5 | loss: {v} | lr: 0.1"),
        EPOCHS, True,
    ),
    "char-rnn": (lines(lambda e, t, v: f"{e * 10}/99 (epoch {e / 4:.3f}), train_loss = {t}"), [e * 10 for e in EPOCHS], False),
    "Tacotron 2": (
        lines(lambda e, t, v: f"Train loss {e * 10} {t} Grad Norm 1.25 1.23s/it\nValidation loss {e * 10}: {v}  "),
        [e * 10 for e in EPOCHS], True,
    ),
    "gensim": (lines(lambda e, t, v: f"2024-01-01 12:00:00,123 : INFO : Loss after epoch {e}: {t}"), EPOCHS, False),
    "output pasted as remarks": (
        lines(lambda e, t, v: f"# Epoch {e}/20\n# 22/22 [==============================] - 4s 18ms/step - loss: {t} - val_loss: {v}"),
        EPOCHS, True,
    ),
    "VSE++": (
        lines(lambda e, t, v: f"2020-09-15 21:05:17,981 Epoch: [0][{e * 100}/2266]\tEit {e * 100}  lr 0.0002  Le {t}\tTime 0.9 (0.0)"),
        [e * 100 for e in EPOCHS], False,
    ),
    "times on lines of their own": (
        lines(lambda e, t, v: f"Epoch: {e:04d} cost= {t}\n\ttime this epoch= {1 + e / 8}\nValidation time: 9.9 s"), EPOCHS, False,
    ),
    "GluonTS": (
        lines(lambda e, t, v: f"100%|{BAR}| 50/50 [00:05<00:00, 9.8it/s, epoch={e}/9, avg_loss={t}]"), [50 * e for e in EPOCHS], False,
    ),
    "MATLAB": (
        "|=====================================================================|\n"
        "|  Epoch  |  Iteration  |  Time Elapsed  |  Mini-batch  |  Validation  |\n"
        "|         |             |   (hh:mm:ss)   |     Loss     |     Loss     |\n"
        "|=====================================================================|\n"
        + lines(lambda e, t, v: f"| {e:7d} | {e * 50:11d} |       00:00:12 | {t:12.4f} | {v:12.4f} |"),
        [e * 50 for e in EPOCHS], True,
    ),
    "WeNet": (lines(lambda e, t, v: f"2023-01-30 18:47:07,107 DEBUG TRAIN Batch 0/{e * 100} loss {t} lr 0.0003 rank 0"), [e * 100 for e in EPOCHS], False),  # noqa: E501
    "ranks side by side": (
        "".join(f"[rank{rank}]: epoch {e} train_loss {TRAIN[e - 1]} val_loss {EVAL[e - 1]}\n" for e in EPOCHS for rank in (3, 0, 1)),
        EPOCHS, True,
    ),
    "two handlers": (
        "".join(f"INFO:root:epoch {e} loss {t}\n12:00:01 epoch {e} loss {t}\n" for e, t in zip(EPOCHS, TRAIN, strict=True)), EPOCHS, False,
    ),
    "a header of an epoch and its bars": (
        "".join(
            f"Epoch {e}/20\nTraining: 100%|{BAR}| 118/118 [00:07<00:00, 15.9it/s, loss={TRAIN[e - 1]}]\n"
            f"Validation: 100%|{BAR}| 20/20 [00:01<00:00, 18.2it/s, loss=9.9]\nVal loss: {EVAL[e - 1]}, Val acc: 0.48\n"
            for e in EPOCHS
        ),
        [118 * e for e in EPOCHS], True,
    ),
    "a closing test below the curve": (lines(lambda e, t, v: f"Epoch: {e:04d} loss_train: {t} loss_val: {v}") + "Test set results: loss= 9.9\n", EPOCHS, True),  # noqa: E501
    "lists": (f"train_losses = {TRAIN}\nval_losses = {EVAL}\n", EPOCHS, True),
    "the object detection API": (
        lines(lambda e, t, v: f"INFO:tensorflow:Step {e * 100} per-step time 0.5s\nINFO:tensorflow:{{'Loss/part': 0.1,\n 'Loss/total_loss': {t}}}"),  # noqa: E501
        [e * 100 for e in EPOCHS], False,
    ),
    "the MNIST example": (
        lines(
            lambda e, t, v: f"Train Epoch: {e} [0/60000 (0%)]\tLoss: {t}\nTest set: Average loss: {v}, Accuracy: 9300/10000 (93%)"
        ),
        [60000 * (e - 1) for e in EPOCHS], True,
    ),
    "tf.estimator": (
        lines(lambda e, t, v: f"INFO:tensorflow:loss = {t}, step = {e * 100} (0.9 sec)\nINFO:tensorflow:Saving dict for global step {e * 100}: loss = {v}"),  # noqa: E501
        [e * 100 for e in EPOCHS], True,
    ),
    "a mean beside the last batch": (
        lines(lambda e, t, v: f"Epoch: [{e - 1}][0/100]\tLoss {t} ({t})\nTest: [ 0/10]\tLoss 9.9 ({v})"), [100 * (e - 1) for e in EPOCHS], True,  # noqa: E501
    ),
}  # fmt: skip


def read(text: str) -> Run:
    (log,) = text_log.read(StringIO(text))
    return build(log)


@pytest.mark.parametrize("name", HABITS)
def test_losses_and_steps(name: str) -> None:
    text, steps, evaluated = HABITS[name]
    run = read(text)
    loss = run.signals["train/loss"].in_order
    assert loss.steps.tolist() == steps
    assert loss.values == pytest.approx(TRAIN)
    evals = run.signal("eval/loss")
    assert (evals is not None) == evaluated
    assert evals is None or evals.in_order.values == pytest.approx(EVAL)


def test_a_bar_shows_the_evaluation_before_until_it_is_full() -> None:
    text = ""
    for epoch, value in enumerate(EVAL):
        stale = f", val_loss={EVAL[epoch - 1]}" if epoch else ""
        text += f"\rEpoch {epoch}:  50%|#####     | 50/100 [00:01<00:01, 62.1it/s, train_loss={TRAIN[epoch]}{stale}]"
        text += f"\rEpoch {epoch}: 100%|##########| 100/100 [00:01<00:00, 62.1it/s, train_loss={TRAIN[epoch]}{stale}]"
        text += f"\rEpoch {epoch}: 100%|##########| 100/100 [00:01<00:00, 62.1it/s, train_loss={TRAIN[epoch]}, val_loss={value}]\n"
    run = read(text)
    assert run.signals["eval/loss"].values.tolist() == EVAL
    assert run.signals["eval/loss"].steps.tolist() == [100 * epoch for epoch in EPOCHS]
    assert len(run.signals["train/loss"]) == 2 * ROWS


@pytest.mark.parametrize("header", ["Epoch 1/3\n", ""])
def test_the_redraws_of_one_epoch_of_keras_are_rows(header: str) -> None:
    text = header + "".join(
        f"{at * 10}/938 [=>............] - ETA: 10s - loss: {t} - accuracy: 0.1\n" for at, t in zip(EPOCHS, TRAIN, strict=True)
    )
    run = read(text)
    assert run.step_is == "step"
    assert run.signals["train/loss"].steps.tolist() == [at * 10 for at in EPOCHS]


def test_full_bars_of_keras_without_headers_are_epochs_and_the_odd_one_an_evaluation() -> None:
    text = "".join(f"938/938 [==============] - 3s 3ms/step - loss: {t}\n" for t in TRAIN) + "313/313 [=======] - 1s 1ms/step - loss: 9.9\n"
    run = read(text)
    assert run.step_is == "epoch"
    assert run.signals["train/loss"].values.tolist() == TRAIN


def test_epochs_that_were_done_again_replace_what_came_after(tmp_path: Path) -> None:
    first = [f"epoch  {epoch}\nloss: {2 - epoch / 100}\n" for epoch in range(60, 80)]
    again = [f"epoch  {epoch}\nloss: {1 - epoch / 100}\n" for epoch in range(65, 75)]
    loss = read("".join(first + again)).signals["train/loss"]
    assert loss.in_order.steps.tolist() == list(range(60, 75))
    assert (loss.in_order.values[5:] < 1).all()


def test_json_lines_without_a_step_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    path.write_text("".join(f'{{"progress": {at}, "loss": {t}, "lr": 0.1}}\n' for at, t in zip(EPOCHS, TRAIN, strict=True)))
    run = lossdoctor.load(path)
    assert run.step_is == "call"
    assert run.signals["train/loss"].values.tolist() == TRAIN


def test_a_log_that_is_named_may_be_called_anything(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(
        lines(lambda e, t, v: f"| epoch   1 | {e * 200:5d}/ 2983 batches | lr 20.00 | ms/batch 11.61 | loss {t:5.2f} | ppl 9.9")
    )
    assert len(lossdoctor.load(path).signals["train/loss"]) == ROWS


def test_bits_per_character_are_nats_once_more(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f'{{"update": {at}, "bpc": {t}}}\n' for at, t in zip(EPOCHS, TRAIN, strict=True)))
    assert lossdoctor.load(path).signals["train/loss"].values == pytest.approx([t * math.log(2) for t in TRAIN])


def test_a_count_that_begins_again_replaces_nothing() -> None:
    rows = [*range(10, 101, 10), *range(10, 101, 10), 10, 20, 30]
    loss = read("".join(f"step {step} loss {3 / (at + 1):.4f}\n" for at, step in enumerate(rows))).signals["train/loss"]
    assert loss.in_order.steps.tolist() == list(range(10, 101, 10))


def test_a_dict_that_is_never_closed_hides_nothing() -> None:
    (log,) = text_log.read(
        StringIO("{'lr': 0.1,\n" + lines(lambda e, t, v: f"step {e} loss {t}") + "RuntimeError: CUDA out of memory\n{'a': 1,\n")
    )
    assert build(log).signals["train/loss"].values.tolist() == TRAIN
    assert [event.kind for event in log.events] == ["oom"]


def test_a_unit_with_a_full_stop_is_no_part_of_the_next_name() -> None:
    text = lines(lambda e, t, v: f"[INFO] Step: {e}000. Time Elapsed: {91.2 * e:.3f} s. Mean Reward: {t}. Std of Reward: {v}. Training.")
    assert read(text).signals["reward"].values.tolist() == TRAIN


def test_where_only_an_accuracy_is_logged_its_complement_stands_in() -> None:
    run = read(lines(lambda e, t, v: f"Epoch {e} accuracy: {10 * e} val_accuracy: {9 * e}"))
    assert run.signals["train/loss"].raw_name == "1 - accuracy"
    assert run.signals["train/loss"].values == pytest.approx([1 - e / 10 for e in EPOCHS])
    assert run.signals["eval/loss"].values == pytest.approx([1 - 9 * e / 100 for e in EPOCHS])
    rewarded = read(lines(lambda e, t, v: f"Epoch {e} accuracy: {10 * e} reward: {t}"))
    assert "train/loss" not in rewarded.signals


def test_passes_and_batches_of_old_paddle() -> None:
    rows = [(epoch, batch, 100 / (3 * epoch + batch + 1)) for epoch in range(26, 29) for batch in range(3)]
    loss = read("".join(f"Pass {epoch}, Batch {batch}, Cost {cost:.6f}\n" for epoch, batch, cost in rows)).signals["train/loss"]
    assert loss.values == pytest.approx([cost for *_, cost in rows], abs=1e-6)
    assert (np.diff(loss.steps) > 0).all()


def test_a_loss_said_after_its_epoch_and_iteration() -> None:
    text = "".join(f"Loss at epoch {at // 2} and iteration {500 * (at % 2)} is {t}\n" for at, t in enumerate(TRAIN))
    loss = read(text).signals["train/loss"]
    assert loss.values.tolist() == TRAIN
    assert (np.diff(loss.steps) > 0).all()


def test_an_indented_line_that_begins_with_validation_is_of_the_evaluation() -> None:
    text = lines(lambda e, t, v: f"step {15 * e} / 4000 (epoch 0.{e} / 20):\n  loss_average = {t}\n  validation accuracy: 0.5, loss: {v}")
    run = read(text)
    assert run.signals["train/loss"].values.tolist() == TRAIN
    assert run.signals["eval/loss"].values.tolist() == EVAL


def test_metrics_of_mxnet_stand_one_on_a_line() -> None:
    text = "".join(f"Epoch[0] Batch [{20 * e}]\tSpeed: 20.0 samples/sec\tTrain-{name}={value}\n"
                   for e, t in zip(EPOCHS, TRAIN, strict=True) for name, value in (("Acc", 0.87), ("SmoothL1", t)))  # fmt: skip
    assert read(text).signals["train/loss"].values.tolist() == TRAIN


def test_what_the_shell_writes_behind_a_bar() -> None:
    bar = "Epoch 1 (validation) acc=1.0:   2%|#4        | 20/1094 [00:41<11:04,  1.62it/s]jac-crun: line 6:  3305 Killed      run.py\n"
    (log,) = text_log.read(StringIO(bar))
    assert [event.kind for event in log.events] == ["killed"]


def test_settings_in_words_are_no_epoch() -> None:
    text = "world size 2, epochs 50, lr 0.05, pid 7618\n" + lines(lambda e, t, v: f"Epoch [{e}/50] loss {t} acc 0.5 lr 0.05")
    run = read(text)
    assert run.last_step == ROWS


def test_rows_of_a_trainer_without_a_loss_are_counted() -> None:
    text = lines(lambda e, t, v: f"{{'eps': 1, 'loss/policy_avg': -0.01, 'objective/kl': {t}, 'lr': 1e-06, 'epoch': 0.0{e}}}")
    assert read(text).signals["objective/kl"].steps.tolist() == EPOCHS


def test_memory_of_ranks_its_size_and_the_load_of_the_gpu(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    row = '{{"step": {0}, "loss": {1}, "rank1/mem_allocated_gb": 19.5, "gpu_mem_total_gb": 80, "gpu_util": 23}}\n'
    path.write_text("".join(row.format(e, t) for e, t in zip(EPOCHS, TRAIN, strict=True)))
    signals = lossdoctor.load(path).signals
    assert signals["gpu/1/memory"].values[0] == pytest.approx(19.5e9)
    assert signals["gpu/0/memory_total"].values[0] == pytest.approx(80e9)
    assert signals["gpu/0/utilization"].values[0] == 23


@pytest.mark.parametrize("name", ["train.csv", "output.tsv"])
def test_output_that_calls_itself_a_table(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("begin training epoch 1/20\n" + lines(lambda e, t, v: f"Epoch {e}/20 loss {t}"))
    assert lossdoctor.load(tmp_path).signals["train/loss"].values.tolist() == TRAIN


def test_whole_sentences() -> None:
    run = read(lines(lambda e, t, v: f"After {10 * e} steps the mean loss of the last ten batches is {t} (rate 0.002)."))
    assert run.signals["train/loss"].steps.tolist() == [10 * e for e in EPOCHS]
    assert run.signals["train/loss"].values.tolist() == TRAIN


def test_of_several_losses_the_one_that_is_evaluated_too() -> None:
    text = lines(lambda e, t, v: f"epoch {e} train_elbo_loss {t} val_elbo_loss {v} recon_cost {t / 2} kl_cost 0.5")
    run = read(text)
    assert run.signals["train/loss"].raw_name == "train_elbo_loss"
    assert not run.assumed_loss


@pytest.mark.parametrize("times", ["0s", "0s - 6ms/step", "12s - 123ms/step", "1s - 41us/sample", "3s - 3s/epoch - 74ms/step"])
def test_keras_without_a_bar(times: str) -> None:
    run = read(lines(lambda e, t, v: f"Epoch {e}/8\n41/41 - {times} - accuracy: 0.1{e} - loss: {t} - val_accuracy: 0.1 - val_loss: {v}"))
    assert run.signals["train/loss"].values.tolist() == TRAIN
    assert run.signals["eval/loss"].values.tolist() == EVAL
    assert run.signals["train/loss"].steps.tolist() == EPOCHS


def test_the_loss_of_an_averaged_model_is_an_eval_loss() -> None:
    assert read(lines(lambda e, t, v: f"epoch {e} train_loss {t} ema_val_loss {v}")).signals["eval/loss"].values.tolist() == EVAL


def test_the_loss_of_a_policy_is_none_that_could_be_judged() -> None:
    assert "train/loss" not in read(lines(lambda e, t, v: f"update {e} policy_loss {-t}")).signals


def test_the_time_of_an_epoch_below_its_loss():
    run = read(HABITS["times on lines of their own"][0])
    assert run.signals["perf/step_seconds"].values.tolist() == [1 + e / 8 for e in EPOCHS]
    counted = read("".join(f"Epoch {e}/9\nTraining loss: {TRAIN[e - 1]}\nTime: {9 + e}.5s\n" for e in EPOCHS))
    assert counted.signals["perf/step_seconds"].values.tolist() == [9.5 + e for e in EPOCHS]
    assert counted.signals["train/loss"].steps.tolist() == EPOCHS
