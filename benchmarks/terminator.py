"""What speaks TLS before an upstream: `python -m benchmarks.terminator CERTIFICATE KEY PORT`.

Prints its port. Each line on stdin is answered with a line of JSON: how many handshakes there were,
and how many of them resumed a session. It ends with stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys

_READ_BYTES = 256 * 1024


async def main() -> None:
    """Serve until stdin closes."""
    certificate, key, port = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection("127.0.0.1", int(port))
        await asyncio.gather(_pass_on(reader, ahead), _pass_on(behind, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while await lines.readline():
        counts = context.session_stats()
        print(
            json.dumps({"handshakes": counts["accept_good"], "resumed": counts["hits"]}), flush=True
        )


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main())
