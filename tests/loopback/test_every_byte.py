"""The bytes are the provider's: every fixture arrives as it was sent, however it was cut."""

from __future__ import annotations

from tests.fixtures.messages import DOCUMENTS, STREAMS
from tests.loopback import every_byte
from tests.loopback.speech import MESSAGES


class EveryByteTests(every_byte.EveryDocumentCases):
    speech = MESSAGES
    byte_by_byte_up_to = 4096
    streams = STREAMS
    documents = DOCUMENTS
    end_markers = (b"message_stop", b"event: error")
