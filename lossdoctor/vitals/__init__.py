"""Run -> vital signs: eight questions about a run, each answered good or unknown with the numbers; findings make them bad."""

from lossdoctor.vitals.assess import assess

__all__ = ["assess"]
