"""The OpenAI Chat Completions API, as OpenAI and those who imitate it speak it."""

__all__: list[str] = []
