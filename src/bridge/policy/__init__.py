"""Whether a request may run now."""

__all__: list[str] = []
