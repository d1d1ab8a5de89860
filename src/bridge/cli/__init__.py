"""The aibridge command."""

__all__: list[str] = []
