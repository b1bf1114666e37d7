"""lossdoctor: read what a training run left behind and say what went wrong."""
