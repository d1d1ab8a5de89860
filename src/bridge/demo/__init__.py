"""A small deterministic upstream that speaks the providers' APIs."""

__all__: list[str] = []
