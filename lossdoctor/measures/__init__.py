"""Arrays -> numbers. Nothing here knows what training is."""
