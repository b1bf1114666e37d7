"""Which samples were read at a step."""

from __future__ import annotations

from lossdoctor.diagnosis.progress import batch, resume_steps, row_before, steps_per_epoch
from lossdoctor.run import Run


def window(run: Run, step: int) -> str:
    """The positions, in sampler order, of the samples that the row at `step` covers, as one or two sentences.

    A row stands for all optimizer steps since the row before it. Samples per step = per-device batch x accumulation x world size; the
    positions start at 0 in each epoch. Factors that no log told are taken as 1 and named.
    """
    if run.step_is != "step" or step < 1:
        return ""
    loss = run.signal("train/loss")
    before = row_before(loss, step) if loss is not None else None
    first = (before if before is not None and before < step else step - 1) + 1
    factors = batch(run)
    length = steps_per_epoch(run)
    parts = [_place(first, step, factors.samples, length)]
    if factors.unknown:
        parts.append(f"{_listed(factors.unknown)} {'is' if len(factors.unknown) == 1 else 'are'} not known and taken as 1.")
    if length is None:
        parts.append("The length of an epoch is not known: the positions count from the start of training.")
    parts += _after_resume(run, step)
    if run.setting("group_by_length") is True or run.setting("train_sampling_strategy") == "group_by_length":
        parts.append("group_by_length is on: the order follows the lengths, not only the seed.")
    return " ".join(parts)


def _place(first: int, last: int, samples: int, length: float | None) -> str:
    """Where optimizer steps first..last (counted from 1) read."""
    steps = f"Step {last}" if first == last else f"Steps {first} to {last}"
    read = "read" if first != last else "reads"
    if length is None or length < 1:
        return f"{steps} {read} the samples at positions {(first - 1) * samples:,} to {last * samples - 1:,} in sampler order."
    whole = max(1, round(length))
    start_epoch, start = divmod(first - 1, whole)
    end_epoch, end = divmod(last - 1, whole)
    low, high = start * samples, (end + 1) * samples - 1
    if start_epoch == end_epoch:
        return f"{steps} {read} the samples at positions {low:,} to {high:,} of epoch {start_epoch + 1} in sampler order."
    start_at, end_at = f"position {low:,} of epoch {start_epoch + 1}", f"position {high:,} of epoch {end_epoch + 1}"
    return f"{steps} {read} the samples from {start_at} to {end_at} in sampler order."


def _after_resume(run: Run, step: int) -> list[str]:
    resumed = [at for at in resume_steps(run) if at <= step]
    if not resumed:
        return []
    if run.setting("ignore_data_skip") is True:
        return [f"The run was resumed at step {resumed[-1]} with ignore_data_skip=True: from there the data start anew."]
    return [
        f"The run was resumed at step {resumed[-1]}: this holds if the data loader was moved to its old place (ignore_data_skip=False)."
    ]


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
