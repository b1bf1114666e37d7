"""Are the numbers finite, and can they be true?"""

from __future__ import annotations

from shlex import quote

import numpy as np

from lossdoctor.numerals import number
from lossdoctor.run import Run, Signal
from lossdoctor.run import task as tasks
from lossdoctor.run.levels import HUNDRED, Reference, knows_more, nearest
from lossdoctor.shapes.curve import Curve, curve_of, loss_curve
from lossdoctor.vitals.answer import Answer, good, unknown
from lossdoctor.vitals.change import reward_change
from lossdoctor.vitals.words import said, sentence

# Nats: a guess among the largest vocabulary in use (250,000 words, 12.5 nats), summed over 100,000 words instead of averaged.
LARGEST_SUM = 1_250_000
TENTH = 10


def finite(run: Run) -> Answer:
    """Good where a loss (or reward) was found and every row of every loss is a number."""
    losses = list({signal.raw_name: signal for signal in run.loss_like() if len(signal)}.values())
    told = bool(losses) if run.task == tasks.GAN else run.task == tasks.RL and reward_change(run) is not None
    if run.signal("train/loss") is None and not any(True for _ in run.eval_losses()) and not told:
        return unknown(*_nothing(run))
    bad = sum(int((~np.isfinite(signal.values)).sum()) for signal in losses)
    rows = sum(len(signal) for signal in losses)
    if bad:
        return unknown(f"{bad} of {rows} values are not finite, and training went on.", "", {"bad": bad, "values": rows})
    if not rows and (reward := reward_change(run)) is not None:
        return good(f"No loss was logged; all {reward.rows} values of the reward are finite.", {"values": reward.rows})
    of = "the loss" if len(losses) < 2 else f"{len(losses)} losses"
    many = "The one loss that was logged is" if rows == 1 else f"{'Both' if rows == 2 else f'All {rows}'} values of {of} are"
    return good(f"{many} finite.", {"values": rows})


def _nothing(run: Run) -> tuple[str, str]:
    names = [signal.raw_name for signal in run.loss_candidates()]
    if not names:
        return "No loss was found here.", "Log the training loss, or name its column: --metric train/loss=COLUMN."
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"No column is known as the training loss; it may be {listed}.", f"Say which: --metric {quote(f'train/loss={names[0]}')}."


def level(run: Run) -> Answer:
    """Good where the loss has a scale that a reader knows, and lies on it."""
    if run.task == tasks.RL:
        reward = reward_change(run)
        if reward is None:
            return unknown("The loss of reinforcement learning has no scale.", "Log the mean reward.")
        # Three times as much, or a third of the cost; a reward that crosses 0, as that of a reward model may, tells no such ratio.
        if reward.seen and reward.first * reward.last > 0 and 3 * reward.gain >= 2:
            says = f"Nothing says what reward would be good, but from {number(reward.first)} to {number(reward.last)} is much in any scale."
            return good(says, {"reward": reward.last})
        says = f"The reward ends at about {number(reward.last)}; nothing in the log says what would be good."
        return unknown(says, "Compare with the reward of a baseline policy, or log the success rate of an eval.", {"reward": reward.last})
    if run.task == tasks.GAN and run.signal("train/loss") is None:
        names = " and ".join(signal.raw_name for signal in run.loss_candidates()[:2])
        return unknown(
            f"{names} are of two networks that play against each other: no level of theirs tells whether the samples get better.",
            "Log a score of the samples, such as FID, and look at them.",
        )
    main: Signal | None = run.signal("train/loss") or next(run.eval_losses(), None)
    curve = curve_of(main) if main is not None else loss_curve(run)
    if main is not None and run.assumed_loss:
        says = f"{main.raw_name} was taken for the training loss: no other column can be it, but nothing says what it measures."
        return unknown(says, f"If that is right, say so: --metric {quote(f'train/loss={main.raw_name}')}.")
    if not len(curve):
        return unknown("There is no loss whose level could be judged.", "Log the training loss.")
    if curve.end.value > LARGEST_SUM:
        says = f"The loss ends at {number(float(curve.values[-1]))}: nothing says whether that is its natural scale."
        return unknown(says, "Log its mean, not its sum.")
    if (guess := _guess(run, curve)) is not None:
        first, last = number(curve.start.value), number(curve.end.value)
        says = f"The loss began at about {first} and ends at about {last}; a guess among {guess.choices} scores {number(guess.value)}."
        logged = any(run.signal(name) is not None for name in ("train/accuracy", "eval/accuracy"))
        wanted = "" if logged else "Log the accuracy: it tells whether the model guesses."
        return unknown(says, wanted, {"end": curve.end.value, "guess": guess.value})
    low, high = float(curve.values.min()), float(curve.values.max())
    where = f"ranges from {number(low)} to {number(high)}" if low < high else f"is {number(low)} in every row"
    name = main.name if main is not None else "train/loss"
    what = f"No loss was logged; {main.raw_name}" if main is not None and main.raw_name.startswith("1 - ") else sentence(said(name))
    return good(f"{what} {where}; nothing in the log contradicts that level.", {"signal": name, "lowest": low, "highest": high})


def _guess(run: Run, curve: Curve) -> Reference | None:
    """What a guess among some classes scores, where a quiet loss ends within a hundredth of it and began within a tenth, and no accuracy
    says that the model knows more."""
    guess = nearest(run, curve.end.value)
    if guess is None or guess.kind != "classes" or knows_more(run, guess):
        return None
    near = abs(curve.end.value - guess.value) <= guess.value / HUNDRED and abs(curve.start.value - guess.value) <= guess.value / TENTH
    return guess if near and curve.noise <= 2 * guess.value / HUNDRED else None
