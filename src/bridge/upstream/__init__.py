"""Connections to providers and the relay of bytes."""

__all__: list[str] = []
