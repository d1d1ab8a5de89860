"""Settings that are each fine and together cannot work, or cannot do what was meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bridge.auth.token import contains_token_shape
from bridge.config import options
from bridge.config.kinds import show_base_url
from bridge.config.listening import Listener, listener_from
from bridge.config.settings import KNOWN_TYPES, ProviderSettings, Value, problem
from bridge.config.table import Option
from bridge.domain.identity import Secret
from bridge.upstream.proxy import names_hosts
from bridge.upstream.trust import certificates_in

Values = Mapping[Option[Any], Value[Any]]

_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_RESERVED_HEADERS = frozenset(
    {
        "authorization", "x-api-key", "cookie", "set-cookie", "host", "user-agent",
        "content-length", "content-type", "content-encoding", "accept-encoding", "connection",
        "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "forwarded",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
        "proxy-authorization", "proxy-authenticate", "x-ai-bridge-token", "coder-session-token",
        "x-coder-ai-governance-token", "x-coder-ai-governance-request-id",
        "x-coder-agent-firewall-session-id", "x-coder-agent-firewall-sequence-number",
    }
)  # fmt: skip
_ACTOR_PREFIX = "x-ai-bridge-actor"
_VENDORS = {
    "anthropic": options.ANTHROPIC_BASE_URL.default,
    "openai": options.OPENAI_BASE_URL.default.removesuffix("/v1"),
}
_ANTHROPICS = ("/v1/messages", "/v1")
_OPENAIS = ("/chat/completions", "/responses", "/messages")
_DEVICES = frozenset({"", "/dev/stderr", "/dev/stdout", "-"})


def listeners_in(
    option: Option[Any], value: Value[Any], problems: list[str]
) -> list[tuple[str, Listener]]:
    """Return the listeners of an option's descriptions; bad ones are appended to `problems`."""
    descriptions = (value.value,) if isinstance(value.value, str) else tuple(value.value)
    found: list[tuple[str, Listener]] = []
    for description in descriptions:
        if not description and option is options.OPERATIONS_LISTEN:
            continue
        try:
            found.append((description, listener_from(description)))
        except ValueError as e:
            problems.append(problem(value.path, f"{description} {e}", value.origin))
    if not descriptions:
        sentence = "needs at least one endpoint, for example tcp:4001:interface=127.0.0.1"
        problems.append(problem(value.path, sentence, value.origin))
    return found


def impossible_pairs(
    values: Values,
    clients: Sequence[tuple[str, Listener]],
    operations: Sequence[tuple[str, Listener]],
) -> Iterator[str]:
    """Yield a problem for every combination that cannot work.

    Args:
        values: every option.
        clients: the listeners of `listen`.
        operations: the listener of `operations_listen`, if any.
    """
    yield from _one_place_twice(values, clients, operations)
    yield from _sizes(values)
    yield from _lifetimes(values)
    yield from _actor_headers(values)
    yield from _files(values)
    if not values[options.NO_PROXY].ambient:
        yield from odd_exceptions(values)


def odd_exceptions(values: Values) -> Iterator[str]:
    """Yield a problem for every word of `no_proxy` that names nothing."""
    listed: Value[tuple[str, ...]] = values[options.NO_PROXY]
    for word in (word for each in listed.value for word in each.split()):
        if not names_hosts(word):
            sentence = (
                f"{show_base_url(word)} is no host, .domain, address or network, nor one of these "
                "with a :port"
            )
            yield problem(listed.path, sentence, listed.origin)


def malformed_base_urls(providers: Sequence[ProviderSettings]) -> Iterator[str]:
    """Yield a problem for every base URL that no request can be sent to."""
    for provider in providers:
        if provider.type == "demo" or provider.type not in KNOWN_TYPES:
            continue  # it has none, or what it would be is not known
        label = provider.label
        label = label if label.endswith("base_url") else f"{label}.base_url"
        sentence = _why_no_base_url(provider)
        if sentence:
            yield problem(label, sentence, provider.origin)


def without_misplaced_tokens(
    provider: ProviderSettings, problems: list[str], warnings: list[str]
) -> ProviderSettings:
    """Return the provider without those keys that are a bridge's own tokens, not its vendor's.

    One from the environment is left out with a warning: it is there in the shell of everybody who
    uses a bridge, and commands must work there too. One that somebody wrote down is a problem.
    """
    if provider.base_url.removesuffix("/v1") != _VENDORS.get(provider.type):
        return provider  # bridges may stand behind one another
    tokens = [key for key in provider.keys if _is_token(key)]
    for token in tokens:
        variable = provider.key_variables.get(token)
        if variable is None:
            sentence = "is given a token of an AI Bridge as its key; give the vendor's, or unset it"
            problems.append(problem(provider.label, sentence, provider.origin))
        else:
            sentence = (
                f"{variable} in the environment holds a token of an AI Bridge, no key of "
                f"{provider.type}'s; the provider {provider.name} does without it"
            )
            warnings.append(problem(provider.label, sentence, provider.origin))
    return replace(provider, keys=tuple(key for key in provider.keys if key not in tokens))


def _is_token(key: Secret) -> bool:
    return contains_token_shape(key.reveal().encode())


def _why_no_base_url(provider: ProviderSettings) -> str:
    if not provider.base_url:
        return "must be given" + (", or region" if provider.type == "bedrock" else "")
    expected = "must be http(s)://host[:port][/path]"
    try:
        parts = urlsplit(provider.base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return expected
    if not usable or not provider.base_url.isascii() or not provider.base_url.isprintable():
        return expected
    if re.search(r"[\s\\]", provider.base_url):
        return expected
    if parts.query or parts.fragment or provider.base_url.endswith(("?", "#")):
        return f"{expected}, without a query or fragment"
    endpoints = _ANTHROPICS if provider.type == "anthropic" else _OPENAIS
    ending = next((each for each in endpoints if parts.path.endswith(each)), "")
    return ending and f"must end before {ending}, which is appended to it"


def _one_place_twice(
    values: Values,
    clients: Sequence[tuple[str, Listener]],
    operations: Sequence[tuple[str, Listener]],
) -> Iterator[str]:
    listen, other = values[options.LISTEN], values[options.OPERATIONS_LISTEN]
    for n, (description, listener) in enumerate(clients):
        if any(listener.takes_place_of(earlier) for _, earlier in clients[:n]):
            sentence = f"{description} is listened on twice"
            yield problem(listen.path, sentence, listen.origin)
    for description, operation in operations:
        if any(operation.takes_place_of(listener) for _, listener in clients):
            sentence = f"{description} is also listened on for clients ({listen.path})"
            yield problem(other.path, sentence, other.origin)


def _sizes(values: Values) -> Iterator[str]:
    yield from _at_most(values, options.MAX_BODY, options.BODY_MEMORY)
    yield from _at_most(values, options.CONNECTIONS_PER_ADDRESS, options.CONNECTIONS)
    segment, journal = values[options.JOURNAL_SEGMENT_BYTES], values[options.JOURNAL_MAX_BYTES]
    if segment.value * 2 > journal.value:
        sentence = f"must be at most half of {journal.path}, so that old segments can be given up"
        yield _about(segment, journal, sentence)


def _at_most(values: Values, smaller: Option[int], larger: Option[int]) -> Iterator[str]:
    low, high = values[smaller], values[larger]
    if low.value <= high.value or not (low.given or high.given):
        return
    if not low.given and smaller is options.CONNECTIONS_PER_ADDRESS:
        return  # lowering the total is enough
    yield _about(low, high, f"must be at most {high.path}, {larger.kind.show(high.value)}")


def _lifetimes(values: Values) -> Iterator[str]:
    default, longest = (
        values[options.TOKEN_DEFAULT_LIFETIME],
        values[options.TOKEN_MAX_LIFETIME],
    )
    if default.given and default.value > longest.value:
        shown = options.TOKEN_MAX_LIFETIME.kind.show(longest.value)
        sentence = f"must be at most {longest.path}, {shown}"
        yield problem(default.path, sentence, default.origin)


def _actor_headers(values: Values) -> Iterator[str]:
    by_id, by_name = values[options.ACTOR_HEADER_ID], values[options.ACTOR_HEADER_USERNAME]
    for option in (options.ACTOR_HEADER_ID, options.ACTOR_HEADER_USERNAME):
        value: Value[str] = values[option]
        name = value.value
        reserved = name.lower() in _RESERVED_HEADERS or (
            name.lower().startswith(_ACTOR_PREFIX) and name.lower() != option.default.lower()
        )
        if name and not _FIELD_NAME.fullmatch(name):
            yield problem(value.path, "is not a header's name", value.origin)
        elif reserved:
            sentence = f"{name} is a header with a meaning of its own; choose another"
            yield problem(value.path, sentence, value.origin)
    if by_id.value and by_id.value.lower() == by_name.value.lower():
        yield _about(by_name, by_id, f"must differ from {by_id.path}")


def _files(values: Values) -> Iterator[str]:
    human, machine = values[options.LOG_HUMAN], values[options.LOG_JSON]
    if human.value not in _DEVICES and human.value == machine.value:
        yield _about(machine, human, f"must be another file than {human.path}")
    authorities: Value[str] = values[options.CA_FILE]
    if authorities.value:
        try:
            certificates_in(Path(authorities.value))
        except ValueError as e:
            yield problem(authorities.path, str(e), authorities.origin)
    directory: Value[Path] = values[options.DATA_DIR]
    if str(directory.value).startswith("~"):
        yield problem(directory.path, "must be written out, without ~", directory.origin)
    try:
        misplaced = directory.value.exists() and not directory.value.is_dir()
    except OSError as e:
        sentence = f"cannot be looked at: {e.strerror or type(e).__name__}"
        yield problem(directory.path, sentence, directory.origin)
        return
    if misplaced:
        sentence = f"{directory.value} is there, but is not a directory"
        yield problem(directory.path, sentence, directory.origin)


def _about(value: Value[Any], other: Value[Any], sentence: str) -> str:
    """Report a pair at the one of the two that somebody set."""
    return problem(value.path, sentence, value.origin if value.given else other.origin)
