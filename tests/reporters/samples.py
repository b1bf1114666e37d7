# ruff: noqa: E501
"""Hand-made diagnoses of the shapes that a report must show well. The curves are formulas with seeded noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lossdoctor.model import (
    Cause,
    Checkpoint,
    CheckpointAdvice,
    Cost,
    Diagnosis,
    Fault,
    Finding,
    Fix,
    Gate,
    LogEvent,
    Loss,
    Mark,
    RuleNote,
    SeriesView,
    Setting,
    Severity,
    SourceNote,
    State,
    Verdict,
    Vital,
)

VERSIONS = {"lossdoctor": "0.1.0", "numpy": "2.4.0"}


def view(signal: str, steps: np.ndarray, values: np.ndarray, raw: str = "", points: int = 0) -> SeriesView:
    finite = np.isfinite(values)
    return SeriesView(
        signal,
        raw or signal.rsplit("/", maxsplit=1)[-1],
        tuple(int(s) for s in steps),
        tuple(float(v) if ok else None for v, ok in zip(values, finite, strict=True)),
        tuple(int(s) for s in steps[~finite]),
        points or len(steps),
    )


def noise(count: int, scale: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, count)


HEALTHY = (
    RuleNote("divergence", "LD101", "Divergence"),
    RuleNote("sawtooth", "LD103", "Sawtooth"),
    RuleNote("loss-spike", "LD105", "Loss spike"),
    RuleNote("nan-loss", "LD501", "NaN or Inf in the loss"),
)
NOT_EVALUATED = (
    RuleNote(
        "memory-leak",
        "LD603",
        "GPU memory leak",
        "no GPU memory was logged",
        "log torch.cuda.max_memory_allocated() every 50 steps, or report_to='wandb'",
    ),
    RuleNote("low-mfu", "LD608", "Low MFU", "neither FLOPs nor token throughput were logged", "include_num_input_tokens_seen=True"),
)
SETTINGS = (
    Setting("learning_rate", 2e-4, "checkpoint-1200/training_args.bin"),
    Setting("num_train_epochs", 3, "checkpoint-1200/training_args.bin"),
    Setting("per_device_train_batch_size", 4, "checkpoint-1200/training_args.bin", (("README.md", 8),)),
    Setting("max_grad_norm", 1.0, "checkpoint-1200/training_args.bin"),
    Setting("bf16", True, "checkpoint-1200/training_args.bin"),
    Setting("eval_steps", 50, "checkpoint-1200/training_args.bin"),
)


TITLES = {
    "finite": "finite numbers", "level": "plausible level", "learning": "learning", "kept": "kept its gains",
    "steady": "steady", "generalises": "generalises", "complete": "complete", "machine": "machine",
}  # fmt: skip
DECISIVE = ("finite", "level", "learning", "kept")
SEEN = {
    "finite": "All 96 losses and gradient norms are numbers.",
    "level": "It ends at 2.26, below the 10.4 of guessing among 32000 tokens.",
    "learning": "The training loss fell from 4.46 to 2.26 (-49 %, ± 2 %) over 96 rows.",
    "kept": "It ends at 2.26 ± 0.02, where its best 12 rows are (2.24).",
    "steady": "No spike and no wave above 4 standard errors.",
    "generalises": "The eval loss follows: 2.41 at the end, its minimum, 0.15 above the train loss.",
    "complete": "4000 of 4000 planned steps.",
    "machine": "48 s a step throughout, memory flat at 61 of 80 GB.",
}


def vitals(bad: dict[str, tuple[Finding, ...]] | None = None, unknown: dict[str, tuple[str, str]] | None = None) -> tuple[Vital, ...]:
    """Eight vitals in their order: good but for those named, bad with their findings, unknown with sentence and want."""
    made = []
    for name, title in TITLES.items():
        numbers = {"rows": 96, "fall": 0.49} if name == "learning" else {}
        vital = Vital(name, title, State.GOOD, SEEN[name], numbers, decisive=name in DECISIVE)
        if bad and name in bad:
            vital = replace(vital, state=State.BAD, says=bad[name][0].message, findings=tuple(f.rule for f in bad[name]))
        if unknown and name in unknown:
            vital = replace(vital, state=State.UNKNOWN, says=unknown[name][0], wanted=unknown[name][1])
        made.append(vital)
    return tuple(made)


NO_MACHINE = ("Neither speed nor memory was logged.", "Set include_num_input_tokens_seen=True and log torch.cuda.memory_allocated().")
NO_EVAL = ("Nothing was evaluated.", "Evaluate every 5 % of the steps: eval_strategy='steps', eval_steps=0.05.")
NO_PLAN = ("The planned number of steps is not in the log.", "Keep training_args.bin beside the log, or pass --set max_steps=N.")


def hockey_stick() -> Diagnosis:
    steps = np.arange(10, 1201, 10)
    train = 0.35 + 1.6 * np.exp(-steps / 250) - 0.12 * (steps > 400) - 0.14 * (steps > 800) + noise(len(steps), 0.035, 1)
    evals = np.arange(50, 1201, 50)
    at = 1.03 + 0.5 * np.exp(-evals / 120) + 0.26 * np.clip((evals - 400) / 800, 0, None) ** 0.9 + noise(len(evals), 0.004, 2)
    rate = 2e-4 * np.minimum(steps / 60, 1) * 0.5 * (1 + np.cos(np.pi * np.clip((steps - 60) / 1140, 0, 1)))
    norm = 0.8 + 0.5 * steps / 1200 + np.abs(noise(len(steps), 0.25, 3)) + 3 * np.exp(-steps / 40)
    stick = Finding(
        rule="hockey-stick",
        code="LD201",
        title="Overfitting after epoch 1",
        severity=Severity.ERROR,
        confidence=0.94,
        message="The eval loss was lowest at step 400 (1.03) and ends 24.8 % above that, while the train loss fell another 31 %: from epoch 1.0 on the run memorised its training data.",
        numbers={
            "rise": 0.248,
            "best_eval": 1.03,
            "last_eval": 1.285,
            "evals_after": 16,
            "worse_after": 16,
            "train_fall": 0.31,
            "best_epoch": 1.0,
        },
        signals=("eval/loss", "train/loss"),
        onset_step=450,
        span=(400, 1200),
        spans=((400, 1200),),
        detectable_step=550,
        found="eval loss 24.8 % above its minimum; 16 of 16 later evals higher",
        limit="5 % above the minimum, beyond the noise of the evals",
        causes=(
            Cause(
                "epochs",
                "Too many epochs for this much data",
                0.62,
                ("the minimum lies at the end of epoch 1 of 3", "the train loss steps down at each epoch boundary"),
                ("the gap opens slowly",),
                "Train for one epoch with the same learning rate schedule: the eval minimum should move to the end.",
            ),
            Cause(
                "learning-rate",
                "Learning rate too high for the data",
                0.21,
                ("a peak of 2e-4 is at the high end for full fine-tuning",),
                ("no sawtooth, gradient norms below 2",),
                "Halve the learning rate and compare the eval minimum, not its step.",
            ),
            Cause(
                "leak-free-split",
                "Train and eval sets differ in kind",
                0.09,
                (),
                ("both fell together during epoch 1",),
                "Decode five samples of each set and read them.",
                "for split in ('train', 'test'):\n    for row in dataset[split].shuffle(seed=0).select(range(5)):\n        print(split, repr(tokenizer.decode(row['input_ids'])[:200]))",
            ),
        ),
        fixes=(
            Fix("num_train_epochs", 3, 1, "the eval loss was lowest at epoch 1.0"),
            Fix("load_best_model_at_end", False, True, "the last checkpoint is 24.8 % worse than the best one"),
            Fix("weight_decay", None, 0.05, "a mild regulariser where more data cannot be had"),
        ),
        why_it_matters="The checkpoint at the end answers its training examples by heart and new ones worse than the one at step 400 did.",
        verify="In the next run the eval minimum should lie in the last quarter.",
        looks_like="A noisy eval set that is too small; a cyclic learning rate; preference training, where eval loss rises while rewards improve.",
    )
    fitted = Finding(
        rule="overfitting",
        code="LD202",
        title="Overfitting",
        severity=Severity.WARNING,
        confidence=0.9,
        message="The gap between eval and train loss widened from 0.02 to 0.95.",
        numbers={"gap_first": 0.02, "gap_last": 0.95},
        signals=("eval/loss", "train/loss"),
        onset_step=450,
        span=(450, 1200),
        spans=((450, 1200),),
        explained_by="hockey-stick",
        found="gap 0.95",
        limit="no limit of its own",
        fixes=(Fix("lora_dropout", 0.0, 0.05, "regularises the adapter"),),
    )
    clipped = Finding(
        rule="constant-clipping",
        code="LD301",
        title="Gradients are clipped most of the time",
        severity=Severity.NOTE,
        confidence=0.81,
        message="87 % of the steps after warmup had a gradient norm above max_grad_norm = 1.0; the loss did not suffer from it.",
        numbers={"share": 0.87, "limit": 1.0, "median_norm": 1.31, "factor": 0.76},
        signals=("train/grad_norm",),
        onset_step=70,
        span=(70, 1200),
        spans=((70, 1200),),
        found="87 % of 114 logged norms above 1.0",
        limit="50 %",
        fixes=(Fix("max_grad_norm", 1.0, 1.9, "the 90th percentile of the observed norms"),),
        verify="The share should fall below 20 %.",
    )
    return Diagnosis(
        name="llama-7b-lora-v1",
        path="runs/llama-7b-lora-v1/trainer_state.json",
        argument="runs/llama-7b-lora-v1",
        verdict=Verdict.FAIL,
        headline="Overfitting after epoch 1. Use checkpoint-400, not checkpoint-1200.",
        vitals=vitals({"generalises": (stick, fitted)}, {"machine": NO_MACHINE}),
        findings=(stick, fitted, clipped),
        healthy=HEALTHY,
        not_evaluated=NOT_EVALUATED,
        suppressed=(RuleNote("eval-sparse", "LD205", "Too few evals", "suppressed until 2027-01-31: the nightly set is small"),),
        checkpoint=CheckpointAdvice(
            400,
            True,
            400,
            "runs/llama-7b-lora-v1/checkpoint-400",
            True,
            True,
            "trainer.train(resume_from_checkpoint='runs/llama-7b-lora-v1/checkpoint-400')",
            "It has the lowest eval loss (1.03, perplexity 2.8); the last one has 1.29 (perplexity 3.6).",
        ),
        checkpoints=tuple(
            Checkpoint(s, f"runs/llama-7b-lora-v1/checkpoint-{s}", True, None, True, True) for s in (200, 400, 600, 800, 1000, 1200)
        ),
        cost=Cost(hours=2.683, hours_after_best=1.79, hours_after_onset=1.68, gpus=2, gpu_hours_wasted=3.58, money_wasted=8.95),
        marks=(
            Mark("warmup-end", 60, "warmup ends"),
            Mark("epoch", 400, "epoch 1"),
            Mark("epoch", 800, "epoch 2"),
            Mark("best-eval", 400, "best eval 1.03"),
            *(Mark("checkpoint", s, f"checkpoint-{s}") for s in (200, 400, 600, 800, 1000, 1200)),
            Mark("detectable", 550, "a monitor could have fired"),
            Mark("end", 1200, "the run ends as planned"),
        ),
        settings=SETTINGS,
        sources=(
            SourceNote("trainer_state", "runs/llama-7b-lora-v1/checkpoint-1200/trainer_state.json", 384, "used"),
            SourceNote("tensorboard", "runs/llama-7b-lora-v1/runs/events.out.tfevents.1", 500, "merged: 116 points more"),
        ),
        series=(
            view("train/loss", steps, train, "loss"),
            view("eval/loss", evals, at, "eval_loss"),
            view("train/learning_rate", steps, rate),
            view("train/grad_norm", steps, norm),
        ),
        task="causal LM",
        steps=1200,
        planned_steps=1200,
        epochs=3.0,
        gate=Gate(False, ("1 finding at level error",)),
        versions=VERSIONS,
    )


def nan_loss() -> Diagnosis:
    steps = np.arange(1, 2001)
    loss = 2.1 + 6 * np.exp(-steps / 150) + noise(2000, 0.08, 4)
    norm = 0.9 + np.abs(noise(2000, 0.2, 5))
    climb = np.clip((steps - 1380) / 90, 0, None)
    norm = norm * np.exp(np.minimum(climb, 1.0) * 4.5)
    loss = loss + 3.5 * np.clip((steps - 1455) / 16, 0, 1) ** 2
    loss[1471:] = np.nan
    norm[1471:] = np.nan
    loss[700] = 14.8
    keep = np.unique(np.concatenate([np.arange(0, 2000, 4), np.arange(1370, 1480), [700, 1999]]))
    scale = 65536.0 / 2 ** np.clip((steps - 1471) // 40, 0, 12)
    nan = Finding(
        rule="nan-loss",
        code="LD501",
        title="The loss became NaN",
        severity=Severity.ERROR,
        confidence=0.99,
        message="From step 1472 on every logged loss is NaN (529 rows). The gradient norm had climbed from 1.0 to 90 since step 1381.",
        numbers={"first_nan": 1472, "rows": 529, "norm_before": 90.0},
        signals=("train/loss", "train/grad_norm"),
        onset_step=1472,
        span=(1472, 2000),
        spans=((1472, 2000),),
        detectable_step=1472,
        found="529 values that are not finite",
        limit="none",
        causes=(
            Cause(
                "learning-rate",
                "Learning rate too high: the gradients ran away first",
                0.71,
                ("grad norm x 90 over the 91 steps before", "log of the norm climbs on a straight line"),
                (),
                "Resume from checkpoint-1000 with a fifth of the learning rate: the norm should stay below 2.",
            ),
            Cause(
                "precision",
                "Overflow in fp16",
                0.18,
                ("fp16 is on",),
                ("the loss scale was constant before the NaN",),
                "The same steps with bf16=True.",
            ),
        ),
        fixes=(Fix("learning_rate", 1e-3, 2e-4, "a fifth of the rate at which the gradients ran away"),),
        verify="The gradient norm should stay below 5 between steps 1380 and 1480.",
        why_it_matters="All weights after this step are NaN: nothing of it can be used.",
        looks_like="Single skipped steps of a loss scaler; they leave the loss finite.",
        samples="positions 23536-23552 of the sampler's order in epoch 1 (batch 4 x 4)",
    )
    exploding = Finding(
        rule="exploding-gradients",
        code="LD302",
        title="Gradients grew without bound",
        severity=Severity.ERROR,
        confidence=0.93,
        message="The gradient norm climbed 90-fold in 91 steps.",
        numbers={"ratio": 90.0},
        signals=("train/grad_norm",),
        onset_step=1381,
        span=(1381, 1471),
        spans=((1381, 1471),),
        detectable_step=1421,
        explained_by="nan-loss",
        found="90 x its median",
        limit="10 x",
    )
    spike = Finding(
        rule="loss-spike",
        code="LD105",
        title="A loss spike that recovered",
        severity=Severity.NOTE,
        confidence=0.7,
        message="The loss jumped to 14.8 at step 701 and was back at once.",
        numbers={"peak": 14.8},
        signals=("train/loss",),
        onset_step=701,
        span=(701, 701),
        spans=((701, 701),),
        found="14.8",
        limit="2 x the median of the 25 rows before",
    )
    return Diagnosis(
        name="gpt-355m-pretrain",
        path="logs/gpt-355m",
        argument="logs/gpt-355m",
        verdict=Verdict.FAIL,
        headline="The loss became NaN at step 1472, after the gradients ran away from step 1381 on. Resume from checkpoint-1000.",
        vitals=vitals({"finite": (nan, exploding)}, {"kept": ("Nothing is left to compare with the best.", ""), "generalises": NO_EVAL}),
        findings=(nan, exploding, spike),
        healthy=HEALTHY[1:2],
        not_evaluated=(
            RuleNote("hockey-stick", "LD201", "Hockey stick", "no eval loss was logged", "eval_strategy='steps', eval_steps=100"),
        ),
        checkpoint=CheckpointAdvice(
            1000,
            True,
            1000,
            "logs/gpt-355m/checkpoint-1000",
            True,
            True,
            "--resume_from_checkpoint logs/gpt-355m/checkpoint-1000",
            "It is the last one whose weights are finite.",
        ),
        checkpoints=(
            Checkpoint(500, "logs/gpt-355m/checkpoint-500", True, None, True, True),
            Checkpoint(1000, "logs/gpt-355m/checkpoint-1000", True, None, True, True),
            Checkpoint(1500, "logs/gpt-355m/checkpoint-1500", True, "100 % of the weights are NaN", True, False),
            Checkpoint(2000, "logs/gpt-355m/checkpoint-2000", False, "the file is cut at 312 MB of 1.4 GB", False, None),
        ),
        cost=Cost(hours=9.4, hours_after_onset=2.5, hours_since_checkpoint=2.2, gpus=8, gpu_hours_wasted=37.6, money_wasted=94.0),
        marks=(
            Mark("warmup-end", 1400, "warmup ends"),
            *(Mark("checkpoint", s, f"checkpoint-{s}") for s in (500, 1000, 1500, 2000)),
            Mark("resume", 300, "resumed"),
            Mark("end", 2000, "the run ends at 2000 of 5000"),
        ),
        faults=(
            Fault(
                "torn-record",
                "logs/gpt-355m/events.out.tfevents.9:817244",
                "the last record is cut: 1 value lost; the writer was killed",
                Loss.BENIGN,
            ),
        ),
        log_events=(
            LogEvent("nan", "WARNING: nan or inf found in input tensor", "train.log:10277", 1472),
            LogEvent("killed", "slurmstepd: error: *** JOB 81723 ON node12 CANCELLED DUE TO TIME LIMIT ***", "train.log:14410", 2000),
        ),
        settings=(Setting("learning_rate", 1e-3, "args/text_summary"), Setting("fp16", True, "args/text_summary")),
        sources=(SourceNote("tensorboard", "logs/gpt-355m/events.out.tfevents.9", 6000, "used"),),
        series=(
            view("train/loss", steps[keep], loss[keep], "lm loss", 2000),
            view("train/grad_norm", steps[keep], norm[keep], "grad-norm", 2000),
            view("train/loss_scale", steps[keep], scale[keep], "loss-scale", 2000),
        ),
        task="pretraining",
        steps=2000,
        planned_steps=5000,
        epochs=0.4,
        gate=Gate(False, ("2 findings at level error",)),
        versions=VERSIONS,
    )


def plateau() -> Diagnosis:
    steps = np.arange(25, 3001, 25)
    loss = 3.41 + 7 * np.exp(-steps / 30) + noise(len(steps), 0.03, 6)
    found = Finding(
        rule="plateau",
        code="LD102",
        title="Plateau at a high loss",
        severity=Severity.WARNING,
        confidence=0.78,
        message="After a short drop the loss stays at 3.41 for 2900 of 3000 steps.",
        numbers={"level": 3.41, "slope": -1e-6},
        signals=("train/loss",),
        onset_step=100,
        span=(100, 3000),
        spans=((100, 3000),),
        detectable_step=900,
        found="97 % of the run flat at 3.41",
        limit="60 % flat at a high level",
        causes=(
            Cause(
                "masked-labels",
                "The labels are masked or wrong",
                0.48,
                ("the drop ends within 100 steps",),
                (),
                "Count the unmasked labels of 100 samples.",
                "counts = [sum(t != -100 for t in row['labels']) for row in train_dataset.select(range(100))]\nprint(min(counts), max(counts))",
            ),
            Cause(
                "learning-rate",
                "The learning rate is far too low",
                0.42,
                ("the peak is 1e-7",),
                (),
                "Ten times the learning rate for 200 steps.",
            ),
        ),
        fixes=(),
        verify="The loss should fall below 3.0 within 300 steps.",
        why_it_matters="Nothing was learned after step 100.",
        looks_like="A converged run: there the level is low.",
    )
    return Diagnosis(
        name="qwen-sft",
        path="qwen-sft/checkpoint-3000/trainer_state.json",
        argument="qwen-sft",
        verdict=Verdict.WARN,
        headline="The loss has been flat at 3.41 since step 100: nothing was learned after that.",
        vitals=vitals({"learning": (found,)}, {"generalises": NO_EVAL, "machine": NO_MACHINE}),
        findings=(found,),
        healthy=HEALTHY,
        not_evaluated=NOT_EVALUATED,
        series=(view("train/loss", steps, loss, "loss"),),
        cost=Cost(hours=0.9, hours_after_onset=0.87),
        steps=3000,
        planned_steps=3000,
        epochs=2.0,
        sources=(SourceNote("trainer_state", "qwen-sft/checkpoint-3000/trainer_state.json", 120, "used"),),
        versions=VERSIONS,
        marks=(Mark("end", 3000, "the run ends as planned"),),
    )


def healthy(name: str = "bert-mnli", seed: int = 7) -> Diagnosis:
    steps = np.arange(50, 4001, 50)
    loss = 0.3 + 0.8 * np.exp(-steps / 900) + noise(len(steps), 0.02, seed)
    evals = np.arange(500, 4001, 500)
    at = 0.33 + 0.55 * np.exp(-evals / 1000)
    return Diagnosis(
        name=name,
        path=f"{name}/trainer_state.json",
        argument=name,
        verdict=Verdict.PASS,
        headline=SEEN["learning"],
        vitals=vitals(unknown={"machine": NO_MACHINE}),
        healthy=HEALTHY,
        not_evaluated=NOT_EVALUATED,
        checkpoint=CheckpointAdvice(4000, True, 4000, f"{name}/checkpoint-4000", True, True, None, "It has the lowest eval loss (0.34)."),
        cost=Cost(hours=1.2),
        marks=(
            Mark("best-eval", 4000, "best eval 0.34"),
            Mark("warmup-end", 400, "warmup ends"),
            *(Mark("epoch", s, f"epoch {s // 1000}") for s in (1000, 2000, 3000)),
        ),
        series=(
            view("train/loss", steps, loss, "loss"),
            view("eval/loss", evals, at, "eval_loss"),
            view("eval/accuracy", evals, 0.84 - 0.3 * np.exp(-evals / 900), "eval_accuracy"),
        ),
        settings=SETTINGS,
        sources=(SourceNote("trainer_state", f"{name}/trainer_state.json", 96, "used"),),
        steps=4000,
        planned_steps=4000,
        epochs=4.0,
        task="sequence classification",
        versions=VERSIONS,
    )


def short() -> Diagnosis:
    """Five rows, as a log of a few minutes has them."""
    steps = np.arange(10, 51, 10)
    says, wanted = (
        "5 rows: the loss fell from 2.9 to 2.1, but nothing says whether it had settled.",
        "Log every 10 steps: 12 rows would do.",
    )
    seen = {"finite": "All 5 losses are numbers.", "level": "2.1 to 2.9 is a level that a language model has."}
    unknown = {
        "learning": (says, wanted),
        "kept": ("5 rows: the end cannot be told from the best.", wanted),
        "steady": ("5 rows: a spike would not show.", wanted),
        "generalises": NO_EVAL,
        "complete": NO_PLAN,
        "machine": NO_MACHINE,
    }
    return Diagnosis(
        name="smoke-test",
        path="smoke-test/trainer_state.json",
        argument="smoke-test",
        verdict=Verdict.INCONCLUSIVE,
        headline=f"{says} {wanted}",
        vitals=tuple(replace(v, says=seen.get(v.name, v.says)) for v in vitals(unknown=unknown)),
        healthy=HEALTHY,
        not_evaluated=NOT_EVALUATED,
        checkpoint=CheckpointAdvice(
            50, True, 50, "smoke-test/checkpoint-50", True, True, None, "no eval loss was logged to choose by: the newest checkpoint"
        ),
        series=(view("train/loss", steps, np.array([2.9, 2.6, 2.35, 2.3, 2.1]), "loss"),),
        sources=(SourceNote("trainer_state", "smoke-test/trainer_state.json", 5, "used"),),
        steps=50,
        epochs=0.1,
        task="causal LM",
        gate=Gate(False, ("the data do not allow a verdict",)),
        versions=VERSIONS,
    )


def reinforcement() -> Diagnosis:
    steps = np.arange(5, 501, 5)
    reward = 0.2 + 0.6 * (1 - np.exp(-steps / 80)) - 0.75 * np.clip((steps - 300) / 100, 0, 1) + noise(len(steps), 0.04, 8)
    kl = 0.05 + 0.002 * steps + 6 * np.clip((steps - 290) / 100, 0, None) ** 2
    entropy = 1.8 * np.exp(-steps / 110)
    loss = 0.002 * np.sin(steps / 9) + noise(len(steps), 0.002, 9)
    found = Finding(
        rule="kl-blowup",
        code="LD803",
        title="KL blew up and the reward collapsed",
        severity=Severity.ERROR,
        confidence=0.88,
        message="KL passed 2 at step 340 and the reward fell from 0.79 to 0.05.",
        numbers={"kl": 27.5, "reward_best": 0.79, "reward_last": 0.05},
        signals=("train/kl", "train/reward"),
        onset_step=340,
        span=(340, 500),
        spans=((340, 500),),
        detectable_step=345,
        found="KL 27.5",
        limit="2",
        causes=(Cause("beta", "The KL penalty is too weak", 0.6, ("beta = 0.001",), (), "beta 0.04 from the same start."),),
        fixes=(Fix("beta", 0.001, 0.04, "TRL's earlier default held KL below 2"),),
        verify="KL should stay below 2.",
    )
    return Diagnosis(
        name="grpo-gsm8k",
        path="grpo-gsm8k/wandb/run-1",
        argument="grpo-gsm8k",
        verdict=Verdict.FAIL,
        headline="KL blew up at step 340 and the reward collapsed with it. Use checkpoint-300.",
        vitals=vitals(
            {"kept": (found,)},
            {"level": ("The loss of a policy has no scale.", ""), "generalises": NO_EVAL, "machine": NO_MACHINE},
        ),
        findings=(found,),
        healthy=HEALTHY[:1],
        not_evaluated=(RuleNote("plateau", "LD102", "Plateau", "loss-shape rules do not apply to GRPO"),),
        checkpoint=CheckpointAdvice(300, False, 250, "grpo-gsm8k/checkpoint-250", True, None, None, "The reward was highest there."),
        series=(
            view("train/loss", steps, loss, "loss"),
            view("train/reward", steps, reward, "reward"),
            view("train/kl", steps, kl, "kl"),
            view("train/entropy", steps, entropy, "entropy"),
        ),
        cost=Cost(hours=5.0, hours_after_onset=1.6),
        task="GRPO",
        steps=500,
        planned_steps=500,
        sources=(SourceNote("wandb", "grpo-gsm8k/wandb/run-1", 400, "used"),),
        versions=VERSIONS,
        marks=(Mark("best-eval", 300, "best reward 0.79"),),
    )


def memory() -> Diagnosis:
    steps = np.arange(10, 901, 10)
    climb = 41e9 + 38e9 * np.clip((steps - 100) / 800, 0, 1)
    speed = 3150 + noise(len(steps), 60, 10) - 2100 * ((steps > 500) & (steps < 700))
    found = Finding(
        rule="out-of-memory",
        code="LD606",
        title="CUDA ran out of memory",
        severity=Severity.ERROR,
        confidence=0.97,
        message="The process died at step 900 of 4000 when 79.1 of 80 GB were in use; memory had grown by 42 MB a step since step 100.",
        numbers={"reached": 79.1e9},
        signals=("gpu/0/memory", "gpu/1/memory"),
        onset_step=900,
        span=(100, 900),
        spans=((100, 900),),
        detectable_step=300,
        found="38 GB more than at step 100",
        limit="5 % per tenth of the run",
        causes=(
            Cause(
                "leak",
                "A tensor is kept alive in every step",
                0.8,
                ("memory climbs on a straight line",),
                (),
                "Log torch.cuda.memory_allocated() with and without the metrics callback.",
            ),
        ),
        fixes=(Fix("per_device_train_batch_size", 8, 4, "saves an unknown share; it delays the end"),),
    )
    slow = Finding(
        rule="throughput-drop",
        code="LD601",
        title="Throughput fell to a third",
        severity=Severity.WARNING,
        confidence=0.86,
        message="Between steps 510 and 690 the run made 1050 tokens/s instead of 3150.",
        numbers={"share": 0.33},
        signals=("perf/tokens_per_second",),
        onset_step=510,
        span=(510, 690),
        spans=((510, 690),),
        detectable_step=540,
        found="33 % of the baseline",
        limit="50 %",
        causes=(Cause("storage", "Slow storage", 0.5, (), (), "iostat during the same hours."),),
    )
    loss = 1.2 + np.exp(-steps / 200) + noise(len(steps), 0.03, 11)
    return Diagnosis(
        name="mistral-full-ft",
        path="mistral",
        argument="mistral",
        verdict=Verdict.FAIL,
        headline="The run died at step 900 of 4000: CUDA out of memory after a steady climb.",
        vitals=vitals({"complete": (found,), "machine": (found, slow)}, {"generalises": NO_EVAL}),
        findings=(found, slow),
        healthy=HEALTHY,
        checkpoint=CheckpointAdvice(
            800, True, 800, "mistral/checkpoint-800", None, None, None, "It is the newest one; its files were not checked."
        ),
        series=(
            view("train/loss", steps, loss),
            view("gpu/0/memory", steps, climb),
            view("gpu/1/memory", steps, climb * 0.97),
            view("perf/tokens_per_second", steps, speed),
        ),
        steps=900,
        planned_steps=4000,
        epochs=0.45,
        log_events=(LogEvent("oom", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.10 GiB.", "slurm-1.out:993", 900),),
        cost=Cost(hours=3.1, hours_since_checkpoint=0.35, gpus=2),
        versions=VERSIONS,
        sources=(SourceNote("text", "slurm-1.out", 360, "used"),),
    )


def no_data() -> Diagnosis:
    return Diagnosis(
        name="checkpoint-12",
        path="broken/checkpoint-12",
        argument="broken/checkpoint-12",
        verdict=Verdict.INCONCLUSIVE,
        headline="No verdict: trainer_state.json is a git-lfs pointer, and nothing else was found.",
        faults=(
            Fault(
                "lfs-pointer",
                "broken/checkpoint-12/trainer_state.json",
                "the file is a git-lfs pointer of 132 bytes; run `git lfs pull` to get the real one",
                Loss.FATAL,
            ),
        ),
        not_evaluated=(RuleNote("divergence", "LD101", "Divergence", "no loss was logged", "logging_steps=10"),),
        crashed=(RuleNote("sawtooth", "LD103", "Sawtooth", "FloatingPointError: overflow"),),
        versions=VERSIONS,
        gate=Gate(False, ("no trustworthy verdict",)),
    )


HOSTILE = (
    "<script>window.__pwned=1</script>",
    '"><img src=x onerror=window.__pwned=1>',
    "</script><svg onload=window.__pwned=1>",
    "javascript:window.__pwned=1//",
    "{{ 7*7 }}{% raw %}${7*7}",
    "\x1b[2J\x1b]0;pwned\x07\x9b31m",
    "safe\u202egnp.exe\u2066\u200b\ufeff",
    "\udc80\ud800lone",
    "$\\frac{1}{0}$ _a^b \\unknown",
    "| a | b |\n# heading [x](javascript:1) `code` ::error::x",
    "]]><!--x--><![CDATA[",
    "=cmd|' /C calc'!A0",
    "long-" + "n" * 20_000,
)


def hostile() -> Diagnosis:
    """A run in which every string came from an attacker."""
    d = hockey_stick()
    base = d.findings[0]
    found = tuple(
        replace(
            base,
            rule=h,
            code=h,
            title=h,
            message=h,
            found=h,
            limit=h,
            signals=(h,),
            why_it_matters=h,
            verify=h,
            looks_like=h,
            samples=h,
            explained_by=None,
            baseline=h,
            numbers={h: h},
            causes=(Cause(h, h, 0.5, (h,), (h,), h, h),),
            fixes=(Fix(h, h, h, h),),
        )
        for h in HOSTILE
    )
    steps = np.arange(10, 101, 10)
    return replace(
        d,
        name=HOSTILE[0],
        path=HOSTILE[1],
        argument=HOSTILE[2],
        headline=HOSTILE[0] + HOSTILE[5] + HOSTILE[6],
        findings=found,
        vitals=tuple(
            Vital(
                h, h, (State.BAD, State.UNKNOWN, State.GOOD)[i % 3], h, {h: h}, (h, h) if i % 3 == 0 else (), h if i % 3 == 1 else "", i < 6
            )
            for i, h in enumerate(HOSTILE)
        ),
        task=HOSTILE[4],
        notes=HOSTILE,
        gate=Gate(False, HOSTILE),
        healthy=tuple(RuleNote(h, h, h, h, h) for h in HOSTILE),
        not_evaluated=tuple(RuleNote(h, h, h, h, h) for h in HOSTILE),
        suppressed=tuple(RuleNote(h, h, h, h, h) for h in HOSTILE),
        crashed=tuple(RuleNote(h, h, h, h, h) for h in HOSTILE),
        faults=tuple(Fault(h, h, h) for h in HOSTILE),
        checkpoint=CheckpointAdvice(400, True, 400, HOSTILE[1], True, True, HOSTILE[2], HOSTILE[3]),
        checkpoints=tuple(Checkpoint(10, h, True, h) for h in HOSTILE),
        marks=tuple(Mark(h, 20 * i, h) for i, h in enumerate(HOSTILE)) + tuple(Mark("checkpoint", 30, h) for h in HOSTILE),
        settings=tuple(Setting(h, h, h, ((h, h),)) for h in HOSTILE),
        sources=tuple(SourceNote(h, h, 3, h) for h in HOSTILE),
        log_events=tuple(LogEvent(h, h, h, 50, None, {h: 1.0}) for h in HOSTILE),
        series=tuple(view(h, steps, np.linspace(1, 2, 10) * 10.0 ** (i * 20), h) for i, h in enumerate(HOSTILE)),
        versions={h: h for h in HOSTILE},
    )


def extremes() -> Diagnosis:
    """Values that break scales: 1e308, denormals, all NaN, one point, constant, steps up to 2^53."""
    steps = np.arange(1, 51)
    views = (
        view("train/loss", steps, np.where(steps == 25, 1e308, 1.0)),
        view("eval/loss", steps[:1], np.array([0.5])),
        view("train/grad_norm", steps, np.full(50, np.nan)),
        view("train/learning_rate", steps, np.full(50, 5e-324)),
        view("train/kl", steps, np.where(steps % 2 == 0, 1.7e308, -1.7e308)),
        view("perf/step_seconds", np.array([1, 2**53]), np.array([1.0, 2.0])),
        view("train/reward", steps[:0], np.array([])),
    )
    finding = replace(
        plateau().findings[0],
        signals=tuple(v.signal for v in views),
        numbers={"a": math.nan, "b": math.inf, "c": -math.inf, "d": None, "e": True},
    )
    return replace(plateau(), name="extremes", series=views, findings=(finding,), cost=Cost(hours=math.nan), epochs=math.inf)


ALL = {
    "hockey-stick": hockey_stick,
    "nan-loss": nan_loss,
    "plateau": plateau,
    "healthy": healthy,
    "short": short,
    "reinforcement": reinforcement,
    "memory": memory,
    "no-data": no_data,
    "extremes": extremes,
    "hostile": hostile,
}


def many(count: int) -> list[Diagnosis]:
    makers = [hockey_stick, nan_loss, plateau, healthy, reinforcement, memory, no_data]
    return [replace(makers[i % len(makers)](), name=f"sweep-{i:03d}", path=f"sweep/{i:03d}", argument="sweep") for i in range(count)]
