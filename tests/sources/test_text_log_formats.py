"""Logs as frameworks print them, a few lines each: which losses are found, at which steps."""

from __future__ import annotations

from io import StringIO
from textwrap import dedent

import pytest

from lossdoctor.run import Run, build
from lossdoctor.sources import text_log

FORMATS = {
    "thousands separators": (
        """
        iter:     900 loss: 1.9816 lr: 1.000e-04
        iter:   1,000 loss: 1.9331 lr: 1.000e-04
        iter:   1,100 loss: 1.8861 lr: 1.000e-04
        """,
        {"train/loss": ([900, 1000, 1100], [1.9816, 1.9331, 1.8861])},
    ),
    "a progress bar without its bar": (
        """
        Epoch 0:  97% 1651/1702 [13:00<00:24,  2.12it/s, loss=0.158, v_num=0, train_loss=0.149]
        Epoch 0:  97% 1652/1702 [13:00<00:24,  2.12it/s, loss=0.157, v_num=0, train_loss=0.148]
        """,
        {"train/loss": ([1651, 1652], [0.158, 0.157])},
    ),
    "lightning's unused loss": (
        """
        Epoch 0:  10%|#    | 10/100 [00:10<01:00,  2.12it/s, loss=nan, v_num=0, reduced_train_loss=9.5]
        Epoch 0:  20%|##   | 20/100 [00:20<01:00,  2.12it/s, loss=nan, v_num=0, reduced_train_loss=8.5]
        """,
        {"train/loss": ([10, 20], [9.5, 8.5])},
    ),
    "flair": (
        """
        2022-12-13 02:30:59,355 epoch 2 - iter 175/1750 - loss 0.14583619 - samples/sec: 72.37 - lr: 0.000039
        2022-12-13 02:30:59,355 epoch 2 - iter 350/1750 - loss 0.14496740 - samples/sec: 75.81 - lr: 0.000039
        2022-12-13 02:31:20,517 DEV : loss 0.16850201785564423 - f1-score (micro avg)  0.5871
        """,
        {"train/loss": ([175, 350], [0.14583619, 0.1449674]), "eval/loss": ([350], [0.16850201785564423])},
    ),
    "espnet": (
        """
        [PC] 2020-11-11 16:36:33,446 (trainer:486) INFO: 4epoch:train:3751-4125batch: iter_time=0.001, forward_time=0.005, loss=1.8, lr_0=0.1, train_time=0.014
        [PC] 2020-11-11 16:36:38,446 (trainer:338) INFO: 4epoch results: [train] iter_time=0.001, loss=1.81, [valid] loss=1.9, time=1.2 seconds
        [PC] 2020-11-11 16:36:38,663 (trainer:486) INFO: 5epoch:train:1-375batch: iter_time=0.001, forward_time=0.005, loss=1.7, lr_0=0.1, train_time=0.014
        """,  # noqa: E501
        {
            "train/loss": ([4125, 4500], [1.8, 1.7]),
            "eval/loss": ([4125], [1.9]),
            "perf/data_wait_seconds": ([4125, 4500], [0.001, 0.001]),
            "perf/step_seconds": ([4125, 4500], [0.014, 0.014]),
        },
    ),
    "torchvision": (
        """
        Epoch: [1]  [  0/209]  eta: 0:02:06  lr: 0.000000  loss: 0.5737 (0.5737)  loss_mask: 0.4023 (0.4023)  time: 0.8938  data: 0.2370  max mem: 6450
        Epoch: [1]  [ 10/209]  eta: 0:02:06  lr: 0.000000  loss: 0.5818 (0.6080)  loss_mask: 0.4273 (0.4273)  time: 0.6731  data: 0.0303  max mem: 6450
        """,  # noqa: E501
        {"train/loss": ([0, 10], [0.5737, 0.5818]), "perf/data_wait_seconds": ([0, 10], [0.237, 0.0303])},
    ),
    "timm": (
        """
        Train: 1 [   0/1251 (  0%)]  Loss:  6.94 (6.94)  Time: 3.20s,  320.1/s  (3.20s,  320.1/s)  LR: 1.000e-06  Data: 1.20 (1.20)
        Train: 1 [  50/1251 (  4%)]  Loss:  6.91 (6.93)  Time: 0.30s,  320.1/s  (0.34s,  320.1/s)  LR: 1.000e-06  Data: 0.01 (0.03)
        """,
        {
            "train/loss": ([0, 50], [6.94, 6.91]),
            "perf/data_wait_seconds": ([0, 50], [1.2, 0.01]),
            "perf/step_seconds": ([0, 50], [3.2, 0.3]),
        },
    ),
    "the tutorial of pytorch": (
        """
        Epoch 0/24
        ----------
        train Loss: 0.5872 Acc: 0.7008
        val Loss: 0.2270 Acc: 0.9150
        Epoch 1/24
        ----------
        train Loss: 0.4901 Acc: 0.8074
        val Loss: 0.2119 Acc: 0.9216
        """,
        {"train/loss": ([1, 2], [0.5872, 0.4901]), "eval/loss": ([1, 2], [0.227, 0.2119]), "train/accuracy": ([1, 2], [0.7008, 0.8074])},
    ),
    "LightGBM's squared error": (
        """
        [10]	train's l2: 2.44531	valid's l2: 2.5718
        [20]	train's l2: 1.64156	valid's l2: 1.84065
        Early stopping, best iteration is:
        [10]	train's l2: 2.44531	valid's l2: 2.5718
        """,
        {"train/loss": ([10, 20], [2.44531, 1.64156]), "eval/loss": ([10, 20], [2.5718, 1.84065])},
    ),
    "names and numbers between bars": (
        """
        Epoch   1/20 | train loss 2.3077 | train acc 9.86% | val loss 2.3016 | val acc 10.33%
        Epoch   2/20 | train loss 2.3062 | train acc 9.36% | val loss 2.3018 | val acc 10.33%
        """,
        {"train/loss": ([1, 2], [2.3077, 2.3062]), "eval/loss": ([1, 2], [2.3016, 2.3018])},
    ),
    "a bar of one's own": (
        """
        Training [=============                           ] 34.0% 20000/58874 | 4.62 it/s | ETA: 8413.2 s | loss=3.399266 | validation_loss=3.540929
        Training [================                        ] 42.5% 25000/58874 | 4.62 it/s | ETA: 7330.7 s | loss=3.500671 | validation_loss=3.487137
        """,  # noqa: E501
        {"train/loss": ([20000, 25000], [3.399266, 3.500671]), "eval/loss": ([20000, 25000], [3.540929, 3.487137])},
    ),
    "fastai": (
        """
        epoch     train_loss  valid_loss  accuracy  time
        0         1.234567    0.987654    0.654321  00:10
        1         1.034567    0.887654    0.754321  00:10
        """,
        {"train/loss": ([1, 2], [1.234567, 1.034567]), "eval/loss": ([1, 2], [0.987654, 0.887654])},
    ),
    "skorch": (
        """
          epoch    train_loss    valid_acc    valid_loss     dur
        -------  ------------  -----------  ------------  ------
              1        0.6868       0.5090        0.6876  0.0412
              2        0.6706       0.5390        0.6600  0.0312
        """,
        {"train/loss": ([1, 2], [0.6868, 0.6706]), "eval/loss": ([1, 2], [0.6876, 0.66]), "eval/accuracy": ([1, 2], [0.509, 0.539])},
    ),
    "spaCy": (
        """
        E    #       LOSS TOK2VEC  LOSS NER  ENTS_F  ENTS_P  ENTS_R  SCORE
        ---  ------  ------------  --------  ------  ------  ------  ------
          0       0          0.00     40.00    9.57    6.09   22.33    0.10
          0     200         35.70   2163.45   83.16   83.79   82.53    0.83
        """,
        {"LOSS NER": ([0, 200], [40.0, 2163.45])},
    ),
    "columns between bars": (
        """
         Epoch | TrainLoss | TrainAcc |  ValLoss |       LR |   Time
        ----------------------------------------------------------------------
             1 |    1.0164 |   50.80% |   0.8634 | 0.001000 |  19.6s  <- best
             2 |    0.8442 |   62.22% |   1.1590 | 0.001000 |  19.4s
        Early stopping
        """,
        {"train/loss": ([1, 2], [1.0164, 0.8442]), "eval/loss": ([1, 2], [0.8634, 1.159]), "train/learning_rate": ([1, 2], [1e-3, 1e-3])},
    ),
    "names between commas, printed again every epoch": (
        """
        Epoch: 01 | Epoch Time: 0m 57s
        *******train_loss,train_acc,valid_loss,valid_ac**********
        5.200893470219204 2.790178544819355 4.977107011354887 3.6057692021131516
        Epoch: 02 | Epoch Time: 0m 57s
        *******train_loss,train_acc,valid_loss,valid_ac**********
        5.085730476038797 2.287946455180645 4.954357807452862 3.6057692021131516
        """,
        {"train/loss": ([1, 2], [5.200893470219204, 5.085730476038797]), "eval/loss": ([1, 2], [4.977107011354887, 4.954357807452862])},
    ),
    "two bars of the package progress, the second one of evaluation, in a window": (
        """
        Processing |################################| (391/391) Data: 0.001s | Batch: 0.31s | ETA: 0:00:01 | Loss: 0.9000 | top1: 61.0
        Processing |################################| (79/79) Data: 0.001s | Batch: 0.11s | ETA: 0:00:01 | Loss: 1.1000 | top1: 55.0
        Epoch: [7 | 164] LR: 0.1
        Processing |################                | (200/391) Data: 0.001s | Batch: 0.31s | ETA: 0:00:09 | Loss: 0.8500 | top1: 63.0
        Processing |################################| (391/391) Data: 0.001s | Batch: 0.31s | ETA: 0:00:01 | Loss: 0.8000 | top1: 65.0
        Processing |################################| (79/79) Data: 0.001s | Batch: 0.11s | ETA: 0:00:01 | Loss: 1.2000 | top1: 54.0
        """,
        {"train/loss": ([6, 7], [0.9, 0.8]), "eval/loss": ([6, 7], [1.1, 1.2])},
    ),
    "a tensor printed behind a bar": (
        """
         29%|##9       | 192/658 [02:39<06:15,  1.24it/s]loss tensor(0.6868, device='cuda:0', grad_fn=<BinaryCrossEntropyBackward>)
         30%|###       | 197/658 [02:44<06:07,  1.26it/s]loss tensor(0.6876, device='cuda:0', grad_fn=<BinaryCrossEntropyBackward>)
        """,
        {"train/loss": ([192, 197], [0.6868, 0.6876])},
    ),
    "an overflow that DeepSpeed prints behind a bar": (
        """
         14%|#4        | 378/2724 [13:58:09<86:18:35, 132.44s/it][2023-06-07 22:16:00,018] [INFO] [loss_scaler.py:181:update_scale] [deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 64, reducing to 32
         14%|#4        | 379/2724 [14:00:21<86:09:52, 132.28s/it][2023-06-07 22:18:11,762] [INFO] [loss_scaler.py:181:update_scale] [deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 32, reducing to 16
        """,  # noqa: E501
        {"train/loss_scale": ([378, 379], [32.0, 16.0])},
    ),
    "train and validation both called loss": (
        """
        Epoch 1 | train: loss = 0.9, acc = 0.5 | val: loss = 1.1, acc = 0.4
        Epoch 2 | train: loss = 0.7, acc = 0.6 | val: loss = 1.0, acc = 0.5
        """,
        {"train/loss": ([1, 2], [0.9, 0.7]), "eval/loss": ([1, 2], [1.1, 1.0]), "eval/accuracy": ([1, 2], [0.4, 0.5])},
    ),
    "no separators": (
        """
        step 10 | a 1.35e-05 | loss 8.2475
        step 20 | a 1.45e-05 | loss 8.1475
        """,
        {"train/loss": ([10, 20], [8.2475, 8.1475])},
    ),
    "no counter at all": (
        """
        loss: 0.9239, acc: 56.88, test_acc: 67.63
        loss: 0.9873, acc: 56.86, test_acc: 58.53
        loss: 0.5803, acc: 57.29, test_acc: 69.08
        """,
        {"train/loss": ([1, 2, 3], [0.9239, 0.9873, 0.5803])},
    ),
    "a row for every batch, an epoch number alone": (
        """
        Epoch 1 - Batch loss: 12.1
        Epoch 1 - Batch loss: 11.2
        Epoch 1 - Batch loss: 10.3
        Epoch 2 - Batch loss: 9.1
        Epoch 2 - Batch loss: 8.2
        Epoch 2 - Batch loss: 7.3
        """,
        {"train/loss": ([1, 2, 3, 4, 5, 6], [12.1, 11.2, 10.3, 9.1, 8.2, 7.3])},
    ),
    "steps that start again every epoch": (
        """
        epoch: 0, batch_id: 0, loss:0.50, avg_reader_cost: 0.001 sec, avg_batch_cost: 0.002 sec
        epoch: 0, batch_id: 500, loss:0.40, avg_reader_cost: 0.001 sec, avg_batch_cost: 0.002 sec
        epoch: 1, batch_id: 0, loss:0.30, avg_reader_cost: 0.001 sec, avg_batch_cost: 0.002 sec
        epoch: 1, batch_id: 500, loss:0.20, avg_reader_cost: 0.001 sec, avg_batch_cost: 0.002 sec
        """,
        {"train/loss": ([0, 500, 1000, 1500], [0.5, 0.4, 0.3, 0.2]), "perf/data_wait_seconds": ([0, 500, 1000, 1500], [0.001] * 4)},
    ),
    "mxnet": (
        """
        INFO:root:Epoch[0] Batch [100]\tSpeed: 1252.24 samples/sec\tcross-entropy=0.71
        INFO:root:Epoch[0] Batch [200]\tSpeed: 1252.24 samples/sec\tcross-entropy=0.69
        """,
        {"train/loss": ([100, 200], [0.71, 0.69])},
    ),
    "xgboost": (
        """
        [0]\ttrain-rmse:0.53\teval-rmse:0.61
        [1]\ttrain-rmse:0.43\teval-rmse:0.55
        """,
        {"train/loss": ([0, 1], [0.53, 0.43]), "eval/loss": ([0, 1], [0.61, 0.55])},
    ),
    "lightgbm": (
        """
        [10]\ttraining's binary_logloss: 0.53\tvalid_1's binary_logloss: 0.61
        [20]\ttraining's binary_logloss: 0.43\tvalid_1's binary_logloss: 0.55
        """,
        {"train/loss": ([10, 20], [0.53, 0.43]), "eval/loss": ([10, 20], [0.61, 0.55])},
    ),
    "opennmt": (
        """
        [2018-09-20 15:18:39,264 INFO] Step 50/20000; acc:  42.02; ppl: 65.01; xent: 4.17; lr: 0.00100; 2214/2168 tok/s;    950 sec
        [2018-09-20 15:18:39,264 INFO] Step 100/20000; acc:  42.02; ppl: 64.03; xent: 4.16; lr: 0.00100; 2214/2168 tok/s;    950 sec
        """,
        {"train/loss": ([50, 100], [4.17, 4.16])},
    ),
    "cyclegan": (
        """
        (epoch: 1, iters: 100, time: 0.302, data: 0.201) D_A: 0.394 G_A: 0.302 cycle_A: 2.239 idt_A: 1.1
        (epoch: 1, iters: 200, time: 0.302, data: 0.001) D_A: 0.294 G_A: 0.402 cycle_A: 1.239 idt_A: 0.9
        (epoch: 2, iters: 100, time: 0.302, data: 0.001) D_A: 0.194 G_A: 0.502 cycle_A: 1.139 idt_A: 0.8
        """,
        {"D_A": ([100, 200, 300], [0.394, 0.294, 0.194]), "perf/step_seconds": ([100, 200, 300], [0.302] * 3)},
    ),
    "stable-baselines3": (
        """
        -----------------------------------------
        | rollout/                |             |
        |    ep_rew_mean          | -197.83     |
        | time/                   |             |
        |    iterations           | 1           |
        |    total_timesteps      | 2048        |
        -----------------------------------------
        -----------------------------------------
        | rollout/                |             |
        |    ep_rew_mean          | -150.5      |
        | time/                   |             |
        |    iterations           | 2           |
        |    total_timesteps      | 4096        |
        | train/                  |             |
        |    loss                 | 5.4595      |
        -----------------------------------------
        """,
        {"reward": ([2048, 4096], [-197.83, -150.5]), "train/loss": ([4096], [5.4595])},
    ),
    "rllab": (
        """
        2020-12-08 21:40:50.119744  | GameScore/Average                -5.33333
        2020-12-08 21:40:50.120008  | loss/Average                    0.5
        2020-12-08 21:41:50.119744  | GameScore/Average                -4.33333
        2020-12-08 21:41:50.120008  | loss/Average                    nan
        """,
        {"train/loss": ([1, 2], [0.5, float("nan")])},
    ),
    "ultralytics": (
        """
              Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size
             1/1000      17.2G        1.5        2.5        1.0         55        640: 100%|##########| 4/4 [01:28<00:00, 22.19
                         Class     Images  Instances      Box(P          R      mAP50  mAP50-95): 100%|##########| 1/1 [00:09<0
                           all        200        449        0.5        0.4        0.3        0.2

              Epoch    GPU_mem   box_loss   cls_loss   dfl_loss  Instances       Size
             2/1000      17.2G        1.4        2.0        0.9         65        640: 100%|##########| 4/4 [01:22<00:00, 20.68
        """,
        {"train/loss": ([1, 2], [5.0, 4.3]), "train/box_loss": ([1, 2], [1.5, 1.4]), "metrics/mAP50(B)": ([1], [0.3])},
    ),
    "episodes": (
        """
        Episode  50/400 | Average reward (100 ep): 22.6
        Episode 100/400 | Average reward (100 ep): 20.3
        """,
        {"reward": ([50, 100], [22.6, 20.3])},
    ),
    "short for epoch": (
        """
          Ep 1/10 | Time: 274.14s | Loss: 0.4254 | Acc: 87.85%
          Ep 2/10 | Time: 272.25s | Loss: 0.2694 | Acc: 90.27%
        """,
        {"train/loss": ([1, 2], [0.4254, 0.2694])},
    ),
    "text behind a bar": (
        """
         5%|#    | 10/200 [1:36:22<30:37:01, 580.11s/it]epoch: 11 loss: 0.706
         10%|#    | 20/200 [2:36:22<30:37:01, 580.11s/it]epoch: 21 loss: 0.707
        """,
        {"train/loss": ([11, 21], [0.706, 0.707])},
    ),
}


def read(text: str) -> Run:
    (log,) = text_log.read(StringIO(dedent(text).lstrip("\n")))
    return build(log)


@pytest.mark.parametrize("name", FORMATS)
def test_losses_and_steps(name: str) -> None:
    text, wanted = FORMATS[name]
    run = read(text)
    for signal, (steps, values) in wanted.items():
        found = run.signal(signal)
        assert found is not None, f"{signal} is missing: {sorted(run.signals)}"
        assert found.steps.tolist() == steps
        assert found.values.tolist() == pytest.approx(values, nan_ok=True)


def test_leading_nul_bytes_do_not_hide_a_log() -> None:
    loss = read("\x00" * 500 + "\nstep 10 | loss 2.5\nstep 20 | loss 2.4\n").signal("train/loss")
    assert loss is not None
    assert loss.steps.tolist() == [10, 20]


@pytest.mark.parametrize(
    "told",
    [
        "Configuration: epochs=3, lr=2e-4, batch=4, accumulation=4",
        "Namespace(batch_size=4, epochs=10, lr=0.1, loss_weight=0.5)",
        "epochs: 20, learning_rate: 0.1",
    ],
)
def test_settings_are_no_row(told: str) -> None:
    run = read(f"{told}\nstep 10: loss=2.5, lr=1e-4\nstep 20: loss=2.4, lr=1e-4\n")
    assert run.signals["train/learning_rate"].steps.tolist() == [10, 20]


def test_a_summary_without_a_counter_is_no_second_row_of_training() -> None:
    run = read("step 10: loss=2.5\nstep 20: loss=2.4\nloss: 2.45 (average)\nfinal loss 2.45\n")
    assert run.signals["train/loss"].steps.tolist() == [10, 20]


def test_ultralytics_plan_is_in_its_rows() -> None:
    assert read(FORMATS["ultralytics"][0]).planned_epochs == 1000
