"""How often a run of this length should evaluate, save and log. Whoever suggests it asks here, so that one report names one number."""

from __future__ import annotations

from lossdoctor.run.run import Run

EVALS, SAVES, ROWS = 10, 10, 200  # a run
LOSABLE = 100  # steps that a crash may cost


def eval_every(run: Run) -> int:
    """Steps between evaluations: ten a run."""
    return _every(run, EVALS)


def save_every(run: Run) -> int:
    """Steps between checkpoints: ten a run, and at most 100 steps lost; where the best model is to be loaded, saves lie on evals."""
    wanted = min(LOSABLE, _every(run, SAVES))
    evals = run.number("eval_steps") if run.setting("load_best_model_at_end") is True else None
    return wanted if not evals or evals < 1 else round(evals) * max(1, round(wanted / evals))


def log_every(run: Run) -> int:
    """Steps between rows of the log: 200 a run, or each step."""
    return _every(run, ROWS)


def length(run: Run) -> int:
    """The steps of the plan, else those that were made."""
    return max(1, run.planned_steps or run.last_step)


def _every(run: Run, times: int) -> int:
    return max(1, length(run) // times)
