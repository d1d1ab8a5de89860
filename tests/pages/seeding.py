"""A small company's records: people, their sessions, and what their models did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from bridge.domain.ids import day_of
from bridge.domain.records import (
    InterceptionStarted,
    ModelThoughtRecorded,
    Record,
    ToolResultBrought,
    ToolUsageRecorded,
)
from tests.store.journalled import ALICE, BOB, Maker

CAROL = UUID("01890000-0000-7000-8000-00000000000c")
PEOPLE = {"alice": ALICE, "bob": BOB, "carol": CAROL}

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    '"><svg onload="document.title=\'owned\'"><a href="javascript:document.title=\'owned\'">x</a>'
    "{{ 7 * 7 }} ${7*7} \u202egpj.exe\u2066 \x1b[31m\x07 \U000e0041\U000e0042 </pre></textarea>"
)
"""What every recorded text is, once."""

OLD = """def total(items):
    sum = 0
    for item in items:
        sum = sum + item.price
    return sum
"""
NEW = """def total(items: Iterable[Item]) -> Decimal:
    return sum((item.price for item in items), Decimal(0))
"""
PATCH = """*** Begin Patch
*** Update File: src/cart.py
@@ class Cart:
-    tax = 0.19
+    tax = Decimal("0.19")

     def total(self):
*** End Patch"""


THOUGHT = """The totals are floats, so rounding errors add up with many items. I should look at
cart.py first, then see how prices are stored.

Plan:
1. read src/cart.py
2. find where prices become floats
3. change them to Decimal"""


class Company:
    """Makes records around a moment."""

    def __init__(self, now: datetime | None = None, seed: int = 7) -> None:
        self.maker = Maker(seed)
        self.now = now or datetime.now(UTC)
        self.records: list[Record] = []

    def request(
        self,
        *,
        minutes_ago: float,
        prompt: str | None = "What is the time?",
        who: str = "alice",
        thoughts: Sequence[str] = (),
        tools: Sequence[tuple[str, object]] = (),
        tokens: tuple[int, int, int, int] = (12, 340, 18_400, 2_100),
        ended: dict[str, object] | None = None,
        running: bool = False,
        usage: dict[str, object] | None = None,
        leg: dict[str, object] | None = None,
        **members: object,
    ) -> InterceptionStarted:
        """Add an interception; `tools` are (name, arguments), `tokens` in, out, read, written."""
        at = self.now - timedelta(minutes=minutes_ago)
        start = self.maker.started(
            at,
            **{
                "initiator_id": PEOPLE[who],
                "username": who,
                "prompt": prompt,
                "tool_results": [],
                **members,
            },
        )
        self.records.append(start)
        for n, content in enumerate(thoughts, 1):
            self.records.append(self._thought(start, n, content))
        for n, (tool, arguments) in enumerate(tools, 1):
            self.records.append(self._tool(start, n, tool, arguments))
        into, out, read, written = tokens
        self.records.append(
            self.maker.tokens(
                start,
                input_tokens=into,
                output_tokens=out,
                cache_read_input_tokens=read,
                cache_write_input_tokens=written,
                **(usage or {}),
            )
        )
        self.records.append(replace(self.maker.leg(start), **(leg or {})))
        if not running:
            self.records.append(self.maker.ended(start, **(ended or {})))
        return start

    def call_id(self, start: InterceptionStarted, n: int = 1) -> str:
        """Return the id of the n-th tool call of an interception."""
        return f"toolu_{start.id.hex[-12:]}_{n}"

    def _tool(
        self, start: InterceptionStarted, n: int, tool: str, arguments: object
    ) -> ToolUsageRecorded:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        at = start.at + timedelta(seconds=1)
        return ToolUsageRecorded(
            id=self.maker.id(at),
            day=day_of(start.id),
            at=at,
            interception_id=start.id,
            n=n,
            provider_response_id="msg_1",
            provider_tool_call_id=self.call_id(start, n),
            provider_item_id=None,
            tool=tool,
            input=text,
            server_url=None,
            injected=False,
            invocation_error=None,
            metadata={},
        )

    def _thought(self, start: InterceptionStarted, n: int, content: str) -> ModelThoughtRecorded:
        at = start.at + timedelta(seconds=1)
        return ModelThoughtRecorded(
            id=self.maker.id(at),
            day=day_of(start.id),
            at=at,
            interception_id=start.id,
            n=n,
            content=content,
            metadata={"source": "thinking"},
        )


def brought(call: str, content: str | None, *, size_bytes: int | None = None) -> ToolResultBrought:
    """Return what a tool gave back."""
    size = size_bytes if size_bytes is not None else len((content or "").encode())
    return ToolResultBrought(tool_call_id=call, size_bytes=size, is_error=None, content=content)


def company(now: datetime | None = None) -> Company:
    """Return a company with a day of work behind it, and one hostile model."""
    made = Company(now)
    for day in range(1, 22):
        for n in range(1 + (day * 7) % 5):
            who = ("alice", "bob", "carol")[(day + n) % 3]
            made.request(
                minutes_ago=day * 1440 + n * 37,
                who=who,
                prompt=f"Work of {day} days ago, part {n + 1}.",
                model=("claude-sonnet-4-5", "claude-opus-5", "gpt-5.2-codex")[(day * n) % 3],
                tokens=(900 + 211 * n, 300 + day * 20, 12_000 + day * 900, 1_500),
                ended={"ttfb_ms": 180 + day * 23 % 400, "duration_ms": 1_500 + day * 311 % 4_000},
            )
    session = {"client_session_id": "5b0c9a52-3f0e-4c63-9a1b-8a4a2e7d9f10"}
    first = made.request(
        minutes_ago=42,
        prompt="The cart shows wrong totals for large orders. Find out why, fix it, and run the "
        "tests. Do not touch the tax rules.",
        thoughts=[THOUGHT],
        tools=[("Read", {"file_path": "/home/alice/shop/src/cart.py"})],
        tokens=(1_204, 310, 0, 18_420),
        **session,
    )
    second = made.request(
        minutes_ago=41,
        prompt=None,
        tools=[
            (
                "Edit",
                {
                    "file_path": "/home/alice/shop/src/cart.py",
                    "old_string": OLD,
                    "new_string": NEW,
                    "replace_all": False,
                },
            ),
            (
                "Bash",
                {
                    "command": "python -m pytest -q tests/test_cart.py && git diff --stat",
                    "description": "Run the cart's tests",
                    "timeout": 120000,
                },
            ),
        ],
        tokens=(310, 842, 18_420, 900),
        correlating_tool_call_id=made.call_id(first),
        tool_results=[brought(made.call_id(first), None, size_bytes=4_210)],
        **session,
    )
    made.request(
        minutes_ago=40,
        prompt=None,
        thoughts=["The tests pass. I will sum up what changed."],
        tokens=(120, 260, 19_320, 400),
        correlating_tool_call_id=made.call_id(second, 2),
        tool_results=[
            brought(made.call_id(second, 1), "The file was changed."),
            brought(made.call_id(second, 2), "14 passed in 0.21s\n src/cart.py | 7 ++---"),
        ],
        **session,
    )
    agent = {"agent_id": "a0f3", "agent_kind": "collab_spawn", "request_user_agent": "claude-cli"}
    made.request(
        minutes_ago=39,
        prompt="Look through the tests for other places that compare floats.",
        tools=[("Grep", {"pattern": "assertAlmostEqual", "path": "tests"})],
        tokens=(2_400, 120, 0, 9_000),
        metadata=agent,
        **session,
    )
    made.request(
        minutes_ago=31,
        prompt="Now write the change log entry.",
        tools=[
            (
                "Write",
                {
                    "file_path": "/home/alice/shop/CHANGES.md",
                    "content": "# Changes\n\n- Totals are exact: prices are decimals.\n",
                },
            )
        ],
        tokens=(95, 180, 20_100, 310),
        **session,
    )
    made.request(
        minutes_ago=25,
        who="bob",
        prompt="Port the tax table to the new format, one country at a time.",
        client="Codex",
        user_agent="codex_cli_rs/0.169.0",
        provider="openai",
        provider_name="openai",
        api="responses",
        route="/v1/responses",
        model="gpt-5.2-codex",
        client_session_id="019aa0c2-7d11-7b90-bb55-3f0f3b2c7f55",
        tools=[
            ("shell", {"command": ["bash", "-lc", "rg -n 'tax' src | head -20"]}),
            ("apply_patch", {"input": PATCH}),
        ],
        tokens=(5_420, 1_211, 2_048, 0),
    )
    made.request(
        minutes_ago=18,
        who="bob",
        prompt="Summarise this week's incidents for the team.",
        model="claude-opus-5",
        client="Unknown",
        user_agent="python-httpx/0.28",
        tokens=(48_210, 0, 0, 0),
        ended={
            "status": "upstream_error",
            "http_status": 529,
            "error_type": "overloaded",
            "error_message": "Overloaded",
            "response_id": None,
            "stop_reason": None,
        },
    )
    made.request(
        minutes_ago=12,
        who="carol",
        prompt="Draft a polite reply to the customer who asked for a refund after 90 days.",
        model="claude-haiku-4-5",
        client="opencode",
        tokens=(210, 95, 0, 0),
        ended={"status": "client_abort", "partially_observed": True, "stop_reason": None},
    )
    hostile = made.request(
        minutes_ago=6,
        who="carol",
        prompt=HOSTILE,
        thoughts=[HOSTILE],
        tools=[
            (HOSTILE[:60], {"command": HOSTILE, HOSTILE: HOSTILE}),
            ("Edit", {"file_path": HOSTILE, "old_string": HOSTILE, "new_string": "x"}),
        ],
        model=HOSTILE[:80],
        client=HOSTILE[:60],
        user_agent=HOSTILE,
        client_session_id=HOSTILE[:80],
        metadata={
            "request_user_agent": HOSTILE,
            HOSTILE: HOSTILE,
            "agent_id": HOSTILE,
            "agent_kind": HOSTILE,
        },
        usage={"metadata": {HOSTILE: 1}, "provider_response_id": HOSTILE},
        leg={"model": HOSTILE, "hint": HOSTILE, "provider_name": HOSTILE},
        credential_hint=HOSTILE,
        ended={"error_message": HOSTILE, "stop_reason": HOSTILE, "response_id": HOSTILE},
    )
    made.request(
        minutes_ago=5,
        who="carol",
        prompt=None,
        client_session_id=HOSTILE[:80],
        correlating_tool_call_id=made.call_id(hostile),
        tool_results=[brought(made.call_id(hostile), HOSTILE)],
    )
    made.request(minutes_ago=2, prompt="Explain the failing build.", running=True, **session)
    return made
