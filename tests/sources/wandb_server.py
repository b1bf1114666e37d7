"""A WandB service on the loopback interface: the few GraphQL queries that the client asks for one run."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RUN_FIELDS: dict[str, Any] = {
    "projectId": "1",
    "id": "UnVu",
    "name": "abc12345",
    "displayName": "nice run",
    "createdAt": "2026-06-01T00:00:00",
    "heartbeatAt": "2026-06-01T01:00:00",
    "description": "",
    "tags": [],
    "readOnly": False,
    "systemMetrics": "{}",
    "user": {"name": "me", "username": "me"},
} | dict.fromkeys(["group", "sweepName", "jobType", "commit"])


@dataclass
class Service:
    """What the service knows of the run entity/project/abc12345, and how it misbehaves.

    `failures` maps an operation to an HTTP status; `slow` to seconds before its answer; `short` drops that many rows of the second page;
    `overlap` sends rows of the page before once more; `fail_first` heals a failure after that many answers.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    state: str = "finished"
    failures: dict[str, int] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    fail_first: int | None = None
    short: int = 0
    overlap: int = 0
    missing: bool = False
    cut_body: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)

    def answer(self, operation: str, given: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked[operation] += 1
        if operation in self.slow:
            time.sleep(self.slow[operation])
        if operation in self.failures and (self.fail_first is None or self.asked[operation] <= self.fail_first):
            return self.failures[operation], {"errors": [{"message": "no"}]}
        if operation in {"Viewer", "GetDefaultEntity"}:
            return 200, {"data": {"viewer": {"id": "V", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}}
        return 200, {"data": {"project": {"run": None if self.missing else self.run(operation, given)}}}

    def run(self, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        last = max((row["_step"] for row in self.rows), default=-1)
        if operation == "Run":
            counts = {"historyLineCount": len(self.rows), "eventsLineCount": len(self.events)}
            config = json.dumps({key: {"value": value} for key, value in self.config.items()})
            return RUN_FIELDS | counts | {"state": self.state, "config": config, "summaryMetrics": json.dumps(self.summary)}
        if operation == "RunHistoryKeys":
            return {"historyKeys": {"lastStep": last, "keys": {}}}
        if operation == "RunParquetHistory":
            return {"parquetHistory": {"parquetUrls": []}}
        if operation == "HistoryPage":
            first, stop = given["minStep"], given["maxStep"]
            page = [row for row in self.rows if first - self.overlap <= row["_step"] < stop]
            return {"history": [json.dumps(row) for row in (page[self.short :] if first else page)]}
        if operation == "RunFullHistory":
            return {"events": [json.dumps(event) for event in self.events]}
        raise AssertionError(f"an operation that this service does not know: {operation}")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/graphql":
            self.send_error(404)
            return
        request = json.loads(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        operation = request.get("operationName") or request["query"].partition("query")[2].replace("{", "(").partition("(")[0].strip()
        self.service.keys.add(self.headers.get("Authorization", ""))
        status, answer = self.service.answer(operation, request.get("variables") or {})
        out = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        cut = operation == self.service.cut_body
        self.close_connection = cut
        # A client that gave up waiting has closed the connection.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(out[: len(out) // 2] if cut else out)


class Server:
    """The service listening on a free port; use as a context manager."""

    def __init__(self, service: Service) -> None:
        handler = type("Handler", (_Handler,), {"service": service})
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.host = f"127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
