"""`aibridge models`."""

from __future__ import annotations

from bridge.cli.values import values_command

command = values_command(
    "models", "model", "List the models that were asked for; PREFIX is how they begin."
)
