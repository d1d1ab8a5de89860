"""What a provider of the type bedrock has beside the others: region, credentials, models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Protocol, TypeVar

from bridge.config.kinds import SECRET, TEXT, Kind, choice
from bridge.domain.identity import Secret
from bridge.providers.regions import BedrockProtocol, bedrock_address, is_region, region_in

T = TypeVar("T")

FIELDS: Mapping[str, str] = {
    "region": "AWS region; said by base_url, when left out.",
    "protocol": "invoke (the default: Bedrock's InvokeModel, and its own paths for clients that "
    "speak them) or mantle (AWS's endpoint of the Messages API).",
    "access_key": "AWS access key id. Without one, AWS's usual places are looked in: environment, "
    "shared files, web identity, container, instance.",
    "access_key_secret": "The secret that belongs to it.",
    "session_token": "The token of a pair that is temporary.",
    "profile": "Name of a profile in AWS's shared files, in place of a pair.",
    "role_arn": "Role to assume, with the pair or with what was found.",
    "external_id": "Agreed on with the role's owner; one of our own, which the log says, when left "
    "out.",
    "model": "Bedrock's id of the model that is asked, whatever clients name; the one that they "
    "name, when left out.",
    "small_fast_model": "The same for requests that name a Haiku.",
}
"""The fields, with their documentation."""
_PROTOCOL = choice(*BedrockProtocol)
_NO_SECRET = Secret("")


class Fields(Protocol):
    """Reads the fields of an entry."""

    def get(self, name: str, kind: Kind[T]) -> T | None:
        """Return the field, or None when it is left out or wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BedrockSettings:
    """How Amazon Bedrock is asked."""

    region: str = ""
    protocol: BedrockProtocol = BedrockProtocol.INVOKE
    access_key: str = ""
    """"" for credentials that are found."""
    access_key_secret: Secret = _NO_SECRET
    session_token: Secret = _NO_SECRET
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    """"" for one of our own."""
    model: str = ""
    small_fast_model: str = ""

    def placed(self, base_url: str) -> tuple[str, BedrockSettings]:
        """Return the base URL in force, and the settings with the region in force."""
        region = self.region or region_in(base_url)
        address = base_url or (bedrock_address(region, self.protocol) if region else "")
        return address, replace(self, region=region)

    def filled(self, other: BedrockSettings) -> tuple[BedrockSettings, bool]:
        """Return what `other` says where nothing is said, and whether the two contradict."""
        mine = asdict(self)
        said = {name: value for name, value in asdict(other).items() if value}
        said.pop("protocol")  # nothing else can say it
        missing = {name: value for name, value in said.items() if not mine[name]}
        contradicted = any(mine[name] and mine[name] != value for name, value in said.items())
        return replace(self, **missing), contradicted

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield field and sentence of what cannot work; ask once it is placed."""
        if not self.region:
            yield "region", "must be given"
        elif not is_region(self.region):
            yield "region", "is not an AWS region"
        if bool(self.access_key) != bool(self.access_key_secret):
            lone, missing = "access_key", "access_key_secret"
            if not self.access_key:
                lone, missing = missing, lone
            yield lone, f"needs {missing} as well"
        if self.session_token and not self.access_key:
            yield "session_token", "needs access_key as well"
        if self.profile and self.access_key:
            yield "profile", "and access_key cannot both be given"
        if self.external_id and not self.role_arn:
            yield "external_id", "needs role_arn as well"
        if self.role_arn and not self.role_arn.startswith("arn:"):
            yield "role_arn", "must be arn:aws:iam::<account>:role/<name>"


def bedrock_settings(fields: Fields) -> BedrockSettings:
    """Return what an entry says of Bedrock."""

    def text(name: str) -> str:
        return fields.get(name, TEXT) or ""

    def secret(name: str) -> Secret:
        return fields.get(name, SECRET) or _NO_SECRET

    return BedrockSettings(
        region=text("region"),
        protocol=BedrockProtocol(fields.get("protocol", _PROTOCOL) or BedrockProtocol.INVOKE),
        access_key=secret("access_key").reveal(),
        access_key_secret=secret("access_key_secret"),
        session_token=secret("session_token"),
        profile=text("profile"),
        role_arn=text("role_arn"),
        external_id=text("external_id"),
        model=text("model"),
        small_fast_model=text("small_fast_model"),
    )
