"""Other gateways, as their packages bring them, pointed at `benchmarks.chat`.

`make bench-peers` installs them into `.bench/`; what is not there is left out. None of them records
what passes: LiteLLM has no database, Portkey's gateway and ferrogw keep nothing.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from benchmarks.measures import models
from benchmarks.servers import Child, Cores, Nginx, Server, listens
from benchmarks.speech import CHAT_BY_MODEL, MESSAGES_BY_MODEL, Speech
from tests.support.bridge_process import ROOT, eventually
from tests.support.fakes import unused_port

INSTALLED = ROOT / ".bench"
_START_SECONDS = 180.0
"""LiteLLM loads half a thousand modules."""


class ChatUpstream(Child):
    """What all of them are pointed at; asked directly it is what delays are compared with."""

    path = CHAT_BY_MODEL.path
    speech = CHAT_BY_MODEL

    def __init__(self) -> None:
        super().__init__(name="direct", arguments=["benchmarks.chat"], secret="sk-upstream")

    @property
    def secret(self) -> str:
        """The provider's key; any will do."""
        return self._secret

    def start(self, cores: Cores) -> None:
        """Start it beside the load."""
        self._start(cores.rest)


class MessagesUpstream(ChatUpstream):
    """The same, asked in Messages."""

    path = MESSAGES_BY_MODEL.path
    speech = MESSAGES_BY_MODEL


class Terminator(Child):
    """What speaks TLS before the upstream, and counts sessions."""

    def __init__(self, *, certificate: Path, key: Path, upstream: ChatUpstream) -> None:
        arguments = ["benchmarks.terminator", str(certificate), str(key), str(upstream.port)]
        super().__init__(name="terminator", arguments=arguments, secret=upstream.secret)

    def start(self, cores: Cores) -> None:
        """Start it beside the load."""
        self._start(cores.rest)

    def counts(self) -> dict[str, int]:
        """Return how many handshakes there were, and how many of them resumed a session."""
        assert self._process is not None, "not started"
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        found: dict[str, int] = json.loads(self._process.stdout.readline())
        return found


class NginxToChat(Nginx):
    """nginx in front of the same upstream."""

    path = CHAT_BY_MODEL.path
    speech = CHAT_BY_MODEL


class Gateway:
    """A program that listens on a port that it is told."""

    name = ""
    path = CHAT_BY_MODEL.path
    speech: Speech = CHAT_BY_MODEL

    def __init__(self, *, directory: Path, upstream: ChatUpstream, events: int) -> None:
        """Be ready to start it.

        Args:
            directory: for its files; it is made.
            upstream: has been started.
            events: of a stream that it will be asked for.
        """
        self.port = unused_port()
        self.headers: Mapping[str, str] = {}
        self._directory = directory
        self._upstream = upstream
        self._models = models(self.speech, events)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that does the work."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self, cores: Cores) -> None:
        """Start it on its core: some count the cores that they have only once."""
        self._directory.mkdir(parents=True)
        arguments, environment = self._command()
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cores.server})  # a child has its parent's cores
        try:
            with (self._directory / "output").open("wb") as output:
                self._process = subprocess.Popen(
                    arguments,
                    cwd=self._directory,
                    env={
                        "PATH": os.environ.get("PATH", os.defpath),
                        "HOME": str(self._directory),
                        **environment,
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
        finally:
            os.sched_setaffinity(0, mine)
        eventually(
            lambda: listens(self._process, self.port), seconds=_START_SECONDS, what=self.name
        )

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """Return its arguments and its environment, after writing what it reads."""
        raise NotImplementedError


class LiteLLM(Gateway):
    """LiteLLM's proxy, one worker, no database."""

    name = "LiteLLM"
    program = INSTALLED / "python" / "bin" / "litellm"

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        self.headers = {"Authorization": "Bearer sk-bench"}
        upstream = {
            "model": "openai/*",
            "api_base": f"http://127.0.0.1:{self._upstream.port}/v1",
            "api_key": self._upstream.secret,
        }
        config = self._directory / "config.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "model_list": [{"model_name": "*", "litellm_params": upstream}],
                    "general_settings": {"master_key": "sk-bench"},
                    "litellm_settings": {"telemetry": False},
                }
            )
        )
        listen = ["--host", "127.0.0.1", "--port", str(self.port), "--num_workers", "1"]
        return (
            [str(self.program), "--config", str(config), *listen],
            {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        )


class Portkey(Gateway):
    """Portkey's gateway, on node."""

    name = "Portkey"
    program = (
        INSTALLED / "node" / "node_modules" / "@portkey-ai" / "gateway" / "build"
        / "start-server.js"
    )  # fmt: skip

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        self.headers = {
            "Authorization": f"Bearer {self._upstream.secret}",
            "x-portkey-provider": "openai",
            # An address in numbers it refuses.
            "x-portkey-custom-host": f"http://localhost:{self._upstream.port}/v1",
        }
        return ["node", str(self.program), f"--port={self.port}", "--headless"], {
            "NODE_ENV": "production"
        }


class Ferrogw(Gateway):
    """Ferro Labs' gateway, in Go."""

    name = "ferrogw"
    program = INSTALLED / "python" / "bin" / "ferrogw"

    def _command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        key = f"fgw_{secrets.token_hex(16)}"
        self.headers = {"Authorization": f"Bearer {key}"}
        config = self._directory / "config.yaml"
        # The one provider of its that takes models that it has not heard of.
        targets = [{"virtual_key": "ollama"}]
        config.write_text(yaml.safe_dump({"strategy": {"mode": "fallback"}, "targets": targets}))
        return [str(self.program), "serve"], {
            "MASTER_KEY": key,
            "GATEWAY_CONFIG": str(config),
            "OLLAMA_HOST": f"http://127.0.0.1:{self._upstream.port}",
            "FERRO_OLLAMA_MODELS": ",".join(self._models),
            "RATE_LIMIT_RPS": "0",
            "PORT": str(self.port),
            "LOG_LEVEL": "error",
        }


GATEWAYS = (LiteLLM, Portkey, Ferrogw)


def installed(directory: Path, upstream: ChatUpstream, events: int) -> Sequence[Server]:
    """Return those gateways that are installed."""
    return [
        gateway(directory=directory / gateway.name, upstream=upstream, events=events)
        for gateway in GATEWAYS
        if gateway.program.exists()
    ]
