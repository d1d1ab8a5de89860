"""The embedded database: PostgreSQL from a wheel, run and supervised by us."""

__all__: list[str] = []
