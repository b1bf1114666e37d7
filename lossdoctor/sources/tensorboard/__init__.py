"""TensorBoard event files."""

from __future__ import annotations

from lossdoctor.sources.tensorboard.eventfile import EventFile, read_file

__all__ = ["EventFile", "read_file"]
