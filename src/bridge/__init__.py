"""AI Bridge: an HTTP gateway between AI clients and AI providers that keeps an audit record."""

__all__: list[str] = []
