"""The settings in force: typed values, where each came from, the providers, and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bridge.config.aws import BedrockSettings
from bridge.config.table import Option
from bridge.domain.identity import Secret

T = TypeVar("T")

KNOWN_TYPES = ("anthropic", "openai", "bedrock", "copilot", "demo")


class ConfigErrors(Exception):  # noqa: N818  (it holds several)
    """The configuration cannot be used; `problems` holds a `path: sentence` for each reason."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Keep every problem found."""
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Value(Generic[T]):
    """An option's value and where it came from."""

    value: T
    path: str
    """The YAML path as it was written, or the preferred one."""
    origin: str = "default"
    """`flag --aibridge-retention`, `environment CODER_…`, `etc/bridge.yaml:12` or `default`."""
    ambient: bool = False
    """Whether it came from a fallback variable, which gives way to other spellings."""
    variables: tuple[str, ...] = ()
    """The environment's variables that it was taken from, also by the file."""

    @property
    def given(self) -> bool:
        """Whether somebody set it."""
        return self.origin != "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """One configured provider."""

    name: str
    """Its instance name, the first segment of its paths."""
    type: str
    """One of KNOWN_TYPES."""
    base_url: str
    """Without a trailing slash; "" for a demo provider, whose port is known later."""
    keys: tuple[Secret, ...]
    """Our credentials in order of preference; empty means own keys only."""
    send_actor_headers: bool
    key_header: str
    """Lower-case name of the header in which our credential is sent; "" for the type's own."""
    organization: str
    project: str
    stored_objects: str
    """own, all or off."""
    forward_scope_headers: bool
    include_usage: bool
    max_retries: int
    """After answers that invite it."""
    fallback: tuple[str, ...]
    """Names of providers that may stand in for it, in order."""
    fallback_models: Mapping[str, str]
    """What models are called there, by the name asked for."""
    record: Mapping[str, str]
    """Contents that are recorded otherwise than elsewhere: full or off, by their names."""
    bedrock: BedrockSettings | None
    """What only the type bedrock has."""
    origin: str
    """Where it was declared."""
    label: str = ""
    """What problems call it, e.g. `aibridge.providers[1]`."""
    key_variables: Mapping[Secret, str] = field(default_factory=dict)
    """The environment's variable that a key was taken from, for those that were."""

    @property
    def own_keys_only(self) -> bool:
        """Whether users must bring their own credential."""
        return not self.keys and self.type not in ("demo", "bedrock")


class Settings:
    """All values in force; immutable."""

    def __init__(
        self,
        *,
        values: Mapping[Option[Any], Value[Any]],
        providers: tuple[ProviderSettings, ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> None:
        """Keep a value for every option."""
        self._values = dict(values)
        self.providers = providers
        self.warnings = warnings

    def __getitem__(self, option: Option[T]) -> T:
        """Return the option's value."""
        value: T = self._values[option].value
        return value

    def entry(self, option: Option[T]) -> Value[T]:
        """Return the option's value with where it came from."""
        return self._values[option]

    def origin(self, option: Option[Any]) -> str:
        """Return where the value came from, e.g. `environment CODER_AIBRIDGE_RETENTION`."""
        return self._values[option].origin


def problem(path: str, sentence: str, origin: str = "") -> str:
    """Return the line that reports a problem: path, sentence, and where to look."""
    place = f" ({origin})" if origin and origin != "default" else ""
    return f"{path}: {sentence}{place}"
