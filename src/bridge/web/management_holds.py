"""The endpoint `holds`: what is kept as it is, whatever retention and erasure say."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bridge.domain.identity import Role
from bridge.store.holds import Hold, holds
from bridge.web.endpoints import Asked, Endpoint
from bridge.web.management_interceptions import Transactions


class HoldList(msgspec.Struct, frozen=True, kw_only=True):
    """All holds, released ones too, oldest first."""

    holds: Sequence[Hold]


def holds_endpoint(pool: Transactions) -> Endpoint:
    """Return the endpoint, which reads from `pool`; holds are made on the command line."""

    async def answer(asked: Asked) -> HoldList:  # noqa: ARG001  # an endpoint's
        found = await pool.transaction(
            lambda cursor: holds(cursor, released_too=True), read_only=True
        )
        return HoldList(holds=found)

    return Endpoint(
        name="holds",
        path="/holds",
        summary="Legal holds, those that were released too.",
        answer=answer,
        returns=HoldList,
        roles=frozenset({Role.OWNER}),
    )
