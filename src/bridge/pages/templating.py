"""Templating: values into HTML, always escaped, with nothing hidden in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bridge.pages.assets import Asset
from bridge.pages.visible import visible

_KIB = 1024
_SECOND, _MINUTE, _HOUR = 1000, 60_000, 3_600_000


class Templates:
    """The pages' templates."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        """Load templates from the package, as they are asked for."""
        self._environment = Environment(
            loader=PackageLoader("bridge.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_finalized,
        )
        self._environment.globals["asset"] = lambda name: assets[name].path
        self._environment.filters.update(
            moment=moment,
            number=number,
            short=short,
            duration=duration,
            size=size,
        )

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """Return the template called `name` with `values` in it."""
        return self._environment.get_template(name).render(values)


def moment(at: datetime | None) -> Markup:
    """Return a time, UTC, to the second."""
    if at is None:
        return Markup("")
    text = at.strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}Z">{}</time>').format(at.strftime("%Y-%m-%dT%H:%M:%S"), text)


def number(value: int | None) -> str:
    """Return a whole number with its thousands apart; "" for none."""
    return f"{value:,}" if value is not None else ""


def short(value: int) -> str:
    """Return a number in three digits and a letter, for where there is little room."""
    for limit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= limit:
            digits = value / limit
            return f"{digits:.0f}{letter}" if digits >= 100 else f"{digits:.1f}{letter}"
    return str(value)


def duration(milliseconds: int | None) -> str:
    """Return milliseconds for reading; "" for none."""
    if milliseconds is None:
        return ""
    if milliseconds < _SECOND:
        return f"{milliseconds} ms"
    if milliseconds < _MINUTE:
        return f"{milliseconds / _SECOND:.1f} s"
    if milliseconds < _HOUR:
        return f"{milliseconds // _MINUTE} min {milliseconds % _MINUTE // _SECOND} s"
    return f"{milliseconds // _HOUR} h {milliseconds % _HOUR // _MINUTE} min"


def size(count: int | None) -> str:
    """Return a number of bytes for reading; "" for none."""
    if count is None:
        return ""
    if count < _KIB:
        return f"{count} B"
    if count < _KIB * _KIB:
        return f"{count / _KIB:.1f} KiB"
    return f"{count / _KIB / _KIB:.1f} MiB"


def _finalized(value: Any) -> Any:
    """Return what is put into a page in place of `value`; it is escaped afterwards."""
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
