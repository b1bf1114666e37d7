"""Half precision: fp16 where bf16 was to be had, and a loss scale that collapses."""

from __future__ import annotations

import re

import numpy as np

from lossdoctor.detectors.curve import beyond
from lossdoctor.model import Evidence, LogEvent, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import named_curve

# NVIDIA before Ampere (compute capability below 8.0) computes no bf16 in its tensor cores.
_WITHOUT_BF16 = re.compile(
    r"\b(?:T4G?|[VP]100\w*|P4|P40|P6|K80|K40\w?|M40|M60|GTX|TITAN|RTX 20\d\d|GeForce 20\d\d|Quadro (?:RTX|[PMK]|GV)|TU\d+|GV100)",
    re.IGNORECASE,
)
_FLOOR_WORDS = re.compile(r"already at minimum|[Mm]inimum loss scale", re.ASCII)


def fp16_where_bf16(run: Run, *, skipped_share: float) -> Evidence | Skip | None:
    """The run computes in fp16; where the GPU is known to have no bf16 (NVIDIA before Ampere) that is the right choice.

    `overflowed` is 1 where the run shows harm: a loss that is not finite, a gradient norm that is not finite in `skipped_share`
    of the rows, or a loss scale at its floor. A few skipped steps are how fp16 works.
    """
    precision = _precision(run)
    if precision is None:
        return Skip("the precision of the computation is unknown", "keep training_args.bin, or --set fp16=true")
    if precision != "fp16":
        return None
    gpu = str(run.setting("gpu_name") or "")
    if _WITHOUT_BF16.search(gpu):
        return None
    norm, loss = run.signal("train/grad_norm"), run.signal("train/loss")
    skipped = float((~np.isfinite(norm.values)).mean()) if norm is not None else 0.0
    broken = loss is not None and not bool(np.isfinite(loss.values).all())
    floor = _floor_event(run.events) is not None
    overflowed = broken or floor or skipped >= skipped_share
    if not gpu and not overflowed:
        return Skip("it computes in fp16 without harm, and the GPU is unknown", "log the name of the GPU, or --set gpu_name=NAME")
    numbers: dict[str, Scalar] = {
        "gpu": gpu or "unknown", "gpu_known": int(bool(gpu)), "overflowed": int(overflowed),
        "certain_and_harmful": int(overflowed and bool(gpu)), "skipped_rows": skipped,
    }  # fmt: skip
    return Evidence(numbers, ("train/grad_norm",) if norm is not None else (), None, ())


def loss_scale_collapse(run: Run, *, floor: float, halvings: int, lasting: float, search_steps: int) -> Evidence | Skip | None:
    """The loss scale falls by `halvings` powers of two or more to `floor` or below and stays there for `lasting` of the run, or a
    log says that it is at its minimum.

    The halvings of the first `search_steps` steps are the search for the largest scale that fits (Micikevicius et al. 2018); a
    scale that never moves (bf16 runs log 1) is none.
    """
    scale = named_curve(run, "train/loss_scale")
    told = _floor_event(run.events) or _deep_events(run.events, floor, halvings)
    if len(scale) < 6 or bool((scale.values <= floor).all()):  # too few rows to see a fall, or a window that begins in it
        if told is None and len(scale) < 6:
            return Skip("no loss scale was logged", "log scaler.get_scale() as loss_scale") if _precision(run) in (None, "fp16") else None
        return _told(run, told, floor) if told is not None else None
    values = scale.values
    low = values <= floor
    last_high = np.flatnonzero(~low)
    first = int(last_high[-1]) + 1 if len(last_high) and int(last_high[-1]) + 1 < len(values) else int(np.argmax(low))
    before, lowest = values[:first], float(values.min())
    stays = float(low[first:].sum()) / len(values) if low.any() else 0.0
    searched = scale.steps[:first] <= search_steps
    settled = before[~searched] if not searched.all() else before
    found_by_search = bool(searched.all()) and lowest > 1  # low, but it holds
    if not low.any() or found_by_search or not len(before) or stays < lasting or float(settled.max()) < floor * 2.0:
        return None
    top, tiny = float(settled.max()), float(np.finfo(np.float64).tiny)
    fallen = float(np.log2(top) - np.log2(max(lowest, tiny)))
    if fallen < halvings:
        return None
    begin = int(np.flatnonzero(before >= before.max())[-1])
    onset = int(scale.steps[min(begin + 1, len(values) - 1)])
    numbers = {
        "scale_before": top, "scale_lowest": lowest, "halvings_found": round(fallen), "from_step": onset, "low_share": stays,
        "at_end": int(bool(low[-1])), "rows": len(scale), "at_floor": 0,
    }  # fmt: skip
    return Evidence.between(numbers, ("train/loss_scale",), onset, scale.steps[-1], margin=beyond(fallen, halvings), points=len(scale))


def _told(run: Run, first: LogEvent, floor: float) -> Evidence:
    """What the log's own words say of the fall."""
    events = sum(int(e.numbers.get("count", 1)) for e in run.events if e.kind == "loss-scale")
    numbers: dict[str, Scalar] = {
        "scale_before": first.numbers.get("from"), "scale_lowest": first.numbers.get("lowest", floor), "halvings_found": events,
        "from_step": first.step, "low_share": None, "at_end": 1, "rows": events,
        "at_floor": int(first.numbers.get("from") == first.numbers.get("lowest", floor)),
    }  # fmt: skip
    return Evidence(numbers, (), first.step, (), margin=2.0, points=events)


def _precision(run: Run) -> str | None:
    """fp16, bf16 or fp32 as the settings tell; the flags win over names."""
    for name in ("fp16", "bf16"):
        if run.setting(name) is True:
            return name
    said = " ".join(str(run.setting(name) or "") for name in ("mixed_precision", "dtype")).lower()
    known = (("bf16", "bf16"), ("bfloat16", "bf16"), ("fp16", "fp16"), ("float16", "fp16"), ("32", "fp32"))
    found = next((name for word, name in known if word in said), None)
    return found or ("fp32" if run.setting("fp16") is False or run.setting("bf16") is False else None)


def _floor_event(events: tuple[LogEvent, ...]) -> LogEvent | None:
    """The first line that says the scale can fall no further."""
    return next((e for e in events if e.kind == "loss-scale" and _FLOOR_WORDS.search(e.text)), None)


def _deep_events(events: tuple[LogEvent, ...], floor: float, halvings: int) -> LogEvent | None:
    """The first line of a row of reductions by `halvings` powers of two that ends at the floor or below, or of several that reduce no
    further what overflows all the same."""
    falls = [e for e in events if e.kind == "loss-scale" and "lowest" in e.numbers]
    lowest = min((e.numbers["lowest"] for e in falls), default=floor * 2)
    highest = max((e.numbers.get("from", e.numbers["lowest"]) for e in falls), default=0.0)
    stuck = highest == lowest and sum(e.numbers.get("count", 1) for e in falls) > halvings
    return falls[0] if lowest <= floor and (stuck or highest >= lowest * 2**halvings) else None
