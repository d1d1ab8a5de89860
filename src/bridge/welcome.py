"""What the first minute needs to know, in a few lines on the terminal; never a token's value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.config.settings import ProviderSettings

_MESSAGE = (
    '{"model":"demo-text","max_tokens":256,"stream":true,'
    '"messages":[{"role":"user","content":"Hello from my first minute"}]}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What there is to tell."""

    address: str
    """`http://127.0.0.1:4001`."""
    providers: Sequence[ProviderSettings]
    admin_token: Path
    dev_token: Path
    command: str
    """How the command line is called from here."""
    enabled: bool
    first_start: bool


def welcome_text(welcome: Welcome) -> str:
    """Return the message, with every command ready to be copied."""
    lines = ["", f"AI Bridge is ready at {welcome.address}", ""]
    if welcome.first_start:
        lines += [
            "Two tokens were made for the user admin, and saved where only you can read them:",
            f"  {welcome.admin_token}   to manage (for 7 days)",
            f"  {welcome.dev_token}     to send requests",
            "",
        ]
    if not welcome.enabled:
        lines += ["The gateway is switched off (aibridge.enabled); only management is served.", ""]
        return "\n".join(lines)
    if not welcome.providers:
        lines += [
            "No provider is configured, so there is nothing to send requests to yet:",
            "  add one to aibridge.providers in the configuration file.",
            "",
        ]
    if welcome.dev_token.exists():
        lines += _commands(welcome)
    return "\n".join(lines)


def _commands(welcome: Welcome) -> list[str]:
    token = f"$(cat {welcome.dev_token})"
    lines: list[str] = []
    demo = next((each for each in welcome.providers if each.type == "demo"), None)
    if demo is not None:
        lines += [
            "Send a message to the demo provider, and see the answer stream:",
            "  " + _curl(f"{welcome.address}/{demo.name}/v1/messages", token),
            "",
        ]
    served = next((each for each in welcome.providers if each.type == "anthropic"), demo)
    if served is not None:
        base = f"{welcome.address}/{served.name}"
        lines += [
            "Set up Claude Code:",
            f'  export ANTHROPIC_BASE_URL={base} ANTHROPIC_AUTH_TOKEN="{token}"',
        ]
        if served.own_keys_only:
            lines += [
                f"  ({served.name} has no key yet: set ANTHROPIC_API_KEY where the bridge starts.)"
            ]
        lines += [""]
    lines += _for_openai(welcome, token, demo)
    if welcome.admin_token.exists():
        records = f"{welcome.address}/api/v2/aibridge/interceptions"
        lines += [
            "See what was recorded, in a browser or here:",
            f"  {welcome.address}/ui/",
            f"  {welcome.command} interceptions list",
            f'  curl {records} -H "Authorization: Bearer $(cat {welcome.admin_token})"',
            "",
        ]
    return lines


def _for_openai(welcome: Welcome, token: str, demo: ProviderSettings | None) -> list[str]:
    """Return how SDKs of OpenAI, and what reads the same variables, are set up."""
    openai = [each for each in welcome.providers if each.type == "openai"]
    keyed = [each for each in openai if not each.own_keys_only]
    served = next((each for each in (*keyed, demo, *openai) if each is not None), None)
    if served is None:
        return []
    base = f"{welcome.address}/{served.name}/v1"
    lines = [
        "Set up what speaks OpenAI's APIs:",
        f'  export OPENAI_BASE_URL={base} OPENAI_API_KEY="{token}"',
    ]
    if served.own_keys_only:
        lines += [f"  ({served.name} has no key yet: set OPENAI_API_KEY where the bridge starts.)"]
    return [*lines, ""]


def _curl(url: str, token: str) -> str:
    headers = (f'"x-api-key: {token}"', "'content-type: application/json'")
    return f"curl -N {url} " + " ".join(f"-H {each}" for each in headers) + f" -d '{_MESSAGE}'"
