"""Tell which samples a batch holds: their indices and lengths travel with the batch from the loader to the training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

KEY = "lossdoctor_samples"


class Numbered:
    """A map-style data set whose rows come with their index; every other attribute is the data set's own."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        return index, self.rows[index]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[int, Any]]:
        many = getattr(self.rows, "__getitems__", None)
        return list(zip(indices, many(indices) if many else [self.rows[index] for index in indices], strict=True))

    def __getattr__(self, name: str) -> Any:
        if name == "rows":  # asked for while a worker process unpickles this
            raise AttributeError(name)
        return getattr(self.rows, name)


class Tagging:
    """A collator that puts what `described` says beside the tensors. Runs where the inner one runs: on the CPU, in a loader's worker."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, numbered: Sequence[tuple[int, Any]]) -> Any:
        batch = self.collate([row for _, row in numbered])
        if isinstance(batch, MutableMapping):
            batch[KEY] = described(batch, [int(index) for index, _ in numbered])
        return batch


def described(batch: Mapping[str, Any], samples: list[int]) -> dict[str, Any]:
    """Indices, lengths in tokens (without padding where a mask tells), labels that count, and whether a value is NaN or Inf.

    Plain integers only: tensors would go to the device with the batch and cost a synchronisation to read.
    """
    return {
        "samples": samples,
        "lengths": _lengths(batch),
        "labels": int((batch["labels"] != -100).sum()) if hasattr(batch.get("labels"), "sum") else -1,
        "nonfinite": int(any(_nonfinite(value) for value in batch.values())),
    }


def _lengths(batch: Mapping[str, Any]) -> list[int]:
    mask = batch.get("attention_mask")
    if getattr(mask, "ndim", 0) == 2:
        return [int(length) for length in mask.sum(-1).tolist()]  # type: ignore[union-attr]
    return _padded(batch.get("input_ids"))


def _padded(tokens: Any) -> list[int]:
    shape: Sequence[int] = getattr(tokens, "shape", ())
    return [int(shape[1])] * int(shape[0]) if len(shape) == 2 else []


def described_by_shape(batch: Mapping[str, Any]) -> dict[str, Any]:
    """What shapes alone tell of a batch that was not tagged: lengths with padding. Its values may lie on the device and are not read."""
    return {"samples": [], "lengths": _padded(batch.get("input_ids")), "labels": -1, "nonfinite": 0}


def _nonfinite(value: Any) -> bool:
    floating = getattr(value, "is_floating_point", None)
    return bool(floating and floating() and not bool(value.isfinite().all()))


def tag(loader: Any) -> bool:
    """Make the batches of a prepared torch DataLoader carry `KEY`; False (and nothing changed) where rows have no index.

    The loader is changed in place after the Trainer and accelerate have built it: columns were removed, samplers chosen and sharded by
    then, so that none of their type checks sees a foreign data set. Skipping batches on a resume copies both attributes.
    """
    inner = getattr(loader, "base_dataloader", loader)
    rows, collate = getattr(inner, "dataset", None), getattr(inner, "collate_fn", None)
    by_index = getattr(inner, "batch_sampler", None) is not None and hasattr(rows, "__getitem__") and hasattr(rows, "__len__")
    if not by_index or not callable(collate) or "Dispatcher" in type(loader).__name__ or "Iterable" in type(rows).__name__:
        return False
    if not isinstance(rows, Numbered):
        # torch forbids `loader.dataset = ...` so that samplers do not fall out of step; the rows and their order stay the same here.
        object.__setattr__(inner, "dataset", Numbered(rows))
        inner.collate_fn = Tagging(collate)
    return True
