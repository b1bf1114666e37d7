"""Just enough of a Trainer, a loader and a tensor for the monitor: the order of events and calls is transformers' (4.57 and 5.x)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lossdoctor.callback.tag import KEY


class Loss(float):
    """A loss on a device: reading it is counted."""

    reads = 0

    def detach(self) -> Loss:
        return self

    def __float__(self) -> float:
        Loss.reads += 1
        return float.__add__(self, 0.0)


class Loader:
    """A torch DataLoader: refuses `dataset = ...`, fetches rows by index through the data set, collates."""

    def __init__(self, rows: Sequence[Any], order: Sequence[Sequence[int]], collate: Callable[[list[Any]], Any]) -> None:
        object.__setattr__(self, "dataset", rows)
        self.batch_sampler, self.collate_fn = order, collate

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "dataset":
            raise ValueError("dataset attribute should not be set after DataLoader is initialized")
        object.__setattr__(self, name, value)

    def __iter__(self) -> Iterator[Any]:
        for indices in self.batch_sampler:
            many = getattr(self.dataset, "__getitems__", None)  # type: ignore[attr-defined]
            yield self.collate_fn(many(indices) if many else [self.dataset[index] for index in indices])  # type: ignore[attr-defined]


class DefaultFlowCallback:
    """Says when a row is due."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_log = args.logging_steps > 0 and state.global_step % args.logging_steps == 0


class Reporter(DefaultFlowCallback):
    """TensorBoard's or WandB's callback: keeps what it is handed."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        return None

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        self.rows.append(dict(logs))


class Trainer:
    """Trains nothing: `losses[i]` is what micro-batch i returns."""

    def __init__(self, home: Path, loader: Loader, losses: Sequence[float], **args: Any) -> None:
        self.args = SimpleNamespace(**{"output_dir": str(home), "logging_steps": 2, "process_index": 0, "world_size": 1, **args})
        self.state = SimpleNamespace(global_step=0, log_history=[])
        self.control = SimpleNamespace(should_log=False)
        self.accelerator = SimpleNamespace(optimizer_step_was_skipped=False, scaler=None)
        self.reporter = Reporter()
        self.callback_handler = SimpleNamespace(callbacks=[DefaultFlowCallback(), self.reporter])
        self.loader, self.losses = loader, list(losses)
        self.seen: list[Any] = []
        self.dies_at: int | None = None

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Loss:
        assert KEY not in inputs
        self.seen.append(inputs)
        if self.dies_at == len(self.seen):
            raise MemoryError("out of memory")
        return Loss(self.losses[len(self.seen) - 1])

    def call(self, event: str, **given: Any) -> None:
        for callback in self.callback_handler.callbacks:
            getattr(callback, event)(
                self.args, self.state, self.control, model=None, processing_class=None, train_dataloader=self.loader, **given
            )

    def log(self, logs: dict[str, Any]) -> None:
        self.state.log_history.append({**logs, "step": self.state.global_step})
        self.call("on_log", logs=logs)

    def train(self, accumulation: int = 1) -> None:
        self.call("on_train_begin")
        self.call("on_epoch_begin")
        batches = list(self.loader)
        for start in range(0, len(batches), accumulation):
            self.call("on_step_begin")
            for batch in batches[start : start + accumulation]:
                self.training_step(None, batch, None)
            self.state.global_step += 1
            self.call("on_step_end")
            if self.control.should_log:
                self.log({"loss": 1.0, "learning_rate": 1e-3, "grad_norm": 0.5})
        self.call("on_epoch_end")
        self.log({"eval_loss": math.log(3)})
        self.call("on_evaluate")
        (Path(self.args.output_dir) / "trainer_state.json").write_text(
            json.dumps({"global_step": self.state.global_step, "max_steps": self.state.global_step, "log_history": self.state.log_history})
        )
        self.call("on_save")
        self.call("on_train_end")
