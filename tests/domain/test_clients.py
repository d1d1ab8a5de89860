"""Which tool asks, and which of its sessions it says this is."""

from __future__ import annotations

import json

from bridge.domain.clients import (
    CLAUDE_CODE,
    CODEX,
    MAX_SESSION_ID,
    agent_ids,
    client_session_id,
    detect_client,
)
from tests.support.cases import BridgeTestCase

JSON_USER_ID = json.dumps({"device_id": "d", "account_uuid": "", "session_id": "sess-1"})


def headers(**values: str) -> dict[bytes, list[bytes]]:
    return {
        name.replace("_", "-").encode(): [value.encode("latin-1")] for name, value in values.items()
    }


class ClientTests(BridgeTestCase):
    """The label of the tool."""

    def check(self, label: str, agent: str = "", **others: str) -> None:
        self.assertEqual(detect_client(headers(user_agent=agent, **others)), label)

    def test_claude_code(self) -> None:
        self.check("Claude Code", "claude-cli/2.1.330 (external, sdk-cli)")

    def test_claude_code_discovery(self) -> None:
        self.check("Claude Code", "claude-code/2.1.330")

    def test_codex(self) -> None:
        self.check("Codex", "codex_cli_rs/0.87.0 (Mac OS 26.2.0; arm64) ghostty/1.3.0")

    def test_xum(self) -> None:
        self.check("Xum", "xum/1.0")

    def test_xum_by_its_old_name(self) -> None:
        self.check("Xum", "Mux/0.19.0")

    def test_zed(self) -> None:
        self.check("Zed", "Zed/0.219.4+stable.119.abc (macos; aarch64)")

    def test_copilot_in_vs_code(self) -> None:
        self.check("GitHub Copilot (VS Code)", "GitHubCopilotChat/0.37.2026011603")

    def test_copilot_on_the_command_line(self) -> None:
        self.check("GitHub Copilot (CLI)", "copilot/0.0.403 (client/cli linux v24.11.1)")

    def test_copilot_on_the_command_line_looking_like_an_sdk(self) -> None:
        self.check(
            "GitHub Copilot (CLI)",
            "Anthropic/JS 0.94.0",
            x_initiator="user",
            x_interaction_type="conversation-user",
        )

    def test_copilot_on_the_command_line_with_the_result_of_a_tool(self) -> None:
        self.check("GitHub Copilot (CLI)", "OpenAI/JS 5.20.1", x_initiator="agent")

    def test_bare_sdk_initiated_by_something_else_is_unknown(self) -> None:
        self.check("Unknown", "OpenAI/JS 5.20.1", x_initiator="cron")

    def test_kilo_code(self) -> None:
        self.check("Kilo Code", "Kilo-Code/7.7.7")

    def test_kilo_code_on_this_api(self) -> None:
        self.check("Kilo Code", "kilo/latest/7.7.7/cli ai-sdk/provider-utils/4.0.46")

    def test_kilo_code_by_originator(self) -> None:
        self.check("Kilo Code", "Anthropic/JS 1.0", originator="kilo-code")

    def test_kilo_code_calling_itself_opencode(self) -> None:
        self.check(
            "Kilo Code", "opencode/7.7.7 (linux; x64)", originator="opencode", x_title="Kilo Code"
        )

    def test_originator_is_exact(self) -> None:
        self.check("Unknown", originator="Kilo-Code")

    def test_roo_code(self) -> None:
        self.check("Roo Code", "roo-code/3.0")

    def test_roo_code_by_originator(self) -> None:
        self.check("Roo Code", originator="roo-code")

    def test_originator_comes_before_later_agents(self) -> None:
        self.check("Kilo Code", "opencode/1.18.33", originator="kilo-code")

    def test_earlier_agents_come_before_the_originator(self) -> None:
        self.check("Codex", "codex_exec/0.169.0", originator="kilo-code")

    def test_coder_agents(self) -> None:
        self.check("Coder Agents", "coder-agents/v0.0.0-devel (darwin/arm64)")

    def test_crush(self) -> None:
        self.check("Charm Crush", "Charm Crush/0.1.11")

    def test_crush_with_a_dash(self) -> None:
        self.check("Charm Crush", "charm-crush/0.96.1")

    def test_cursor(self) -> None:
        self.check("Cursor", "connect-es/1.6.1", x_cursor_client_version="2.0")

    def test_cursor_comes_before_opencode(self) -> None:
        self.check("Cursor", "opencode/1.18.33", x_cursor_client_version="2.0")

    def test_cursor_with_an_empty_version_is_unknown(self) -> None:
        self.check("Unknown", "connect-es/1.6.1", x_cursor_client_version="")

    def test_opencode(self) -> None:
        self.check("OpenCode", "opencode/1.18.33 ai-sdk/provider-utils/4.0.46")

    def test_opencode_with_another_title(self) -> None:
        self.check("OpenCode", "opencode/1.18.33", x_title="opencode")

    def test_junie(self) -> None:
        self.check("Junie", "Junie:1.2")

    def test_qwen_code(self) -> None:
        self.check("Qwen Code", "QwenCode/0.24.4 (linux; x64)")

    def test_qwen_code_posing_as_claude_code(self) -> None:
        self.check("Qwen Code", "claude-cli/0.24.4 (external, cli)")

    def test_claude_code_with_its_session_is_not_posing(self) -> None:
        self.check("Claude Code", "claude-cli/0.9.0", x_claude_code_session_id="s")

    def test_title_tells_where_nothing_else_does(self) -> None:
        self.check("Cline", "ai-sdk/openai-compatible/3.0.37", x_title="Cline")

    def test_bare_sdk_is_unknown(self) -> None:
        self.check("Unknown", "Anthropic/Python 2.12.0")

    def test_agent_counts_from_its_beginning(self) -> None:
        self.check("Unknown", "ccclaude-cli/2.0")

    def test_no_headers_are_unknown(self) -> None:
        self.assertEqual(detect_client({}), "Unknown")


class SessionTests(BridgeTestCase):
    """The session that the client names."""

    def check(
        self, session: str | None, client: str, user_id: str | None = None, **others: str
    ) -> None:
        hints = {} if user_id is None else {"metadata.user_id": user_id}
        self.assertEqual(client_session_id(client, headers(**others), hints), session)

    def test_claude_code_by_header(self) -> None:
        self.check("h", "Claude Code", JSON_USER_ID, x_claude_code_session_id=" h ")

    def test_claude_code_by_json_in_the_body(self) -> None:
        self.check("sess-1", "Claude Code", JSON_USER_ID, x_claude_code_session_id="  ")

    def test_claude_code_by_the_older_text(self) -> None:
        self.check("42-ab", "Claude Code", "user_0f_account__session_42-ab")

    def test_json_without_session_names_none(self) -> None:
        self.check(None, "Claude Code", '{"device_id":"d"}')

    def test_json_with_an_odd_session_names_none(self) -> None:
        self.check(None, "Claude Code", '{"session_id":["x"]}')

    def test_broken_json_names_none(self) -> None:
        self.check(None, "Claude Code", '{"session_id":')

    def test_broken_json_with_the_older_text_is_read(self) -> None:
        self.check("7", "Claude Code", "{user_session_7")

    def test_deep_json_names_none(self) -> None:
        self.check(None, "Claude Code", '{"a":' + "[" * 4000)

    def test_plain_user_id_is_no_session(self) -> None:
        self.check(None, "Unknown", "alice")

    def test_endless_user_id_is_not_read(self) -> None:
        self.check(None, "Unknown", "x" * 5000 + "_session_1")

    def test_codex(self) -> None:
        self.check("s", "Codex", session_id="s")

    def test_codex_prefers_its_session_to_its_thread(self) -> None:
        self.check("s", "Codex", session_id="s", thread_id="t")

    def test_codex_by_the_older_header(self) -> None:
        self.assertEqual(client_session_id("Codex", {b"session_id": [b"u"]}, {}), "u")

    def test_xum(self) -> None:
        self.check("w", "Xum", x_mux_workspace_id="w")

    def test_copilot_in_vs_code(self) -> None:
        self.check("i", "GitHub Copilot (VS Code)", x_interaction_id="i")

    def test_copilot_on_the_command_line(self) -> None:
        self.check("c", "GitHub Copilot (CLI)", x_client_session_id="c")

    def test_kilo_code(self) -> None:
        self.check("t", "Kilo Code", x_kilocode_taskid="t", x_session_id="ses_1")

    def test_kilo_code_title_request_belongs_to_its_session(self) -> None:
        self.check("ses_1", "Kilo Code", x_session_id="title-ses_1")

    def test_others_sessions_are_called_as_they_say(self) -> None:
        self.check("title-bar", "Claude Code", x_claude_code_session_id="title-bar")
        self.check("title-bar", "Unknown", x_session_id="title-bar")

    def test_coder_agents(self) -> None:
        self.check("c", "Coder Agents", x_coder_chat_id="c")

    def test_opencode(self) -> None:
        self.check("o", "OpenCode", x_opencode_session="o", x_session_affinity="ses_2")

    def test_opencode_by_affinity(self) -> None:
        self.check("ses_2", "OpenCode", x_session_affinity="ses_2")

    def test_another_clients_own_header_is_not_taken(self) -> None:
        self.check(None, "Zed", x_mux_workspace_id="w", x_interaction_id="i")

    def test_unknown_client_by_the_common_order(self) -> None:
        self.check("t", "Unknown", thread_id="t", session_id="s", x_session_id="x")

    def test_nothing_named_is_none(self) -> None:
        self.check(None, "Unknown")

    def test_long_session_is_cut_to_the_columns_width(self) -> None:
        self.check("x" * MAX_SESSION_ID, "Xum", x_mux_workspace_id="x" * 5000)

    def test_body_hints_come_after_headers(self) -> None:
        hints = {"prompt_cache_key": "p", "client_metadata.thread_id": "ct"}

        self.assertEqual(client_session_id("Unknown", {}, hints), "ct")
        self.assertEqual(client_session_id("Unknown", headers(session_id="s"), hints), "s")


class AgentTests(BridgeTestCase):
    """Which agent within a session asks."""

    def test_claude_codes_main_agent_has_no_id(self) -> None:
        self.assertEqual(agent_ids(CLAUDE_CODE, headers(x_claude_code_session_id="s")), {})

    def test_claude_codes_sub_agents_and_theirs(self) -> None:
        given = headers(x_claude_code_agent_id="b", x_claude_code_parent_agent_id=" a ")

        self.assertEqual(agent_ids(CLAUDE_CODE, given), {"agent_id": "b", "parent_agent_id": "a"})

    def test_a_parent_alone_says_nothing(self) -> None:
        self.assertEqual(agent_ids(CLAUDE_CODE, headers(x_claude_code_parent_agent_id="a")), {})

    def test_codexs_main_thread_is_no_agent(self) -> None:
        self.assertEqual(agent_ids(CODEX, headers(thread_id="t", session_id="t")), {})

    def test_codexs_sub_agents_are_threads(self) -> None:
        given = headers(
            thread_id="u", x_codex_parent_thread_id="t", x_openai_subagent="collab_spawn"
        )

        self.assertEqual(
            agent_ids(CODEX, given),
            {"agent_id": "u", "parent_agent_id": "t", "agent_kind": "collab_spawn"},
        )

    def test_over_long_ids_are_cut(self) -> None:
        found = agent_ids(CLAUDE_CODE, headers(x_claude_code_agent_id="x" * 5000))

        self.assertEqual(len(found["agent_id"]), MAX_SESSION_ID)
