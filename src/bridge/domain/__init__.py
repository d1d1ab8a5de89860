"""Values and rules only: no I/O, no Twisted, no clock."""

__all__: list[str] = []
