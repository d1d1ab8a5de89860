"""Every promise of a setup page like the established one, asked of the real process."""

from __future__ import annotations

import json
import stat
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.acceptance.broker import ANSWER, Broker
from tests.acceptance.running import LIST, AcceptanceCase, Shared, listed, message, said
from tests.support.bridge_process import BridgeProcess, eventually

KEY = "sk-ant-organisation-0123456789"
MESSAGE = "interception log"
DEMO = {"name": "demo", "type": "demo"}
EVERYWHERE = {"interception_id", "provider", "provider_name", "username", "model", "client"}
FIELDS = {
    "interception_start": {
        "initiator_id", "api_key_id", "client_session_id", "started_at", "metadata",
        "correlating_tool_call_id",
    },
    "interception_end": {"ended_at", "status", "http_status", "duration_ms"},
    "token_usage": {
        "msg_id", "input_tokens", "output_tokens", "cache_read_input_tokens",
        "cache_write_input_tokens", "created_at", "metadata",
    },
    "prompt_usage": {"msg_id", "prompt", "created_at", "metadata"},
    "tool_usage": {
        "msg_id", "tool_call_id", "item_id", "tool", "input", "server_url", "injected",
        "invocation_error", "created_at", "metadata",
    },
    "model_thought": {"content", "created_at", "metadata"},
}  # fmt: skip
"""The fields of each record type, beside those that every line has."""

broker = Shared(lambda _: Broker())


def by_environment(directory: Path) -> BridgeProcess:
    """Return a bridge with nothing but two variables; `enabled` is absent."""
    return BridgeProcess(
        directory=directory,
        settings={"log_human": None, "log_json": str(directory / "bridge.jsonl")},
        environment={
            "CODER_AIBRIDGE_ANTHROPIC_KEY": KEY,
            "CODER_AIBRIDGE_ANTHROPIC_BASE_URL": broker.get().url,
        },
    )


def by_flag(directory: Path) -> BridgeProcess:
    """Return a bridge whose vendor, switch and logs are said by flags."""
    return BridgeProcess(
        directory=directory,
        settings={"aibridge": {"providers": [DEMO]}},
        flags=[
            *("--aibridge-enabled", "--aibridge-structured-logging"),
            *("--aibridge-anthropic-key", KEY, "--aibridge-anthropic-base-url", broker.get().url),
            *("--log-json", str(directory / "bridge.jsonl")),
        ],
    )


def by_file(directory: Path) -> BridgeProcess:
    """Return a bridge that is told everything by its file, and logs JSON to /dev/stderr."""
    listed = {"name": "second", "type": "anthropic", "key": "${SECOND_KEY}"}
    return BridgeProcess(
        directory=directory,
        settings={
            "log_human": "",
            "log_json": "/dev/stderr",
            "aibridge": {
                "enabled": True,
                "structured_logging": True,
                "anthropic_key": KEY,
                "anthropic_base_url": broker.get().url,
                "providers": [{**listed, "base_url": broker.get().url}],
            },
        },
        environment={"SECOND_KEY": "sk-ant-second-0123456789"},
    )


environment = Shared(by_environment)
flag = Shared(by_flag)
file = Shared(by_file)


class SetupCase(AcceptanceCase):
    """Asks a bridge, and looks at what its provider was sent."""

    def send(
        self,
        bridge: BridgeProcess,
        prompt: str,
        *,
        at: str = "/anthropic",
        model: str = "some-model",
        token: str | None = "dev",
        **headers: str,
    ) -> tuple[int, bytes]:
        """Send a message, and return status and body of the answer."""
        status, _, body = bridge.ask(
            "POST",
            f"{at}/v1/messages?beta=true",
            message(model, prompt),
            token=token,
            headers={"Content-Type": "application/json", **headers},
        )
        return status, body

    def assert_arrives(self, bridge: BridgeProcess, prompt: str, *, key: str = KEY) -> None:
        """Send a message, which must reach the broker's path with the key and no token of ours."""
        status, body = self.send(bridge, prompt)

        self.assertEqual((status, body), (200, ANSWER))
        sent = broker.get().about(prompt)
        self.assertEqual(sent.target, "/compatible/api/v1/messages?beta=true")
        self.assertEqual(sent.headers["x-api-key"], key)
        self.assertNotIn("authorization", sent.headers)
        self.assertNotIn(bridge.token(), str(sent.headers))

    def assert_refused(self, answer: tuple[int, bytes], status: int, kind: str) -> str:
        """Check for an error in the caller's shape, and return its message."""
        error = json.loads(answer[1])
        self.assertEqual((answer[0], error["type"]), (status, "error"))
        self.assertEqual(error["error"]["type"], kind)
        sentence = error["error"]["message"]
        assert isinstance(sentence, str)
        return sentence

    def assert_managed(self, bridge: BridgeProcess) -> None:
        """Check that management and health are served."""
        self.assertEqual(bridge.ask("GET", LIST, token="admin")[0], 200)
        self.assertEqual(bridge.ask("GET", "/healthz", token=None)[0], 200)
        self.assertEqual(bridge.ask("GET", "/readyz", token=None)[0], 200)


class Enabled(SetupCase):
    """`enabled`: on unless it is switched off, and then management only."""

    def test_when_nobody_says_so_it_is_on(self) -> None:
        self.assertEqual(self.send(environment.get(), "enabled absent")[0], 200)

    def test_it_is_switched_on_by_flag_and_by_file(self) -> None:
        self.assertEqual(self.send(flag.get(), "enabled by flag")[0], 200)
        self.assertEqual(self.send(file.get(), "enabled by file")[0], 200)

    def test_switched_off_by_file_there_is_management_only(self) -> None:
        bridge = self.new_bridge({"aibridge": {"enabled": False, "providers": [DEMO]}})
        bridge.start()

        self.assert_off(bridge)

    def test_switched_off_by_environment_there_is_management_only(self) -> None:
        bridge = self.new_bridge(
            {"aibridge": {"enabled": True, "providers": [DEMO]}},
            environment={"CODER_AIBRIDGE_ENABLED": "false"},
        )
        bridge.start()

        self.assert_off(bridge)

    def assert_off(self, bridge: BridgeProcess) -> None:
        for token in ("dev", None):
            answer = self.send(bridge, "anybody there?", at="/demo", model="demo-text", token=token)
            sentence = self.assert_refused(answer, 503, "overloaded_error")
            self.assertIn("aibridge.enabled", sentence)
        self.assert_managed(bridge)
        self.assertEqual(listed(bridge), [])
        self.assertNotIn("curl -N", said(bridge, "The gateway is switched off"))


class Providers(SetupCase):
    """Anthropic, or a compatible broker in its place, by any one of the three sources."""

    def test_environment_alone(self) -> None:
        self.assert_arrives(environment.get(), "by environment alone")

    def test_flag_alone(self) -> None:
        self.assert_arrives(flag.get(), "by flag alone")

    def test_file_alone(self) -> None:
        self.assert_arrives(file.get(), "by file alone")

    def test_a_named_instance_beside_it_has_a_path_and_a_key_of_its_own(self) -> None:
        answer = self.send(file.get(), "by the second", at="/second")

        self.assertEqual(answer, (200, ANSWER))
        key = broker.get().about("by the second").headers["x-api-key"]
        self.assertEqual(key, "sk-ant-second-0123456789")

    def test_the_established_paths_lead_there_too(self) -> None:
        for prefix in ("/api/v2/aibridge", "/api/v2/ai-gateway"):
            answer = self.send(environment.get(), f"below {prefix}", at=f"{prefix}/anthropic")
            self.assertEqual(answer, (200, ANSWER))

    def test_what_was_sent_is_recorded_with_a_masked_key(self) -> None:
        bridge = environment.get()
        self.send(bridge, "to be recorded")

        record = self.recorded(bridge, "to be recorded")

        self.assertEqual(
            (record["provider"], record["provider_name"], record["status"], record["http_status"]),
            ("anthropic", "anthropic", "completed", 200),
        )
        self.assertEqual(record["credential_hint"], "sk-a...6789")
        self.assertEqual(record["token_usages"][0]["input_tokens"], 11)
        self.assertNotIn(KEY, bridge.output)

    def test_without_any_provider_it_starts_and_says_so(self) -> None:
        bridge = self.new_bridge({"aibridge": {"providers": []}})
        bridge.start()

        status, body = self.send(bridge, "anybody there?")

        self.assertEqual(status, 404, body)
        said(bridge, "No provider is configured")
        self.assert_managed(bridge)

    def test_without_a_key_users_bring_their_own(self) -> None:
        variables = {"CODER_AIBRIDGE_ANTHROPIC_BASE_URL": broker.get().url}
        bridge = self.new_bridge(environment=variables)
        bridge.start()

        refused = self.send(bridge, "with no key at all")
        own = {"X-AI-Bridge-Token": bridge.token(), "X-Api-Key": "sk-ant-my-own-0123456789"}
        answer = self.send(bridge, "with my own key", token=None, **own)

        self.assertIn("no key", self.assert_refused(refused, 401, "authentication_error"))
        self.assertEqual(answer, (200, ANSWER))
        sent = broker.get().about("with my own key")
        self.assertEqual(sent.headers["x-api-key"], "sk-ant-my-own-0123456789")
        self.assertEqual(len([each for each in broker.get().sent if b"no key at" in each.body]), 0)


class StructuredLogs(SetupCase):
    """One line for each record, among all other lines; only when it is asked for."""

    def test_they_are_off_by_default(self) -> None:
        bridge = environment.get()
        self.send(bridge, "not to be logged")
        self.recorded(bridge, "not to be logged")

        everything = (
            said(bridge, " ready address=") + (bridge.directory / "bridge.jsonl").read_text()
        )

        self.assertIn('"event":"ready"', everything)
        self.assertNotIn(MESSAGE, everything)
        self.assertNotIn("not to be logged", everything)

    def test_every_record_type_has_its_fields(self) -> None:
        by_type = self.logged_by_flag("all types")

        self.assertEqual(set(by_type), set(FIELDS))
        missing = {
            kind: (FIELDS[kind] | EVERYWHERE) - set(line)
            for kind, lines in by_type.items()
            for line in lines
        }
        self.assertEqual(missing, {kind: set() for kind in FIELDS})

    def test_the_lines_say_what_was_said(self) -> None:
        by_type = self.logged_by_flag("what was said")

        (started, _) = by_type["interception_start"]
        (ended, _) = by_type["interception_end"]
        (tool,) = by_type["tool_usage"]
        (thought,) = by_type["model_thought"]
        self.assertEqual((started["level"], started["username"]), ("info", "admin"))
        self.assertEqual(started["metadata"]["request_user_agent"], "some-agent/1.0")
        self.assertEqual(
            [(each["provider_name"], each["prompt"]) for each in by_type["prompt_usage"]],
            [("demo", "what was said")] * 2,
        )
        self.assertEqual((ended["status"], ended["http_status"]), ("completed", 200))
        self.assertGreaterEqual(ended["duration_ms"], 0)
        self.assertEqual(json.loads(tool["input"]), {"query": "what was said"})
        self.assertIn("what was said", thought["content"])
        self.assertGreater(by_type["token_usage"][0]["output_tokens"], 0)

    def test_in_a_file_they_stand_among_the_other_lines(self) -> None:
        bridge = flag.get()
        self.logged_by_flag("in a file")

        path = bridge.directory / "bridge.jsonl"
        events = {json.loads(line)["event"] for line in path.read_text().splitlines()}
        self.assertLess({MESSAGE, "ready"}, events)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_people_find_them_in_their_log_too(self) -> None:
        bridge = flag.get()
        self.logged_by_flag("for people")

        lines = [line for line in bridge.output.splitlines() if f" {MESSAGE} " in line]

        self.assertTrue(any('prompt="for people"' in line for line in lines))

    def test_json_goes_to_standard_error(self) -> None:
        bridge = file.get()
        self.send(bridge, "to standard error")
        logged = Logged(bridge, "to standard error", path=None)
        eventually(logged.ended, seconds=10.0, what="the lines on stderr")

        self.assertEqual(
            set(logged.by_type()),
            {"interception_start", "prompt_usage", "token_usage", "interception_end"},
        )
        said(bridge, '"event":"ready"')

    def logged_by_flag(self, prompt: str) -> dict[str, list[dict[str, Any]]]:
        """Have two demo models answer `prompt`, and return the lines in the file by their type."""
        bridge = flag.get()
        for model in ("demo-thinking", "demo-tool"):
            agent = {"User-Agent": "some-agent/1.0"}
            self.assertEqual(self.send(bridge, prompt, at="/demo", model=model, **agent)[0], 200)
        logged = Logged(bridge, prompt, path=bridge.directory / "bridge.jsonl")
        eventually(lambda: logged.ended(2), seconds=10.0, what="the lines in the file")
        return logged.by_type()


class Logged:
    """The structured lines about one prompt."""

    def __init__(self, bridge: BridgeProcess, prompt: str, *, path: Path | None) -> None:
        """Read them from a file, or from the bridge's output."""
        self._bridge = bridge
        self._prompt = prompt
        self._path = path

    def ended(self, count: int = 1) -> bool:
        """Say whether the lines of `count` interceptions are all there."""
        return len(self.by_type()["interception_end"]) == count

    def by_type(self) -> dict[str, list[dict[str, Any]]]:
        """Return the lines in their order, by record type."""
        text = self._bridge.output if self._path is None else self._path.read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        lines = [line for line in lines if line["event"] == MESSAGE]
        ours = {line["interception_id"] for line in lines if line.get("prompt") == self._prompt}
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in lines:
            if line["interception_id"] in ours:
                found[line["record_type"]].append(line)
        return found
