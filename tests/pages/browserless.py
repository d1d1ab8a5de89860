"""A browser's manners without a browser: cookies, forms and where they come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from http.client import HTTPMessage
from urllib.parse import urlencode

from tests.support.bridge_process import BridgeProcess

_FORM_TOKEN = re.compile(r'name="form_token" value="([^"]*)"')


class Answered:
    """One answer."""

    def __init__(self, status: int, headers: HTTPMessage, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.text = body.decode("utf-8")

    @property
    def location(self) -> str:
        return self.headers.get("location", "")

    @property
    def form_token(self) -> str:
        """What the page's forms carry."""
        found = _FORM_TOKEN.search(self.text)
        assert found is not None, self.text
        return unescape(found[1])

    @property
    def set_cookies(self) -> list[str]:
        return self.headers.get_all("set-cookie") or []


class Browserless:
    """Somebody with cookies."""

    def __init__(self, bridge: BridgeProcess) -> None:
        self.bridge = bridge
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answered:
        """Ask for a page."""
        return self._ask("GET", path, None, headers)

    def post(
        self, path: str, fields: Mapping[str, str], *, same_origin: bool = True, **headers: str
    ) -> Answered:
        """Send a form."""
        sent = {"content-type": "application/x-www-form-urlencoded"}
        if same_origin:
            sent["sec-fetch-site"] = "same-origin"
        return self._ask("POST", path, urlencode(fields).encode(), {**sent, **headers})

    def sign_in(self, token: str, next_path: str = "") -> Answered:
        """Sign in as a person does."""
        page = self.get("/ui/sign-in" + (f"?{urlencode({'next': next_path})}" if next_path else ""))
        fields = {"token": token, "form_token": page.form_token, "next": next_path}
        return self.post("/ui/sign-in", fields)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answered:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answered = self.bridge.ask(method, path, body, token=None, headers=sent, seconds=120.0)
        answer = Answered(*answered)
        for cookie in answer.set_cookies:
            name, _, rest = cookie.partition("=")
            value = rest.partition(";")[0]
            if "Max-Age=0" in cookie:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer
