"""What each of the usual changes would save, one at a time, largest first."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lossdoctor.diagnosis.estimate import of_run
from lossdoctor.model import Scalar, Setting
from lossdoctor.run import Run
from lossdoctor.run.aliases import GB


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of settings and the bytes it saves on one device."""

    change: str
    saves: float


def remedies(run: Run, parameters: float | None = None, bits: int | None = None) -> tuple[Remedy, ...]:
    """The changes that save memory here; empty where the settings give no estimate (see `of_run`)."""
    now = of_run(run, parameters, bits)
    if now is None:
        return ()
    batch, length, accumulation = (int(run.number(name) or least) for name, least in _SIZES)
    changes: list[tuple[str, Run, int | None]] = []
    if batch > 1:
        words = f"per_device_train_batch_size {batch} -> {batch // 2}, gradient_accumulation_steps {accumulation} -> {2 * accumulation}"
        changes.append((words, _with(run, per_device_train_batch_size=batch // 2), bits))
    if run.setting("gradient_checkpointing") is not True:
        changes.append(("gradient_checkpointing = True (about 20% more time)", _with(run, gradient_checkpointing=True), bits))
    changes.append((f"max_length {length} -> {length // 2}", _with(run, max_length=length // 2), bits))
    if "8bit" not in str(run.setting("optim")):
        changes.append(("optim = 'adamw_8bit'", _with(run, optim="adamw_8bit"), bits))
    if not run.number("lora_r"):
        changes.append(("LoRA of rank 16 in place of full fine-tuning", _with(run, lora_r=16), bits or 16))
    elif bits != 4 and run.setting("load_in_4bit") is not True:
        changes.append(("load_in_4bit = True (QLoRA)", run, 4))
    savings = [(words, of_run(changed, parameters, wide)) for words, changed, wide in changes]
    found = [Remedy(words, now.total - after.total) for words, after in savings if after is not None]
    told = [remedy for remedy in found if round(remedy.saves / GB, ndigits=1) > 0]
    return tuple(sorted(told, key=lambda remedy: -remedy.saves))


_SIZES = (("per_device_train_batch_size", 1), ("max_length", 2048), ("gradient_accumulation_steps", 1))


def _with(run: Run, **changed: Scalar) -> Run:
    return replace(run, settings={**run.settings, **{name: Setting(name, value, "proposed") for name, value in changed.items()}})
