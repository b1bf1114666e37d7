"""Runs on the WandB service, through the real client against a service on the loopback interface."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossdoctor.errors import RemoteError, UsageError
from lossdoctor.sources import wandb_api
from lossdoctor.sources.wandb_api import Address, Patience, address

from .wandb_server import Server, Service

KEY = "0123456789abcdef" * 2 + "01234567"
QUICK = Patience(total=30, request=2, retries=1, wait=1)
START = 1_780_000_000.0


def rows(count: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for i in range(count):
        clock = {"_step": i, "_timestamp": START + i, "_runtime": i}
        found.append(clock | {"train/loss": 2 - i / count, "train/global_step": (i + 1) * 10, "train/epoch": i / 100})
    found[5] |= {"train/grad_norm": "NaN", "nested": {"deep": 3}, "image": {"_type": "image-file"}}
    found[6] |= {"train/grad_norm": "Infinity"}
    return found


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    served = Service(rows=rows(2300), config={"learning_rate": 1e-4, "max_steps": 23000, "hub_token": "hf_canarycanarycanary"})
    served.events = [
        {"_timestamp": START + 100 * i, "system.gpu.0.memoryAllocatedBytes": 8e9 + i, "system.gpu.0.gpu": 90} for i in range(20)
    ]
    with Server(served) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://{server.host}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("HOME", str(tmp_path))
        import wandb

        # The client keeps the settings of its first use.
        wandb.setup().settings.base_url = f"http://{server.host}"
        yield served


def test_the_whole_history_with_config_and_system_metrics(service: Service) -> None:
    (log,) = wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)
    found = {s.name: s for s in log.series}
    assert found["train/loss"].values.tolist() == [2 - i / 2300 for i in range(2300)]
    assert found["train/loss"].steps.tolist() == [(i + 1) * 10 for i in range(2300)]
    assert found["train/loss"].times.tolist() == [START + i for i in range(2300)]
    assert math.isnan(found["train/grad_norm"].values[0])
    assert found["train/grad_norm"].values[1] == math.inf
    assert found["nested.deep"].values.tolist() == [3.0]
    assert found["gpu/0/memory"].values.tolist() == [8e9 + i for i in range(20)]
    assert found["gpu/0/utilization"].steps.tolist()[:3] == [10, 1010, 2010]
    assert {s.name: s.value for s in log.settings} == {"learning_rate": 1e-4, "max_steps": 23000}
    assert (log.kind, log.name, log.finished, log.planned_steps, log.faults) == ("wandb_api", "nice run", True, 23000, ())
    assert "canary" not in repr(log)
    assert service.asked["HistoryPage"] == 3


def test_a_run_without_rows_keeps_its_last_values(service: Service) -> None:
    service.rows, service.summary = [], {"train/loss": "NaN", "_step": 4}
    (log,) = wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)
    assert [(s.name, s.steps.tolist(), str(s.values[0])) for s in log.series if "gpu" not in s.name] == [("train/loss", [4], "nan")]
    assert any("last values" in note for note in log.notes)


def test_rows_that_come_twice_count_once(service: Service) -> None:
    service.overlap = 40
    (log,) = wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)
    assert next(s for s in log.series if s.name == "train/loss").steps.tolist() == [(i + 1) * 10 for i in range(2300)]


@pytest.mark.parametrize(("state", "finished"), [("crashed", False), ("failed", False), ("killed", False), ("running", None)])
def test_how_the_run_ended(service: Service, state: str, finished: bool | None) -> None:
    service.state, service.rows = state, rows(10)
    (log,) = wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)
    assert log.finished is finished


@pytest.mark.parametrize(
    ("operation", "status", "words"),
    [
        ("Viewer", 401, "API key"),
        ("Run", 401, "API key"),
        ("Run", 403, "may not read"),
        ("Run", 404, "no such run"),
        ("Run", 429, "too many requests"),
        ("HistoryPage", 503, "HTTP 503"),
    ],
)
def test_what_the_service_refuses(service: Service, operation: str, status: int, words: str) -> None:
    service.failures = {operation: status}
    with pytest.raises(RemoteError, match=words):
        wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)


def test_a_failure_that_heals_is_tried_again(service: Service) -> None:
    service.failures, service.fail_first = {"HistoryPage": 500}, 1
    (log,) = wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)
    assert len(log.series[0].steps) == 2300


def test_a_run_that_is_not_there(service: Service) -> None:
    service.missing = True
    with pytest.raises(RemoteError, match="no such run"):
        wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)


@pytest.mark.parametrize("short", [1, 700, 1300])
def test_half_a_page_is_never_analysed_as_the_whole(service: Service, short: int) -> None:
    service.short = short
    with pytest.raises(RemoteError, match="incomplete"):
        wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)


def test_a_body_that_breaks_off(service: Service) -> None:
    service.cut_body = "HistoryPage"
    with pytest.raises(RemoteError):
        wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)


def test_a_service_that_does_not_answer(service: Service) -> None:
    service.slow = {"HistoryPage": 5}
    with pytest.raises(RemoteError, match="in time"):
        wandb_api.read("wandb://me/proj/abc12345", patience=Patience(total=30, request=1, retries=1, wait=0.1))


def test_the_deadline_for_the_whole_run(service: Service) -> None:
    service.slow = {"HistoryPage": 1}
    begin = time.monotonic()
    with pytest.raises(RemoteError, match="within 2 s"):
        wandb_api.read("wandb://me/proj/abc12345", patience=Patience(total=2, request=3, retries=1, wait=0.1))
    assert time.monotonic() - begin < 3


def test_missing_system_metrics_are_a_fault(service: Service) -> None:
    service.failures = {"RunFullHistory": 403}
    (log,) = wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)
    assert [fault.kind for fault in log.faults] == ["no-system-metrics"]
    assert len(log.series[0].steps) == 2300


def test_the_key_goes_to_no_other_server(service: Service) -> None:
    with pytest.raises(UsageError, match="WANDB_BASE_URL"):
        wandb_api.read("https://wandb.example.com/me/proj/runs/abc12345", patience=QUICK)
    assert service.asked == {}


def test_without_a_key(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(RemoteError, match="wandb login"):
        wandb_api.read("wandb://me/proj/abc12345", patience=QUICK)
    assert service.asked == {}


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("wandb://me/proj/abc", Address("me", "proj", "abc")),
        ("https://wandb.ai/me/my%20proj/runs/abc/overview?nw=x#y", Address("me", "my proj", "abc", "wandb.ai")),
        ("https://host.example/base/me/proj/runs/abc", Address("me", "proj", "abc", "host.example")),
        ("https://user:pass@host.example/me/proj/runs/abc", Address("me", "proj", "abc", "host.example")),
    ],
)
def test_addresses(url: str, where: Address) -> None:
    assert address(url) == where


@pytest.mark.parametrize(
    "url",
    [
        "wandb://me/proj",
        "wandb:///a/b",
        "https://wandb.ai/me/proj",
        "https://wandb.ai/runs/x",
        "ftp://h/a/b/runs/c",
        "wandb://a/b/c/d",
        "wandb://a/%2e%2e%2fb/c",
        "",
    ],
)
def test_no_addresses(url: str) -> None:
    with pytest.raises(UsageError):
        address(url)


def test_the_client_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from lossdoctor.sources import wandb_api; wandb_api.address('wandb://a/b/c');"
        "print([m for m in ('wandb', 'requests') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
