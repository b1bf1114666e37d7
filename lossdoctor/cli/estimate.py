"""lossdoctor estimate"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossdoctor.cli.values import settings_given
from lossdoctor.errors import Unreadable, UsageError

if TYPE_CHECKING:
    from lossdoctor.diagnosis.estimate import MemoryEstimate
    from lossdoctor.diagnosis.remedies import Remedy
    from lossdoctor.model import Scalar
    from lossdoctor.run import Run

_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_PARTS = ("weights", "adapters", "gradients", "optimizer", "activations", "logits")
_OPTIONS = {
    "batch": "per_device_train_batch_size", "length": "max_length", "lora_rank": "lora_r", "optim": "optim",
    "gradient_checkpointing": "gradient_checkpointing",
}  # fmt: skip


@click.command("estimate")
@click.argument("path", required=False)
@click.option("--parameters", metavar="N", help="Number of weights, such as 7B or 350M; else from width and depth.")
@click.option(
    "--bits", type=click.Choice(("4", "8", "16", "32")), help="How the weights are held.  [default: what the settings say, else 16]"
)
@click.option("--batch", type=click.IntRange(1), help="Sequences a device and step (per_device_train_batch_size).  [default: 1]")
@click.option("--length", type=click.IntRange(1), help="Tokens a sequence (max_length).  [default: 2048]")
@click.option("--lora-rank", type=click.IntRange(1), help="Train LoRA adapters of this rank, not the weights.")
@click.option("--optim", metavar="NAME", help="The optimizer, as in TrainingArguments.  [default: adamw]")
@click.option("--gradient-checkpointing/--no-gradient-checkpointing", default=None, help="Recompute the activations.")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Another setting, such as vocab_size=128256. Repeatable.")
@click.option("--gpu-memory", type=click.FloatRange(0, min_open=True), metavar="GB", help="Exit code 1 where it does not fit.")
@click.option("-f", "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True, help="What goes to stdout.")
@click.pass_context
def command(
    ctx: click.Context, /, *, path: str | None, parameters: str | None, bits: str | None, given: tuple[str, ...],
    gpu_memory: float | None, form: str, **options: Any,
) -> None:  # fmt: skip
    """Memory of a training step of a decoder model on one GPU, before it runs.

    The sizes come from the options, or from the settings of a run or model at PATH (config.json is enough) with the options on top.
    An estimate from formulas, not a measurement: leave the recommended headroom.
    """
    from lossdoctor.cli.output import Troubles, emit
    from lossdoctor.diagnosis.estimate import of_run
    from lossdoctor.diagnosis.remedies import remedies
    from lossdoctor.run.aliases import GB

    changed = {_OPTIONS[name]: value for name, value in options.items() if value is not None} | settings_given(given, "--set")
    run = _run(path, changed)
    count = _count(parameters) if parameters else None
    wide = int(bits) if bits else 16 if path is None else None
    found = of_run(run, count, wide)
    if found is None:
        where = f"{path} does not tell" if path else "nothing tells"
        raise UsageError(f"{where} the size of the model; give --parameters 7B, or --set hidden_size=4096 --set num_hidden_layers=32")
    helps = remedies(run, count, wide)
    missing = None if gpu_memory is None else found.recommended / GB - gpu_memory
    text = _json(found, helps, missing) if form == "json" else _sizes(run) + _text(found, helps, gpu_memory, missing)
    troubles = Troubles()
    emit(text, troubles)
    ctx.exit(3 if troubles.said else int(missing is not None and missing > 0))


def _run(path: str | None, changed: dict[str, Scalar]) -> Run:
    """The run at the path, one of which only the settings are known, or one that only the options describe."""
    from lossdoctor.model import Setting
    from lossdoctor.run import Log, build
    from lossdoctor.sources import settings
    from lossdoctor.sources.load import Choices, load

    own = tuple(Setting(name, value, "options") for name, value in changed.items())
    least = (Setting("per_device_train_batch_size", 1, "default"),)
    if path is None:
        return build(Log("options", Path(), "options"), settings=settings.merge([own, least]))
    try:
        runs = load(path, Choices(changed)).runs
    except Unreadable:
        runs = ()
    if len(runs) > 1:
        raise UsageError(f"{path} holds {len(runs)} runs; name one of them: {', '.join(run.path for run in runs[:5])}")
    home = Path(path) if Path(path).is_dir() else Path(path).parent
    told = tuple(runs[0].settings.values()) if runs else settings.find(home)[0]
    return build(Log("options", Path(path), path), settings=settings.merge([own, told, least]))


def _count(text: str) -> float:
    """7B, 350M or 7e9 -> a number. Raises `UsageError`."""
    found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)([KMBT]?)", text.strip(), re.IGNORECASE)
    try:
        count = float(found[1]) * _UNITS[found[2].upper()] if found else 0.0
    except ValueError:
        count = 0.0
    if not 1 <= count <= 1e15:
        raise UsageError(f"--parameters {text!r}: expected a number of weights such as 7B, 350M or 7000000000")
    return count


def _sizes(run: Run) -> str:
    """The assumptions that matter most, in a line."""
    rank = run.number("lora_r")
    length = int(run.number("max_length") or 2048)
    trained = f"LoRA of rank {rank:g}" if rank else "all weights trained"
    optimizer = run.setting("optim") or "adamw"
    return f"{trained}, {optimizer}, batch {run.number('per_device_train_batch_size'):g} x {length} tokens a GPU\n\n"


def _text(found: MemoryEstimate, helps: tuple[Remedy, ...], limit: float | None, missing: float | None) -> str:
    from lossdoctor.run.aliases import GB

    rows = [(name, getattr(found, name)) for name in _PARTS if getattr(found, name)]
    lines = [f"  {name:<12}{size / GB:>9.1f} GB" for name, size in rows]
    lines += [
        f"  {'total':<12}{found.total / GB:>9.1f} GB",
        f"  {'recommended':<12}{found.recommended / GB:>9.1f} GB  (a fifth more, and 4 GB)",
    ]
    if limit is not None and missing is not None:
        lines += ["", f"  {limit:g} GB: " + ("fits" if missing <= 0 else f"does not fit, {missing:.1f} GB are missing")]
    if helps:
        lines += ["", "  each of these alone saves"]
        lines += [f"  {remedy.saves / GB:>9.1f} GB  {remedy.change}" for remedy in helps]
    return "\n".join(lines) + "\n"


def _json(found: MemoryEstimate, helps: tuple[Remedy, ...], missing: float | None) -> str:
    import msgspec

    sizes = {f"{name}_bytes": round(getattr(found, name)) for name in (*_PARTS, "total", "recommended")}
    savings = [{"change": remedy.change, "saves_bytes": round(remedy.saves)} for remedy in helps]
    whole = {**sizes, "fits": None if missing is None else missing <= 0, "remedies": savings}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n"
