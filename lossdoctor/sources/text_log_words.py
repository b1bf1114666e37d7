"""What is put into plain words before a line of a log is read: values in their types' clothes, boxes, and logs in other languages."""

from __future__ import annotations

import re

# `np.float32(2.3)`, `Array(2.3, dtype=float32)`, `tf.Tensor(2.3, shape=(), dtype=float32)`, `tensor(2.3, grad_fn=<NllLossBackward0>)`
_WRAPPED = re.compile(
    r"\b(?:(?:np|numpy|jnp|jax|tf|torch)\.)?(?:b?float(?:16|32|64)|Array|DeviceArray|Tensor|EagerTensor)\("
    r"\[?\s{0,8}([-+]?(?:\d[\d.]{0,40}(?:[eE][-+]?\d{1,4})?|nan|inf))\]?(?:,[^()]{0,80}(?:\(\)[^()]{0,80})?)?\)"
)
_WRAPPERS = ("float", "Array(", "Tensor(")
# loguru's `__main__:train:42 - `
_LOGURU = re.compile(r"\| [\w.]{1,80}:[\w<>]{1,80}:\d{1,6} - ")
_FRAMES = str.maketrans("\u2502\u2503\u2551\u2192", "|||=")
# A few words of the logs of others; what is longer goes first.
_WORDS = {
    "训练损失": "train loss", "验证损失": "val loss", "測試損失": "test loss", "测试损失": "test loss",
    "平均损失": "avg loss", "训练集损失": "train loss", "验证集损失": "val loss", "损失值": "loss", "损失": "loss",
    "損失": "loss", "准确率": "accuracy", "学习率": "learning rate", "轮次": "epoch", "步数": "step", "步": "step",
    "エポック": "epoch", "学習損失": "train loss", "訓練損失": "train loss", "検証損失": "val loss",
    "ステップ": "step", "эпоха": "epoch", "потери": "loss", "потеря": "loss", "шаг": "step", "pérdida": "loss",
    "época": "epoch", "époque": "epoch", "손실": "loss", "에포크": "epoch", "训练": "train", "验证": "val",
    "検証": "val", "学習": "train", "обучение": "train", "обучении": "train", "обучения": "train",
    "валидации": "val", "валидация": "val",
}  # fmt: skip
_OTHERS = re.compile("|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)), re.IGNORECASE)
# The same in Latin letters: taken for words of a log only where a line has the one for loss.
_LATIN = {
    "pierdere": "loss", "pierderea": "loss", "perdita": "loss", "verlust": "loss", "perte": "loss", "perda": "loss", "perdida": "loss",
    "verlies": "loss", "strata": "loss", "kayip": "loss", "kerugian": "loss", "pas": "step", "passo": "step", "paso": "step",
    "schritt": "step", "etape": "step", "stap": "step", "krok": "step", "adim": "step", "langkah": "step", "epoca": "epoch",
    "epoka": "epoch", "epoche": "epoch", "validare": "val", "validazione": "val", "validierung": "val", "validacion": "val",
    "walidacja": "val",
}  # fmt: skip
_LOSSES = re.compile(rf"\b(?:{'|'.join(word for word, english in _LATIN.items() if english == 'loss')})\b", re.IGNORECASE)
_LATINS = re.compile(rf"\b(?:{'|'.join(_LATIN)})\b", re.IGNORECASE)
_ROUND = re.compile(r"第\s{0,4}(\d{1,9})\s{0,4}(?:轮|輪|エポック|个epoch)(?:训练|訓練)?")
# Output that was pasted behind the program it is of: `# Epoch 4/30`, `# 2232/2232 [====] - 5s - loss: 0.7`.
_REMARK = re.compile(r"\s{0,4}#\s{1,4}(?=\d{1,9}/\d{1,9} |[Ee]poch \d)")
_WIDE = str.maketrans("\uff1a\uff0c\uff08\uff09\uff1d", ":,()=")


def in_plain_words(text: str) -> str:
    """A segment with numbers out of their wrappers, box lines as `|`, arrows as `=`, and known words of other languages in English."""
    if "#" in text[:4]:
        text = _REMARK.sub("", text, count=1)
    if "(" in text and any(map(text.__contains__, _WRAPPERS)):
        text = _WRAPPED.sub(r"\1", text)
    if " - " in text and ":" in text:
        text = _LOGURU.sub("| ", text, count=1)
    if _LOSSES.search(text):
        text = _LATINS.sub(lambda match: _LATIN[match[0].lower()], text)
    if text.isascii():
        return text
    text = _ROUND.sub(r"epoch \1 ", text.translate(_FRAMES).translate(_WIDE))
    return _OTHERS.sub(lambda match: f" {_WORDS[match[0].lower()]} ", text)
