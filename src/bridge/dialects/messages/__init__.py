"""The Anthropic Messages API."""

__all__: list[str] = []
