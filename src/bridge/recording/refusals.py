"""Refusals as audit rows: the first of a kind at once, the rest counted, once a minute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bridge.domain.clock import Clock, utc
from bridge.domain.errors import BridgeError, Unauthenticated, Unavailable
from bridge.domain.identity import Actor
from bridge.domain.ids import day_of, uuid7
from bridge.domain.records import AuditRecorded, Record
from bridge.telemetry.redact import redacted_text

WINDOW_SECONDS = 60.0
_MAX_KINDS = 1_000
_MAX_TEXT = 500


@dataclass(slots=True)
class _Folded:
    """Refusals of one kind since the row that was written last."""

    actor: Actor | None
    error: BridgeError
    path: str
    source: str
    written_at: float
    count: int = 0
    first_at: float = 0.0
    """Of those that are counted, like the last."""
    last_at: float = 0.0

    def counted(self, now: float) -> None:
        """Count one more."""
        if not self.count:
            self.first_at = now
        self.count += 1
        self.last_at = now


class Refusals:
    """Writes what was refused to the audit log, bounded in rate and in memory."""

    def __init__(self, *, append: Callable[[Sequence[Record]], object], clock: Clock) -> None:
        """Write with `append`, the journal's."""
        self._append = append
        self._clock = clock
        self._kinds: dict[tuple[str, int, str, str], _Folded] = {}
        self.lost = 0
        """Refusals of which no row could be written."""

    def note(self, error: BridgeError, *, actor: Actor | None, path: str, source: str) -> None:
        """Note that a request was refused with `error`.

        Args:
            error: what it was answered.
            actor: who asked, when known.
            path: the path, without its query.
            source: the client's address.
        """
        now = self._clock.seconds()
        holder = error.holder if isinstance(error, Unauthenticated) else None
        who = actor.token_id if actor is not None else source
        if holder is not None:
            # Behind one address there may be many, and a row says of one that it was refused.
            who = str(holder.user_id)
        key = (who, error.status, error.message[:64], path[:64])
        known = self._kinds.get(key)
        if known is not None:
            known.counted(now)
            return
        if len(self._kinds) >= _MAX_KINDS:
            # Somebody makes up addresses or paths: all that is left of them is a number.
            key = ("", error.status, error.code, "")
            if key in self._kinds:
                self._kinds[key].counted(now)
                return
            actor, path, source = None, "(many)", "(many)"
        # A token or key that somebody put into the path must not outlive the request.
        folded = _Folded(actor, error, redacted_text(path)[:_MAX_TEXT], source, now)
        self._kinds[key] = folded
        self._write(folded, count=1, detail={})

    async def flush(self) -> None:
        """Write what was counted and is a window old; forget what came no more."""
        now = self._clock.seconds()
        for key, folded in list(self._kinds.items()):
            if now - folded.written_at < WINDOW_SECONDS:
                continue
            if folded.count == 0:
                del self._kinds[key]
                continue
            self._write_counted(folded)
            folded.count = 0
            folded.written_at = now

    def close(self) -> None:
        """Write all that was counted."""
        for folded in self._kinds.values():
            if folded.count:
                self._write_counted(folded)
        self._kinds.clear()

    def _write_counted(self, folded: _Folded) -> None:
        """Write how many there were, and when: the row is later."""
        times = {name: utc(getattr(folded, name)).isoformat() for name in ("first_at", "last_at")}
        self._write(folded, count=folded.count, detail=times)

    def _write(self, folded: _Folded, *, count: int, detail: Mapping[str, object]) -> None:
        now = self._clock.seconds()
        identifier = uuid7(now)
        actor, error = folded.actor, folded.error
        detail = {"code": error.code, **detail}
        if isinstance(error, Unauthenticated) and error.holder is not None:
            # The reason names them; by the id the name is found when they are erased.
            detail |= {"user": error.holder.username, "user_id": str(error.holder.user_id)}
        row = AuditRecorded(
            id=identifier,
            day=day_of(identifier),
            at=utc(now),
            action="refusal",
            actor_id=actor.id if actor is not None else None,
            actor_name=actor.username if actor is not None else None,
            token_id=actor.token_id if actor is not None else None,
            target=folded.path,
            status=error.status,
            reason=error.message[:_MAX_TEXT],
            source=folded.source,
            detail=detail,
            count=count,
        )
        try:
            self._append([row])
        except Unavailable:
            self.lost += count
