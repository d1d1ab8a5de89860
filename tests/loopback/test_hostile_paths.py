"""Hostile paths at the Messages API's routes: none gets to the upstream."""

from __future__ import annotations

from bridge.providers.anthropic import MESSAGES_ROUTES
from tests.loopback import hostile_paths
from tests.loopback.speech import MESSAGES

GET = (b"GET", b"HEAD")
POST = (b"POST",)
ELSEWHERE = (
    b"/v1/files",
    b"/v1/organizations/api_keys",
    b"/v1/organizations",
    b"/v1/messages/batches",
    b"/v1/messages/batches/b1",
    b"/v1/complete",
    b"/v1/message",
    b"/v1/messages2",
    b"/V1/messages",
    b"/v1/Messages",
    b"/v1/messages/",
    b"/v1/models/a/b",
    b"/v1/messages/count_tokens/x",
    b"/api/event_logging",
    b"/api",
    b"/",
    b"",
)


SERVED = {
    b"/v1/messages": (b"/v1/messages", POST),
    b"/v1/messages/count_tokens": (b"/v1/messages/count_tokens", POST),
    b"/v1/models": (b"/v1/models", GET),
    b"/v1/models/claude-sonnet-5": (b"/v1/models/claude-sonnet-5", GET),
    b"/api/event_logging/batch": (b"/api/event_logging/batch", POST),
    b"/api/event_logging/v2/batch": (b"/api/event_logging/v2/batch", POST),
}


class HostilePathTests(hostile_paths.HostilePathCases):
    speech = MESSAGES
    routes = MESSAGES_ROUTES
    named = b"claude-sonnet-5"
    elsewhere = ELSEWHERE
    served = SERVED
