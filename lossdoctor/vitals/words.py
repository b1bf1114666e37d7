"""Numbers, counts and signals as a sentence says them."""

from __future__ import annotations

_NAMES = {"train/loss": "the training loss", "eval/loss": "the eval loss", "reward": "the reward", "train/grad_norm": "the gradient norm"}


def of_rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def said(signal: str) -> str:
    """A signal in words, or its name."""
    return _NAMES.get(signal, signal)


def sentence(text: str) -> str:
    """With a capital, but for a name that begins it."""
    return text[:1].upper() + text[1:] if text.startswith("the ") else text
