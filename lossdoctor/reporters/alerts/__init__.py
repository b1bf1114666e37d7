"""The alerts that would have caught what was found."""
