"""What stands in for a loss where none is logged: cross-entropy, perplexity (its logarithm), the error that a boosting library prints;
where nothing else is there, the share of wrong answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lossdoctor.run.candidates import loss_like
from lossdoctor.run.names import plain
from lossdoctor.run.run import Signal

# In order of preference; those of `_NATS` are the same measure once a perplexity is its logarithm.
_MEASURES = (
    "xent", "bpc", "bpb", "bits_per_byte", "bits_per_char", "bits_per_character", "cross_entropy", "crossentropy", "ce_loss",
    "ce", "nll_loss", "nll", "ppl", "perplexity", "logloss", "binary_logloss", "mlogloss", "multi_logloss",
    "rmse", "l2", "mse", "mae", "l1", "error", "merror",
)  # fmt: skip
_BITS = frozenset(("bpc", "bpb", "bits_per_byte", "bits_per_char", "bits_per_character"))
PERCENT = 100
_NATS = frozenset((*_BITS, "xent", "cross_entropy", "crossentropy", "ce_loss", "ce", "nll_loss", "nll", "ppl", "perplexity"))
_OF_LIKELIHOOD = frozenset(("ppl", "perplexity"))
_NAME = re.compile(
    r"(?:(?P<train>train|training|learn)|(?P<eval>eval|val|valid|validation|dev|test)(?:_\d{1,3})?)?"
    r"(?:_(?:loss|set|data))?(?:'s)?[/_. ]{0,3}"
    rf"(?P<measure>{'|'.join(sorted(_MEASURES, key=len, reverse=True))})"
)


_AUC = re.compile(r"(?:(?:training|train|learn|valid|val|eval|test)(?:_\d{1,3})?(?:'s)?[/_. -]{0,3})?(?:roc_?)?auc")
_TRAINED = re.compile(r"train|learn", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Told:
    rank: int
    measure: str
    evaluation: bool
    signal: Signal


def stand_ins(signals: Mapping[str, Signal]) -> dict[str, Signal]:
    """`train/loss`, and `eval/loss` of the same measure, where the run logs none; of a run that is only evaluated, `eval/loss` alone. An
    eval perplexity does for a run that logs the loss of training alone.

    A perplexity is turned into its logarithm, the cross-entropy in nats: a curve of exponentials would look like a blow-up everywhere.
    """
    told = sorted(filter(None, map(_told, signals.values())), key=lambda one: one.rank)
    known = "train/loss" in signals
    training = None if known else next((one for one in told if not one.evaluation), None)
    measure = "ppl" if known else training.measure if training is not None else None
    held_out = next((one for one in told if one.evaluation and _same(one.measure, measure)), None)
    found = {"train/loss": _as_loss("train/loss", training)} if training is not None else {}
    if held_out is not None and "eval/loss" not in signals:
        found["eval/loss"] = _as_loss("eval/loss", held_out)
    return found if found or known or "reward" in signals or loss_like(signals) else _wrong_answers(signals)


def _wrong_answers(signals: Mapping[str, Signal]) -> dict[str, Signal]:
    """1 - accuracy, as a share, of training and evaluation, or 1 - AUC."""
    found = {}
    for split in ("train", "eval"):
        areas = (one for one in signals.values() if _AUC.fullmatch(plain(one.raw_name)))
        area = next((one for one in areas if (split == "train") == bool(_TRAINED.match(one.raw_name))), None)
        signal = signals.get(f"{split}/accuracy") or area
        if signal is None or not len(signal) or not bool(((signal.values >= 0) & (signal.values <= PERCENT)).all()):
            continue
        wrong = 1 - signal.values / (1 if float(signal.values.max()) <= 1 else PERCENT)
        wrong.flags.writeable = False
        found[f"{split}/loss"] = replace(signal, name=f"{split}/loss", raw_name=f"1 - {signal.raw_name}", values=wrong)
    return found


def _same(one: str, other: str | None) -> bool:
    return other is None or one == other or {one, other} <= _NATS


def _told(signal: Signal) -> _Told | None:
    match = _NAME.fullmatch(plain(signal.raw_name))
    if match is None or not len(signal):
        return None
    measure = match["measure"]
    finite = signal.values[np.isfinite(signal.values)]
    if measure in _OF_LIKELIHOOD and not bool((finite > 0).all()):
        return None
    return _Told(_MEASURES.index(measure), measure, match["eval"] is not None, signal)


def _as_loss(name: str, told: _Told) -> Signal:
    raw = told.signal.raw_name
    if told.measure in _BITS:
        values, raw = told.signal.values * np.log(2), f"{raw} * ln 2"
    elif told.measure in _OF_LIKELIHOOD:
        values, raw = np.log(told.signal.values), f"ln({raw})"
    else:
        return replace(told.signal, name=name)
    values.flags.writeable = False
    return replace(told.signal, name=name, raw_name=raw, values=values)
