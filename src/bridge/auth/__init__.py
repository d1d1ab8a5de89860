"""Tokens, who holds them, and what is left of the user's own credential."""

__all__: list[str] = []
