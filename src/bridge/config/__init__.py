"""The one table of options and how it is loaded."""

__all__: list[str] = []
