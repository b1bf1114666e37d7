"""The fault matrix: a code of the contract, no traceback, nothing written, nothing run, and damage never called healthy."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lossdoctor.cli.main import run

from .inputs import MATRIX


def tree(home: Path) -> set[str]:
    return {path.relative_to(home).as_posix() for path in home.rglob("*")}


@pytest.mark.parametrize("name", MATRIX)
def test_the_matrix(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "run"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    row = MATRIX[name]
    row.build(home)
    before = tree(home)
    started = time.process_time()
    code = run(["analyze", "run", "-f", "jsonl"])
    assert time.process_time() - started < 10
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert code in row.codes, printed.out + printed.err
    assert row.says in printed.out
    found = [json.loads(line, parse_constant=pytest.fail) for line in printed.out.splitlines()]
    assert found
    for one in found:
        assert one["argument"] == "run"
        assert not one["crashed"], one["crashed"]
    if code == 3:
        assert all(one["verdict"] != "pass" or one["gate"]["result"] == "failed" for one in found)
        assert any(one["faults"] or one["verdict"] == "inconclusive" for one in found)
    assert tree(home) == before, "something was written beside the input"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", MATRIX)
def test_the_text_output_steers_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "run"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    MATRIX[name].build(home)
    for command in (["analyze", "run", "-v"], ["inputs", "run"]):
        assert run(command) in (0, 1, 3)
        printed = "".join(capsys.readouterr())
        assert not {char for char in printed if char < " " and char != "\n"}
        assert "\u202e" not in printed
