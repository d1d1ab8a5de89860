"""The kinds of value an option has: how each is read from text or YAML, and shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from bridge.domain.identity import Secret, hint
from bridge.domain.secret_patterns import MOST_PATTERNS, ExtraPattern, compiled
from bridge.domain.units import format_duration, format_size, parse_duration, parse_size
from bridge.upstream.proxy import Proxy

T = TypeVar("T")
Network = IPv4Network | IPv6Network

_TRUE = frozenset({"true", "yes", "on", "1", "t", "y"})
_FALSE = frozenset({"false", "no", "off", "0", "f", "n"})
_WHOLE = re.compile(r"-?\d{1,18}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_YAML_TYPES = {
    bool: "a truth value", int: "a number", float: "a number", str: "a text", list: "a list",
    dict: "a group of options",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind(Generic[T]):
    """How the values of an option are read and shown.

    `parse` raises ValueError with a sentence that never repeats a secret.
    """

    name: str
    """For the documentation: `duration`, `size`, …"""
    parse: Callable[[str], T]
    show: Callable[[T], str]
    """The text that `parse` reads back; of a secret, its masked form."""
    accepts: tuple[type, ...] = (str,)
    """YAML types that may stand for it; each is read through its text."""
    from_list: Callable[[list[str]], T] | None = None
    """Reads a YAML list of texts, where one may be given."""
    secret: bool = False
    """Whether values must not be shown and may be given as `file:/path`."""

    def read(self, raw: object) -> T:
        """Return the value that `raw`, a scalar or list of scalars from YAML, says.

        Raises:
            ValueError: with a sentence about what is wrong.
        """
        if isinstance(raw, list) and self.from_list is not None:
            if not all(isinstance(item, str) for item in raw):
                msg = "must be a list of texts"
                raise ValueError(msg)
            return self.from_list(raw)
        if type(raw) not in self.accepts:
            noun = self.name if " | " in self.name else f"a {self.name}"
            msg = f"must be {noun}, not {describe(raw)}"
            raise ValueError(msg)
        return self.parse(str(raw))


def describe(raw: object) -> str:
    """Return what `raw` is, without its value, which may be a secret."""
    return _YAML_TYPES.get(type(raw), "nothing" if raw is None else f"a {type(raw).__name__}")


def choice(*words: str) -> Kind[str]:
    """Return the kind whose values are `words`; YAML's bare `off` and `on` are understood."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        word = {"false": "off", "true": "on"}.get(word, word)
        if word not in words:
            msg = f"must be {_alternatives(words)}, not {text!r}"
            raise ValueError(msg)
        return word

    name = " | ".join(words)
    return Kind(name=name, parse=parse, show=str, accepts=(str, bool))


def whole(minimum: int = 0) -> Kind[int]:
    """Return the kind of whole numbers from `minimum` up."""

    def parse(text: str) -> int:
        if not _WHOLE.fullmatch(text.strip()):
            msg = f"{text!r} is not a whole number"
            raise ValueError(msg)
        return _at_least(int(text), minimum, str(minimum))

    return Kind(name="whole number", parse=parse, show=str, accepts=(int, str))


def processes(most: int) -> Kind[int]:
    """Return the kind of numbers of processes; `auto` is read as the processors we may use."""
    plain = whole()

    def parse(text: str) -> int:
        if text.strip().lower() == "auto":
            return min(len(os.sched_getaffinity(0)), most)
        count = plain.parse(text)
        if count > most:
            msg = f"must not be more than {most}"
            raise ValueError(msg)
        return count

    return Kind(name="whole number | auto", parse=parse, show=str, accepts=(int, str))


def duration(*, zero: str = "") -> Kind[float]:
    """Return the kind of durations in seconds.

    Args:
        zero: what `0` means, for an option that may be 0; "" refuses it.
    """

    def parse(text: str) -> float:
        seconds = parse_duration(text)
        if seconds == 0 and not zero:
            msg = "must be longer than 0: every wait has a limit"
            raise ValueError(msg)
        return seconds

    return Kind(name="duration", parse=parse, show=format_duration, accepts=(str, int))


def size(minimum: int) -> Kind[int]:
    """Return the kind of sizes in bytes from `minimum` up."""

    def parse(text: str) -> int:
        return _at_least(parse_size(text), minimum, format_size(minimum))

    return Kind(name="size", parse=parse, show=format_size, accepts=(str, int))


def networks() -> Kind[tuple[Network, ...]]:
    """Return the kind of lists of addresses and networks, e.g. `10.0.0.0/8, 127.0.0.1`."""

    def from_list(items: list[str]) -> tuple[Network, ...]:
        return tuple(_network(item) for item in _listed(items))

    return Kind(
        name="address, network or list of them",
        parse=lambda text: from_list(text.split(",")),
        show=lambda value: ", ".join(map(str, value)),
        from_list=from_list,
    )


def header_names() -> Kind[tuple[str, ...]]:
    """Return the kind of lists of HTTP header names; they are kept in lower case."""

    def from_list(items: list[str]) -> tuple[str, ...]:
        names = tuple(item.lower() for item in _listed(items))
        for name in names:
            if not _HEADER_NAME.fullmatch(name):
                msg = f"{name!r} is not the name of a header"
                raise ValueError(msg)
        return names

    return Kind(
        name="header name or list of them",
        parse=lambda text: from_list(text.split(",")),
        show=", ".join,
        from_list=from_list,
    )


def secret_patterns() -> Kind[tuple[ExtraPattern, ...]]:
    """Return the kind of lists of `name=pattern`; in one text they stand on lines of their own."""

    def from_list(items: list[str]) -> tuple[ExtraPattern, ...]:
        found = []
        for item in items:
            label, separator, pattern = item.strip().partition("=")
            if not separator or not pattern:
                msg = f"{item[:64]!r} must be name=pattern"
                raise ValueError(msg)
            extra = ExtraPattern(label=label.strip(), pattern=pattern)
            compiled(extra)
            found.append(extra)
        if len(found) > MOST_PATTERNS:
            msg = f"there may be at most {MOST_PATTERNS} patterns"
            raise ValueError(msg)
        return tuple(found)

    return Kind(
        name="name=pattern or list of them",
        parse=lambda text: from_list(text.splitlines()),
        show=lambda extras: "\n".join(f"{each.label}={each.pattern}" for each in extras),
        from_list=from_list,
    )


def load_secret_text(text: str) -> str:
    """Return `text`, or what the file holds if it is `file:/path`, without trailing newlines.

    Raises:
        ValueError: the file cannot be read, or is not text.
    """
    if not text.startswith("file:"):
        return text
    path = Path(text.removeprefix("file:"))
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except OSError as e:
        msg = f"cannot read the file {path}: {e.strerror or type(e).__name__}"
        raise ValueError(msg) from e
    except UnicodeDecodeError as e:
        msg = f"the file {path} is not UTF-8 text"
        raise ValueError(msg) from e


def parse_secret(text: str) -> Secret:
    """Return the credential that `text` or the file it names holds.

    Raises:
        ValueError: it could not be a header's value, or the file cannot be read.
    """
    value = load_secret_text(text)
    if _UNPRINTABLE.search(value) or not value.isascii():
        msg = "must be one word of printable ASCII characters"
        raise ValueError(msg)
    return Secret(value)


def split_address(dsn: str) -> SplitResult:
    """Return the parts of a postgresql:// address.

    Raises:
        ValueError: it is not one; the sentence does not repeat it, it may hold a password.
    """
    expected = "must be embedded or postgresql://user:password@host/database"
    try:
        parts = urlsplit(dsn)
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in {"postgresql", "postgres"} or _UNPRINTABLE.search(dsn):
        raise ValueError(expected)
    return parts


def show_database(value: Secret) -> str:
    """Return a database address with its password masked."""
    dsn = value.reveal()
    if dsn == "embedded":
        return dsn
    try:
        parts = split_address(dsn)
    except ValueError:
        return hint(dsn)
    account, at, hosts = parts.netloc.rpartition("@")
    user, colon, _ = account.partition(":")
    netloc = f"{user}{colon and ':***'}{at}{hosts}"
    query = [(key, "***" if key == "password" else text) for key, text in parse_qsl(parts.query)]
    return parts._replace(netloc=netloc, query=urlencode(query, safe="*/")).geturl()


def show_base_url(url: str) -> str:
    """Return a base URL without a user's name and password in it."""
    head, at, tail = url.rpartition("@")
    scheme, slashes, _ = head.partition("://")
    return f"{scheme}://***@{tail}" if at and slashes else f"{at and '***@'}{tail}"


def _network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        msg = f"{text!r} is not an IP address or network"
        raise ValueError(msg) from None


def _parse_proxy(text: str) -> Secret:
    address = load_secret_text(text)
    if address.strip():
        scheme, separator, _ = address.partition("://")
        if separator and scheme.strip().lower() != "http":
            msg = (
                'only http:// proxies can be used; https_proxy: "" (AIBRIDGE_HTTPS_PROXY=) '
                "ignores the environment's"
            )
            raise ValueError(msg)
        Proxy(url=address, bypass=())  # refuses what is none, without repeating it
    return Secret(address)


def _show_proxy(value: Secret) -> str:
    return show_base_url(value.reveal())


def _parse_database(text: str) -> Secret:
    dsn = load_secret_text(text)
    if dsn != "embedded":
        split_address(dsn)
    return Secret(dsn)


def _parse_boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        msg = f"must be true or false, not {text!r}"
        raise ValueError(msg)
    return word in _TRUE


def _parse_path(text: str) -> Path:
    if not text.strip() or "\0" in text:
        msg = "must name a directory"
        raise ValueError(msg)
    return Path(text)


def _parse_optional_text(text: str) -> str | None:
    return text


def _show_optional_text(value: str | None) -> str:
    return value or ""


def _listed(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(item.strip() for item in items if item.strip())


def _parse_list(text: str) -> tuple[str, ...]:
    return _listed(text.split(","))


def _at_least(value: int, minimum: int, shown: str) -> int:
    if value < minimum:
        msg = f"must be at least {shown}"
        raise ValueError(msg)
    return value


def _alternatives(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


BOOLEAN: Kind[bool] = Kind(
    name="truth value",
    parse=_parse_boolean,
    show=lambda value: "true" if value else "false",
    accepts=(bool, str),
)
TEXT: Kind[str] = Kind(name="text", parse=str, show=str)
OPTIONAL_TEXT: Kind[str | None] = Kind(
    name="text", parse=_parse_optional_text, show=_show_optional_text
)
BASE_URL: Kind[str] = Kind(name="URL", parse=str.strip, show=show_base_url)
DIRECTORY: Kind[Path] = Kind(name="directory", parse=_parse_path, show=str)
TEXTS: Kind[tuple[str, ...]] = Kind(
    name="text or list of texts", parse=_parse_list, show=", ".join, from_list=_listed
)
SECRET: Kind[Secret] = Kind(name="secret", parse=parse_secret, show=repr, secret=True)
PROXY: Kind[Secret] = Kind(name="proxy address", parse=_parse_proxy, show=_show_proxy, secret=True)
DATABASE: Kind[Secret] = Kind(
    name="database address", parse=_parse_database, show=show_database, secret=True
)
