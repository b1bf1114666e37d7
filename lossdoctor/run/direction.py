"""Whether a higher value of a metric is better, as far as its name tells."""

from __future__ import annotations

_LOWER = frozenset(("loss", "perplexity", "ppl", "wer", "cer", "mae", "mse", "rmse", "error", "bpb", "bpc"))
_HIGHER = frozenset(
    (
        "acc", "accuracies", "accuracy", "auc", "auroc", "bleu", "dice", "em", "f1", "iou", "map", "margins", "mcc", "miou", "ndcg",
        "precision", "psnr", "r2", "recall", "reward", "rouge", "rougel", "rougelsum", "ssim",
    )
)  # fmt: skip


def direction(signal: str) -> int:
    """-1 where less is better, 1 where more is, 0 where nobody can say. Whole words of the last part of the name count, digits at their
    end apart: `eval/rouge1`, `eval/mAP50-95`, `eval/exact_match`."""
    name = signal.lower().replace("-", "_").replace("@", "_").replace("(", "_").split("/")[-1]
    words = set(name.split("_"))
    words |= {word.rstrip("0123456789") for word in words}
    if words & _LOWER:
        return -1
    return 1 if words & _HIGHER or name == "exact_match" else 0
