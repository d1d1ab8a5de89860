"""What `aibridge doctor` asks Amazon Bedrock: a request that is signed, and cannot run a model.

It is InvokeModel (for the protocol mantle, the Messages API) with an empty object as its body.
Who asks and whether they may is looked at before what they say: an answer that the body is wrong
says that signature and rights are good, and nothing was run or costs.

Source: the errors of InvokeModel in botocore's model of bedrock-runtime, 1.44.8; those about
signatures are AWS's common ones.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from bridge.bedrock import EXTERNAL_ID_FILE, bedrock_from
from bridge.cli.checks import Finding, failed, ok, warning
from bridge.config import options
from bridge.config.settings import ProviderSettings, Settings
from bridge.domain.errors import Unavailable
from bridge.providers.anthropic import MESSAGES_ROUTE
from bridge.providers.bedrock import Bedrock
from bridge.providers.interface import Asked
from bridge.providers.regions import BedrockProtocol
from bridge.upstream.client import Outgoing, Response
from bridge.wire.headers import first

_ANY_MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
"""Where none is configured; whether it is still there does not matter."""
_JSON = (b"content-type", b"application/json")
_NOT_ALLOWED = "AccessDeniedException"
_REFUSING = frozenset(
    {
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
_TRIED_MODEL = "The rights on other models are not known by that."


def bedrock_checked(
    settings: Settings, provider: ProviderSettings, reactor: Any
) -> Bedrock | Finding:
    """Return the provider as the bridge would make it, or why that is not tried.

    Nothing is made on disk: an external id that is not there yet is left to the bridge.
    """
    data_dir = settings[options.DATA_DIR]
    aws = provider.bedrock
    if (
        aws is not None
        and aws.role_arn
        and not aws.external_id
        and not (data_dir / EXTERNAL_ID_FILE).exists()
    ):
        return warning(
            f"provider {provider.name}",
            "The role was not tried: there is no external id yet.",
            "The first start of the bridge makes one and logs it, for the role's owner to allow.",
        )
    return bedrock_from(settings, provider, reactor=reactor, data_dir=data_dir)


async def bedrock_request(bedrock: Bedrock, provider: ProviderSettings) -> Outgoing:
    """Return the signed request.

    Raises:
        Unavailable: there are no credentials.
    """
    await bedrock.find_credentials()
    aws = provider.bedrock
    model = (aws.model if aws is not None else "") or _ANY_MODEL
    target = MESSAGES_ROUTE.pattern
    if aws is None or aws.protocol is BedrockProtocol.INVOKE:
        target = f"/model/{quote(model, safe='')}/invoke"
    prepared = bedrock.prepare(
        Asked(
            method=b"POST",
            path_and_query=target.encode("ascii"),
            headers=(_JSON, (b"accept", b"application/json")),
            body=b"{}",
            model=model,
            streaming=False,
        ),
        bedrock.credentials[0],
    )
    host = bedrock.origin.partition("://")[2].encode("ascii")
    headers = prepared.headers
    if first(headers, b"host") is None:
        headers = ((b"host", host), *headers)
    return Outgoing(method=b"POST", target=prepared.target, headers=headers, body=prepared.body)


def bedrock_answered(check: str, provider: ProviderSettings, response: Response) -> Finding:
    """Return what an answer to that request says of the credentials."""
    status = response.status
    kind = (first(response.headers, b"x-amzn-errortype") or b"").partition(b":")[0]
    said = kind.decode("latin-1")
    named = f" ({status} {said})" if said else f" ({status})"
    whose = f"Look at its credentials ({provider.origin}), and at this machine's clock."
    if status == 403 and said == _NOT_ALLOWED:
        return failed(
            check,
            f"It accepts the signature, and does not allow its owner to ask the model{named}.",
            "Allow bedrock:InvokeModel and InvokeModelWithResponseStream, and access to the model.",
        )
    if status in (401, 403) or said in _REFUSING:
        return failed(check, f"It refuses the AWS credentials{named}.", whose)
    if status == 429:
        return warning(
            check, f"It accepts the AWS credentials, and is asked too much{named}.", "Wait."
        )
    if status >= 500:
        return warning(check, f"It answers{named}.", "It is in trouble itself; see AWS's status.")
    if status == 404 or said == "ResourceNotFoundException":
        return warning(
            check,
            f"It accepts the AWS credentials, and has no such model in this region{named}.",
            "Correct model or region.",
        )
    if status != 400 and status >= 300:
        return ok(
            check, f"It answers{named}; whether the credentials are good cannot be seen from that."
        )
    configured = provider.bedrock is not None and provider.bedrock.model
    return ok(check, "It accepts the AWS credentials." + ("" if configured else f" {_TRIED_MODEL}"))


def bedrock_without_credentials(check: str, error: Unavailable) -> Finding:
    """Return that there is nothing to sign with."""
    return failed(
        check,
        f"There are no AWS credentials: {error.message}",
        "Give access_key and access_key_secret, or put them where AWS's tools look; with a role, "
        "see whether it may be assumed.",
    )
