"""How busy the hardware was: GPU utilization, the time that steps wait for their data, and model FLOPs utilisation."""

from __future__ import annotations

import numpy as np

from lossdoctor.detectors.curve import after_start, beyond
from lossdoctor.model import Evidence, Scalar, Skip
from lossdoctor.run import Run
from lossdoctor.shapes.curve import named_curve

WAIT = "perf/data_wait_seconds"


def low_utilization(run: Run, *, busy: float, least_rows: int, waiting: float, least_waits: int) -> Evidence | Skip | None:
    """The steps wait for their data above a share `waiting` of their time; or the highest level of the utilisation of the busiest GPU
    stays below `busy` percent: even at its best the GPU waits.

    WandB logs every GPU of the machine, used or not, so that only the busiest tells.
    """
    waits = _waits(run, share=waiting, least_rows=least_waits)
    if isinstance(waits, Evidence):
        return waits
    readings = {name: named_curve(run, name) for name in run.signals if name.startswith("gpu/") and name.endswith("/utilization")}
    readings = {name: curve for name, curve in readings.items() if len(curve) >= least_rows}
    if not readings:
        if waits:
            return None
        return Skip(
            f"fewer than {least_rows} values of the GPU utilization were logged",
            "WandB logs it by itself; else log torch.cuda.utilization(), or the time that each step waits for its data",
        )
    tops = {name: float(curve.level.max()) for name, curve in readings.items()}
    name = max(tops, key=lambda key: tops[key])
    if tops[name] >= busy or tops[name] < 1:
        return None
    curve = readings[name]
    numbers: dict[str, Scalar] = {
        "kind": "utilization", "busiest": tops[name], "median": float(np.median(curve.values)), "gpus_seen": len(readings),
        "signal": name, "rows": len(curve),
    }  # fmt: skip
    return Evidence.between(numbers, (name,), curve.steps[0], curve.steps[-1], margin=beyond(busy, tops[name]), points=len(curve))


def _waits(run: Run, *, share: float, least_rows: int) -> Evidence | bool:
    """Evidence where the data take more than `share` of the step time; else whether both times were logged.

    The first row holds the start of the workers, and one stall is no slow loader: the share is that without the first row and without
    the longest wait.
    """
    wait, step = named_curve(run, WAIT), named_curve(run, "perf/step_seconds")
    _, at_wait, at_step = np.intersect1d(wait.steps, step.steps, return_indices=True)
    waited, took = wait.values[at_wait][1:], step.values[at_step][1:]
    counted = (took > 0) & (waited >= 0) & (waited <= took)
    waited, took, steps = waited[counted], took[counted], wait.steps[at_wait][1:][counted]
    if len(took) < least_rows:
        return False
    usual = np.arange(len(took)) != int(np.argmax(waited))
    found = float(waited[usual].sum() / took[usual].sum())
    if found <= share:
        return True
    numbers: dict[str, Scalar] = {
        "kind": "waits", "wait_share": found, "wait_seconds": float(waited[usual].mean()),
        "step_seconds": float(took[usual].mean()), "signal": WAIT, "rows": len(took),
    }  # fmt: skip
    return Evidence.between(numbers, (WAIT, "perf/step_seconds"), steps[0], steps[-1], margin=beyond(found, share), points=len(took))


def low_mfu(run: Run, *, least: float) -> Evidence | Skip | None:
    """The median model FLOPs utilisation after the first eighth of the rows lies below `least` (a fraction of the hardware's peak).

    Values above 1 are taken for percent; negative ones (nanoGPT before its first measurement) are no values. Fine-tuning
    reaches 15-25 %, pretraining 30-45 % (Chowdhery et al. 2022, section 4.1, define it).
    """
    curve = named_curve(run, "perf/mfu")
    rows = after_start(curve).values
    rows = rows[rows >= 0]
    if len(rows) < 5:
        return Skip("fewer than 5 values of mfu were logged", "log achieved FLOPs / peak FLOPs of the hardware as mfu")
    found = float(np.median(rows))
    unit = 100 if found > 1 else 1
    found = found / unit
    if found >= least or found == 0:
        return None
    numbers: dict[str, Scalar] = {"mfu": found, "mfu_best": float(rows.max()) / unit, "rows": len(rows)}
    return Evidence.between(numbers, ("perf/mfu",), curve.steps[0], curve.steps[-1], margin=beyond(least, found), points=len(rows))
