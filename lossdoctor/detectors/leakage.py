"""An eval set that is no judge, because the training has seen it."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import steps_per_epoch
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import curve_of, loss_curve


def eval_leakage(run: Run, *, under: float, alike: float, least_epochs: float, memorised: float, evals: int) -> Evidence | Skip | None:
    """Eval lies under train at every evaluation, by `under` or more (median), in the same shape (correlation of the logarithms at
    least `alike`), over at least `least_epochs` passes over the data, and does not lose that lead: rows of its own are always
    learned worse than rows that were seen that often.

    Both below `memorised` of their starts is strong evidence (`certain` is 1). Dropout and a train loss that is averaged while it
    falls also put eval below train, but then memorising closes the gap, which is why the lead in the last third must be no
    smaller than in the first.
    """
    signal = next(iter(run.eval_losses()), None)
    train = loss_curve(run)
    if signal is None or len(curve := curve_of(signal)) < evals:
        return Skip(f"fewer than {evals} evaluations with a loss", "evaluate every 5-10% of the steps (eval_steps)")
    length = steps_per_epoch(run)
    if len(train) < 12 or length is None or length <= 0:
        return Skip("the number of epochs is unknown", "log the epoch beside the step")
    epochs = run.last_step / length
    inside = (curve.steps >= train.steps[0]) & (curve.steps <= train.steps[-1])
    steps, seen = curve.steps[inside], curve.values[inside]
    if epochs < least_epochs or len(steps) < evals:
        return None
    # The training loss around each evaluation, before and after, so that a falling curve does not lend eval a lead.
    beside = np.array([np.median(train.values[max(0, i - 3) : i + 3]) for i in np.searchsorted(train.steps, steps)])
    if (seen <= 0).any() or (beside <= 0).any():
        return None
    lead = np.log(beside) - np.log(seen)
    third = max(1, len(lead) // 3)
    fell = float(seen[-third:].min() / seen[0])
    together = float(np.corrcoef(np.log(beside), np.log(seen))[0, 1]) if np.ptp(seen) > 0 and np.ptp(beside) > 0 else 0.0
    shrinks = float(np.median(lead[-third:])) < float(np.median(lead[:third]))
    if (lead <= 0).any() or float(np.median(lead)) < np.log1p(under) or together < alike or shrinks or fell > 1 / 2:
        return None
    both_low = float(seen[-third:].max()) < memorised * float(seen[0]) and float(beside[-third:].max()) < memorised * train.head(3)
    numbers: dict[str, Scalar] = {
        "lead": float(np.expm1(np.median(lead))), "lead_first": float(np.expm1(np.median(lead[:third]))),
        "lead_last": float(np.expm1(np.median(lead[-third:]))), "together": together, "epochs": epochs,
        "eval_last": float(seen[-1]), "train_last": float(beside[-1]), "certain": int(both_low), "evals": len(steps),
    }  # fmt: skip
    margin = max(1.0, float(np.median(lead)) / float(np.log1p(under)))
    return Evidence.between(numbers, (signal.name, "train/loss"), steps[0], steps[-1], margin=margin, points=4 * len(steps))
