"""Bytes to values and back, sans-I/O."""

__all__: list[str] = []
