"""`aibridge clients`."""

from __future__ import annotations

from bridge.cli.values import values_command

command = values_command(
    "clients", "client", "List the clients that asked; PREFIX is how they begin."
)
