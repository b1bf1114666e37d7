"""Run -> Diagnosis: examine by rule, judge, rank causes, explain, decide."""

from lossdoctor.diagnosis.diagnose import diagnose, unreadable

__all__ = ["diagnose", "unreadable"]
