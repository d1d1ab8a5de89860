"""The append-only file format and its appender."""

__all__: list[str] = []
