"""The diagnosis in the terminal."""
