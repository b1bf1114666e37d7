"""Learning that has not come to an end: slow convergence and underfitting."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import spoiled, steps_per_epoch
from lossdoctor.detectors.levels import chance_level, log_classes
from lossdoctor.detectors.overfitting import turn_of
from lossdoctor.measures.trend import mann_kendall
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.run import task as tasks
from lossdoctor.shapes.curve import Curve, curve_of, loss_curve

FEW_ROWS = 15  # below it the shape of a curve is a guess


def slow_convergence(
    run: Run,
    *,
    half_share: float,
    last_fifth: float,
    noise_share: float,
    least_fall: float,
    high_level: float,
    many_epochs: float,
    half_share_epochs: float,
    small_fall: float,
) -> Evidence | Skip | None:
    """Half of the drop is reached only after `half_share` of the run, the last fifth still gives `last_fifth` of it, and the drop is real:
    `noise_share` of it covers the noise, and it is at least `least_fall` of the start. A language model that ends above `high_level` nats
    has not finished, whatever its last fifth gave. More than `many_epochs` passes over the data for half of the drop are slow already at
    `half_share_epochs` of the run."""
    if any((turn := turn_of(signal)) is not None and turn.rise > 0.03 and turn.later >= 2 for signal in run.eval_losses()):
        return None  # eval has turned up: more of the same would not help
    if run.planned_steps is not None and run.last_step < 0.9 * run.planned_steps:
        return Skip("the plan was not at its end: what the rest would have given is unknown")
    curve, name = _main(run)
    if spoiled(run):
        return None
    if len(curve) < 5:
        return Skip("fewer than 5 values of a loss", "log more often")
    level = curve.level if len(curve) >= 12 else curve.values
    start, end = float(np.median(level[: max(1, len(level) // 20)])), float(np.median(level[-max(1, len(level) // 20) :]))
    drop = start - end
    if (
        len(curve) < FEW_ROWS
        and 0 < drop < small_fall * abs(start)
        and (np.diff(level) <= 0).mean() > 0.8
        and run.task in (tasks.LANGUAGE_MODEL, tasks.UNKNOWN)
    ):
        return _little(curve, name, start, end)
    if drop <= 0 or drop < least_fall * abs(start) or _roughness(curve) > noise_share * drop:
        return None
    progress = (start - level) / drop
    half = _crossing(curve, progress, 0.5)
    fifth = float(np.interp(0.8 * curve.span, curve.at - curve.steps[0], progress))
    late = 1.0 - fifth
    unread = run.task in (tasks.LANGUAGE_MODEL, tasks.UNKNOWN) and run.step_is == "step" and high_level <= end and start <= 4 * high_level
    epochs = _epochs_at(run, curve, half)
    patient = epochs is not None and epochs >= many_epochs and half >= half_share_epochs and late >= 0.4 * last_fifth
    if (not patient and (half < half_share or (late < last_fifth and not (unread and late >= 0.2 * last_fifth)))) or (
        len(level) >= 12 and mann_kendall(level[len(level) // 2 :]) > -1.5
    ):
        return None
    last = int(curve.steps[-1])
    numbers: dict[str, Scalar] = {
        "start": start,
        "end": end,
        "drop": drop,
        "half_share_found": half,
        "epochs_to_half": epochs,
        "last_fifth_found": late,
        "rows": len(curve),
        "fall": drop / abs(start),
        "signal": name,
        "little": 0,
    }
    return Evidence(
        numbers,
        (name,),
        int(curve.steps[0]),
        ((int(curve.steps[0]), last),),
        margin=min(half / half_share, late / last_fifth),
        points=len(curve),
    )


def underfitting(run: Run, *, tolerance: float, gap: float, level_share: float, still: float) -> Evidence | Skip | None:
    """At its end the eval loss is no better than guessing (ln of the classes within `tolerance`), or, with a known number of classes, rests
    (within `still` over its last third) above `level_share` of it; train within `gap`, so that nothing was memorised either."""
    for signal in run.eval_losses():
        curve = curve_of(signal)
        if len(curve) < 4:
            continue
        level = float(np.median(curve.values[-2:]))
        train = loss_curve(run)
        end = train.tail() if len(train) >= 3 else None
        start = float(curve.values[0])
        never_left = log_classes(run) is not None or run.task == tasks.CLASSIFICATION or abs(start - level) <= 0.1 * abs(level)
        chance = (chance_level(run, level, tolerance) if never_left else None) or _high_rest(run, curve, level, level_share, still)
        if chance is None or level > (1 + tolerance) * chance[0] or (end is not None and abs(end - level) > gap * level):
            return None
        numbers: dict[str, Scalar] = {
            "level": level,
            "chance": chance[0],
            "chance_name": chance[1],
            "of_chance": level / chance[0],
            "at_chance": level >= (1 - tolerance) * chance[0],
            "train": end,
            "evals": len(curve),
        }
        return Evidence(
            numbers, (signal.name,), int(curve.steps[0]), ((int(curve.steps[0]), int(curve.steps[-1])),), margin=1.5, points=len(curve)
        )
    return Skip("fewer than 4 evaluations with a loss", "evaluate every 5-10 % of the steps (eval_steps)")


def _high_rest(run: Run, curve: Curve, level: float, share: float, still: float) -> tuple[float, str] | None:
    """ln of the classes where the eval loss rests above `share` of it."""
    classes = log_classes(run)
    third = curve.values[-max(3, len(curve) // 3) :]
    if classes is None or level < share * classes or len(curve) < 6 or abs(float(third[0] - third[-1])) > still * level:
        return None
    return classes, f"ln {round(float(np.exp(classes)))}"


def _roughness(curve: Curve) -> float:
    """Noise from second differences: on a short curve the first ones are all trend."""
    if len(curve) < 5 or len(curve) > 40:
        return curve.noise
    if (np.diff(curve.values) < 0).all():
        return 0.0
    bends = curve.values[2:] - 2 * curve.values[1:-1] + curve.values[:-2]
    return float(1.4826 * np.median(np.abs(bends)) / np.sqrt(6))


def _main(run: Run) -> tuple[Curve, str]:
    """The training loss, or the eval loss where train was hardly logged."""
    train = loss_curve(run)
    if len(train) >= 5:
        return train, "train/loss"
    best = max(((curve_of(s), s.name) for s in run.eval_losses()), key=lambda pair: len(pair[0]), default=(train, "train/loss"))
    return best if len(best[0]) > len(train) else (train, "train/loss")


def _little(curve: Curve, name: str, start: float, end: float) -> Evidence:
    """A dozen rows that fall all the way and by little: not enough to be sure, enough to say so."""
    numbers: dict[str, Scalar] = {
        "start": start,
        "end": end,
        "drop": start - end,
        "rows": len(curve),
        "fall": (start - end) / abs(start),
        "signal": name,
        "little": 1,
    }
    span = (int(curve.steps[0]), int(curve.steps[-1]))
    return Evidence(numbers, (name,), span[0], (span,), margin=1.0, points=len(curve))


def _epochs_at(run: Run, curve: Curve, share: float) -> float | None:
    """Epochs passed at a share of the run; None where the log does not tell."""
    if run.step_is == "epoch":
        return share * curve.span
    per_epoch = steps_per_epoch(run)
    if per_epoch is not None and per_epoch < 2:
        return None  # full-batch steps are no passes in the usual sense
    loss = run.signal("train/loss") or run.signal("eval/loss")
    known = loss.epochs[np.isfinite(loss.epochs)] if loss is not None else np.empty(0)
    return share * float(known.max()) if len(known) else None


def _crossing(curve: Curve, progress: np.ndarray, value: float) -> float:
    """Share of the run at which the progress first reaches `value`, interpolated between bins."""
    past = np.flatnonzero(progress >= value)
    if not len(past):
        return 1.0
    i = int(past[0])
    position = (curve.at - curve.steps[0]) / max(curve.span, 1)
    if i == 0:
        return float(position[0])
    low, high = float(progress[i - 1]), float(progress[i])
    weight = (value - low) / (high - low) if high > low else 1.0
    return float(position[i - 1] + weight * (position[i] - position[i - 1]))
