"""Which headers pass: deny lists in both directions, everything else as it came.

Source: RFC 9110 section 7.6.1 and RFC 9112 section 9.6 (read 2026-11-23) for the connection's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain

Header = tuple[bytes, bytes]
"""Lower-case name and value."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""About one connection, so never about the next."""

_OUR_PREFIXES = (b"x-aibridge-", b"x-ai-bridge-")

_REQUEST_DENIED = HOP_BY_HOP | {
    # Written anew for the upstream connection.
    b"host",
    b"content-length",
    b"accept-encoding",
    b"expect",
    # Some servers take the method from here.
    b"x-http-method-override",
    b"x-method-override",
    # Of our origin, not of the provider's; and where the caller sits in the company's network.
    b"cookie",
    b"forwarded",
    b"via",
    b"x-real-ip",
    b"x-client-ip",
    b"true-client-ip",
    b"fastly-client-ip",
    b"x-cluster-client-ip",
    b"x-remote-user",
    b"remote-user",
    b"remote-groups",
    b"remote-email",
    b"remote-name",
    # What ties the request to the company's own traces.
    b"traceparent",
    b"tracestate",
    b"baggage",
    b"b3",
    b"uber-trace-id",
    b"sentry-trace",
    b"x-cloud-trace-context",
    b"x-amzn-trace-id",
    b"elastic-apm-traceparent",
    b"newrelic",
}
_REQUEST_DENIED_PREFIXES = (
    *_OUR_PREFIXES,
    b"x-forwarded-",
    b"x-original-",
    # What proxies that know the person say of them.
    b"x-auth-request-",
    b"x-amzn-oidc-",
    b"x-goog-iap-",
    b"x-goog-authenticated-user-",
    b"x-ms-client-principal",
    b"x-ms-token-",
    b"x-authentik-",
    b"x-pomerium-",
    b"x-vouch-",
    b"x-webauth-",
    b"x-envoy-",
    b"cf-",
    b"fly-",
    # Traces.
    b"x-b3-",
    b"x-datadog-",
    b"uberctx-",
    b"ot-baggage-",
)

SCOPE = frozenset(
    {
        # Credentials of gateways that also take a bearer token.
        b"x-goog-api-key",
        b"ocp-apim-subscription-key",
        b"openai-organization",
        b"openai-project",
        b"anthropic-organization-id",
        b"anthropic-workspace-id",
        b"anthropic-project-id",
        b"chatgpt-account-id",
        b"x-goog-user-project",
    }
)
"""Names that say on whose account a request is: the user's to say with a key of their own only."""

_RESPONSE_DENIED = HOP_BY_HOP | {
    # Would act on our origin.
    b"set-cookie",
    b"set-cookie2",
    b"alt-svc",
    b"strict-transport-security",
    b"clear-site-data",
    b"nel",
    b"report-to",
    b"reporting-endpoints",
    # Written anew for the client's connection.
    b"content-length",
}
_RESPONSE_DENIED_PREFIXES = (*_OUR_PREFIXES, b"access-control-")


def request_headers(headers: Iterable[Header], *, remove: frozenset[bytes]) -> list[Header]:
    """Return what of a client's headers goes to a provider, in order.

    Args:
        headers: as they came; names lower-case.
        remove: further names that stay here, such as those that hold the bridge token.
    """
    return _passing(list(headers), _denied_beside(remove), _REQUEST_DENIED_PREFIXES)


def response_headers(headers: Iterable[Header]) -> list[Header]:
    """Return what of a provider's headers goes to the client, in order."""
    return _passing(list(headers), _RESPONSE_DENIED, _RESPONSE_DENIED_PREFIXES)


def first(headers: Sequence[Header], name: bytes) -> bytes | None:
    """Return the first value of `name`, None when there is none."""
    for key, value in headers:
        if key == name:
            return value
    return None


def media_type(content_type: bytes | None) -> bytes:
    """Return a Content-Type without its parameters, lower-case; b"" for none."""
    return content_type.split(b";", 1)[0].strip().lower() if content_type else b""


@lru_cache(maxsize=64)
def _denied_beside(remove: frozenset[bytes]) -> frozenset[bytes]:
    return _REQUEST_DENIED | remove


def _passing(
    headers: list[Header], denied: frozenset[bytes], prefixes: tuple[bytes, ...]
) -> list[Header]:
    connection = [value for name, value in headers if name == b"connection"]
    if connection:
        denied |= connection_options(connection)
    return [
        each
        for each in headers
        if each[0] not in denied
        and not each[0].startswith(prefixes)
        and (b"_" not in each[0] or not _same_as_denied(each[0], denied, prefixes))
    ]


def _same_as_denied(name: bytes, denied: frozenset[bytes], prefixes: tuple[bytes, ...]) -> bool:
    """Return whether a server that takes `_` for `-`, as CGI does, would see a denied name."""
    dashed = name.replace(b"_", b"-")
    return dashed in denied or dashed.startswith(prefixes)


def connection_options(values: Iterable[bytes]) -> frozenset[bytes]:
    """Return the header names that Connection headers list: they too are of one connection only."""
    options = chain.from_iterable(value.split(b",") for value in values)
    return frozenset(option.strip().lower() for option in options) - {b"", b"close"}
