"""A run that lives on the WandB service, read through WandB's own client.

The whole history comes through `scan_history`, never the sampled `history`; a history that is not complete is refused, not analysed. The
key is taken from WANDB_API_KEY or netrc, and only ever sent to the server that the client is configured for. Nothing here is imported
for local inputs: the client takes half a second to import and starts a process of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault
from lossdoctor.run.log import Log
from lossdoctor.sources.wandb_api.address import Address, address
from lossdoctor.sources.wandb_api.client import Patience, Remote, fetch, quiet_client, within
from lossdoctor.sources.wandb_local import assemble
from lossdoctor.sources.wandb_local.history import from_rows, last_values, number

__all__ = ["Address", "Patience", "address", "read"]

_ENDED = {"finished": True, "failed": False, "crashed": False, "killed": False, "preempted": False}


def read(url: str, limits: Limits = LIMITS, patience: Patience | None = None) -> list[Log]:
    """Read one run from the service.

    Raises `UsageError` for an address that names no run or another server than the configured one, `RemoteError` where the service
    refuses (401, 403, 404, 429), fails (5xx), does not answer in time or sends an incomplete history.
    """
    where = address(url)
    patience = patience or Patience()
    with quiet_client():
        run = within(patience.total, lambda: fetch(where, patience), where)
    return [_log(where, run, limits)]


def _log(where: Address, run: Remote, limits: Limits) -> Log:
    samples = [(time, event) for event in run.events if (time := number(event.get("_timestamp"))) is not None]
    faults = (
        (Fault("no-system-metrics", str(where), f"the system metrics could not be read: {run.events_problem}"),)
        if run.events_problem
        else ()
    )
    notes = [f"the service says this run is {run.state}"]
    if not run.rows:
        notes.append("no history row was written: the series hold the last values of the summary")
    if run.events_count is not None and len(run.events) < run.events_count:
        notes.append(f"system metrics: {len(run.events)} of {run.events_count} samples")
    return assemble.log(
        Path(str(where)),
        run.name,
        from_rows(run.rows) if run.rows else last_values(run.summary),
        limits,
        kind="wandb_api",
        config=run.config,
        samples=samples,
        faults=faults,
        started=_seconds(run.created),
        ended=_ENDED.get(run.state),
        extra={"run_id": where.run, "state": run.state},
        notes=tuple(notes),
    )


def _seconds(stamp: str) -> float | None:
    """Seconds since the epoch of an ISO time; WandB's times are UTC."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
