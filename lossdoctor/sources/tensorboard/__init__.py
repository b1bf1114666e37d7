"""TensorBoard event files, read without TensorBoard: `read` gives the runs of a path, `read_file` the columns of one file."""

from __future__ import annotations

from lossdoctor.sources.tensorboard.discover import looks_like
from lossdoctor.sources.tensorboard.eventfile import EventFile, read_file
from lossdoctor.sources.tensorboard.read import read

__all__ = ["EventFile", "looks_like", "read", "read_file"]
