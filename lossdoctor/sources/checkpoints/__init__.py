"""Checkpoints on disk: which there are, at which step, whole or not, fit to resume from or not. Nothing is loaded, nothing unpickled."""

from lossdoctor.sources.checkpoints.find import find, newest_whole

__all__ = ["find", "newest_whole"]
