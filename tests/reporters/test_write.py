"""Either the old file or the whole new one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lossdoctor.errors import ReportError
from lossdoctor.reporters import write


def test_a_report_replaces_the_old_one_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    path.chmod(0o640)
    write.atomic(path, "neu: ü")
    assert path.read_bytes() == "neu: ü".encode()
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_report_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    write.atomic(tmp_path / "a", b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write.atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_report_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise error

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif call == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        real = os.fdopen

        class Full:
            def __init__(self, *arguments: object) -> None:
                self.file = real(*arguments)

            def __enter__(self) -> Full:
                return self

            def __exit__(self, *_: object) -> None:
                self.file.close()

            write = fail

        monkeypatch.setattr(os, "fdopen", Full)
    with pytest.raises(ReportError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        write.atomic(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    if isinstance(error, OSError):
        assert "No space left on device" in str(caught.value)


def test_a_missing_directory_and_a_strange_target_are_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="create it first"):
        write.atomic(tmp_path / "no" / "report.html", "x")
    with pytest.raises(ReportError, match="not a regular file"):
        write.atomic(tmp_path, "x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ReportError, match="not a regular file"):
        write.atomic(tmp_path / "pipe", "x")
