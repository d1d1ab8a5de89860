"""Hostile paths at OpenAI's and Copilot's routes: none gets to the upstream."""

from __future__ import annotations

from bridge.providers.copilot import COPILOT_ROUTES
from bridge.providers.openai import OPENAI_ROUTES
from tests.loopback import hostile_paths
from tests.loopback.speaking import Headers
from tests.loopback.speech import CHAT, COPILOT_CHAT
from tests.support.gateway import TOKEN

GET = (b"GET", b"HEAD")
POST = (b"POST",)
KEPT = (*GET, *POST, b"DELETE")
ANY = (*KEPT, b"PUT", b"PATCH")

OPENAI_ELSEWHERE = (
    b"/v1/completions",
    b"/v1/files",
    b"/v1/files/file-1",
    b"/v1/files/file-1/content",
    b"/v1/uploads",
    b"/v1/fine_tuning/jobs",
    b"/v1/fine_tuning/jobs/ft-1/cancel",
    b"/v1/fine_tunes",
    b"/v1/batches",
    b"/v1/assistants",
    b"/v1/threads",
    b"/v1/threads/runs",
    b"/v1/vector_stores",
    b"/v1/containers",
    b"/v1/evals",
    b"/v1/videos",
    b"/v1/images/generations",
    b"/v1/audio/speech",
    b"/v1/audio/transcriptions",
    b"/v1/moderations",
    b"/v1/realtime",
    b"/v1/realtime/sessions",
    b"/v1/organization/admin_api_keys",
    b"/v1/organization/costs",
    b"/v1/organization/users",
    b"/v1/projects",
    b"/v1/dashboard/billing/usage",
    b"/dashboard/billing/usage",
    b"/v1/engines",
    b"/v1/engines/davinci/completions",
    b"/v1/edits",
    b"/v1/chat",
    b"/v1/chat/completions/",
    b"/v1/chat/completions/files/x",
    b"/v1/chat/completion",
    b"/v1/chat/completions2",
    b"/v1/Chat/Completions",
    b"/V1/chat/completions",
    b"/v2/chat/completions",
    b"/v1/v1/chat/completions",
    b"/v1/messages",
    b"/v1/responses/",
    b"/v1/conversations/",
    b"/v1/response",
    b"/v1/models/a/b",
    b"/v1/models/",
    b"/v1/embeddings/x",
    b"/completions",
    b"/files",
    b"/fine_tuning/jobs",
    b"/batches",
    b"/organization/costs",
    b"/responses/",
    b"/v1",
    b"/v1/",
    b"/api",
    b"/",
    b"",
)
COPILOT_ELSEWHERE = (
    b"/completions",
    b"/v1/completions",
    b"/v1/engines/copilot-codex/completions",
    b"/v1/chat/completions",
    b"/v1/responses",
    b"/v1/messages/count_tokens",
    b"/chat",
    b"/chat/completions/",
    b"/chat/completions/x",
    b"/responses/resp_1",
    b"/embeddings",
    b"/models/",
    b"/agents",
    b"/agents/",
    b"/mcp",
    b"/.well-known",
    b"/.well-known/",
    b"/copilot_internal/v2/token",
    b"/user",
    b"/telemetry",
    b"/api",
    b"/",
    b"",
)


def _both(path: bytes, *methods: bytes) -> dict[bytes, tuple[bytes, tuple[bytes, ...]]]:
    """Return what serves a path with and without the version, which OpenAI's base URL holds."""
    return {path: (b"/v1" + path, methods), b"/v1" + path: (b"/v1" + path, methods)}


def _same(path: bytes, *methods: bytes) -> dict[bytes, tuple[bytes, tuple[bytes, ...]]]:
    return {path: (path, methods)}


OPENAI_SERVED = {
    **_both(b"/chat/completions", *POST),
    **_both(b"/responses", *POST),
    **_both(b"/responses/compact", *POST),
    **_both(b"/responses/input_tokens", *POST),
    **_both(b"/responses/resp_1", *KEPT),
    **_both(b"/responses/resp_1/cancel", *KEPT),
    **_both(b"/responses/resp_1/input_items", *KEPT),
    **_both(b"/conversations", *POST),
    **_both(b"/conversations/resp_1", *KEPT),
    **_both(b"/conversations/resp_1/items/msg_1", *KEPT),
    **_both(b"/models", *GET),
    **_both(b"/models/gpt-5", *GET),
    **_both(b"/embeddings", *POST),
}


COPILOT_SERVED = {
    **_same(b"/chat/completions", *POST),
    **_same(b"/responses", *POST),
    **_same(b"/v1/messages", *POST),
    **_same(b"/models", *GET),
    **_same(b"/models/gpt-5", *ANY),
    **_same(b"/models/gpt-5/policy", *ANY),
    **_same(b"/models/session/intent", *ANY),
    **_same(b"/agents/swe/jobs", *ANY),
    **_same(b"/mcp/", *ANY),
    **_same(b"/mcp/readonly", *ANY),
    **_same(b"/.well-known/oauth-protected-resource/mcp", *GET),
}


class OpenAiPathTests(hostile_paths.HostilePathCases):
    speech = CHAT
    routes = OPENAI_ROUTES
    named = b"resp_1"
    elsewhere = OPENAI_ELSEWHERE
    served = OPENAI_SERVED

    async def test_what_others_have_stored_is_nowhere(self) -> None:
        """The path names the object, however it goes on; what is not the user's own is a 404."""
        paths = [
            b"%b/%b%b" % (route, identifier, rest)
            for route in (b"/v1/responses", b"/responses", b"/v1/conversations")
            for identifier in (b"resp_2", b"resp_1%20", b"RESP_1", b"resp%5f2", b"compact%20")
            for rest in (b"", b"/cancel", b"/input_items?limit=1")
        ]

        await self.assert_all_refused(paths, b"", b"GET")


class CopilotPathTests(hostile_paths.HostilePathCases):
    speech = COPILOT_CHAT
    routes = COPILOT_ROUTES
    named = b"gpt-5"
    elsewhere = COPILOT_ELSEWHERE
    served = COPILOT_SERVED

    def request(
        self,
        body: bytes | None = None,
        *,
        method: bytes = b"POST",
        target: bytes | None = None,
        headers: Headers = (),
        token: str | None = TOKEN,
    ) -> bytes:
        """Return a request with a credential of one's own, without which half of it is refused."""
        if token is not None:
            own = (b"Authorization", b"Bearer gho_their-own-token")
            headers = (*headers, (b"X-AI-Bridge-Token", token.encode()), own)
        return super().request(body, method=method, target=target, headers=headers, token=None)
