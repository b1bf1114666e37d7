"""Debian's Chromium over the DevTools pipe: no driver, no port, no third-party package."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
]


_ON_3_AND_4 = """
import fcntl, os, sys
ours = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]]
os.dup2(ours[0], 3)
os.dup2(ours[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find() -> str | None:
    """The browser that the tests may use: $LOSSDOCTOR_CHROMIUM, else the first one on the PATH."""
    named = os.environ.get("LOSSDOCTOR_CHROMIUM")
    return named or next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


class Chromium:
    """One browser with one page. Messages are JSON ended by NUL, as the DevTools pipe wants them."""

    def __init__(self, program: str, timeout: float = 30) -> None:
        self.timeout = timeout
        self.home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self.out = os.pipe()
        self.back, theirs_out = os.pipe()
        command = [program, *FLAGS, f"--user-data-dir={self.home.name}", "about:blank"]
        wrapped = [sys.executable, "-IS", "-c", _ON_3_AND_4, str(theirs_in), str(theirs_out), *command]
        self.process = subprocess.Popen(wrapped, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer = b""
        self.count = 0
        self.session = ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come meanwhile are kept in `events`."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            chunk = os.read(self.back, 1 << 20)
            if not chunk:
                raise RuntimeError("Chromium ended")
            self.buffer += chunk
        head, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(head)

    def open(
        self,
        path: Path,
        *,
        dark: bool = False,
        width: int = 1000,
        scripts: bool = True,
        headers: dict[str, str] | None = None,
        media: str = "",
    ) -> None:
        """Load a file; `headers` are sent with it, as Jenkins sends its Content-Security-Policy."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        self.call(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        )
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.events.clear()
        url = path.resolve().as_uri()
        if headers is not None:
            url = "http://report.invalid/report.html"
            self.call("Fetch.enable", patterns=[{"urlPattern": "*"}])
        self.count += 1
        os.write(
            self.out,
            json.dumps({"id": self.count, "method": "Page.navigate", "params": {"url": url}, "sessionId": self.session}).encode() + b"\0",
        )
        self._until_loaded(path, headers)
        if headers is not None:
            self.call("Fetch.disable")

    def _until_loaded(self, path: Path, headers: dict[str, str] | None) -> None:
        end = time.monotonic() + self.timeout
        while time.monotonic() < end:
            event = self._read()
            self.events.append(event)
            if event.get("method") == "Fetch.requestPaused":
                given = [
                    {"name": name, "value": value}
                    for name, value in {"Content-Type": "text/html; charset=utf-8", **(headers or {})}.items()
                ]
                body = base64.b64encode(path.read_bytes()).decode()
                self.call(
                    "Fetch.fulfillRequest", requestId=event["params"]["requestId"], responseCode=200, responseHeaders=given, body=body
                )
            if event.get("method") == "Page.loadEventFired" or any(e.get("method") == "Page.loadEventFired" for e in self.events):
                return
        raise RuntimeError(f"{path} did not load within {self.timeout} s")

    def evaluate(self, script: str) -> Any:
        """Run a script in the page and return its value; promises are awaited."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"].get("exception", result["exceptionDetails"])))
        return result["result"].get("value")

    def requests(self) -> list[str]:
        """The addresses the page asked for since it was opened, its own not counted."""
        self.evaluate("new Promise(done => setTimeout(done, 50))")
        urls = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return urls[1:]

    def complaints(self) -> list[str]:
        """Errors and warnings of the console and the log."""
        logged = [e["params"]["entry"]["text"] for e in self.events if e.get("method") == "Log.entryAdded"]
        thrown = [e["params"]["exceptionDetails"]["text"] for e in self.events if e.get("method") == "Runtime.exceptionThrown"]
        return logged + thrown

    def screenshot(self, *, whole: bool = True) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])

    def pdf(self) -> bytes:
        return base64.b64decode(
            self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69)["data"]
        )

    def close(self) -> None:
        self.session = ""
        os.write(self.out, b'{"id": 0, "method": "Browser.close"}\0')
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.back)
        self.home.cleanup()
