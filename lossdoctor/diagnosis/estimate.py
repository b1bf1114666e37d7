"""Memory of a training step on one device, estimated from sizes and settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lossdoctor.diagnosis.usual import USUAL
from lossdoctor.model import Scalar
from lossdoctor.run import Run
from lossdoctor.run.aliases import GB

LEAST_SAID = 2 * GB  # below, what the driver and the framework hold is more than all that is estimated


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by what they hold; `recommended` adds a fifth and 4 GB to the total."""

    weights: float
    adapters: float
    gradients: float
    optimizer: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        return self.weights + self.adapters + self.gradients + self.optimizer + self.activations + self.logits

    @property
    def recommended(self) -> float:
        return self.total * USUAL.memory.headroom + USUAL.memory.reserve_gb * GB


def memory(
    parameters: float,
    *,
    bits: int = 16,
    trainable: float | None = None,
    trainable_bytes: float | None = None,
    optimizer: str = "adamw",
    batch: int = 1,
    length: int = 2048,
    hidden: int | None = None,
    layers: int | None = None,
    heads: int | None = None,
    vocabulary: int = 32_000,
    gradient_checkpointing: bool = False,
    flash_attention: bool = False,
) -> MemoryEstimate:
    """Estimate one device's memory for a decoder model of `parameters` weights held in `bits` bits.

    `trainable` counts adapter weights (LoRA: see `lora_parameters`); None trains everything. Trained weights, their gradients and the
    optimizer's states take `trainable_bytes` each (2 for pure bf16, 4 for fp32, as PEFT keeps adapters). Adam keeps two states, so 7e9
    weights in bf16 are 14 GB, their gradients 14 GB, their states 28 GB. 4-bit weights cost 4.5 bits with their scales, embeddings stay
    in 16 bits. Activations follow Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models":
    s b h (34 + 5 a s / h) bytes a layer in 16 bits, without the second term under flash attention; with checkpointing 2 s b h a layer
    plus one whole layer. Logits are counted in 16 bits, in fp32 and as their gradient. Raises ValueError for sizes below 1.
    """
    if parameters < 1 or batch < 1 or length < 1 or bits not in {4, 8, 16, 32}:
        raise ValueError("parameters, batch and length must be at least 1, and bits one of 4, 8, 16, 32")
    hidden, layers = _shape(parameters, hidden, layers)
    heads = heads or max(1, hidden // 128)
    full = trainable is None
    trained = parameters if trainable is None else trainable
    each = trainable_bytes if trainable_bytes is not None else (max(bits, 16) / 8 if full else USUAL.memory.adapter_bytes)
    layer = length * batch * hidden * (34 + (0 if flash_attention else 5 * heads * length / hidden))
    activations = 2 * length * batch * hidden * layers + layer if gradient_checkpointing else layer * layers
    return MemoryEstimate(
        weights=_weights(parameters, bits, hidden * vocabulary),
        adapters=0.0 if full else trained * each,
        gradients=trained * each,
        optimizer=trained * each * USUAL.memory.states.get(optimizer, USUAL.memory.states["adamw"]),
        activations=activations,
        logits=length * batch * vocabulary * (2.0 + 4 + 4),
    )


def _weights(parameters: float, bits: int, embedding: float) -> float:
    if bits >= 16:
        return parameters * bits / 8
    plain = min(2 * embedding, parameters)
    return (parameters - plain) * (bits + 0.5 * (bits == 4)) / 8 + plain * 2


def _shape(parameters: float, hidden: int | None, layers: int | None) -> tuple[int, int]:
    """Width and depth of a usual decoder: parameters = 12 x layers x width^2 with a layer per 128 of width (7e9: 4211 x 33)."""
    if hidden is None and layers is None:
        hidden = max(1, round((parameters * 128 / 12) ** (1 / 3)))
    if hidden is None and layers is not None:
        hidden = max(1, round(math.sqrt(parameters / 12 / layers)))
    width = hidden or 1
    return width, layers or max(1, round(parameters / 12 / width**2))


def lora_parameters(rank: int, hidden: int, layers: int, matrices: int = 7) -> float:
    """Weights of LoRA adapters: rank x (inputs + outputs) for `matrices` matrices a layer, each taken as hidden x hidden."""
    return float(rank * 2 * hidden * matrices * layers)


def of_run(run: Run, parameters: float | None = None, bits: int | None = None) -> MemoryEstimate | None:
    """The estimate for a run whose settings give width, depth and batch; None otherwise.

    `parameters` tells the number of weights (then a usual width and depth stand for unknown ones), `bits` how the weights are held.
    """
    hidden, layers, batch = run.number("hidden_size"), run.number("num_hidden_layers"), run.number("per_device_train_batch_size")
    if parameters is not None:
        hidden, layers = _shape(parameters, int(hidden) if hidden else None, int(layers) if layers else None)
    if not hidden or not layers or not batch:
        return None
    vocabulary = int(run.number("vocab_size") or 32_000)
    parameters = parameters or 12 * layers * hidden**2 + 2 * vocabulary * hidden
    rank = run.number("lora_r")
    bits = bits or _bits(run, adapters=bool(rank))
    adapters = lora_parameters(int(rank), int(hidden), int(layers)) if rank else None
    return memory(
        parameters,
        bits=bits,
        trainable=adapters,
        batch=int(batch),
        length=int(run.number("max_length") or 2048),
        hidden=int(hidden),
        layers=int(layers),
        heads=int(run.number("num_attention_heads") or 0) or None,
        vocabulary=vocabulary,
        gradient_checkpointing=run.setting("gradient_checkpointing") is True,
        flash_attention="eager" not in str(run.setting("attn_implementation") or "sdpa"),
        optimizer=_optimizer(run),
    )


def _bits(run: Run, *, adapters: bool) -> int:
    """Bits of the weights in memory: mixed precision keeps them in fp32 unless the model was loaded in 16 bits."""
    if run.setting("load_in_4bit") is True:
        return 4
    if run.setting("load_in_8bit") is True:
        return 8
    return 16 if adapters or run.setting("dtype") in {"bfloat16", "float16"} else 32


def _optimizer(run: Run) -> str:
    name = str(run.setting("optim") or "adamw").lower()
    if "8bit" in name or "8-bit" in name:
        return "adamw-8bit"
    return next((known for known in ("adafactor", "lion", "sgd") if known in name), "adamw")


def savings(run: Run) -> dict[str, Scalar]:
    """What the usual remedies against running out of memory save, in words: from this run's sizes, else in general."""
    now = of_run(run)
    if now is None or now.total < LEAST_SAID:
        return {
            "saving_half_batch": "half of what the activations take, an amount that this log does not tell",
            "saving_checkpointing": "usually 30-40% of the memory, for about 20% more time",
            "saving_half_length": "half of what the activations take, and more of the attention; this log does not tell how much that is",
        }
    moving = now.activations + now.logits
    return {
        "saving_half_batch": f"about {moving / 2 / GB:.1f} GB of an estimated {now.total / GB:.0f} GB",
        "saving_checkpointing": _checkpointing(run, now),
        "saving_half_length": f"about {moving / 2 / GB:.1f} GB or more of an estimated {now.total / GB:.0f} GB",
    }


def _checkpointing(run: Run, now: MemoryEstimate) -> str:
    layers, hidden = run.number("num_hidden_layers") or 1, run.number("hidden_size") or 1
    kept = (
        2 * (run.number("max_length") or 2048) * (run.number("per_device_train_batch_size") or 1) * hidden * layers
        + now.activations / layers
    )
    saved = max(0.0, now.activations - kept)
    return f"about {saved / GB:.1f} GB of an estimated {now.total / GB:.0f} GB, for about 20% more time"
