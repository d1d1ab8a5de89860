"""The embedded database: PostgreSQL from a wheel, run and supervised by us."""

from bridge.store.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
