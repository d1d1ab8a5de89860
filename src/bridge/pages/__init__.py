"""The pages under /ui/: what a browser shows of the records, and what people change there."""

__all__: list[str] = []
