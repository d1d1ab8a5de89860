"""What `aibridge doctor` asks the bridge that runs on this data directory: how it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import treq
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import Agent

from bridge.cli.checks import Finding, failed, ok, runs, warning
from bridge.config import options
from bridge.config.listening import listener_from
from bridge.config.settings import Settings
from bridge.deferreds import limited

SECONDS = 5.0
"""Limit of the question; the bridge is on this machine."""
_CHECK = "running bridge"
_MOST_BYTES = 1 << 20
_START = (
    "Start it: `systemctl start aibridge`, or `twistd aibridge --config FILE`. One that runs with "
    "another data directory is found with its own configuration."
)
_NOT_READY = {
    "draining": "It is being stopped, and takes no new connections.",
    "journal": "Its journal takes no records, so it refuses requests.",
    "starting": "It does not know the tokens yet, so it refuses requests.",
}
_ADVICE = {
    "draining": "Wait until it has ended, or start another.",
    "journal": "See what is said of the journal, the database and the disk.",
    "starting": "See what is said of the database; its log says what it waits for.",
}


async def running_findings(
    reactor: Any, settings: Settings, *, database_away: bool
) -> list[Finding]:
    """Ask the running bridge at its operations port; nothing is known of one without such a port.

    Args:
        reactor: to ask with.
        settings: of the bridge.
        database_away: it was found to be, which need not be said twice.
    """
    data_dir = settings[options.DATA_DIR]
    if not runs(data_dir):
        says = f"None runs with the data directory {data_dir.absolute()}."
        return [warning(_CHECK, says, _START)]
    description = settings[options.OPERATIONS_LISTEN]
    if not description:
        return []
    listener = listener_from(description)
    if listener.port is None or listener.tls:
        return []
    host = "127.0.0.1" if listener.interface in ("", "0.0.0.0") else listener.interface  # noqa: S104  # compared with
    if ":" in host:
        host = "[::1]" if host == "::" else f"[{host}]"
    url = f"http://{host}:{listener.port}/status"
    work = Deferred.fromCoroutine(_status(HTTPClient(Agent(reactor, connectTimeout=SECONDS)), url))
    try:
        status = await limited(work, SECONDS, reactor, lambda: TimeoutError("It does not answer"))
    except CancelledError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever is in the way is what is found
        reason = str(error) or type(error).__name__
        return [
            failed(
                _CHECK,
                f"It cannot be asked at {url}: {reason}.",
                "Was operations_listen changed since it was started? Its log may say more.",
            )
        ]
    return list(_findings(status, database_away=database_away))


async def _status(client: HTTPClient, url: str) -> Mapping[str, Any]:
    response = await client.get(url, allow_redirects=False)
    if response.code != 200 or not 0 <= response.length <= _MOST_BYTES:
        msg = f"the answer is of another program ({response.code})"
        raise ValueError(msg)
    status: object = await treq.json_content(response)
    if not isinstance(status, dict) or "ready" not in status:
        msg = "the answer is of another program"
        raise ValueError(msg)
    return status


def _findings(status: Mapping[str, Any], *, database_away: bool) -> Iterator[Finding]:
    word = status.get("not_ready")
    if word is None:
        version, running = status.get("version"), status.get("gateway", {}).get("requests_running")
        yield ok(_CHECK, f"It is ready (version {version}, {running} requests under way).")
    else:
        says = _NOT_READY.get(word, f"It is not ready: {word}.")
        yield failed(_CHECK, says, _ADVICE.get(word, "Its log says more."))
    database = status.get("database", {})
    if not database.get("connected", True):
        problem = str(database.get("problem") or "it is looked for").removesuffix(".")
        yield warning(
            f"{_CHECK}'s database",
            "It is not connected either." if database_away else f"It is not connected: {problem}.",
            "Requests go on, and their records wait in the journal; start it, or correct database.",
        )
    for provider in status.get("providers", ()):
        for key in provider.get("keys", ()):
            if key.get("state") == "out":
                yield warning(
                    f"{_CHECK}'s keys",
                    f"{provider.get('name')} has refused {key.get('hint')} since "
                    f"{key.get('since')}; it is not used any more.",
                    "Put a good key in place, then `aibridge reload`.",
                )
    for circuit in status.get("circuit_breakers", ()):
        if circuit.get("state") == "open":
            yield warning(
                f"{_CHECK}'s circuit breakers",
                f"{circuit.get('provider')} is not asked for {circuit.get('model')} for another "
                f"{circuit.get('seconds_left')} s.",
                "It failed too often in a row; see its status page.",
            )
