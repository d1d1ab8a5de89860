"""Asks a stream for its token counts on the client's behalf, by one edit of the request.

Many clients never ask, and without asking there are none to record. What comes in answer is kept
from the client by a `UsagePassage`.

Source: platform.openai.com/docs/api-reference/chat/create, `stream_options` (read 2026-11-25).
"""

from __future__ import annotations

from bridge.dialects.chat_completions.passage import UsagePassage
from bridge.dialects.interface import Adaptation, RequestSummary
from bridge.wire.json_edit import replaced, span_of, with_member

_OPTIONS = "stream_options"
_WANTED = "include_usage"
_ASKING = b'{"include_usage":true}'
_YES = b"true"
_NO = frozenset({b"false", b"null"})
_MAX_SCANNED_BYTES = 4 * 1024 * 1024
_MAX_SCANNED_BRACKETS = 100_000
# Every other stream waits meanwhile; nobody who speaks of stream_options comes near these.


def adapted(body: bytes, summary: RequestSummary) -> Adaptation | None:
    """Return the request with `stream_options.include_usage` set, None when it need not change.

    Options of an odd type are left to the provider's judgement.

    Args:
        body: as the client sent it, without any content encoding.
        summary: of the same body.
    """
    edited = _asking(body) if summary.streaming else None
    return None if edited is None else Adaptation(body=edited, passage=UsagePassage)


def _asking(body: bytes) -> bytes | None:
    end = body.rfind(b"}") + 1
    if b'"stream_options"' not in body and b"\\u" not in body:  # nor spelled with escapes
        return with_member(body, end, _OPTIONS, _ASKING)
    if len(body) > _MAX_SCANNED_BYTES or _brackets(body) > _MAX_SCANNED_BRACKETS:
        return None
    options = span_of(body, (_OPTIONS,))
    if options is None:
        return with_member(body, end, _OPTIONS, _ASKING)
    given = body[slice(*options)]
    if given == b"null":
        return replaced(body, options, _ASKING)
    if not given.startswith(b"{"):
        return None
    wanted = span_of(body, (_OPTIONS, _WANTED))
    if wanted is None:
        return with_member(body, options[1], _WANTED, _YES)
    return replaced(body, wanted, _YES) if body[slice(*wanted)] in _NO else None


def _brackets(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")
