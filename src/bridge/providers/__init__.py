"""Where requests go and how they are signed."""

__all__: list[str] = []
