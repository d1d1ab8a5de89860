"""Where observations go: journal, structured log, and on to the store."""

__all__: list[str] = []
