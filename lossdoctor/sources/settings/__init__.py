"""Hyperparameters from every place that holds them, under one name each, with where they were read."""

from lossdoctor.sources.settings.find import find
from lossdoctor.sources.settings.keep import keep
from lossdoctor.sources.settings.merge import merge

__all__ = ["find", "keep", "merge"]
