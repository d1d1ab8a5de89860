"""What happens in one exchange."""

__all__: list[str] = []
