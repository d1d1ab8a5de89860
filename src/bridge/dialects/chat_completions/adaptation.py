"""Asks a stream for its token counts on the client's behalf, by one edit of the request.

Many clients never ask, and without asking there are none to record. What comes in answer is kept
from the client by a `UsagePassage`.

Source: platform.openai.com/docs/api-reference/chat/create, `stream_options` (read 2026-11-25).
"""

from __future__ import annotations

import re

from bridge.dialects.chat_completions.passage import UsagePassage
from bridge.dialects.interface import Adaptation, RequestSummary
from bridge.wire.json_edit import members_of, replaced, span_of, with_member

_OPTIONS = "stream_options"
_WANTED = "include_usage"
_ASKING = b'{"include_usage":true}'
_YES = b"true"
_NO = frozenset({b"false", b"null"})
_MAX_SEARCHED_BYTES = 2 * 1024 * 1024
_MAX_MEMBERS = 1000
# Every other stream waits meanwhile; nobody who speaks of stream_options comes near these.

_WRITTEN = b'"stream_options"'
_ESCAPED_LETTER = re.compile(rb"\\u00(?:5[fF]|6[1-9a-fA-F]|7[0-9aA])")
# Of those in a key that is spelled with escapes. None stands in what encoders make of texts.
_WINDOW_BYTES = 256 * 1024
_OVERLAP_BYTES = 32
# Must exceed what is looked for.


def adapted(body: bytes, summary: RequestSummary) -> Adaptation | None:
    """Return the request with `stream_options.include_usage` set, None when it need not change.

    Options of an odd type are left to the provider's judgement, and so is a body that would take
    long to search: one that may name them and has thousands of members, or more than 2 MiB.

    Args:
        body: as the client sent it, without any content encoding.
        summary: of the same body.
    """
    edited = _asking(body) if summary.streaming else None
    return None if edited is None else Adaptation(body=edited, passage=UsagePassage)


def _asking(body: bytes) -> bytes | None:
    if not _may_name_options(body):
        return with_member(body, body.rfind(b"}") + 1, _OPTIONS, _ASKING)
    members = members_of(body, at_most=_MAX_MEMBERS) if len(body) <= _MAX_SEARCHED_BYTES else None
    if members is None:
        return None
    options = span_of(members, _OPTIONS)
    if options is None:
        return with_member(body, body.rfind(b"}") + 1, _OPTIONS, _ASKING)
    asking = _with_usage(body[slice(*options)])
    return None if asking is None else replaced(body, options, asking)


def _with_usage(options: bytes) -> bytes | None:
    """Return `stream_options` that ask for the counts; None for such as may not be changed."""
    if options == b"null":
        return _ASKING
    members = members_of(options, at_most=_MAX_MEMBERS)
    if members is None:
        return None
    wanted = span_of(members, _WANTED)
    if wanted is None:
        return with_member(options, len(options), _WANTED, _YES)
    return replaced(options, wanted, _YES) if options[slice(*wanted)] in _NO else None


def _may_name_options(body: bytes) -> bool:
    """Return whether `body` may hold the key, in windows between which other threads get a turn."""
    for at in range(0, len(body), _WINDOW_BYTES):
        end = at + _WINDOW_BYTES + _OVERLAP_BYTES
        if body.find(_WRITTEN, at, end) >= 0 or _ESCAPED_LETTER.search(body, at, end) is not None:
            return True
    return False
