"""Where a finding is shown in tools that hang everything on a file."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from urllib.parse import quote

from lossdoctor.model import Diagnosis


def relative(diagnosis: Diagnosis) -> str:
    """The path of a run relative to the working directory (in CI the checkout), with slashes; its last name if it lies elsewhere."""
    path = PurePath(os.path.normpath(diagnosis.path or diagnosis.argument or diagnosis.name))
    if path.is_absolute():
        path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else PurePath(path.name)
    parts = [part for part in path.parts if part != ".."]
    return "/".join(parts) or diagnosis.name


def uri(diagnosis: Diagnosis) -> str:
    """`relative` as a URI reference."""
    return quote(relative(diagnosis).encode("utf-8", "surrogatepass"))
