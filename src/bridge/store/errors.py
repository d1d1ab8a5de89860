"""What can go wrong between the bridge and its database, told apart by what should follow."""

from __future__ import annotations

from typing import ClassVar

from bridge.domain.errors import BridgeError


class StoreError(BridgeError):
    """The database refuses what it was given, or cannot be used as it is.

    `str()` is the whole sentence for the log and the terminal: host, user and database may be in
    it, the password never. `message` is for clients and names none of them.
    """

    status = 500
    code = "internal"
    said_to_client: ClassVar[str] = "The database refused the request."

    def __init__(self, sentence: str) -> None:
        """Keep the sentence for the operator."""
        super().__init__(self.said_to_client, retry_after=self.retry_after_seconds)
        self.sentence = sentence

    retry_after_seconds: ClassVar[float | None] = None

    def __str__(self) -> str:
        return self.sentence


class StoreUnavailable(StoreError):
    """Not now: out of reach, busy, starting, or not ready for us; the same may succeed later."""

    status = 503
    code = "unavailable"
    said_to_client = "The database is not available at the moment."
    retry_after_seconds = 5.0


class SchemaTooNew(StoreError):
    """A later version has changed the schema so that this one must not touch it."""


class ServerTooOld(StoreError):
    """The server is older than PostgreSQL 14."""


class WrongPassword(StoreError):
    """The server does not let this user in."""


class WrongMajorVersion(StoreError):
    """The embedded cluster was made by another major version of PostgreSQL."""
