"""Counters as only one framework, or one tutorial that many copied, prints them: a table of line beginnings.

Each pattern names what it counts: `step`, `total`, `epoch`, `epochs`, `inner` and `inner_total` (batches of an epoch). What stands outside
the match is read as pairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_N = r"\d{1,15}"
_NUMBER = r"(?:[-+]?\d[\d.,]{0,40}(?:[eE][-+]?\d{1,4})?|[-+]?nan|[-+]?inf)"
_HELD_OUT = re.compile(r" CV |\[valid\]|\bvalid \(|^\s*Validation loss ")
_BAR = r"\[[=>#.\-\s]{8,200}\]\s{0,4}(?:\d{1,3}(?:\.\d{1,6})?%\s{1,4})?"


@dataclass(frozen=True, slots=True)
class Counted:
    """What a line counts, the rest of it, and whether that is of an evaluation."""

    rest: str
    counts: Mapping[str, int]
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class _Grammar:
    """A pattern that is looked for where `hint` stands in a line, and what of the line is read as pairs."""

    hint: str
    pattern: re.Pattern[str]
    rest: Callable[[re.Match[str]], str] = lambda match: match.string[match.end() :]


def _loss_behind(match: re.Match[str]) -> str:
    return f"loss: {match['loss']}"


def _named_before(match: re.Match[str]) -> str:
    return f"{match['name']}: {match['loss']} {match.string[match.end() :]}"


def _after_time(match: re.Match[str]) -> str:
    return match[0].partition("| Loss")[2].join(("Loss", ""))


def _boosted(match: re.Match[str]) -> str:
    """CatBoost calls the losses of training and evaluation `learn` and `test`; LightGBM writes `valid_0's l2`."""
    rest = match.string[match.end() :].replace("'s ", "_")
    return re.sub(r"\blearn:", "train loss:", re.sub(r"\btest:", "test loss:", rest))


_GRAMMARS: tuple[_Grammar, ...] = (
    # XGBoost and LightGBM `[10]  train-rmse:0.5`, CatBoost `10:  learn: 0.6`.
    _Grammar(":", re.compile(rf"\s{{0,8}}\[(?P<step>{_N})\]\s{{1,20}}(?=[^\s:]{{1,80}}(?: [^\s:]{{1,40}})?:)"), _boosted),
    _Grammar("learn:", re.compile(rf"\s{{0,8}}(?P<step>{_N}):\s{{1,20}}(?=learn:)"), _boosted),
    # ESPnet
    _Grammar("epoch:", re.compile(rf".{{0,200}}?\b(?P<epoch>\d{{1,6}})epoch:(?:train|valid):\d{{1,9}}-(?P<step>{_N})batch:")),
    # timm
    _Grammar(
        "Train: ",
        re.compile(
            rf".{{0,80}}?\bTrain: (?P<epoch>\d{{1,6}}) \[\s{{0,12}}(?P<inner>{_N})/(?P<inner_total>{_N})\s{{1,12}}\([^)]{{1,12}}\)\]"
        ),
    ),
    # A bar of one's own: `Training [=====>    ] 42.5% 25000/58874 | 4.62 it/s | loss=3.50`.
    _Grammar(
        "==",
        re.compile(
            rf"[^\[\]]{{0,40}}?\b[Ee]pochs?\s{{0,4}}[:=#]?\s{{0,4}}(?P<epoch>\d{{1,9}})[^\[\]]{{0,20}}{_BAR}(?P<inner>{_N})/(?P<inner_total>{_N})\b"
        ),
    ),
    _Grammar("==", re.compile(rf"[^\[\]]{{0,60}}{_BAR}(?P<step>{_N})/(?P<total>{_N})\b")),
    # kuangliu's pytorch-cifar ` [====>...]  Step: 52ms | Tot: 20s | Loss: 1.912 | Acc: 30.1% (15/50)  1/391`
    _Grammar(
        "| Loss: ",
        re.compile(rf"\s{{0,8}}\[[=>.]{{8,200}}\]\s{{0,8}}Step: .{{1,200}}\s(?P<inner>{_N})/(?P<inner_total>{_N})\s{{0,8}}$"),
        _after_time,
    ),
    # DCGAN of the PyTorch examples `[0/5][50/400] Loss_D: 1.2`, its copies `[Epoch 0/200] [Batch 1/938] [D loss: ...]` are read as words.
    _Grammar("][", re.compile(rf"\s{{0,8}}\[(?P<epoch>{_N})/(?P<epochs>{_N})\]\[\s{{0,8}}(?P<inner>{_N})/(?P<inner_total>{_N})\]")),
    # CIFAR-10 tutorial of PyTorch `[1,  2000] loss: 2.212`
    _Grammar("] loss", re.compile(rf"\s{{0,8}}\[(?P<epoch>{_N}),\s{{0,8}}(?P<step>{_N})\](?= loss)")),
    # MNIST quickstart of PyTorch `loss: 2.303494  [   64/60000]`
    _Grammar(
        "loss",
        re.compile(rf"\s{{0,8}}loss: (?P<loss>{_NUMBER})\s{{1,8}}\[\s{{0,12}}(?P<inner>{_N})/(?P<inner_total>{_N})\]\s{{0,8}}$"),
        _loss_behind,
    ),
    # seq2seq tutorial of PyTorch `0m 30s (- 20m 0s) (5000 5%) 2.8500`
    _Grammar("%) ", re.compile(rf".{{0,60}}\((?P<step>{_N}) \d{{1,3}}%\) (?P<loss>{_NUMBER})\s{{0,8}}$"), _loss_behind),
    # darknet ` 1: 2233.52, 2233.52 avg loss, 0.000000 rate, 5.35 seconds, 64 images`
    _Grammar(
        " avg",
        re.compile(rf"\s{{0,8}}(?P<step>{_N}): {_NUMBER}, (?P<loss>{_NUMBER}) avg(?: loss)?, (?P<rate>{_NUMBER}) rate\b"),
        lambda match: f"loss: {match['loss']}, learning_rate: {match['rate']}",
    ),
    # Marian `Ep. 1 : Up. 2000 : Sen. 529,093 : Cost 8.79`
    _Grammar(
        " : Up. ",
        re.compile(rf".{{0,80}}?\bEp\. (?P<epoch>{_N}) : Up\. (?P<step>{_N}) : Sen\. [\d,]{{1,20}} :"),
        lambda match: match.string[match.end() :].replace("Cost", "loss:", 1).replace(" : ", " | "),
    ),
    # the same of its validation `[valid] Ep. 1 : Up. 5000 : cross-entropy : 43.2 : new best`
    _Grammar(
        " : Up. ",
        re.compile(
            rf".{{0,80}}?\bEp\. (?P<epoch>{_N}) : Up\. (?P<step>{_N})"
            rf" : (?P<name>cross-entropy|ce-mean-words|perplexity) : (?P<loss>{_NUMBER})(?= )"
        ),
        lambda match: f"{match['name']}: {match['loss']}",
    ),
    # CLU of JAX `logging_writer.py:48] [100] accuracy=0.3, loss=2.1`
    _Grammar("] [", re.compile(rf".{{0,80}}\] \[(?P<step>{_N})\] (?:collection=\w{{1,40}} )?(?=[\w/]{{1,80}}=)")),
    # Catalyst `train (1/12) accuracy: 0.6 | loss: 1.2`
    _Grammar(" (", re.compile(rf".{{0,40}}?\b(?:train|valid) \((?P<epoch>{_N})/(?P<epochs>{_N})\)(?= [\w/]{{1,40}}:)")),
    # Karpathy's char-rnn and its children `1/1200 (epoch 0.010), train_loss = 4.2`
    _Grammar("(epoch ", re.compile(rf"\s{{0,8}}(?P<step>{_N})/(?P<total>{_N})(?= \(epoch )")),
    # NVIDIA's Tacotron 2 `Train loss 100 0.52 Grad Norm 1.2 1.1s/it`, `Validation loss 1000: 0.45`
    _Grammar(
        "rain loss ",
        re.compile(rf"\s{{0,8}}Train loss (?P<step>{_N}) (?P<loss>{_NUMBER}) Grad Norm (?P<norm>{_NUMBER})"),
        lambda match: f"loss: {match['loss']} grad norm: {match['norm']}",
    ),
    _Grammar("alidation loss ", re.compile(rf"\s{{0,8}}Validation loss (?P<step>{_N}):\s{{1,8}}(?P<loss>{_NUMBER})"), _loss_behind),
    # EDSR `[1600/16000]  [L1: 9.1]`, and others that begin with the batch
    _Grammar("/", re.compile(rf"\s{{0,8}}\[\s{{0,8}}(?P<inner>{_N})/(?P<inner_total>{_N})\](?=\s{{0,8}}[^\s\d/])")),
    # Courses: `Cost after iteration 0: 0.693147`, `Loss at epoch 3: 2.3`
    *(
        _Grammar(
            word,
            re.compile(
                rf"(?:.{{0,60}}[\]:] )?(?P<name>[\w .]{{0,40}}?(?:[Cc]ost|[Ll]oss|[Ee]rror)){word}(?:{unit})\s{{0,4}}"
                rf"(?P<{count}>{_N})(?:/\d{{1,15}})?{within}"
                rf"\s{{0,4}}(?::|=|is)\s{{0,4}}(?P<loss>{_NUMBER})(?![\w.])"
            ),
            _named_before,
        )
        for word in (" after ", " at ", " for ", " in ")
        for unit, count, within in (
            ("iterations?|iter|step|batch", "step", ""),
            ("epoch", "epoch", rf"(?:(?:,| and) (?:iteration|iter|step|batch)\s{{0,4}}(?P<step>{_N}))?"),
        )
    ),
    # In whole sentences: `After 10 steps the mean loss of the last ten batches is 3.978 (rate 0.002).`
    *(
        _Grammar(
            "fter ",
            re.compile(
                rf".{{0,40}}?\b[Aa]fter (?P<{count}>{_N}) (?:{unit})s?\b[^\d=:]{{1,80}}?\bloss\b[^\d=:]{{0,80}}?"
                rf" (?:is|was) (?P<loss>{_NUMBER})(?!\w)"
            ),
            _loss_behind,
        )
        for unit, count in (("step|iteration|update|batche?", "step"), ("epoch", "epoch"))
    ),
    # tesseract's lstmtraining `At iteration 2600/2600/2741, Mean rms=4.143%, char train=100.889%`
    _Grammar(
        "At iteration ",
        re.compile(rf".{{0,40}}?At iteration (?P<step>{_N})/{_N}/{_N}, "),
        lambda match: match.string[match.end() :].replace("char train=", "train error="),
    ),
    # nanoGPT's children `10 | loss 6.2637 | lr 3e-04`
    _Grammar("| loss", re.compile(rf"\s{{0,8}}(?P<step>{_N})\s{{0,4}}\|(?= loss)")),
    # Keras-GAN `50 [D loss: 0.61, acc.: 50%] [G loss: 0.9]`
    _Grammar(" [D loss", re.compile(rf"\s{{0,8}}(?P<step>{_N})(?= \[D loss)")),
    # Coqui counts the batches of an epoch as STEP
    _Grammar("GLOBAL_STEP", re.compile(rf".{{0,80}}?\bGLOBAL_STEP: (?P<step>{_N})")),
    # WeNet `DEBUG TRAIN Batch 0/100 loss 26.6`: the epoch, then the batch
    _Grammar(" Batch ", re.compile(rf".{{0,60}}?\b(?:TRAIN|CV) Batch (?P<epoch>{_N})/(?P<step>{_N})\b")),
    # MONAI's tutorials `1/10, train_loss: 0.7162`
    _Grammar("/", re.compile(rf"\s{{0,8}}(?P<inner>{_N})/(?P<inner_total>{_N}),\s(?=\w{{0,40}}loss)")),
)


def counted(text: str) -> Counted | None:
    """The counters of a line that one of the grammars reads; None for any other line."""
    for grammar in _GRAMMARS:
        if grammar.hint in text and (match := grammar.pattern.match(text)):
            counts = {name: int(value) for name, value in match.groupdict().items() if value and name in _COUNTERS}
            return Counted(grammar.rest(match), counts, _HELD_OUT.search(match[0]) is not None)
    return None


_COUNTERS = frozenset(("step", "total", "epoch", "epochs", "inner", "inner_total"))
