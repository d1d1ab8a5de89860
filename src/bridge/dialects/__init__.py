"""How each API family is read and edited: pure, no Twisted, no I/O, no clock."""

__all__: list[str] = []
