"""Losses under names that no table knows: which columns are losses, and which of them are parts of one total."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lossdoctor.run.names import CLOSING, plain
from lossdoctor.run.resolution import resolution
from lossdoctor.run.run import Signal

_WORDS = frozenset(
    (
        "bce", "bpb", "bpc", "ce", "cost", "elbo", "err", "error", "logloss", "loss", "losses",
        "mae", "mlogloss", "mse", "nce", "infonce", "nll", "perplexity", "ppl", "recon", "reconstruction", "rmse", "xent", "lossfn",
    )
)  # fmt: skip
_MINIMISED = frozenset(("bce", "elbo", "infonce", "nce", "nll", "ntxent", "xent"))
# What a training minimises and nothing else is called.
_METHODS = frozenset(
    ("contrastive", "ctc", "denoising", "dice", "diffusion", "focal", "hinge", "huber", "mlm", "ntp", "simclr", "triplet", "vicreg")
)
_TWO_WORDS = re.compile(r"cross_?entropy|free_energy|smooth_?l1")
# The losses that GAN trainers print by the name of the network: CycleGAN, pix2pix, BasicSR.
_OF_NETWORKS = re.compile(r"(?:.*/)?(?:[DG]_(?:[AB]|GAN\w{0,20}|L1|VGG|real|fake)|(?:cycle|idt)_[AB]|l_\w{1,40})")
_NO_LOSS = frozenset(
    (
        "best", "chance", "coef", "coeff", "count", "epoch", "eta", "grad", "iter", "lambda", "lr", "max", "min", "norm", "num", "rate",
        "ratio", "scale", "scaler", "sec", "seconds", "std", "step", "steps", "stdev", "time", "timing", "tokens", "var", "weight",
    )
)  # fmt: skip
_MACHINE = ("perf/", "gpu/", "host/", "process/", "system/", "timing", "train/learning_rate", "train/step_loss_max", "train/nonfinite")
_EVALUATION = frozenset(("dev", "eval", "evaluation", "test", "val", "valid", "validation"))
_TRAINING = frozenset(("train", "training"))
_BY_SET = _EVALUATION | {"vloss"}
_OF_POLICIES = frozenset(("actor", "critic", "pg", "policy"))
_TOTAL = frozenset(("all", "full", "overall", "sum", "tot", "total"))
_ADVERSARY = re.compile(r"(?:^|[/_. ])(?:d|disc|discriminator|critic|dis|netd)(?:[/_. ]|$|loss)")
_GENERATOR = re.compile(r"(?:^|[/_. ])(?:g|gen|generator|netg)(?:[/_. ]|$|loss)")
_OF_DETECTORS = re.compile(r"(train|val)/(box|iou|cls|dfl|obj|seg|pose|kobj|giou|l1|angle|rle|sem)_loss")
_SUMMED = {"train": "train/loss", "val": "eval/loss"}

ROWS_A_WEIGHT = 4  # rows for each weight that is fitted: fewer fit anything
PARTS = 12  # losses of one sum at most; the time to look for it grows with their cube
TWENTY = 20  # a sum leaves less than this part of the total's deviation


@dataclass(frozen=True, slots=True)
class LossParts:
    """Signals that add up to one loss; `total` is the signal that holds the sum."""

    names: tuple[str, ...]
    total: str


def loss_like(signals: Mapping[str, Signal]) -> tuple[Signal, ...]:
    """Every signal whose name says loss, of training or evaluation, known or not, in the order in which they were logged."""
    return tuple(one for name, one in signals.items() if len(one) and is_loss(name))


def candidates(signals: Mapping[str, Signal]) -> tuple[Signal, ...]:
    """The losses of training that no table knows: totals first, then as logged. The known `train/loss` is none of them."""
    found = [one for one in loss_like(signals) if one.name != "train/loss" and not is_of_evaluation(one.name)]
    return tuple(sorted(found, key=lambda one: not _TOTAL & _tokens(one.name)))


def assumed(signals: Mapping[str, Signal]) -> dict[str, Signal]:
    """`train/loss`, and `eval/loss` of the same name, of a run that logs no known loss but one that can hardly be anything else.

    It is the only candidate, the only one that is called a total, the only one that is evaluated as well, or the one that the others make
    up by a weighted sum. Or two columns are called by their sets alone, and that of training falls: scores rise. Two networks that play
    against each other have no such loss, nor has a policy.
    """
    train, evaluated = signals.get("train"), next((signals[name] for name in signals if name.lower() in _BY_SET), None)
    if "train/loss" not in signals and train is not None and evaluated is not None and train.values[-1] < train.values[0]:
        return {"train/loss": replace(train, name="train/loss"), "eval/loss": replace(evaluated, name="eval/loss")}  # `train 0.35 val 0.18`
    known = signals.get("train/loss")
    if known is not None and evaluated is not None and "eval/loss" not in signals and _alike(known, evaluated):
        return {"eval/loss": replace(evaluated, name="eval/loss")}  # `Loss: 0.35, Val: 0.18`
    found = candidates(signals)
    of_policy = any(_OF_POLICIES & _tokens(one.name) for one in found)
    if "train/loss" in signals or of_policy or adversaries(one.name for one in found):
        return {}
    totals = [one for one in found if _TOTAL & _tokens(one.name)]
    evals = [one for one in loss_like(signals) if is_of_evaluation(one.name)]
    told = {_tokens(one.name) - _EVALUATION for one in evals}
    both = [one for one in found if _tokens(one.name) - _TRAINING in told]
    only = next((some[0] for some in (found, totals, both) if len(some) == 1), None)
    lead = only if only is not None else _weighted_sum(found)
    if lead is None:
        return {}
    made = {"train/loss": replace(lead, name="train/loss")}
    held_out = [one for one in evals if _tokens(one.name) - _EVALUATION == _tokens(lead.name) - _TRAINING]
    if "eval/loss" not in signals and len(held_out) == 1:
        made["eval/loss"] = replace(held_out[0], name="eval/loss")
    return made


def _alike(loss: Signal, other: Signal) -> bool:
    """Whether two columns can be of one scale, and the other is no score, which rises to 1 while the loss falls."""
    if not len(loss) or not len(other) or min(loss.values[0], loss.values[-1], other.values[0], other.values[-1]) <= 0:
        return False
    ratios = other.values[[0, -1]] / loss.values[[0, -1]]
    score = other.values.max() <= 1 and other.values[-1] > other.values[0] and loss.values[-1] < loss.values[0]
    return bool(((ratios > 1 / TWENTY) & (ratios < TWENTY)).all()) and not score


def says_training_loss(name: str) -> bool:
    """Whether a name says both, whatever else it says (`train_elbo_loss`), or is that of a loss that is minimised and nothing else, or of a
    method that minimises it (`contrastive_loss`)."""
    words = _tokens(name)
    of_a_method = len(words) == 2 and bool(words & _METHODS) and "loss" in words
    minimised = bool(words & _MINIMISED) and words <= _MINIMISED | {"loss", "nt"}
    return bool(words & _TRAINING and words & {"loss", "losses"}) or minimised or of_a_method


def _weighted_sum(told: Sequence[Signal]) -> Signal | None:
    """The one signal that is a sum of two or more others with positive weights, but for a twentieth of its own deviation; weights may be
    annealed, so no sum is exact."""
    explained = []
    for total in told if len(told) <= PARTS else ():
        others = [one for one in told if one is not total and np.array_equal(one.steps, total.steps) and np.isfinite(one.values).all()]
        if len(total) <= ROWS_A_WEIGHT * len(others) or not np.isfinite(total.values).all():
            continue
        weights: np.ndarray = np.empty(0)
        while len(others) >= 2:
            columns = np.stack([one.values for one in others], axis=1)
            weights = np.linalg.lstsq(columns, total.values, rcond=None)[0]
            if (weights > 0).all():
                break
            others = [one for one, weight in zip(others, weights, strict=True) if weight > 0]
        if len(others) >= 2 and float(np.std(total.values - columns @ weights)) * TWENTY <= float(np.std(total.values)):
            explained.append(total)
    return explained[0] if len(explained) == 1 else None


def is_loss(name: str) -> bool:
    """Whether a name says loss, likelihood, perplexity or error, and not a rate, a time, a count or a norm of one."""
    if name in CLOSING or name.startswith(_MACHINE):
        return False
    tokens = _tokens(name)
    if tokens & _NO_LOSS:
        return False
    said = bool(tokens & _WORDS) or any(token.endswith(("loss", "losses")) for token in tokens)
    return said or _TWO_WORDS.search(plain(name)) is not None or _OF_NETWORKS.fullmatch(name) is not None


def is_of_evaluation(name: str) -> bool:
    """Whether a name says that it is measured on held-out data."""
    return bool(_tokens(name) & _EVALUATION)


def adversaries(names: Iterable[str]) -> bool:
    """Whether these losses are of two networks that play against each other: neither is a part of the other, and neither tells by its
    level."""
    losses = [plain(name) for name in names if is_loss(name)]
    return any(map(_ADVERSARY.search, losses)) and any(map(_GENERATOR.search, losses))


def opponents(signals: Mapping[str, Signal]) -> tuple[Signal, Signal] | None:
    """The loss of a discriminator and that of its generator, each the first of its kind; None where either is not logged."""
    told = {plain(one.name): one for one in loss_like(signals) if not is_of_evaluation(one.name)}
    first = [next((one for name, one in told.items() if kind.search(name)), None) for kind in (_ADVERSARY, _GENERATOR)]
    return (first[0], first[1]) if first[0] is not None and first[1] is not None else None


def parts(signals: Mapping[str, Signal]) -> LossParts | None:
    """The losses of training that add up, to the last printed digit, to another one of them; None where none do."""
    told = [one for one in loss_like(signals) if not is_of_evaluation(one.name)]
    if len(told) < 3 or adversaries(one.name for one in told):
        return None
    for total in sorted(told, key=lambda one: (one.name != "train/loss", not _TOTAL & _tokens(one.name))):
        others = [one for one in told if one is not total and np.array_equal(one.steps, total.steps)]
        if len(others) >= 2 and _adds_up(total, others):
            return LossParts(tuple(one.name for one in others), total.name)
    return None


def _adds_up(total: Signal, others: Sequence[Signal]) -> bool:
    added = np.sum([one.values for one in others], axis=0)
    rows = np.isfinite(added) & np.isfinite(total.values)
    unit = sum(resolution(one) for one in (total, *others)) / 2
    return bool(rows.any()) and np.allclose(added[rows], total.values[rows], rtol=np.finfo(np.float32).resolution, atol=unit)


def sums_of_parts(signals: Mapping[str, Signal]) -> dict[str, Signal]:
    """`train/loss` and `eval/loss` of ultralytics, which logs box, class and distribution losses and minimises their sum.

    Only where no such loss is known and the parts lie at the same steps; the parts stay as they are.
    """
    found: dict[str, Signal] = {}
    for split, name in _SUMMED.items():
        ours = [
            one for one in signals.values() if len(one) and (told := _OF_DETECTORS.fullmatch(one.raw_name.strip())) and told[1] == split
        ]
        said = {one.raw_name.strip().partition("/")[2] for one in ours}
        if name in signals or len(ours) < 2 or not said & {"cls_loss", "obj_loss"}:
            continue
        found |= _added(ours, name)
    return found


def _added(ours: Sequence[Signal], name: str) -> dict[str, Signal]:
    """The sum of signals of the same steps; empty where they lie at others."""
    first = ours[0]
    if not all(np.array_equal(one.steps, first.steps) for one in ours):
        return {}
    values = np.sum([one.values for one in ours], axis=0)
    # Zeros stand for evaluations that were not made: `val=False` fills the table with them.
    made = values != 0 if name == "eval/loss" else np.full(len(values), True)
    if not made.any():
        return {}
    columns = (first.steps[made], values[made], first.epochs[made], first.times[made], first.segments[made])
    for column in columns:
        column.flags.writeable = False
    return {name: Signal(name, " + ".join(one.raw_name.strip() for one in ours), *columns)}


def _tokens(name: str) -> frozenset[str]:
    """The words of a name, cut at punctuation and where a capital begins."""
    return frozenset(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("'s", "").translate(_CUTS).split())


_CUTS = str.maketrans(dict.fromkeys("/_-. ()[]:,@'", " "))
