"""Hypothesis draws the same examples on every machine, and no example fails for being slow on a busy one."""

from hypothesis import settings

settings.register_profile("lossdoctor", deadline=None, derandomize=True)
settings.load_profile("lossdoctor")
