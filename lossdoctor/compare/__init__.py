"""One run beside another: what differs, where the curves part, and whether chance explains it."""
