"""The HTML report: one self-contained file that loads nothing."""
