"""Memory, step times and what the logs said in words."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lossdoctor.model import Scalar
from lossdoctor.run import Run, Signal
from lossdoctor.shapes.curve import curve_of

Floats = npt.NDArray[np.float64]

EVENT_KINDS = (
    "oom",
    "host-oom",
    "killed",
    "dataloader-killed",
    "sigterm",
    "hangup",
    "interrupt",
    "preempted",
    "time-limit",
    "crash",
    "nccl-timeout",
    "nccl-error",
    "watchdog",
    "device-assert",
    "cuda-error",
    "no-space",
    "nan-message",
    "loss-scale",
    "labels-masked",
    "traceback",
    "resume",
)

FEWEST = 5  # readings whose level is known
_LENGTH = re.compile(r"seq_?len|(?:sequence|sample|input|mean)_length|tokens_per_(?:batch|step|sample)|(?:audio|clip)_sec", re.IGNORECASE)
STILL = 0.05  # of a memory reading: what moves by less stands still
_LIVING = frozenset({"event.nan-message", "event.loss-scale", "event.labels-masked", "event.resume"})  # what a run says and goes on

FACTS: Mapping[str, str] = {
    "memory_rise": "largest ratio of a memory reading's last tenth to its second tenth",
    "memory_signal": "the reading that rose most",
    "memory_is_on_gpu": "that reading is a GPU's",
    "memory_is_rising": "a memory reading rose by more than 5 % after the first tenth",
    "memory_is_constant": "every memory reading of the second half stays within 5 %",
    "gpu_memory_is_constant": "the memory of GPUs was logged, and its second half stays within 5 %",
    "memory_peak_share": "highest share of the GPU's memory in use, in percent",
    "gpu_utilization": "highest level (a running median) of the GPU utilization, in percent",
    "gpu_temperature": "highest GPU temperature, in degrees Celsius",
    "utilization_after": "GPU utilization after the onset / before it",
    "step_time_late_ratio": "seconds a step in the last tenth / median",
    "step_time_last_ratio": "seconds a step of the last row / median",
    "step_time_jump": "seconds a step after the onset / before it",
    "length_rise": "largest ratio of a reading of the samples' length after the onset / before it (without one: last tenth / second tenth)",
    "length_signal": "the reading of length that rose most",
    "allocation_retries": "retries of the allocator that were counted",
    "wait_rise": "seconds a step waits for its data after the onset / before it",
    "pause_at_eval": "an evaluation was logged at the row of the onset or the one after",
    "went_on": "rows were logged after the finding",
    "says_nothing": "no log tells of the end",
    "last_event": "kind of the last thing a log said in words",
    "last_event_text": "what it said",
    "tried_mib": "what the allocator was asked for",
    "total_gib": "what the GPU has",
    "allocated_gib": "what was allocated at the out-of-memory error",
    "free_mib": "what was free at the out-of-memory error",
    "onset_at_save": "the onset is the first row after a checkpoint",
    "ended_at_save": "the last step is one at which a checkpoint was due",
    **{f"event.{kind}": f"a log says {kind}" for kind in EVENT_KINDS},
}


def whole(run: Run) -> dict[str, Scalar]:
    return _memory(run) | _times(run) | _events(run) | {"ended_at_save": _due(run, run.last_step)}


def _memory(run: Run) -> dict[str, Scalar]:
    readings = {n: s.finite.values for n, s in run.signals.items() if n.endswith("/memory") and len(s.finite) >= 20}
    rises = {name: _late_over_early(values) for name, values in readings.items()}
    found: dict[str, Scalar] = {}
    if rises:
        name = max(rises, key=lambda key: rises[key])
        halves = {reading: values[len(values) // 2 :] for reading, values in readings.items()}
        still = {reading: float(np.ptp(half)) <= STILL * float(half.max()) for reading, half in halves.items()}
        found = {
            "memory_rise": rises[name],
            "memory_signal": name,
            "memory_is_on_gpu": name.startswith("gpu/"),
            "memory_is_rising": rises[name] > 1 + STILL,
            "memory_is_constant": all(still.values()),
            "gpu_memory_is_constant": any(n.startswith("gpu/") for n in still) and all(still[n] for n in still if n.startswith("gpu/")),
        }
    shares = [s.finite.values for n, s in run.signals.items() if n.endswith("/memory_utilization") and len(s.finite)]
    busy = [curve_of(s).level for n, s in run.signals.items() if n.endswith("/utilization") and len(s.finite)]
    heat = [s.finite.values for n, s in run.signals.items() if n.endswith("/temperature") and len(s.finite)]
    retries = [float(s.finite.values.max()) for n, s in run.signals.items() if "alloc_retries" in n and len(s.finite)]
    return found | {
        "allocation_retries": max(retries, default=None),
        "gpu_temperature": max((float(v.max()) for v in heat), default=None),
        "memory_peak_share": max((float(v.max()) for v in shares), default=None),
        "gpu_utilization": max((float(v.max()) for v in busy), default=None),
    }


def _late_over_early(values: Floats) -> float:
    tenth = max(2, len(values) // 10)
    early = float(np.median(values[tenth : 2 * tenth]))
    return float(np.median(values[-tenth:])) / early if early > 0 else 1.0


def _intervals(run: Run) -> tuple[npt.NDArray[np.int64], Floats] | None:
    """Steps and seconds a step of the rows of the training loss."""
    loss = run.signal("train/loss")
    if loss is None or not np.isfinite(loss.times).sum() > 10:
        return None
    return _per_step(loss)


def _per_step(loss: Signal) -> tuple[npt.NDArray[np.int64], Floats] | None:
    moves, waits = np.diff(loss.steps), np.diff(loss.times)
    good = (moves > 0) & np.isfinite(waits) & (waits > 0)
    return (loss.steps[1:][good], waits[good] / moves[good]) if good.sum() >= 10 else None


def _times(run: Run) -> dict[str, Scalar]:
    found, logged = _intervals(run), run.signal("perf/step_seconds")
    if found is None and (logged is None or len(logged.finite) < 4 * FEWEST):
        return {}
    seconds = found[1] if found is not None else logged.finite.values  # type: ignore[union-attr]
    usual = float(np.median(seconds))
    late = float(np.median(seconds[-max(3, len(seconds) // 10) :]))
    return {"step_time_late_ratio": late / usual, "step_time_last_ratio": float(seconds[-1]) / usual}


def _events(run: Run) -> dict[str, Scalar]:
    if not run.events:
        return {"says_nothing": True}
    last = run.events[-1]
    found: dict[str, Scalar] = {f"event.{event.kind}": True for event in run.events if event.kind in EVENT_KINDS}
    found |= {"says_nothing": not found.keys() - _LIVING, "last_event": last.kind, "last_event_text": last.text}
    for event in run.events:
        if event.kind in {"oom", "host-oom"}:
            found |= {name: event.numbers.get(name) for name in ("tried_mib", "total_gib", "allocated_gib", "free_mib")}
    return found


def _due(run: Run, step: int) -> bool | None:
    every = run.number("save_steps")
    if run.setting("save_strategy") != "steps" or every is None or every < 1:
        return None
    return step > 0 and step % int(every) == 0


def at(run: Run, onset: int) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    intervals = _intervals(run)
    if intervals is not None:
        steps, seconds = intervals
        before, after = seconds[steps < onset], seconds[steps >= onset]
        if len(before) >= 5 and len(after) >= 3:
            found["step_time_jump"] = float(np.median(after)) / float(np.median(before))
    found["utilization_after"] = _utilization_after(run, onset)
    rises = {name: rise for name, signal in run.signals.items() if _LENGTH.search(name) and (rise := _after_over_before(signal, onset))}
    if rises:
        name = max(rises, key=lambda key: rises[key])
        found |= {"length_rise": rises[name], "length_signal": name}
    waits = run.signal("perf/data_wait_seconds")
    found["wait_rise"] = _after_over_before(waits, onset) if waits is not None else None
    found["pause_at_eval"] = _evaluated_near(run, onset)
    found["went_on"] = run.last_step > onset
    loss = run.signal("train/loss")
    kept = [c.step for c in run.checkpoints if c.step < onset]
    if loss is not None and kept:
        rows = loss.steps[(loss.steps > max(kept)) & (loss.steps < onset)]
        found["onset_at_save"] = not len(rows)
    return found


def _after_over_before(signal: Signal, onset: int) -> float | None:
    """Median from the onset on / before it; of the last tenth over the second one where the onset is the start."""
    steps, values = signal.finite.steps, signal.finite.values
    before, after = values[steps < onset], values[steps >= onset]
    if min(len(before), len(after)) < FEWEST:
        return _late_over_early(values) if len(values) >= 4 * FEWEST else None
    usual = float(np.median(before))
    return float(np.median(after)) / usual if usual > 0 else None


def _evaluated_near(run: Run, onset: int) -> bool | None:
    """Whether an evaluation stands between the row of the onset and the next one."""
    loss = run.signal("train/loss")
    evals = [signal.steps for name, signal in run.signals.items() if name.startswith("eval/")]
    if loss is None or not evals:
        return None
    later = loss.steps[loss.steps > onset]
    end = int(later[0]) if len(later) else run.last_step
    return any(bool(((steps >= onset) & (steps <= end)).any()) for steps in evals)


def _utilization_after(run: Run, onset: int) -> float | None:
    """Median of the utilisation after the onset / before it, of the GPU on which it fell most."""
    ratios = []
    for name, signal in run.signals.items():
        if name.endswith("/utilization"):
            before, after = signal.finite.values[signal.finite.steps < onset], signal.finite.values[signal.finite.steps >= onset]
            if len(before) >= 5 and len(after) >= 5 and float(np.median(before)) > 0:
                ratios.append(float(np.median(after)) / float(np.median(before)))
    return min(ratios, default=None)
