"""Names of metrics that are better when higher, lower, or neither."""

from __future__ import annotations

import pytest

from lossdoctor.run.direction import direction


@pytest.mark.parametrize(
    ("signal", "way"),
    [
        ("eval/loss", -1), ("eval/code/loss", -1), ("eval/perplexity", -1), ("eval/wer", -1), ("eval/accuracy", 1), ("eval/f1_macro", 1),
        ("eval/rouge1", 1), ("eval/rougeL", 1), ("eval/mean_token_accuracy", 1), ("eval/mAP50-95", 1), ("eval/exact_match", 1),
        ("eval/rewards/accuracies", 1), ("eval/rewards/margins", 1), ("eval/entropy", 0), ("eval/rewards/rejected", 0),
        ("eval/embedding_norm", 0), ("eval/emissions", 0),
    ],
)  # fmt: skip
def test_direction(signal: str, way: int) -> None:
    assert direction(signal) == way
