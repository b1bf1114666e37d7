"""The other tools: installed at pinned versions, each into an environment of its own, and run with limits as a subprocess."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SECONDS = 120
MEMORY = 8 << 30
PATTERNS = {"trainer_state": "trainer_state.json", "csv": "*.csv", "tensorboard": "events.out.tfevents*", "text": "*.log"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One finding of a tool, in the tool's own words."""

    id: str
    title: str
    loud: bool


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A tool and how it is asked. The fields are those of tools.toml."""

    name: str
    json: Sequence[str]
    terminal: Sequence[str]
    reads: Mapping[str, str]
    findings: Sequence[str]
    id: str
    level: str
    loud: Sequence[str]
    runs: Sequence[str]
    title: str = ""
    unread: Sequence[str] = ()

    @property
    def version(self) -> str:
        lines = (HERE / "requirements" / f"{self.name}.txt").read_text().splitlines()
        return next(line.split("==")[1] for line in lines if line.split("==")[0] == self.name)

    def command(self, home: Path, words: Sequence[str], path: Path) -> list[str]:
        """`words` for `path`, the program taken from the tool's own environment."""
        return [str(home / self.name / "bin" / words[0]), *(word.format(path=path) for word in words[1:])]


def tools() -> tuple[Tool, ...]:
    return tuple(Tool(name, **table) for name, table in tomllib.loads((HERE / "tools.toml").read_text()).items())


def mapping() -> dict[str, dict[str, list[str]]]:
    """Tool -> answer -> rule names."""
    return tomllib.loads((HERE / "mapping.toml").read_text())


def install(tool: Tool, home: Path) -> None:
    """Make `home`/NAME with the pinned requirements; once, until they change."""
    place, pinned = home / tool.name, HERE / "requirements" / f"{tool.name}.txt"
    done = place / "installed.txt"
    if done.is_file() and done.read_text() == pinned.read_text():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, "--no-deps", "--only-binary", ":all:", "--requirement", str(pinned)], check=True)
    done.write_text(pinned.read_text())


def limited(command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run with a time and a memory limit and no input. The default environment is ours without its Python path. Raises TimeoutExpired."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    kept = env or {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        list(command),
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        cwd=cwd,
        env=kept,
        timeout=SECONDS,
        preexec_fn=bound,
        check=False,
    )


def source_of(tool: Tool, fixture: Path) -> Path | None:
    """What of `fixture` is handed to `tool`: of the first source that it reads and the fixture has. None where there is none."""
    for source, form in tool.reads.items():
        found = sorted(path for path in fixture.rglob(PATTERNS[source]) if path.is_file())
        if not found:
            continue
        if source == "trainer_state":
            return fixture if form == "directory" else max(found, key=_progress)
        return found[0].parent if form == "directory" else found[0]
    return None


def _progress(state: Path) -> tuple[int, int]:
    """The newest of several states: most steps, then nearest to the top."""
    try:
        steps = int(json.loads(state.read_text())["global_step"])
    except (ValueError, KeyError, TypeError):
        steps = -1
    return steps, -len(state.parts)


def ask(tool: Tool, home: Path, fixture: Path, cwd: Path) -> tuple[Answer, ...] | None:
    """What `tool` says of `fixture`; None where it reads none of its sources, fails on it, or finds nothing to judge in it."""
    path = source_of(tool, fixture)
    if path is None:
        return None
    try:
        done = limited(tool.command(home, tool.json, path), cwd)
        document = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    if not next(_at(document, tool.runs), None):
        return None
    found = [finding for findings in _at(document, tool.findings) for finding in findings]
    if any(str(finding[tool.id]) in tool.unread for finding in found):
        return None
    return tuple(Answer(str(f[tool.id]), str(f[tool.title]) if tool.title else "", f[tool.level] in tool.loud) for f in found)


def _at(document: Any, keys: Sequence[str]) -> Iterator[Any]:
    if not keys:
        yield document
    elif keys[0] == "*":
        for element in document:
            yield from _at(element, keys[1:])
    elif isinstance(document, dict) and keys[0] in document:
        yield from _at(document[keys[0]], keys[1:])
