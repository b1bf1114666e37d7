"""One training run as arrays: what was logged, under canonical names."""

from lossdoctor.run.build import build
from lossdoctor.run.log import Log, Series
from lossdoctor.run.run import Run, Signal

__all__ = ["Log", "Run", "Series", "Signal", "build"]
