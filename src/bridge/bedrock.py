"""Amazon Bedrock as it is configured: the provider, and where its credentials come from."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from twisted.internet.threads import deferToThreadPool

from bridge.config import options
from bridge.config.aws import BedrockSettings
from bridge.config.settings import ProviderSettings, Settings
from bridge.providers.aws_credentials import (
    AwsCredentials,
    RenewedCredentials,
    StaticCredentials,
    assumed_role,
    default_chain,
    fixed,
)
from bridge.providers.bedrock import Bedrock

EXTERNAL_ID_FILE = "aws-external-id"
"""In the data directory: what owners of roles are told to expect from this bridge."""
_SESSION_NAME = "aibridge"

_log = structlog.get_logger("bridge.aws")


def bedrock_from(
    settings: Settings, entry: ProviderSettings, *, reactor: Any, data_dir: Path
) -> Bedrock:
    """Return the provider of one entry of the type bedrock; nothing is asked yet.

    Raises:
        OSError: an external id cannot be kept.
    """
    aws = entry.bedrock
    assert aws is not None  # noqa: S101 - the type is checked
    return Bedrock(
        name=entry.name,
        region=aws.region,
        credentials=_credentials(entry.name, aws, reactor=reactor, data_dir=data_dir),
        clock=reactor,
        max_body_bytes=settings[options.MAX_BODY],
        protocol=aws.protocol,
        base_url=entry.base_url,
        model=aws.model,
        small_fast_model=aws.small_fast_model,
    )


def external_id(data_dir: Path) -> str:
    """Return the id that this bridge names to the owners of roles; it is made once, and kept.

    Raises:
        OSError: it cannot be read, or kept.
    """
    path = data_dir / EXTERNAL_ID_FILE
    with suppress(FileNotFoundError):
        kept = path.read_text("ascii").strip()
        if kept:
            return kept
    made, beside = str(uuid4()), path.with_name(f".{EXTERNAL_ID_FILE}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{made}\n")
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    return made


def _credentials(
    name: str, aws: BedrockSettings, *, reactor: Any, data_dir: Path
) -> AwsCredentials:
    pair = None
    if aws.access_key:
        pair = StaticCredentials(
            access_key_id=aws.access_key,
            secret=aws.access_key_secret,
            session_token=aws.session_token or None,
        )
        if not aws.role_arn:
            return pair
    resolve = fixed(pair) if pair is not None else default_chain(profile=aws.profile)
    if aws.role_arn:
        outside = aws.external_id or external_id(data_dir)
        _log.info("a role is assumed", provider=name, role_arn=aws.role_arn, external_id=outside)
        resolve = assumed_role(
            resolve,
            role_arn=aws.role_arn,
            session_name=_SESSION_NAME,
            region=aws.region,
            external_id=outside,
        )
    return RenewedCredentials(
        name=name,
        resolve=resolve,
        in_thread=partial(deferToThreadPool, reactor, reactor.getThreadPool()),
        clock=reactor,
    )
