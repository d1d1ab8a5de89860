"""`aibridge providers`."""

from __future__ import annotations

from bridge.cli.values import values_command

command = values_command(
    "providers",
    "provider_name",
    "List the configured providers that were asked; PREFIX is how they begin.",
)
