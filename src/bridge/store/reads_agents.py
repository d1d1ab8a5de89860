"""The agents of a session as a tree: who began whom, as their requests say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.store.connection import Cursor
from bridge.store.rows import Row, many
from bridge.store.sessions_json import Agent

MAX_AGENTS = 1000
MAX_DEPTH = 32
"""Agents below it are shown as the main one's: ids are the client's word, and may be anything."""

_AGENTS = """
SELECT i.metadata->>'agent_id', min(i.metadata->>'parent_agent_id'),
       min(i.metadata->>'agent_kind'), array_agg(DISTINCT i.model), count(*),
       min(i.started_at), max(i.ended_at)
{rows}
GROUP BY 1
ORDER BY min(i.started_at), 1
LIMIT %(limit)s
"""


@dataclass(slots=True)
class _Found:
    """One agent's interceptions."""

    id: str | None
    parent: str | None = None
    kind: str | None = None
    models: Sequence[str] = ()
    interceptions: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    depth: int = 0


async def read_agents(cursor: Cursor, rows: str, params: Mapping[str, object]) -> list[Row]:
    """Return the agents of a session, MAX_AGENTS at most, for `agent_tree`.

    Args:
        cursor: of a read-only transaction.
        rows: SQL from FROM on: interceptions `i` of one session.
        params: its parameters.
    """
    return await many(cursor, _AGENTS.format(rows=rows), {**params, "limit": MAX_AGENTS})


def agent_tree(found: Sequence[Sequence[Any]]) -> Agent:
    """Return the main agent, with those below it.

    Args:
        found: id, parent's id, kind, models, number of interceptions, start and end of each, in the
            order of their starts.
    """
    agents: dict[str | None, _Found] = {None: _Found(None)}
    for row in found:
        agents[row[0]] = _Found(*row)
    main = agents[None]
    children: dict[str | None, list[_Found]] = defaultdict(list)
    placed: set[str | None] = {None}
    # Whoever began another agent asked before it: in this order no chain can bite its tail.
    for agent in agents.values():
        if agent is main:
            continue
        above = agents[agent.parent] if agent.parent in placed else main
        if above.depth >= MAX_DEPTH:
            above = main
        agent.depth = above.depth + 1
        children[above.id].append(agent)
        placed.add(agent.id)
    return _told(main, children)


def _told(agent: _Found, children: Mapping[str | None, Sequence[_Found]]) -> Agent:
    below = children.get(agent.id, ())
    return Agent(
        id=agent.id,
        kind=agent.kind,
        models=tuple(agent.models),
        interceptions=agent.interceptions,
        started_at=agent.started_at,
        ended_at=agent.ended_at,
        sub_agents=tuple(_told(each, children) for each in below),
    )
