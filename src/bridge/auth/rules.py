"""What users and tokens may be called, and for how long a token lives."""

from __future__ import annotations

import re
from uuid import UUID

from bridge.auth.token import ID_LENGTH
from bridge.domain.errors import BadRequest
from bridge.domain.units import format_duration

MAX_TOKEN_NAME = 64
"""Characters."""

ME = "me"
"""Whoever searches: nobody is called so."""
USERNAME = "[a-z0-9][a-z0-9._-]{0,62}"
"""The whole of a user's name, as a regular expression."""
_USERNAME = re.compile(USERNAME)
_TOKEN_ID = re.compile(rf"[0-9A-Za-z]{{{ID_LENGTH}}}")


def checked_username(name: str) -> str:
    """Return `name` when a user may be called so.

    Raises:
        BadRequest: it may not, with the rule.
    """
    if _USERNAME.fullmatch(name) is None:
        raise BadRequest(
            f"{name!r} cannot be a user's name: write 1 to 63 of a-z, 0-9, '.', '_' and '-', "
            "beginning with one of a-z or 0-9."
        )
    return name


def checked_new_username(name: str) -> str:
    """Return `name` when a new user may be called so.

    Raises:
        BadRequest: it may not, or a search would take it for something else.
    """
    checked_username(name)
    if name == ME or _is_uuid(name):
        raise BadRequest(
            f"{name!r} cannot be a user's name: in a search it means "
            f"{'whoever asks' if name == ME else 'the user of that id'}. Choose another."
        )
    return name


def is_token_id(text: str) -> bool:
    """Say whether `text` could be the id of a token."""
    return _TOKEN_ID.fullmatch(text) is not None


def checked_token_name(name: str) -> str:
    """Return `name` when a token may be called so.

    Raises:
        BadRequest: it is too long or would not print.
    """
    if len(name) > MAX_TOKEN_NAME or not (name.isprintable() and name == name.strip()):
        raise BadRequest(f"A token's name is at most {MAX_TOKEN_NAME} printable characters.")
    return name


def checked_lifetime(wanted: float | None, *, default: float, longest: float) -> float:
    """Return the seconds for which a new token lives.

    Args:
        wanted: what was asked for; None takes the default, as far as it is allowed.
        default: `tokens.default_lifetime`.
        longest: `tokens.max_lifetime`.

    Raises:
        BadRequest: it is longer than allowed, or nothing.
    """
    if wanted is None:
        return min(default, longest)
    if wanted <= 0:
        raise BadRequest("A token's lifetime must be more than 0; write for example 30d or 12h.")
    if wanted > longest:
        raise BadRequest(
            f"A token's lifetime is at most {format_duration(longest)} (tokens.max_lifetime)."
        )
    return wanted


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
