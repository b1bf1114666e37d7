"""The callback: gathers over the steps between two rows of the Trainer's log, and adds to the row."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from lossdoctor.callback import devices
from lossdoctor.callback.batches import BatchLog
from lossdoctor.callback.tag import KEY, described_by_shape, tag
from lossdoctor.callback.window import Window, of_losses, of_time

GENERATIONS = "lossdoctor-generations.ndjson"
MOST_PENDING = 4096  # losses that stay on the device before they are read
_log = logging.getLogger("lossdoctor")


def monitor(
    trainer: Any,
    *,
    batch_log: bool = True,
    peak_flops: float | None = None,
    prompts: Sequence[str] = (),
    max_new_tokens: int = 64,
) -> Monitor:
    """Watch every training of a transformers `Trainer` (or of a subclass, such as TRL's). Call it once, before `train`.

    Rows of the log gain: step_seconds, data_wait_seconds, samples_per_second, tokens_per_second (all ranks together, without padding),
    nonfinite_losses, nonfinite_inputs and skipped_steps (counts since the row before; the first two of all ranks), step_loss_max (this
    rank's), loss_scale, process_memory_mb (the largest rank's), gpu/<i>/{memory, memory_peak, memory_reserved} in bytes,
    gpu/<i>/{memory_utilization, utilization} in percent, gpu/<i>/temperature (<i> is the rank, or the device where one process drives
    several), mfu where `peak_flops`, the peak of one GPU in FLOP/s (A100 in bf16: 312e12), is given; eval_perplexity in rows of an eval.

    `batch_log` keeps lossdoctor-batches-<rank>.ndjson in the output directory (`read_batches` reads it). `prompts` are answered at every
    eval by greedy decoding, into lossdoctor-generations.ndjson; this needs the tokenizer as the trainer's processing_class.

    Cost: no synchronisation with the device but one at a row that the Trainer logs, where it synchronises itself; on several ranks one
    all_gather there. Peak memory counters are reset at each row. Tried on the CPU with transformers
    4.57 and 5.23 (two ranks: 5.23), where a batch cost 0.2 ms of processor time.
    """
    watch = Monitor(trainer, batch_log=batch_log, peak_flops=peak_flops, prompts=tuple(prompts), max_new_tokens=max_new_tokens)
    callbacks = trainer.callback_handler.callbacks
    # After the callback that decides whether a row is due, before those that carry it to TensorBoard and WandB.
    after = next((i + 1 for i, one in enumerate(callbacks) if type(one).__name__ == "DefaultFlowCallback"), 0)
    callbacks.insert(after, watch)
    trainer.training_step = watch.around(trainer.training_step)
    return watch


class Monitor:
    """Follows the protocol of transformers.TrainerCallback without importing it; events that it has no use for do nothing."""

    def __init__(
        self,
        trainer: Any,
        *,
        batch_log: bool = True,
        peak_flops: float | None = None,
        prompts: tuple[str, ...] = (),
        max_new_tokens: int = 64,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._trainer = trainer
        self._wants_batch_log = batch_log
        self._batches: BatchLog | None = None
        self._peak_flops, self._prompts, self._max_new_tokens = peak_flops, prompts, max_new_tokens
        self._clock = clock
        self._window = Window()
        self._row: dict[str, float] = {}
        self._since = clock()
        self._step = 0
        self._flops_per_token = 0.0

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_"):
            return _nothing
        raise AttributeError(name)

    def around(self, training_step: Callable[..., Any]) -> Callable[..., Any]:
        """`training_step` with its batch noted before and its loss after; what the tag added never reaches the model."""

        def watched(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            mapping = isinstance(inputs, MutableMapping)
            told = inputs.pop(KEY, None) if mapping else None
            if mapping:
                self._batch_begins(told or described_by_shape(inputs))
            loss = training_step(model, inputs, *args, **kwargs)
            if hasattr(loss, "detach"):
                self._window.pending.append((self._step, loss.detach()))
            return loss

        return watched

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if given.get("train_dataloader") is not None and not tag(given["train_dataloader"]):
            _log.info("lossdoctor: the rows of this data set have no index; the batch log holds no samples")
        if self._wants_batch_log:
            self._batches = BatchLog(Path(args.output_dir), _rank(args), int(state.global_step))
            self._complain()
        self._window, self._row, self._step = Window(), {}, int(state.global_step) + 1
        self._flops_per_token = _flops_per_token(given.get("model")) if self._peak_flops else 0.0
        self._since = self._clock()

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self._step = int(state.global_step) + 1
        self._window.waited += self._clock() - self._since

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        window = self._window
        window.steps += 1
        window.skipped += bool(getattr(self._trainer.accelerator, "optimizer_step_was_skipped", False))
        if control.should_log or len(window.pending) >= MOST_PENDING:
            self._settle()  # waits for the device, so it comes before the clock
        window.seconds += self._clock() - self._since
        if control.should_log:
            self._close_window(args)
        self._since = self._clock()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if control.should_log and self._window.steps:
            self._settle()
            self._close_window(args)

    def on_evaluate(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if self._prompts:
            self._generate(args, state, given.get("model"), given.get("processing_class"))
        self._since = self._clock()

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self._since = self._clock()

    def on_log(self, args: Any, state: Any, control: Any, logs: MutableMapping[str, Any] | None = None, **given: Any) -> None:
        if logs is None:
            return
        more: dict[str, float] = {}
        if "loss" in logs:
            more, self._row = self._row, {}
        if isinstance(logs.get("eval_loss"), float):
            more = {**more, "eval_perplexity": math.exp(min(logs["eval_loss"], 700.0))}
        fresh = {name: value for name, value in more.items() if name not in logs}
        logs.update(fresh)
        if state.log_history and state.log_history[-1].get("step") == state.global_step:
            state.log_history[-1].update(fresh)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if self._batches is not None:
            self._batches.close()

    def _batch_begins(self, told: Mapping[str, Any]) -> None:
        self._window.add_batch(told)
        if self._batches is not None:
            self._batches.begins(self._step, {key: told[key] for key in ("samples", "lengths", "labels")})
            self._complain()

    def _settle(self) -> None:
        losses = self._window.settle()
        if self._batches is not None and losses:
            self._batches.losses(losses)
            self._complain()

    def _close_window(self, args: Any) -> None:
        self._row = self._make_row(args)
        self._window = Window()

    def _make_row(self, args: Any) -> dict[str, float]:
        window, scaler = self._window, getattr(self._trainer.accelerator, "scaler", None)
        own = [
            window.samples,
            window.tokens,
            window.nonfinite_inputs,
            of_losses(window.losses).get("nonfinite_losses", 0.0),
            devices.process_memory(),
        ]
        ranks = self._gathered(args, [*map(float, own), *(number for gpu in _gpus(args) for number in gpu)])
        samples, tokens, inputs, broken = (sum(rank[i] for rank in ranks) for i in range(4))
        row = {
            **of_time(window),
            **of_losses(window.losses),
            "nonfinite_losses": broken,
            "nonfinite_inputs": inputs,
            "skipped_steps": float(window.skipped),
        }
        if window.seconds > 0 and samples:
            row["samples_per_second"] = samples / window.seconds
        if window.seconds > 0 and tokens:
            row["tokens_per_second"] = tokens / window.seconds
            if self._peak_flops and self._flops_per_token:
                devices_used = max(len(ranks), (len(ranks[0]) - len(own)) // len(devices.FIELDS))
                row["mfu"] = row["tokens_per_second"] * self._flops_per_token / (self._peak_flops * devices_used)
        if scaler is not None and scaler.is_enabled():
            row["loss_scale"] = float(scaler.get_scale())
        row["process_memory_mb"] = max(rank[4] for rank in ranks) / 1e6
        readings = [
            rank[len(own) :][i : i + len(devices.FIELDS)] for rank in ranks for i in range(0, len(rank) - len(own), len(devices.FIELDS))
        ]
        for index, reading in enumerate(readings):
            row.update({f"gpu/{index}/{name}": value for name, value in zip(devices.FIELDS, reading, strict=True)})
        return {name: value for name, value in row.items() if not math.isnan(value)}

    def _gathered(self, args: Any, numbers: list[float]) -> list[list[float]]:
        """The numbers of every rank, in their order."""
        if int(getattr(args, "world_size", 1)) < 2:
            return [numbers]
        import torch

        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return [numbers]
        mine = torch.tensor(numbers, dtype=torch.float64, device=args.device)
        everyone = [torch.empty_like(mine) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(everyone, mine)
        return [rank.tolist() for rank in everyone]

    def _generate(self, args: Any, state: Any, model: Any, tokenizer: Any) -> None:
        """Answer the prompts on every rank (a sharded model needs all of them), write on the first."""
        if model is None or tokenizer is None or not hasattr(model, "generate"):
            return
        import torch

        training = model.training
        model.eval()
        lines = []
        for prompt in self._prompts:
            given = tokenizer(prompt, return_tensors="pt").to(model.device)
            with torch.no_grad():
                answer = model.generate(**given, max_new_tokens=self._max_new_tokens, do_sample=False)
            text = tokenizer.decode(answer[0][given["input_ids"].shape[1] :], skip_special_tokens=True)
            lines.append(json.dumps({"step": int(state.global_step), "prompt": prompt, "text": text}, ensure_ascii=False) + "\n")
        model.train(training)
        if _rank(args) == 0:
            with (Path(args.output_dir) / GENERATIONS).open("a", encoding="utf-8") as file:
                file.writelines(lines)

    def _complain(self) -> None:
        if self._batches is not None and self._batches.trouble:
            _log.warning("lossdoctor: %s", self._batches.trouble)
            self._batches = None


def _gpus(args: Any) -> list[list[float]]:
    device = getattr(args, "device", None)
    if getattr(device, "type", "cpu") != "cuda":
        return []
    import torch

    alone = int(getattr(args, "world_size", 1)) < 2
    here = torch.cuda.current_device()
    return devices.gpus(torch.cuda, range(torch.cuda.device_count()) if alone else range(here, here + 1))


def _flops_per_token(model: Any) -> float:
    """2 for the forward pass and 2 for the gradients of the activations for every weight, 2 more for every trained one (Kaplan et al. 2020,
    section 2.1: 6 N where everything is trained; attention scores are left out)."""
    if model is None:
        return 0.0
    counts = [(parameter.numel(), bool(parameter.requires_grad)) for parameter in model.parameters()]
    return float(sum(count * (6 if trained else 4) for count, trained in counts))


def _rank(args: Any) -> int:
    return int(getattr(args, "process_index", 0))


def _nothing(*_: Any, **__: Any) -> None:
    return None
