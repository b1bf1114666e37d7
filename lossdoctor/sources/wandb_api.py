"""A run that lives on the WandB service, read through WandB's own client.

The whole history comes through `scan_history`, never the sampled `history`; a history that is not complete is refused, not analysed. The
key is taken from WANDB_API_KEY or netrc, and only ever sent to the server that the client is configured for. Nothing here is imported
for local inputs: the client takes half a second to import and starts a process of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from lossdoctor.errors import LossdoctorError, RemoteError, UsageError
from lossdoctor.limits import LIMITS, Limits
from lossdoctor.model import Fault
from lossdoctor.run.log import Log
from lossdoctor.sources.wandb_local import assemble
from lossdoctor.sources.wandb_local.history import from_rows, number

_T = TypeVar("_T")
_PART = re.compile(r"[^/\x00-\x20?#%]+")
_HOSTED = {"wandb.ai", "www.wandb.ai", "app.wandb.ai", "api.wandb.ai", "forge.coreweave.com", "api.forge.coreweave.com"}
_SAMPLES = 10_000
_ENDED = {"finished": True, "failed": False, "crashed": False, "killed": False, "preempted": False}
_REASONS = {
    401: "the service refused the API key: check WANDB_API_KEY or run `wandb login --relogin`",
    403: "this key may not read the run: ask its owner for access",
    404: "there is no such run, or this key may not see it: check entity, project and run ID",
    429: "the service answers too many requests with 429: wait a minute and try again",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for the service.

    Seconds for the whole run (`total`), for one answer (`request`), and at most before another try (`wait`); `retries` of a failed request
    are at least 1, for the client takes 0 for its own default of hours.
    """

    total: float = 600.0
    request: float = 20.0
    retries: int = 3
    wait: float = 4.0


@dataclass(frozen=True, slots=True)
class Address:
    """entity/project/run, and the host where a pasted URL named one."""

    entity: str
    project: str
    run: str
    host: str = ""

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.run}"


def address(url: str) -> Address:
    """Take `wandb://entity/project/run` or a pasted `https://host/entity/project/runs/ID` apart; raises `UsageError` for anything else."""
    parts = urlsplit(url)
    names = [unquote(part) for part in parts.path.split("/") if part]
    if parts.scheme == "wandb":
        names = [unquote(parts.netloc), *names]
        host = ""
    else:
        host = parts.netloc.rpartition("@")[2].lower()
        # The service may lie below a path of its host, and a page of the run may follow its ID.
        at = names.index("runs", 2) if "runs" in names[2:-1] else 0
        names = [names[at - 2], names[at - 1], names[at + 1]] if at else []
    if len(names) != 3 or not all(_PART.fullmatch(name) for name in names) or parts.scheme not in {"wandb", "https", "http"}:
        raise UsageError(f"{url}: not a WandB run; write wandb://entity/project/run or paste the address of the run's page (.../runs/ID)")
    return Address(names[0], names[1], names[2], host)


def read(url: str, limits: Limits = LIMITS, patience: Patience | None = None) -> list[Log]:
    """Read one run from the service.

    Raises `UsageError` for an address that names no run or another server than the configured one, `RemoteError` where the service
    refuses (401, 403, 404, 429), fails (5xx), does not answer in time or sends an incomplete history.
    """
    where = address(url)
    patience = patience or Patience()
    with _quiet_client():
        run = _within(patience.total, lambda: _fetch(where, patience), where)
    return [_log(where, run, limits)]


@dataclass(frozen=True, slots=True)
class _Remote:
    """What the service sent: history rows with rising `_step`, system events, config and attributes of the run."""

    rows: list[dict[str, Any]]
    events: list[dict[str, Any]]
    config: Mapping[str, Any]
    name: str
    state: str
    created: str
    events_count: int | None
    events_problem: str


def _fetch(where: Address, patience: Patience) -> _Remote:
    import wandb

    settings = wandb.setup().settings
    _same_server(where, settings.base_url)
    settings.x_graphql_retry_max = patience.retries
    settings.x_graphql_retry_wait_min_seconds = min(0.5, patience.wait)
    settings.x_graphql_retry_wait_max_seconds = patience.wait
    settings.x_graphql_timeout_seconds = patience.request
    # The client gives its own process this long for a request with all its retries.
    allowed = int((patience.retries + 1) * (patience.request + patience.wait)) + 5
    try:
        api = wandb.Api(overrides={"entity": where.entity}, timeout=allowed, api_key=_key(settings.base_url))
        run = api.run(str(where))
        attributes = run._attrs
        rows = _complete(list(run.scan_history()), run.lastHistoryStep, _count(attributes, "historyLineCount"), where)
    except Exception as error:
        raise _remote_error(error, where) from error
    events: Any = []
    problem, count = "", _count(attributes, "eventsLineCount")
    try:
        events = run.history(stream="system", samples=max(count or 0, _SAMPLES), pandas=False)
    except Exception as error:
        problem = str(_remote_error(error, where))
    name = run.name or where.run
    return _Remote(rows, list(events), dict(run.config), name, str(run.state), str(attributes.get("createdAt") or ""), count, problem)


def _complete(rows: list[dict[str, Any]], last: int, count: int | None, where: Address) -> list[dict[str, Any]]:
    """The rows once each (the border between exported and live rows comes twice), checked against the last step and the number of rows."""
    once: dict[object, dict[str, Any]] = {}
    for index, row in enumerate(rows):
        once[row.get("_step", -1 - index)] = row
    steps = [step for row in once.values() if (step := number(row.get("_step"))) is not None]
    if last >= 0 and (not steps or max(steps) < last):
        reached = int(max(steps)) if steps else "none"
        raise RemoteError(
            f"{where}: the service sent rows up to step {reached} of {last}: the history is incomplete, nothing was analysed; try again"
        )
    if count is not None and len(rows) < count:
        raise RemoteError(
            f"{where}: the service sent {len(rows)} of {count} history rows: the history is incomplete, nothing was analysed; try again"
        )
    return list(once.values())


def _log(where: Address, run: _Remote, limits: Limits) -> Log:
    samples = [(time, event) for event in run.events if (time := number(event.get("_timestamp"))) is not None]
    faults = (
        (Fault("no-system-metrics", str(where), f"the system metrics could not be read: {run.events_problem}"),)
        if run.events_problem
        else ()
    )
    notes = [f"the service says this run is {run.state}"]
    if run.events_count is not None and len(run.events) < run.events_count:
        notes.append(f"system metrics: {len(run.events)} of {run.events_count} samples")
    found = assemble.log(
        Path(str(where)),
        run.name,
        from_rows(run.rows),
        limits,
        kind="wandb_api",
        config=run.config,
        samples=samples,
        faults=faults,
        started=_seconds(run.created),
        extra={"run_id": where.run, "state": run.state},
        notes=tuple(notes),
    )
    return replace(found, finished=_ENDED.get(run.state))


def _remote_error(error: Exception, where: Address) -> LossdoctorError:
    """Say in our words what the client's exception means; the HTTP status hides in its cause."""
    if isinstance(error, LossdoctorError):
        return error
    status = _status(error)
    text = " ".join(str(error).split())[:300]
    if status in _REASONS:
        return RemoteError(f"{where}: {_REASONS[status]} (HTTP {status}: {text})")
    if "could not find run" in text.lower() or "no history found" in text.lower():
        return RemoteError(f"{where}: {_REASONS[404]} ({text})")
    if status is not None:
        return RemoteError(f"{where}: the service failed with HTTP {status}; try again later ({text})")
    if re.search(r"timeout|timed out|deadline exceeded|in time", text, re.IGNORECASE):
        return RemoteError(f"{where}: the service did not answer in time ({text})")
    return RemoteError(f"{where}: the WandB client failed: {text or type(error).__name__}")


def _status(error: BaseException | None) -> int | None:
    seen = 0
    while error is not None and seen < 8:
        response = getattr(error, "response", None)
        status = getattr(response, "http_status", None) or getattr(response, "status_code", None)
        if isinstance(status, int) and status >= 400:
            return status
        found = re.search(r"\bHTTP (\d{3})\b", str(error))
        if found:
            return int(found[1])
        error, seen = error.__cause__ or getattr(error, "exc", None), seen + 1
    return None


def _same_server(where: Address, base_url: str) -> None:
    """A pasted address never decides where the key goes."""
    ours = urlsplit(base_url).netloc.lower()
    if where.host and where.host not in {ours, ours.removeprefix("api.")} and not (where.host in _HOSTED and ours in _HOSTED):
        raise UsageError(
            f"the address names the server {where.host}, but WandB is set up for {ours}; set WANDB_BASE_URL to read from another server"
        )


def _key(base_url: str) -> str | None:
    """The key of WANDB_API_KEY or netrc, so that the client never asks for one; None leaves it to an identity token file."""
    import requests.utils

    key = os.environ.get("WANDB_API_KEY")
    if key or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return key
    found = requests.utils.get_netrc_auth(base_url)
    if not found:
        raise RemoteError(f"no API key for {urlsplit(base_url).netloc}: set WANDB_API_KEY or run `wandb login`")
    return str(found[1])


def _count(attributes: Mapping[str, Any], name: str) -> int | None:
    value = attributes.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(stamp: str) -> float | None:
    """Seconds since the epoch of an ISO time; WandB's times are UTC."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@functools.cache
def _folder() -> str:
    """A folder for what the client writes, gone when the process ends: the client's own process keeps to the first one it was told of."""
    folder = tempfile.mkdtemp(prefix="lossdoctor-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextlib.contextmanager
def _quiet_client() -> Iterator[None]:
    """Keep the client quiet and its files out of the user's folders; the environment is restored."""
    folder = _folder()
    wanted = {"WANDB_DIR": folder, "WANDB_CACHE_DIR": folder, "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _within(seconds: float, work: Callable[[], _T], where: Address) -> _T:
    """Run `work` in a thread and give up after `seconds`, whatever the client is doing."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="wandb-api", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise RemoteError(f"{where}: the service did not send the run within {seconds:.0f} s, nothing was analysed; try again")
    return results[0]
