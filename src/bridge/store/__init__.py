"""How records are kept in PostgreSQL and asked for."""

__all__: list[str] = []
