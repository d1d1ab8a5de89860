"""The first minute of a new user: what is printed works as it stands, and tells no secret."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tests.acceptance.running import AcceptanceCase, Shared, command, message, recorded, said
from tests.support.bridge_process import BridgeProcess, descendants, eventually
from tests.support.rawclient import CLEAN, raw_request
from tests.support.rawclient_blocking import BlockingClient

PROMPT = "Hello from my first minute"
PROVIDERS = [{"name": "demo", "type": "demo"}]
AS_DELIVERED = [
    {"name": "anthropic", "type": "anthropic", "key": "${ANTHROPIC_API_KEY:-}"},
    {"name": "openai", "type": "openai", "key": "${OPENAI_API_KEY:-}"},
    *PROVIDERS,
]
"""Those of etc/bridge.yaml."""
SETTINGS = ("export ANTHROPIC_BASE_URL=", "export OPENAI_BASE_URL=")
SECONDS = 20.0
STOP_SECONDS = 8.0
_AIBRIDGE = """#!/bin/sh
exec '{python}' -c 'from bridge.cli.main import main; main()' "$@"
"""


def new_user(directory: Path) -> BridgeProcess:
    """Return a bridge with the demo provider, and `aibridge` on its PATH."""
    programs = directory / "bin"
    programs.mkdir()
    program = programs / "aibridge"
    program.write_text(_AIBRIDGE.format(python=sys.executable))
    program.chmod(0o755)
    path = os.environ.get("PATH", os.defpath)
    return BridgeProcess(
        directory=directory,
        settings={"data_dir": "data", "aibridge": {"providers": AS_DELIVERED}},
        environment={"PATH": f"{programs}{os.pathsep}{path}"},
    )


shared = Shared(new_user)


class Printed(AcceptanceCase):
    """Each printed line, given to a shell as it is."""

    def setUp(self) -> None:
        self.bridge = shared.get()

    def printed(self, beginning: str, bridge: BridgeProcess | None = None) -> str:
        """Return the printed command that begins like this."""
        output = said(bridge or self.bridge, "See what was recorded")
        lines = [line.strip() for line in output.splitlines()]
        (found,) = {line for line in lines if re.match(beginning, line)}
        return found

    def run_in_shell(self, line: str, bridge: BridgeProcess | None = None) -> str:
        """Run a line where the bridge was started, and return what it printed."""
        if "curl" in line and shutil.which("curl") is None:
            self.skipTest("curl is not there")
        bridge = bridge or self.bridge
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=bridge.directory,
            env=bridge.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_no_token(done.stdout + done.stderr)
        return done.stdout

    def assert_no_token(self, text: str) -> None:
        for kind in ("dev", "admin"):
            self.assertNotIn(self.bridge.token(kind), text)

    def test_the_message_is_answered_in_a_stream_and_recorded(self) -> None:
        answer = self.run_in_shell(self.printed("curl -N "))

        events = [line for line in answer.splitlines() if line.startswith("event: ")]
        self.assertEqual((events[0], events[-1]), ("event: message_start", "event: message_stop"))
        self.assertGreater(events.count("event: content_block_delta"), 3)
        deltas = re.findall(r'"text_delta","text":"([^"]*)"', answer)
        self.assertEqual("".join(deltas), f"You said: {PROMPT}")

    def test_the_command_shows_what_was_recorded(self) -> None:
        self.send("shown by the command")

        table = self.run_in_shell(self.printed(r"\S*aibridge .*interceptions list"))

        (row,) = [line for line in table.splitlines() if "shown by the command" in line]
        self.assertRegex(row, r"\badmin\b.*\bdemo +demo-text\b.*\bcompleted\b")

    def test_the_address_shows_what_was_recorded(self) -> None:
        self.send("shown at the address")

        answer = self.run_in_shell(self.printed(r"curl \S*/interceptions "))

        prompts = [each["user_prompts"] for each in json.loads(answer)["results"]]
        self.assertIn("shown at the address", [each["prompt"] for (each,) in prompts])

    def test_the_line_for_claude_code_sets_a_url_and_a_token_that_work(self) -> None:
        bridge = self.new_bridge({"data_dir": "data", "aibridge": {"providers": PROVIDERS}})
        bridge.start()
        setting = self.printed("export ANTHROPIC_BASE_URL=", bridge)

        answer = self.run_in_shell(
            f'{setting}; curl -s "$ANTHROPIC_BASE_URL/v1/models" '
            '-H "Authorization: Bearer $ANTHROPIC_AUTH_TOKEN"',
            bridge,
        )

        self.assertIn("demo-text", [each["id"] for each in json.loads(answer)["data"]])

    def test_the_line_for_openai_sets_a_url_and_a_token_that_work(self) -> None:
        setting = self.printed("export OPENAI_BASE_URL=")

        answer = self.run_in_shell(
            f'{setting}; curl -s "$OPENAI_BASE_URL/models" '
            '-H "Authorization: Bearer $OPENAI_API_KEY"'
        )

        self.assertIn("demo-text", [each["id"] for each in json.loads(answer)["data"]])

    def test_all_lines_can_be_run_in_one_shell_one_after_another(self) -> None:
        """The tokens of clients stay in its environment, and are no keys of the bridge."""
        self.send("run in one shell")
        lines = [self.printed(each) for each in (*SETTINGS, r"\S*aibridge .*interceptions list")]
        check = lines[-1].replace("interceptions list", "config check") + " 2>&1"

        said_by_all = self.run_in_shell("; ".join(["set -e", *lines, check]))

        self.assertIn("run in one shell", said_by_all)
        self.assertIn(
            "OPENAI_API_KEY in the environment holds a token of an AI Bridge", said_by_all
        )

    def test_a_bridge_started_with_a_clients_variables_does_without_them(self) -> None:
        token = self.bridge.token()
        bridge = self.new_bridge(
            {"data_dir": "data", "aibridge": {"providers": AS_DELIVERED}},
            environment={"ANTHROPIC_API_KEY": token, "OPENAI_API_KEY": token},
        )

        bridge.start()

        output = said(bridge, "See what was recorded")
        self.assertIn("/demo/v1 OPENAI_API_KEY=", output)
        self.assertIn("anthropic has no key yet", output)
        self.assertNotIn(token, output)

    def test_the_tokens_are_for_their_owner_only_and_stand_nowhere_else(self) -> None:
        self.send("said to look for tokens")
        self.assert_no_token(self.bridge.output)
        self.assertIn("$(cat data/dev-token)", self.bridge.output)
        data = self.bridge.data_dir
        modes = {name: mode(data / name) for name in (".", "dev-token", "admin-token")}
        self.assertEqual(modes, {".": 0o700, "dev-token": 0o600, "admin-token": 0o600})
        secret = self.bridge.token()[17:].encode()
        holding = {
            path.name
            for path in data.rglob("*")
            if path.is_file() and "postgres" not in path.parts and secret in path.read_bytes()
        }
        self.assertEqual(holding, {"dev-token"})

    def send(self, prompt: str) -> None:
        """Send a message, and wait for its record."""
        line = self.printed("curl -N ")
        self.run_in_shell(line.replace(PROMPT, prompt))
        recorded(self.bridge, prompt)


class Stopping(AcceptanceCase):
    """One that ends leaves nothing running, and everything on record."""

    def test_it_stops_at_once_with_all_its_processes_and_starts_again(self) -> None:
        bridge = self.new_bridge({"aibridge": {"providers": PROVIDERS}})
        bridge.start()
        turn = b'{"model":"demo-text","max_tokens":9,"messages":[{"role":"user","content":"kept"}]}'
        self.assertEqual(bridge.ask("POST", "/demo/v1/messages", turn)[0], 200)
        children = descendants(bridge.pid)
        self.assertGreaterEqual(len(children), 2)  # the database and the demo provider

        began = time.monotonic()
        bridge.terminate(seconds=SECONDS)

        self.assertLess(time.monotonic() - began, STOP_SECONDS)
        self.assertEqual([pid for pid in children if Path(f"/proc/{pid}").exists()], [])
        self.assertNotIn("Traceback", bridge.output)
        stopped = command(bridge, "interceptions", "list")
        self.assertIn("kept", stopped.stdout, stopped.stderr)
        bridge.start()
        eventually(
            lambda: bridge.output.count("AI Bridge is ready") == 2,
            seconds=SECONDS,
            what="the database to be there again",
        )
        self.assertEqual(recorded(bridge, "kept")["status"], "completed")
        self.assertEqual(bridge.output.count("Two tokens were made"), 1)

    def test_an_answer_that_streams_is_let_end_first(self) -> None:
        bridge = self.new_bridge({"aibridge": {"providers": PROVIDERS}})
        bridge.start()
        with BlockingClient(bridge.port, timeout=SECONDS) as client:
            headers = [
                (b"X-Api-Key", bridge.token().encode()),
                (b"Content-Type", b"application/json"),
                (b"X-Demo-Events", b"12"),
                (b"X-Demo-Interval", b"0.05"),
            ]
            body = message("demo-text", "let it end", stream=True)
            client.send(raw_request(b"POST", b"/demo/v1/messages", body, headers))
            client.begun(b"content_block_delta")

            bridge.signal(signal.SIGTERM)
            answer = client.response()

        bridge.wait(seconds=SECONDS)
        self.assertEqual(answer.end, CLEAN)
        self.assertEqual(answer.body.count(b'"text_delta"'), 12)
        self.assertTrue(answer.body.endswith(b'data: {"type":"message_stop"}\n\n'))
        listed = command(bridge, "interceptions", "list", "--json")
        (record,) = json.loads(listed.stdout)["results"]
        self.assertEqual((record["status"], record["stop_reason"]), ("completed", "end_turn"))


class Daemon(AcceptanceCase):
    """`twistd aibridge --config F`, as it is written."""

    def test_it_goes_to_the_background_logs_to_its_file_and_stops(self) -> None:
        bridge = self.new_bridge(
            {"data_dir": "data", "log_human": None, "aibridge": {"providers": PROVIDERS}}
        )
        self.addCleanup(self.end, bridge)

        done = self.twistd(bridge)

        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        eventually(partial(ready, bridge), seconds=SECONDS, what="the daemon to be ready")
        log = bridge.data_dir / "aibridge.log"
        self.assertEqual(mode(log), 0o600)
        self.assertIn(" ready address=", log.read_text())
        pid = int(pid_file(bridge).read_text())
        children = descendants(pid)
        self.assertGreaterEqual(len(children), 2)
        log.rename(log.with_suffix(".old"))
        os.kill(pid, signal.SIGHUP)
        eventually(
            partial(contains, log, "reloaded"), seconds=SECONDS, what="the log to be opened anew"
        )
        os.kill(pid, signal.SIGTERM)
        eventually(partial(gone, pid), seconds=STOP_SECONDS, what="the daemon to end")
        self.assertEqual([child for child in children if not gone(child)], [])
        self.assertFalse(pid_file(bridge).exists())
        self.assertIn(" stopped ", log.read_text())
        self.assertNotIn("Traceback", log.read_text())

    def test_errors_are_told_before_it_goes_to_the_background(self) -> None:
        bridge = self.new_bridge({"log_human": None, "log_level": "loud"})

        done = self.twistd(bridge)

        self.assertEqual(done.returncode, 2)
        self.assertIn("log_level", done.stderr)
        self.assertFalse(pid_file(bridge).exists())

    def twistd(self, bridge: BridgeProcess) -> subprocess.CompletedProcess[str]:
        """Start a daemon; the program that is called ends."""
        twistd = Path(sys.executable).parent / "twistd"
        return subprocess.run(
            [sys.executable, str(twistd), "aibridge", "--config", bridge.config.name],
            cwd=bridge.directory,
            env=bridge.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def end(self, bridge: BridgeProcess) -> None:
        """End what a failed test has left."""
        if pid_file(bridge).exists():
            pid = int(pid_file(bridge).read_text())
            os.kill(pid, signal.SIGTERM)
            eventually(partial(gone, pid), seconds=SECONDS, what="the daemon to end")


class Trouble(AcceptanceCase):
    """What cannot be used is told in sentences; log files are let go of when asked."""

    def test_every_problem_of_the_configuration_is_told_at_once(self) -> None:
        bridge = self.new_bridge(
            {
                "lissten": "tcp:1",
                "log_level": "loud",
                "aibridge": {
                    "retention": "soon",
                    "providers": [
                        {"name": "x", "type": "nonsense"},
                        {"name": "A B", "type": "demo"},
                    ],
                },
            },
            environment={"CODER_AIBRIDGE_MAX_CONCURRENCY": "many"},
            flags=["--aibridge-rate-limit", "fast"],
        )

        bridge.start(until_ready=False)
        code = bridge.wait(seconds=SECONDS)

        self.assertEqual(code, 2)
        for place in (
            *("lissten", "log_level", "aibridge.retention", "aibridge.max_concurrency"),
            *("aibridge.rate_limit", "aibridge.providers[0].type", "aibridge.providers[1].name"),
        ):
            self.assertIn(f"  {place}", bridge.output)
        self.assertNotIn("Traceback", bridge.output)
        self.assertFalse(bridge.data_dir.exists())

    def test_an_address_in_use_is_told_in_a_sentence(self) -> None:
        first = shared.get()
        bridge = self.new_bridge({"listen": f"tcp:{first.port}:interface=127.0.0.1"})

        bridge.start(until_ready=False)
        code = bridge.wait(seconds=SECONDS)

        self.assertEqual(code, 1)
        self.assertIn("AI Bridge cannot start: listen: cannot listen on", bridge.output)
        self.assertNotIn("Traceback", bridge.output)

    def test_log_files_are_opened_anew_on_hangup(self) -> None:
        directory = self.new_directory()
        human, machine = directory / "bridge.log", directory / "bridge.jsonl"
        bridge = self.new_bridge({"log_human": str(human), "log_json": str(machine)})
        bridge.start()
        for path in (human, machine):
            path.rename(path.with_suffix(".old"))

        bridge.signal(signal.SIGHUP)

        for path in (human, machine):
            holds = partial(contains, path, "reloaded")
            eventually(holds, seconds=SECONDS, what=f"a line in {path.name}")
            self.assertEqual(mode(path), 0o600)
            self.assertNotIn("reloaded", path.with_suffix(".old").read_text())
        self.assertEqual(bridge.ask("GET", "/readyz", token=None)[0], 200)

    def test_a_configuration_that_has_become_unusable_changes_nothing(self) -> None:
        bridge = self.new_bridge()
        bridge.start()
        bridge.configure({"log_level": "loud"})

        bridge.signal(signal.SIGHUP)

        self.assertIn("log_level", said(bridge, "configuration not reloaded"))
        self.assertNotIn("Traceback", bridge.output)
        self.assertEqual(bridge.ask("GET", "/readyz", token=None)[0], 200)


def ready(bridge: BridgeProcess) -> bool:
    """Say whether a daemon serves and has written its tokens."""
    try:
        status, _, _ = bridge.ask("GET", "/readyz", token=None)
    except OSError:
        return False
    log = bridge.data_dir / "aibridge.log"
    return status == 200 and " ready address=" in log.read_text()


def pid_file(bridge: BridgeProcess) -> Path:
    """Return where a daemon writes its pid."""
    return bridge.directory / "twistd.pid"


def gone(pid: int) -> bool:
    """Say whether no process has this pid, or only one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return True
    return fields[0] == "Z"


def contains(path: Path, text: str) -> bool:
    """Say whether a file is there and holds a text."""
    return path.exists() and text in path.read_text()


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)
