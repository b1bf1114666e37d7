"""Files that are either the old ones or the whole new ones."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lossdoctor.errors import ReportError


def atomic(path: Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) to `path`: temporary file beside it, fsync, rename.

    A reader sees the old file or the whole new one, and no temporary file stays behind, whatever interrupts. Raises ReportError with the
    reason and what to do; KeyboardInterrupt and SystemExit pass through after the clean-up.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        raise ReportError(f"cannot write {path}: it exists and is not a regular file")
    try:
        _replace(path, data)
    except FileNotFoundError as error:
        raise ReportError(f"cannot write {path}: the directory {path.parent} does not exist; create it first") from error
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}; nothing was changed") from error


def _replace(path: Path, data: bytes) -> None:
    target = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_mode(target))
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """The mode of the file that is replaced, else what open() would have given."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
