"""Open what is a regular file, and nothing else: no FIFO to wait on, no device, no directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from lossdoctor.errors import Unreadable


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError where it cannot be opened, Unreadable where it is not a regular file.

    Opened without blocking, so that a FIFO without a writer returns at once and is then refused.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable(f"{path.name}: not a regular file")
        return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, not a path
    except BaseException:
        os.close(descriptor)
        raise


def stays_inside(path: Path, root: Path) -> bool:
    """Whether the path, with every link followed, exists and lies under the root."""
    try:
        return path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False
