"""Regions of AWS, and where Bedrock is in them; without what it takes to speak to it.

Source: docs.aws.amazon.com/bedrock/latest/userguide/inference-messages-api.html (read 2026-11-25)
and the endpoints of botocore 1.44.5.
"""

from __future__ import annotations

import re
from enum import StrEnum

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")
_IN_HOST = re.compile(rf"(?<=\.)({_REGION.pattern})(?=\.)")


class BedrockProtocol(StrEnum):
    """How AWS is spoken to."""

    INVOKE = "invoke"
    MANTLE = "mantle"


def bedrock_address(region: str, protocol: BedrockProtocol) -> str:
    """Return the base URL of AWS's own Bedrock in `region`."""
    if protocol is BedrockProtocol.MANTLE:
        return f"https://bedrock-mantle.{region}.api.aws/anthropic"
    ending = ".cn" if region.startswith("cn-") else ""
    return f"https://bedrock-runtime.{region}.amazonaws.com{ending}"


def is_region(text: str) -> bool:
    """Return whether `text` looks like the name of a region."""
    return _REGION.fullmatch(text) is not None


def region_in(base_url: str) -> str:
    """Return the region that an address of AWS's names, "" when it names none."""
    found = _IN_HOST.search(base_url)
    return found[1] if found is not None else ""
