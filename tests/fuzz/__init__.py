"""Fuzzing: hypothesis on everything that reads what others wrote; see `tests.fuzz.__main__`."""
