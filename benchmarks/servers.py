"""The servers under test, each a process of its own, pinned and looked at through /proc."""

# ruff: noqa: D102  # the protocol and its implementations: names say it
from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.speech import MESSAGES, Speech
from tests.support.bridge_process import ROOT, BridgeProcess, descendants, eventually
from tests.support.fakes import unused_port

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_WORKER = b"bridge.workers"
_NGINX = """\
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  client_max_body_size 32m;
  client_body_buffer_size 256k;
  keepalive_requests 1000000000;
  upstream demo {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://demo;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


class Cores:
    """Which core the server under test has, and which the load, the upstream and the database."""

    def __init__(self) -> None:
        usable = sorted(os.sched_getaffinity(0))
        self.server = usable[0]
        self.rest = usable[-1]

    @property
    def apart(self) -> bool:
        return self.server != self.rest


class Server(Protocol):
    """One thing that is measured."""

    name: str
    port: int
    path: str
    """Of the messages API."""
    headers: Mapping[str, str]
    """That let a request in."""
    speech: Speech
    """What it is asked in."""

    @property
    def pid(self) -> int: ...

    def start(self, cores: Cores) -> None: ...

    def stop(self) -> None: ...


class Child:
    """A program that prints its port as its first line."""

    path = "/v1/messages"
    speech = MESSAGES

    def __init__(self, *, name: str, arguments: list[str], secret: str) -> None:
        self.name = name
        self.port = 0
        self.headers: Mapping[str, str] = {"x-api-key": secret}
        self._arguments = arguments
        self._secret = secret
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self, cores: Cores) -> None:
        self._start(cores.server)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self, core: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self._arguments],
            cwd=ROOT,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "AIBRIDGE_DEMO_SECRET": self._secret,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        pin(self._process.pid, core)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())


class DemoUpstream(Child):
    """The demo provider's own code; asked directly it is also what delays are compared with."""

    def __init__(self) -> None:
        super().__init__(name="direct", arguments=["bridge.demo"], secret=secrets.token_hex(16))

    @property
    def secret(self) -> str:
        return self._secret

    def start(self, cores: Cores) -> None:
        self._start(cores.rest)


class AwsUpstream(Child):
    """Bedrock, as far as its framing goes."""

    def __init__(self) -> None:
        super().__init__(name="aws", arguments=["benchmarks.aws"], secret="none")

    def start(self, cores: Cores) -> None:
        self._start(cores.rest)


class Nginx:
    """nginx as a proxy that does not buffer; one process without a master."""

    name = "nginx"
    path = "/v1/messages"
    speech = MESSAGES

    def __init__(self, *, program: str, directory: Path, upstream: DemoUpstream) -> None:
        self.port = unused_port()
        self.headers: Mapping[str, str] = upstream.headers
        self._program = program
        self._directory = directory
        self._upstream_port = upstream.port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self, cores: Cores) -> None:
        self._directory.mkdir()
        config = self._directory / "nginx.conf"
        config.write_text(
            _NGINX.format(directory=self._directory, upstream=self._upstream_port, port=self.port)
        )
        self._process = subprocess.Popen(
            [self._program, "-p", str(self._directory), "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        pin(self._process.pid, cores.server)
        eventually(lambda: listens(self._process, self.port), seconds=10.0, what="nginx")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


class Bridge:
    """The bridge as it is delivered: embedded database, writer on."""

    path = "/demo/v1/messages"
    speech = MESSAGES

    def __init__(
        self,
        *,
        fsync: str,
        directory: Path,
        upstream: DemoUpstream,
        aws: AwsUpstream,
        workers: int = 0,
        base_url: str = "",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Be ready to start it.

        Args:
            fsync: of the journal.
            directory: for its files; it is made.
            upstream: has been started.
            aws: has been started, too.
            workers: processes besides the parent; 0 for a single one.
            base_url: of the upstream, when it is to be reached in another way.
            more: settings besides, `aibridge` excepted.
        """
        plural = "" if workers == 1 else "s"
        self.name = f"bridge, {workers} worker{plural}" if workers else f"bridge {fsync}"
        directory.mkdir()
        self.settings: Mapping[str, Any] = {
            "log_level": "warning",
            "workers": workers,
            "journal": {"fsync": fsync},
            "aibridge": {
                "providers": [
                    {
                        "name": "demo",
                        "type": "anthropic",
                        "base_url": base_url or f"http://127.0.0.1:{upstream.port}",
                        "key": upstream.secret,
                    },
                    {
                        "name": "openai",
                        "type": "openai",
                        "base_url": f"http://127.0.0.1:{upstream.port}/v1",
                        "key": upstream.secret,
                    },
                    {
                        "name": "bedrock",
                        "type": "bedrock",
                        "region": "us-east-1",
                        "base_url": f"http://127.0.0.1:{aws.port}",
                        "access_key": "AKIABENCHMARK",
                        "access_key_secret": "a-secret-of-nobodys",
                    },
                ]
            },
            **(more or {}),
        }
        self.process = BridgeProcess(directory=directory, settings=self.settings)
        self.port = self.process.port
        self.first_start_seconds = 0.0
        self.later_start_seconds = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def pids(self) -> Sequence[int]:
        """Its own processes: the database's are not."""
        below = descendants(self.pid).items()
        return [self.pid, *(pid for pid, command in below if _WORKER in command)]

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.process.token()}"}

    def start(self, cores: Cores) -> None:
        """Start twice, because a first start makes the database."""
        self.process.start()
        self.first_start_seconds = self.process.start_seconds
        self.process.terminate()
        self.process.start()
        self.later_start_seconds = self.process.start_seconds
        self.process.wait_for_database()
        for child in descendants(self.pid):
            pin(child, cores.rest)  # the database, which hands it on to its own children
        for own in self.pids:
            pin(own, cores.server)

    def stop(self) -> None:
        self.process.close()


class InOtherWords:
    """A bridge that is started already, asked in another API."""

    def __init__(self, bridge: Bridge, speech: Speech) -> None:
        self.bridge = bridge
        self.speech = speech
        self.name = f"{bridge.name}, {speech.name}"
        self.port = bridge.port
        self.path = f"{speech.served_at}{speech.path}"

    @property
    def headers(self) -> Mapping[str, str]:
        return self.bridge.headers

    @property
    def pid(self) -> int:
        return self.bridge.pid

    def start(self, cores: Cores) -> None:
        """Do nothing: it runs."""

    def stop(self) -> None:
        """Do nothing: who started it stops it."""


def nginx_program() -> str | None:
    """Return where nginx is, None when it is not installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def bare(upstream: DemoUpstream) -> Child:
    """Return bare Klein + treq."""
    return Child(
        name="bare",
        arguments=["benchmarks.bare", str(upstream.port)],
        secret=upstream.secret,
    )


def pin(pid: int, core: int) -> None:
    """Pin every thread of a process to a core; threads made later inherit it."""
    with contextlib.suppress(FileNotFoundError):  # it has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # likewise
                os.sched_setaffinity(int(task.name), {core})


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, its threads included, its children not."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def running_seconds(pid: int) -> float:
    """Return the processor time of a process to the nanosecond, its threads included."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            total += int((task / "schedstat").read_bytes().split()[0])
    return total / 1e9


def tree_seconds(pid: int) -> float:
    """Return the processor time of a process and of all that it has started, the ended too."""
    total = 0.0
    for each in (pid, *descendants(pid)):
        with contextlib.suppress(FileNotFoundError):  # it has just ended; its parent has its time
            fields = Path(f"/proc/{each}/stat").read_bytes().rpartition(b") ")[2].split()
            total += sum(map(int, fields[11:15])) / _TICKS
    return total


def pids_of(server: Server) -> Sequence[int]:
    """Return the processes whose time and memory are a server's."""
    if isinstance(server, InOtherWords):
        server = server.bridge
    return server.pids if isinstance(server, Bridge) else [server.pid]


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE_BYTES


def listens(process: subprocess.Popen[bytes] | None, port: int) -> bool:
    """Return whether a port of this process can be connected to."""
    assert process is not None and process.poll() is None, "it ended"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def interrupt_as_exit() -> None:
    """Make SIGTERM unwind like Ctrl-C, so that every child is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
