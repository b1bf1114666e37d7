"""Every line format that a text log is known to hold, one line each, with what it says."""

from __future__ import annotations

import math

import pytest

from lossdoctor.sources.text_log_line import Line, parse, parse_dict

FORMATS = {
    "step-colon": ("Step 10: loss=2.45, lr=6.67e-05", Line({"loss": 2.45, "lr": 6.67e-05}, 10)),
    "nanogpt-iteration": (
        "iter 100: loss 2.3100, time 12.34ms, mfu 3.50%",
        Line({"loss": 2.31, "time_ms": 12.34, "mfu_percent": 3.5}, 100),
    ),
    "nanogpt-evaluation": ("step 250: train loss 2.1000, val loss 2.3000", Line({"train loss": 2.1, "val loss": 2.3}, 250)),
    "nanogpt-fork": ("[train] iter 10: loss 8.6864 9240 ms/iter", Line({"loss": 8.6864, "time_ms_per_step": 9240.0}, 10)),
    "nanogpt-fork-evaluation": (
        "[eval] iter 0: train 9.8578 val 9.8535 lr 7.50e-07",
        Line({"train loss": 9.8578, "val loss": 9.8535, "lr": 7.5e-07}, 0),
    ),
    "modded-nanogpt": (
        "step:6358/19073 train_loss:3.1898 train_time:919419ms step_avg:144.63ms",
        Line({"train_loss": 3.1898, "train_time_ms": 919419.0, "step_avg_ms": 144.63}, 6358, 19073),
    ),
    "torchtitan": (
        "[titan] 2024-10-01 12:00:00,123 - root - INFO - step: 32  loss:  7.0787  grad_norm:  2.6731  memory:  8.44GiB(13.20%)  tps: 6,677",
        Line({"loss": 7.0787, "grad_norm": 2.6731, "memory_GiB": 8.44, "tps": 6677.0}, 32),
    ),
    "megatron-validation": (
        " validation loss at iteration 1000 | lm loss value: 2.3E+00 | lm loss PPL: 1.0E+01 |",
        Line({"lm loss validation": 2.3, "lm loss PPL validation": 10.0}, 1000),
    ),
    "fairseq-train-inner": (
        "2021-06-01 12:00:00 | INFO | train_inner | epoch 143:     85 / 282 loss=3.147, wps=38811.2, num_updates=40130, gnorm=0.489",
        Line({"loss": 3.147, "wps": 38811.2, "gnorm": 0.489}, 40130, None, 143.0, None, 85, 282),
    ),
    "fairseq-epoch": (
        "2021-06-01 12:00:00 | INFO | train | epoch 143 | loss 3.1 | num_updates 40200 | gnorm 0.3",
        Line({"train/epoch_loss": 3.1, "train/epoch_gnorm": 0.3}, 40200, None, 143.0),
    ),
    "fairseq-valid": (
        "2021-06-01 12:00:00 | INFO | valid | epoch 143 | valid on 'valid' subset | loss 3.9 | ppl 5 | num_updates 40200",
        Line({"val/loss": 3.9, "val/ppl": 5.0}, 40200, None, 143.0),
    ),
    "mmcv-epoch": (
        "2021-06-01 12:00:00,123 - mmdet - INFO - Epoch [1][50/7330]\tlr: 1.978e-03, eta: 13:12:11, time: 0.541, memory: 3870, loss: 1.234",
        Line({"lr": 0.001978, "time": 0.541, "memory": 3870.0, "loss": 1.234}, None, None, 1.0, None, 50, 7330),
    ),
    "mmengine-iter": (
        "2022/06/01 12:00:00 - mmengine - INFO - Iter(train) [  50/90000]  lr: 2.0e-02  eta: 0:10:00  loss: 1.2",
        Line({"lr": 0.02, "loss": 1.2}, 50, 90000),
    ),
    "mmengine-val": (
        "2022/06/01 12:00:00 - mmengine - INFO - Epoch(val)  [1][500/500]    coco/bbox_mAP: 0.2000  accuracy/top1: 61.5",
        Line({"val/coco/bbox_mAP": 0.2, "val/accuracy/top1": 61.5}, None, None, 1.0, None, 500, 500),
    ),
    "deepspeed": (
        "[2023-01-01 12:00:00,123] [INFO] [logging.py:96:log_dist] [Rank 0] step=10, skipped=0, lr=[1e-05, 1e-05], mom=[(0.9, 0.95)]",
        Line({"skipped": 0.0, "lr": 1e-05, "mom": 0.9}, 10),
    ),
    "deepspeed-engine": (
        "steps: 10 loss: 2.3456 iter time (s): 1.234 samples/sec: 12.3",
        Line({"loss": 2.3456, "iter time (s)": 1.234, "samples/sec": 12.3}, 10),
    ),
    "gpt-neox": (
        "samples/sec: 12.3 | iteration 10/ 1000 | elapsed time per iteration (ms): 1.2 | lm_loss: 2.3 |",
        Line({"samples/sec": 12.3, "elapsed time per iteration (ms)": 1.2, "lm_loss": 2.3}, 10, 1000),
    ),
    "detectron2": (
        "[10/01 12:00:00 d2.utils.events]:  eta: 0:10:00  iter: 19  total_loss: 2.1  time: 0.5  lr: 0.0005  max_mem: 2000M",
        Line({"total_loss": 2.1, "time": 0.5, "lr": 0.0005, "max_mem": 2000.0}, 19),
    ),
    "maxtext": (
        "completed step: 10, seconds: 1.2, TFLOP/s/device: 50.1, Tokens/s/device: 1000.0, loss: 9.1",
        Line({"seconds": 1.2, "TFLOP/s/device": 50.1, "Tokens/s/device": 1000.0, "loss": 9.1}, 10),
    ),
    "pytorch-tutorial": ("Epoch [1/5], Step [100/600], Loss: 0.1234", Line({"Loss": 0.1234}, 100, 600, 1.0, 5)),
    "pytorch-mnist": ("Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.299", Line({"Loss": 2.299}, None, None, 1.0, None, 640, 60000)),
    "pytorch-imagenet": (
        "Epoch: [0][  10/5005]\tTime  0.5 ( 1.2)\tLoss 6.9 (7.0)\tAcc@1 0.00 (0.1)",
        Line({"Time": 0.5, "Loss": 6.9, "Acc@1": 0.0}, None, None, 0.0, None, 10, 5005),
    ),
    "pytorch-language-model": (
        "| epoch   1 |   200/ 2928 batches | lr 5.00 | ms/batch 30.78 | loss  6.97 | ppl  1064.46",
        Line({"lr": 5.0, "ms/batch": 30.78, "loss": 6.97, "ppl": 1064.46}, None, None, 1.0, None, 200, 2928),
    ),
    "end-of-epoch": (
        "| end of epoch   1 | time: 90.48s | valid loss  5.89 | valid ppl   360.40",
        Line({"valid loss": 5.89, "valid ppl": 360.4}, None, None, 1.0),
    ),
    "train-and-test": (
        "Step 2 -- Train loss: 2.1639, Train Acc: 0.41845703125 Test Acc: 0.39453125",
        Line({"Train loss": 2.1639, "Train Acc": 0.41845703125, "Test Acc": 0.39453125}, 2),
    ),
    "counter-at-the-end": ("2024-01-01 12:00:00 INFO train loss: 2.3 at step 100", Line({"train loss": 2.3}, 100)),
    "printed-tensor": ("step=100 loss=tensor(2.31, device='cuda:0')", Line({"loss": 2.31}, 100)),
    "validation-words": ("Validation: step 300 loss=1.5 lr=0.1", Line({"val/loss": 1.5, "lr": 0.1}, 300)),
}


@pytest.mark.parametrize(("text", "expected"), FORMATS.values(), ids=FORMATS)
def test_format(text: str, expected: Line) -> None:
    assert parse(text) == expected


def test_megatron_keeps_a_nan_and_the_total() -> None:
    line = parse(" iteration     5426/  250000 | learning rate: 1.0E-04 | lm loss: 2.3E+00 | loss scale: 1.0 | grad norm: nan |")
    assert line is not None
    assert (line.step, line.total, line.values["lm loss"], line.values["loss scale"]) == (5426, 250000, 2.3, 1.0)
    assert math.isnan(line.values["grad norm"])


@pytest.mark.parametrize(
    "text",
    [
        "warmup_step:3/20",
        "2024-01-01 12:00:00 starting up, 8 workers",
        "final_int8_zlib_roundtrip val_loss:2.7345 val_bpb:1.1736",
        "Seed 42:   val_loss=2.04998529",
        "ttt:batch 5/74 time=1267ms avg_loss=2.7377",
        'return f"step:{step}/{iterations} train_loss:{loss:.4f}"',
        "model_params:18897488",
    ],
)
def test_a_line_without_a_counter_is_no_row(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Gradient Accumulation steps = 4",
        "stopping_early: wallclock_cap train_time:600034ms step:12355/20000",
        "step 3 took 4 s",
        "epoch 2 began at 12:30:01",
    ],
)
def test_a_counter_without_a_metric_holds_no_values(text: str) -> None:
    line = parse(text)
    assert line is not None
    assert not line.values


def test_trainer_dicts() -> None:
    assert parse_dict("{'loss': '2.478', 'learning_rate': '0.0002976', 'epoch': '0.01333'}") == Line(
        {"loss": 2.478, "learning_rate": 0.0002976}, epoch=0.01333
    )
    assert parse_dict("{'loss': 2.478, 'grad_norm': 1e-05, 'epoch': 0.5}") == Line({"loss": 2.478, "grad_norm": 1e-05}, epoch=0.5)
    swift = parse_dict("{'loss': 2.3, 'memory(GiB)': 20.1, 'epoch': 0.01, 'global_step/max_steps': '5/1000', 'elapsed_time': '1m 2s'}")
    assert swift == Line({"loss": 2.3, "memory(GiB)": 20.1}, 5, 1000, 0.01)
    fairseq = parse_dict('INFO | train_inner | {"epoch": 1, "update": 0.139, "loss": "15.3", "num_updates": "50", "lr": "1e-06"}')
    assert fairseq == Line({"update": 0.139, "loss": 15.3, "lr": 1e-06}, 50, None, 1.0)
    valid = parse_dict('INFO | valid | {"epoch": 2, "valid_loss": "6.4", "valid_num_updates": "2204"}')
    assert valid == Line({"valid_loss": 6.4}, 2204, None, 2.0)
    assert parse_dict("step 7/90: {'loss': 2.5}") == Line({"loss": 2.5}, 7, 90)


@pytest.mark.parametrize(
    "text", ["{'bos_token_id': 1, 'dropout': 0.3}", "{'step': 0, 'agent': 'a', 'reward': 0.5}", "{'model': 'gpt2', 'loss': 'mse'}"]
)
def test_other_dicts_are_no_rows(text: str) -> None:
    assert parse_dict(text) is None
