"""WandB's own client, kept quiet, in time and away from the user's folders."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lossdoctor.errors import RemoteError
from lossdoctor.sources.wandb_api.address import Address, check_server
from lossdoctor.sources.wandb_api.failures import remote_error
from lossdoctor.sources.wandb_local.history import number

_T = TypeVar("_T")
# Events are asked for in one answer; the service thins out what is beyond the number asked for.
_SAMPLES = 10_000


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
class Remote:
    """What the service sent: history rows with rising `_step`, system events, summary, config and attributes of the run."""

    rows: list[dict[str, Any]]
    events: list[dict[str, Any]]
    summary: Mapping[str, Any]
    config: Mapping[str, Any]
    name: str
    state: str
    created: str
    events_count: int | None
    events_problem: str


def fetch(where: Address, patience: Patience) -> Remote:
    import wandb

    settings = wandb.setup().settings
    check_server(where, settings.base_url)
    settings.x_graphql_retry_max = patience.retries
    settings.x_graphql_retry_wait_min_seconds = min(1.0, patience.wait)
    settings.x_graphql_retry_wait_max_seconds = patience.wait
    settings.x_graphql_timeout_seconds = patience.request
    # The client gives its own process this long for a request with all its retries.
    allowed = int((patience.retries + 1) * (patience.request + patience.wait)) + 5
    try:
        api = wandb.Api(overrides={"entity": where.entity}, timeout=allowed, api_key=_key(settings.base_url))
        run = api.run(str(where))
        attributes = run._attrs
        # Asked before the scan: a run that is still going on grows meanwhile.
        last = run.lastHistoryStep
        rows = _complete(list(run.scan_history()), last, _count(attributes, "historyLineCount"), where)
    except Exception as error:
        raise remote_error(error, where) from error
    events: Any = []
    problem, count = "", _count(attributes, "eventsLineCount")
    try:
        events = run.history(stream="system", samples=max(count or 0, _SAMPLES), pandas=False)
    except Exception as error:
        problem = str(remote_error(error, where))
    return Remote(
        rows=rows,
        events=list(events),
        summary=attributes.get("summaryMetrics") or {},
        config=dict(run.config),
        name=run.name or where.run,
        state=str(run.state),
        created=str(attributes.get("createdAt") or ""),
        events_count=count,
        events_problem=problem,
    )


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
    if count is not None and len(once) < count:
        raise RemoteError(
            f"{where}: the service sent {len(once)} of {count} history rows: the history is incomplete, nothing was analysed; try again"
        )
    return list(once.values())


def _key(base_url: str) -> str | None:
    """The key of WANDB_API_KEY or netrc, so that the client never asks for one; None leaves it to an identity token file."""
    import requests.utils

    key = os.environ.get("WANDB_API_KEY")
    if key or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return key
    found = requests.utils.get_netrc_auth(base_url)
    if not found:
        raise RemoteError("WandB wants an API key to read a run from its service: set WANDB_API_KEY or run `wandb login`")
    return str(found[1])


def _count(attributes: Mapping[str, Any], name: str) -> int | None:
    value = attributes.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@functools.cache
def _folder() -> str:
    """A folder for what the client writes, gone when the process ends: the client's own process keeps to the first one it was told of."""
    folder = tempfile.mkdtemp(prefix="lossdoctor-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextlib.contextmanager
def quiet_client() -> Iterator[None]:
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


def within(seconds: float, work: Callable[[], _T], where: Address) -> _T:
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
