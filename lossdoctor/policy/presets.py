"""The presets: policies to start from, in the very form of a policy file, and checked like one."""

from __future__ import annotations

from collections.abc import Mapping

PRESETS: Mapping[str, Mapping[str, object]] = {
    # Errors fail. Nothing else is asked of a fine-tune, 61 % of the public ones log no eval at all.
    "finetune": {},
    # One pass over the data within a budget: a spike and a slope at the end are business as usual, lost work is not.
    "pretrain": {"rules": {"loss-spike": "note", "slow-convergence": "note", "sparse-checkpoints": "warning"}},
    # For a release: warnings fail, the run must show that it was evaluated, and what is a note elsewhere is a warning.
    "strict": {
        "rules": {"eval-missing": "warning", "eval-sparse": "warning", "fp16-where-bf16": "warning", "sparse-checkpoints": "warning"},
        "gate": {"fail_on": "warning", "require_signals": ["train/loss", "eval/loss"], "min_evals": 5},
    },
    # Findings never fail; input that cannot be judged still does.
    "report-only": {"gate": {"fail_on": "never"}},
}
