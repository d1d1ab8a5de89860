"""Guards: cookies, forms and where they come from, so that nobody acts in another's name."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

from bridge.domain.clock import Clock
from bridge.domain.errors import BadRequest, Forbidden, RateLimited
from bridge.policy.shared_limits import SharedLimits
from bridge.web.incoming import BridgeRequest

SIGN_IN = "/ui/sign-in"
HOME = "/ui/"
ATTEMPTS = 10
"""Failed attempts to sign in that one address has within a window."""
WINDOW_SECONDS = 60.0

_MAX_ADDRESSES = 10_000
_MAX_FIELDS = 100
_LOCAL = re.compile(r"/ui(?:/[!-\[\]-~]*)?")
# Printable ASCII but for the backslash, which browsers take for a slash.
_SESSION, _FORM = "aibridge", "aibridge-form"


class Attempts:
    """Failed attempts to sign in, by address, within bounds."""

    def __init__(self, clock: Clock, shared: SharedLimits | None = None) -> None:
        """Count by `clock`, and where there are several processes together with them."""
        self._clock = clock
        self._shared = shared
        self._failed: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check(self, address: str) -> None:
        """Let somebody at `address` try.

        Raises:
            RateLimited: there were too many failures within the last minute.
        """
        if self._shared is not None:
            began, count = self._shared.failures(_number_of(address))
        else:
            began, count = self._failed.get(address, (0.0, 0))
        left = began + WINDOW_SECONDS - self._clock.seconds()
        if count >= ATTEMPTS and left > 0:
            raise RateLimited(
                "Too many attempts to sign in have failed from your address; wait a minute.",
                retry_after=left,
            )

    def failed(self, address: str) -> None:
        """Count a failure."""
        now = self._clock.seconds()
        if self._shared is not None:
            self._shared.failed(_number_of(address), now=now, window=WINDOW_SECONDS)
            return
        began, count = self._failed.pop(address, (now, 0))
        if began + WINDOW_SECONDS <= now:
            began, count = now, 0
        self._failed[address] = (began, count + 1)
        while len(self._failed) > _MAX_ADDRESSES:
            self._failed.popitem(last=False)


class Cookies:
    """The two cookies: of a session, and of the form to sign in with."""

    def __init__(self, *, behind_proxy: bool) -> None:
        """Read and write cookies.

        Args:
            behind_proxy: a proxy in front speaks TLS with the browsers.
        """
        self._behind_proxy = behind_proxy

    def secure(self, request: BridgeRequest) -> bool:
        """Return whether the browser speaks TLS."""
        if request.isSecure():
            return True
        told = request.getHeader(b"x-forwarded-proto") or b"https"
        return self._behind_proxy and told.split(b",")[0].strip().lower() == b"https"

    def session(self, request: BridgeRequest) -> str | None:
        """Return the value of the session's cookie."""
        return self._value(request, _SESSION)

    def form(self, request: BridgeRequest) -> str | None:
        """Return the value of the sign-in form's cookie."""
        return self._value(request, _FORM)

    def new_session(self, request: BridgeRequest, value: str) -> bytes:
        """Return the Set-Cookie of a session, which ends with the browser or by us."""
        return self._set(request, _SESSION, value)

    def new_form(self, request: BridgeRequest, value: str) -> bytes:
        """Return the Set-Cookie of a form."""
        return self._set(request, _FORM, value)

    def no_session(self, request: BridgeRequest) -> bytes:
        """Return the Set-Cookie that takes a session's cookie away."""
        return self._set(request, _SESSION, "") + b"; Max-Age=0"

    def _name(self, request: BridgeRequest, name: str) -> str:
        # Browsers take __Host- only with Secure, and Secure only over TLS.
        return f"__Host-{name}" if self.secure(request) else name

    def _value(self, request: BridgeRequest, name: str) -> str | None:
        found = request.getCookie(self._name(request, name).encode("ascii"))
        return found.decode("latin-1") if found else None

    def _set(self, request: BridgeRequest, name: str, value: str) -> bytes:
        secure = "; Secure" if self.secure(request) else ""
        cookie = f"{self._name(request, name)}={value}; Path=/; HttpOnly; SameSite=Strict{secure}"
        return cookie.encode("ascii")


def new_value() -> str:
    """Return the value of a new cookie: 256 random bits."""
    return secrets.token_urlsafe(32)


def digest_of(cookie: str) -> bytes:
    """Return what is stored of a session's cookie."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()


def form_token(cookie: str) -> str:
    """Return what forms carry that belong to `cookie`; the cookie cannot be told from it."""
    return hmac.new(cookie.encode("utf-8"), b"form", hashlib.sha256).hexdigest()


def check_form(fields: Mapping[str, str], cookie: str | None) -> None:
    """Make sure that a form is one that we gave to the holder of `cookie`.

    Raises:
        Forbidden: it is not.
    """
    given = fields.get("form_token", "").encode("utf-8", "replace")
    if cookie is None or not hmac.compare_digest(given, form_token(cookie).encode("ascii")):
        raise Forbidden("The form is too old, or was not made by this site. Load the page again.")


def _number_of(address: str) -> int:
    return int.from_bytes(hashlib.sha256(address.encode()).digest()[:8], "big")


def check_origin(request: BridgeRequest) -> None:
    """Make sure that a form was sent by a page of ours.

    Browsers tell it in Sec-Fetch-Site; older ones in Origin, which names our host then.

    Raises:
        Forbidden: it came from elsewhere, or nobody can tell.
    """
    site = request.getHeader(b"sec-fetch-site")
    if site is not None:
        good = site == b"same-origin"
    else:
        origin = request.getHeader(b"origin") or b""
        host = request.getHeader(b"host") or b""
        good = bool(host) and origin.partition(b"://")[2].lower() == host.lower()
    if not good:
        raise Forbidden("The form was not sent from a page of this site.")


def read_form(request: BridgeRequest) -> Mapping[str, str]:
    """Return the fields of a form that was sent; of a field given twice, words with spaces.

    Raises:
        BadRequest: it is not a form.
    """
    content_type = (request.getHeader(b"content-type") or b"").partition(b";")[0].strip().lower()
    if content_type != b"application/x-www-form-urlencoded":
        raise BadRequest("A form is expected here.")
    try:
        pairs = parse_qsl(
            request.body.content.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_MAX_FIELDS,
            errors="strict",
        )
    except ValueError as e:
        raise BadRequest("The form cannot be read.") from e
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields[name] = f"{fields[name]} {value}" if name in fields else value
    return fields


def local_path(text: str) -> str:
    """Return `text` when it is the path of a page of ours, and the first page otherwise."""
    return text if _LOCAL.fullmatch(text) and not text.startswith(SIGN_IN) else HOME


def sign_in_path(target: str, *, ended: bool) -> str:
    """Return where to sign in and come back to `target` from."""
    back = local_path(target)
    more = "&ended=1" if ended else ""
    return f"{SIGN_IN}?next={quote(back, safe='/')}{more}"
