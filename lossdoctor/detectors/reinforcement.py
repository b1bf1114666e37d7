"""Reinforcement learning (GRPO, PPO, RLOO): judged by reward, divergence from the reference and entropy, never by the loss."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import beyond, longest
from lossdoctor.measures.level import rolling_median
from lossdoctor.measures.noise import Noise
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import Curve, named_curve
from lossdoctor.vitals.change import SURE, change_of

HOW = "log reward, reward_std, kl, entropy and completions/clipped_ratio, as TRL's trainers do"
REWARDS = ("reward", "objective/scores", "objective/rlhf_reward", "rollout/ep_rew_mean")
SPREADS = ("reward_std", "rewards/std")
SOME = 6  # rewards whose start and end can be compared; twice as many show a shape
ROUNDING = float(np.finfo(np.float32).eps)  # of the rewards' scale: what single precision leaves of equal rewards


def reward_collapse(run: Run, *, fall: float, sigmas: float, lasting: float) -> Evidence | Skip | None:
    """The reward falls from its best level by `fall` of its whole range, beyond `sigmas` noise scales of the level or in a trend beyond
    noise, and stays down for the last `lasting` of the run; a range of less than a quarter of the level is no rise to fall from. A few
    rewards must be lower at the end than at the start beyond their noise.
    """
    name, curve = _reward(run)
    if len(curve) < SOME:
        return Skip(f"fewer than {SOME} rewards were logged", HOW)
    if len(curve) < 2 * SOME:
        return _lost_at_once(name, curve)
    level, at = rolling_median(curve.level, 5), curve.at  # a best level that lasts, not one lucky batch
    top = int(np.argmax(level[1:-1])) + 1
    best, lowest_before = float(level[top]), float(level[: top + 1].min())
    tail = level[-max(2, round(lasting * len(level))) :]
    end = float(np.median(tail))
    # Rewards of right or wrong are often one value for many rows: the plain deviation, for the robust one is 0 there.
    chance = max(curve.level_noise, Noise(float(np.std(np.diff(curve.values))) / float(np.sqrt(2))).error(5))
    drop, scale = best - end, best - min(lowest_before, float(level.min()))
    last = max(SOME, round(lasting * len(curve)))
    before = curve.values[:-last][curve.steps[:-last] >= at[top]]  # the last rows are all worse than most since the best
    beyond_noise = len(before) >= SOME and float(curve.values[-last:].max()) < float(np.percentile(before, 25))
    beyond_noise |= drop >= sigmas * chance or (drop > 0 and curve.after(int(at[top])).trend()[1] <= -SURE)
    if top >= len(level) - 2 or drop <= 0 or drop < fall * scale or 4 * scale < abs(best) or not beyond_noise:
        return None
    high = top + int(np.flatnonzero(level[top:] >= best - 3 * curve.level_noise)[-1])  # there the fall begins
    numbers: dict[str, Scalar] = {
        "best": best, "best_step": int(at[top]), "end": end, "fell": drop, "fell_share": drop / scale, "begins_step": int(at[high]),
        "below_start": int(end < float(level[0])), "signal": name, "rows": len(curve),
    }  # fmt: skip
    return Evidence.between(numbers, (name,), at[high], curve.steps[-1], margin=beyond(drop, sigmas * chance), points=len(curve))


def _lost_at_once(name: str, curve: Curve) -> Evidence | None:
    if (change := change_of(curve, name, 1)) is None or not change.lost:
        return None
    first, last = int(curve.steps[0]), int(curve.steps[-1])
    fell = change.first - change.last
    numbers: dict[str, Scalar] = {
        "best": change.first, "best_step": first, "end": change.last, "fell": fell, "begins_step": first,
        "fell_share": fell / (float(np.ptp(curve.values)) or 1.0), "below_start": 1, "signal": name, "rows": len(curve),
    }  # fmt: skip
    return Evidence.between(numbers, (name,), first, last, margin=beyond(-change.gain, change.error), points=len(curve))


def reward_flat(run: Run, *, zero_share: float, still: float) -> Evidence | Skip | None:
    """Nothing to learn from: in `zero_share` of the rows all completions of a group get the same reward (no advantage), or the
    reward is one constant; or it shows no trend at all (Mann-Kendall within `still`), which is weaker evidence."""
    name, curve = _reward(run)
    spread = next((found for n in SPREADS if len(found := named_curve(run, n))), Curve(curve.steps[:0], curve.values[:0]))
    groups = named_curve(run, "frac_reward_zero_std")
    if len(curve) < 6 and len(spread) < 6:
        return Skip("fewer than 6 rewards were logged", HOW)
    none = np.abs(spread.values) <= ROUNDING * max(curve.scale, 1.0)
    zero = float(none.mean()) if len(spread) else float(np.median(groups.values)) if len(groups) else 0.0
    constant = len(curve) >= 6 and float(np.ptp(curve.values)) <= ROUNDING * curve.scale
    trend = curve.trend()[1] if len(curve) else 0.0
    trendless = len(curve) >= 30 and abs(trend) < still and not constant
    if zero < zero_share and not constant and not trendless:
        return None
    rows = spread if len(spread) and zero >= zero_share else curve
    start, end = (curve.head(3), curve.tail()) if len(curve) else (None, None)
    gained = start is not None and end is not None and end > start + 3 * curve.level_noise and not constant
    first = int(rows.steps[np.argmax(none)]) if zero >= zero_share and len(spread) else int(rows.steps[0])
    numbers: dict[str, Scalar] = {
        "kind": "constant" if constant else "no spread within the groups" if zero >= zero_share else "no trend",
        "zero_share_found": max(zero, 1.0 if constant else 0.0), "reward_start": start, "reward_end": end, "constant": int(constant),
        "best_possible": int(end is not None and end >= 1 - ROUNDING and end >= float(curve.values.max()) - ROUNDING * curve.scale),
        "mean_moves": int(zero >= zero_share and len(curve) >= 6 and len(np.unique(curve.values)) > len(curve) / 4),
        "gained": int(gained), "only_trendless": int(zero < zero_share and not constant), "trend_z": float(trend), "signal": name,
        "rows": len(rows),
    }  # fmt: skip
    names = tuple(n for n in (name, "reward_std") if run.signal(n) is not None)
    margin = max(1.0, max(zero, 1.0 * constant) / zero_share)
    return Evidence.between(numbers, names, first, run.last_step, margin=margin, points=len(rows))


def kl_blowup(run: Run, *, limit: float, limit_of_sums: float, share: float) -> Evidence | Skip | None:
    """The divergence from the reference policy (its level, a rolling median) stays above `limit` for at least `share` of the run on end.

    TRL's GRPO logs `kl` per token; its PPO and RLOO log `objective/kl` summed over the answer, held against `limit_of_sums`.
    """
    name = next((n for n in ("kl", "objective/kl") if run.signal(n) is not None), "")
    curve = named_curve(run, name)
    if len(curve) < 8:
        return Skip("fewer than 8 values of kl were logged", HOW)
    bound = limit if name == "kl" else limit_of_sums
    found = longest(curve.level > bound)
    if found is None or found[1] - found[0] + 1 < max(2, share * len(curve.level)):
        return None
    first, last = found
    top = float(curve.level[first : last + 1].max())
    numbers: dict[str, Scalar] = {
        "kl_top": top, "kl_start": curve.head(3), "kl_end": curve.tail(), "bound": bound, "signal": name, "rows": len(curve),
        "over_share": float((curve.level > bound).mean()),
    }  # fmt: skip
    return Evidence.between(numbers, (name,), curve.at[first], curve.at[last], margin=top / bound, points=len(curve))


def entropy_collapse(run: Run, *, limit: float, lasting: float) -> Evidence | Skip | None:
    """The entropy of the policy (nats a token, its level) lies below `limit`, or so small a share of where it began, for the last
    `lasting` of the run.

    The entropy of a continuous action space may be negative and says nothing by its level.
    """
    curve = named_curve(run, "entropy")
    if len(curve) < 8:
        return Skip("fewer than 8 values of the entropy were logged", HOW)
    level = curve.level
    start = curve.head(3)
    if float(level.min()) < 0 or start <= 2 * limit:
        return None
    limit *= max(1.0, start)  # a policy of many words has more to lose
    above = np.flatnonzero(level > limit)
    first = int(above[-1]) + 1 if len(above) else 0
    if len(level) - first < max(2, lasting * len(level)):
        return None
    end = float(np.median(level[first:]))
    # It is on its way down long before it arrives: half of the way, in logarithms, is where exploring ends.
    half = level > np.sqrt(start * limit)
    low = int(np.flatnonzero(half)[-1]) + 1 if half.any() else first
    numbers: dict[str, Scalar] = {
        "reward_at_top": int(_at_top(run)), "entropy_start": start, "entropy_end": end,
        "below_step": int(curve.at[first]), "half_step": int(curve.at[min(low, first)]),
        "rows": len(curve),
    }  # fmt: skip
    return Evidence.between(numbers, ("entropy",), curve.at[min(low, first)], curve.steps[-1], margin=beyond(limit, end), points=len(curve))


def completions_clipped(run: Run, *, limit: float) -> Evidence | Skip | None:
    """In the last third of the run the median share of completions cut at the length limit is above `limit`."""
    curve = named_curve(run, "completions/clipped_ratio")
    if len(curve) < 6:
        return Skip("fewer than 6 values of completions/clipped_ratio were logged", HOW)
    late = float(np.median(curve.values[-max(3, len(curve) // 3) :]))
    if late <= limit:
        return None
    stretch = longest(curve.level > limit)
    first = int(curve.at[stretch[0]]) if stretch else int(curve.steps[0])
    numbers: dict[str, Scalar] = {
        "clipped_late": late, "clipped_start": curve.head(3), "from_step": first, "grew": int(curve.head(3) <= limit),
        "length_limit": run.number("max_completion_length"), "rows": len(curve),
        "ended_length": ended.tail() if len(ended := named_curve(run, "completions/mean_terminated_length")) else None,
    }  # fmt: skip
    margin = beyond(1 - limit, 1 - late)
    return Evidence.between(numbers, ("completions/clipped_ratio",), first, curve.steps[-1], margin=margin, points=len(curve))


def _at_top(run: Run) -> bool:
    """Whether the reward rose beyond noise and ends where it was best."""
    name, curve = _reward(run)
    change = change_of(curve, name, 1)
    return change is not None and change.seen and curve.end.value >= float(curve.level.max()) - 3 * curve.level_noise


def _reward(run: Run) -> tuple[str, Curve]:
    name = next((n for n in REWARDS if run.signal(n) is not None), "reward")
    return name, named_curve(run, name)
