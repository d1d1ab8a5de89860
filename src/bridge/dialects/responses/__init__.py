"""The OpenAI Responses API over HTTP."""

__all__: list[str] = []
