"""The gate: a policy file, a diagnosis under it, the baseline, the exit code."""

from lossdoctor.policy.apply import apply
from lossdoctor.policy.exit_codes import Exit, exit_code
from lossdoctor.policy.load import load
from lossdoctor.policy.model import FailOn, Level, Policy

__all__ = ["Exit", "FailOn", "Level", "Policy", "apply", "exit_code", "load"]
