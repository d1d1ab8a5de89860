"""The shapes of secrets that are known by how they begin: vendors' keys, tokens, private keys.

Every pattern is run by RE2, whose time is linear in the length of the text whatever the pattern.
Sources: the vendors' pages on their token formats, and what the scanners of public repositories
look for (read 2026-11-25). A pattern matches the secret alone; what must stand before it is in
`BOUNDARY`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = rb"[0-9A-Za-z_-]"
_ALNUM = rb"[0-9A-Za-z]"
_HEX = rb"[0-9a-f]"

BOUNDARY = rb"(?:\b|\\[bfnrt]|%[0-9A-F]{2}|[=_:])"
"""What may stand before a secret: no letter or digit, or the end of an escape."""
SPELLINGS = {
    # In JSON the first word of a line stands directly behind the letter of an escape.
    b"begin": rb"(?:\b|\\[bfnrt])",
    b"space": rb"(?:\s|\\[nrt])",
    b"quote": rb"\\{0,3}[\"']",
}
"""Where a word may begin, white space and quotes, each also as JSON has it; to be put into patterns
that are to find in a document what they would find in its strings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of secret."""

    label: str
    """What it is replaced by says this: `[redacted:label]`."""
    pattern: bytes
    """In RE2's syntax."""


def _shape(label: str, *alternatives: bytes) -> Shape:
    return Shape(label=label, pattern=rb"|".join(alternatives))


SHAPES: tuple[Shape, ...] = (
    # AI providers
    _shape("anthropic-key", rb"sk-ant-" + _ID + rb"{16,}"),
    _shape("openrouter-key", rb"sk-or-(?:v1-)?" + _HEX + rb"{32,}"),
    _shape(
        "openai-key",
        rb"sk-(?:proj|svcacct|admin|service)-" + _ID + rb"{16,}",
        rb"sk-" + _ALNUM + rb"{20,}",
        rb"sess-" + _ALNUM + rb"{40}",
    ),
    _shape("xai-key", rb"xai-" + _ALNUM + rb"{40,}"),
    _shape("groq-key", rb"gsk_" + _ALNUM + rb"{40,}"),
    _shape("perplexity-key", rb"pplx-" + _ALNUM + rb"{40,}"),
    _shape("huggingface-token", rb"hf_" + _ALNUM + rb"{30,}", rb"api_org_" + _ALNUM + rb"{30,}"),
    _shape("replicate-token", rb"r8_" + _ALNUM + rb"{36,}"),
    # Code and packages
    _shape(
        "github-token",
        rb"gh[pousr]_" + _ALNUM + rb"{30,}",
        rb"github_pat_[0-9A-Za-z_]{36,}",
    ),
    _shape(
        "gitlab-token",
        rb"gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|oas|ffct)-[0-9A-Za-z_.-]{20,}",
        rb"GR1348941" + _ID + rb"{20}",
    ),
    _shape("npm-token", rb"npm_" + _ALNUM + rb"{36}"),
    _shape("pypi-token", rb"pypi-" + _ID + rb"{50,}"),
    _shape("rubygems-key", rb"rubygems_" + _HEX + rb"{48}"),
    _shape("docker-token", rb"dckr_(?:pat|oat)_" + _ID + rb"{20,}"),
    _shape("atlassian-token", rb"ATATT3[0-9A-Za-z_=-]{60,}", rb"ATCTT3[0-9A-Za-z_=-]{60,}"),
    _shape("sentry-token", rb"sntrys_[0-9A-Za-z_=+/-]{40,}", rb"sntryu_" + _HEX + rb"{64}"),
    # Clouds
    _shape("aws-access-key-id", rb"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b"),
    _shape(
        "aws-bedrock-key", rb"ABSK[0-9A-Za-z+/]{60,}={0,2}", rb"bedrock-api-key-[0-9A-Za-z+/=]{40,}"
    ),
    _shape(
        "google-key",
        rb"AIza" + _ID + rb"{35}",
        rb"GOCSPX-" + _ID + rb"{28}",
        rb"ya29\." + _ID + rb"{20,}",
        rb"1//0" + _ID + rb"{40,}",
    ),
    _shape(
        "azure-key",
        rb"[0-9A-Za-z]+JQQJ99[0-9A-Za-z]{20,}",
        rb"[0-9A-Za-z_~.]+[0-9]Q~[0-9A-Za-z_~.-]{31,}",
    ),
    _shape("digitalocean-token", rb"do[opr]_v1_" + _HEX + rb"{64}"),
    _shape("databricks-token", rb"dapi" + _HEX + rb"{32}"),
    _shape("heroku-key", rb"HRKU-" + _ID + rb"{30,}"),
    _shape("vault-token", rb"hv[sbr]\." + _ID + rb"{24,}"),
    _shape("terraform-token", rb"[0-9A-Za-z]+\.atlasv1\." + _ID + rb"{60,}"),
    _shape("pulumi-token", rb"pul-" + _HEX + rb"{40}"),
    _shape("planetscale-token", rb"pscale_(?:tkn|pw|oauth)_[0-9A-Za-z_.-]{30,}"),
    _shape("supabase-key", rb"sbp_" + _HEX + rb"{40}", rb"sb_secret_" + _ID + rb"{20,}"),
    _shape("tailscale-key", rb"tskey-[a-z]{3,10}-" + _ALNUM + rb"{6,}-" + _ALNUM + rb"{16,}"),
    # Messages and money
    _shape(
        "slack-token",
        rb"xox[abeoprs](?:\.xox[bp])?-[0-9A-Za-z-]{10,}",
        rb"xapp-[0-9]-[0-9A-Z]{6,}-[0-9A-Za-z-]{10,}",
    ),
    _shape("stripe-key", rb"(?:sk|rk)_(?:live|test)_" + _ALNUM + rb"{16,}"),
    _shape("webhook-secret", rb"whsec_[0-9A-Za-z+/=]{24,}"),
    _shape("square-token", rb"sq0(?:atp|csp|idp)-" + _ID + rb"{22,}"),
    _shape("shopify-token", rb"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _shape("sendgrid-key", rb"SG\." + _ID + rb"{16,}\." + _ID + rb"{30,}"),
    _shape("mailgun-key", rb"key-" + _HEX + rb"{32}\b"),
    _shape("twilio-key", rb"SK" + _HEX + rb"{32}\b"),
    _shape("telegram-token", rb"[0-9]+:AA" + _ID + rb"{33}"),
    # Tools
    _shape("linear-key", rb"lin_api_" + _ALNUM + rb"{40}"),
    _shape("notion-key", rb"ntn_" + _ALNUM + rb"{40,}", rb"secret_" + _ALNUM + rb"{43}\b"),
    _shape("figma-token", rb"figd_" + _ID + rb"{40}"),
    _shape("airtable-token", rb"pat" + _ALNUM + rb"{14}\." + _HEX + rb"{64}"),
    _shape("postman-key", rb"PMAK-" + _HEX + rb"{24}-" + _HEX + rb"{34}"),
    _shape(
        "grafana-token",
        rb"glsa_[0-9A-Za-z]{32}_" + _HEX + rb"{8}",
        rb"glc_[0-9A-Za-z+/]{32,}={0,2}",
    ),
    _shape("newrelic-key", rb"NRAK-[0-9A-Z]{27}"),
    _shape("doppler-token", rb"dp\.(?:pt|st|ct|sa|scim|audit)\.[0-9A-Za-z_.-]{40,}"),
    _shape("age-key", rb"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    _shape("jwt", rb"eyJ" + _ID + rb"{8,}\.eyJ" + _ID + rb"{8,}\." + _ID + rb"{10,}"),
)
"""Secrets that are whole in themselves; of two that match at one place the first counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A kind of secret that is known by what stands around it: the first group is the secret."""

    label: str
    pattern: bytes


_SCHEME = (
    rb"(?:basic|bearer|token|apikey|negotiate|digest)%(space)s{1,3}([^\s\"'<>`\\]{8,})" % SPELLINGS
)
SCHEME = re.compile(rb"(?i)\s{0,3}" + _SCHEME)
"""What a header with credentials says."""

_PEM_NAME = rb"(?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_PEM_GAP = rb"(?:[\s\"'+,]|\\[nrt])"

_PLACEHOLDER = re.compile(rb"[$%{<]|\*{3}|\.{3}|\[redacted:|(?i:x{3,}|pass(?:word)?|pw|secret)$")
_BASE64_LINE = re.compile(rb"[0-9A-Za-z+/=]{40}")

PLACES: tuple[Place, ...] = (
    Place(
        label="private-key",
        # Whole, or cut off after at least one full line.
        pattern=rb"(-----BEGIN "
        + _PEM_NAME
        + rb"(?:[^-]|-[^-])*-----END "
        + _PEM_NAME
        + rb"|-----BEGIN "
        + _PEM_NAME
        + _PEM_GAP
        + rb"*[0-9A-Za-z+/=]{40,}"
        rb"(?:" + _PEM_GAP + rb"+[0-9A-Za-z+/=]{16,})*)",
    ),
    Place(
        label="bridge-token",
        # Its public part stays.
        pattern=rb"aib(?:_|%5[fF])[0-9A-Za-z]{12}(?:_|%5[fF])([0-9A-Za-z]{8,})",
    ),
    Place(
        label="url-password",
        pattern=rb"[A-Za-z][0-9A-Za-z+.-]*://[^\s:/@?#\"'<>`\\\[]*:([^\s/?#\"'<>`\\]+)@",
    ),
    Place(
        label="webhook-url",
        pattern=rb"hooks\.slack\.com/(?:services|workflows|triggers)/([0-9A-Za-z/_-]{20,})",
    ),
    Place(
        label="webhook-url",
        pattern=rb"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/([0-9A-Za-z_-]{50,})",
    ),
    Place(
        label="azure-key",
        pattern=rb"(?:AccountKey|SharedAccessKey)=([0-9A-Za-z+/]{30,}={0,2})",
    ),
    Place(label="azure-signature", pattern=rb"[?&]sig=([0-9A-Za-z%+/=]{40,})"),
    Place(
        label="authorization",
        # Also as a name and its value, and as a header that is a list.
        pattern=rb"(?i)%(begin)sauthorization[\"'\\]{0,3}%(space)s{0,3}"
        rb"(?:[:=,]|,?%(space)s{0,24}[\"'\\]{0,4}value[\"'\\]{0,4}\s{0,3}[:=])"
        rb"%(space)s{0,24}(?:\[%(space)s{0,24})?[\"'\\]{0,3}" % SPELLINGS + _SCHEME,
    ),
    Place(
        label="authorization",
        pattern=rb"(?i)%(begin)sbearer[ :=]{1,3}([0-9A-Za-z._~+/=-]{20,})" % SPELLINGS,
    ),
    Place(
        label="password",
        pattern=rb"%(begin)scurl\b[^\n|;]{0,400}\s(?:-u|--user)[ =]{0,2}[\"']?[^\s:\"']{1,64}:"
        rb"([^\s\"']{3,})" % SPELLINGS,
    ),
    Place(
        label="password",
        # The same as the words of a list: "curl", "-u", "user:password".
        pattern=rb"\bcurl%(quote)s,[^\]]{0,400}%(quote)s(?:-u|--user)%(quote)s,%(space)s{0,24}"
        rb"%(quote)s[^\s:\"'\\]{1,64}:([^\s\"'\\]{3,})" % SPELLINGS,
    ),
)
"""Secrets that are known by their place; the first group of a pattern is replaced."""


def meant(label: str, secret: bytes) -> bool:
    """Return whether what stands at a secret's place is one."""
    if label == "private-key":
        return _BASE64_LINE.search(secret) is not None
    if label in ("url-password", "password", "authorization"):
        return _PLACEHOLDER.match(secret) is None and (
            label != "authorization" or any(48 <= each <= 57 for each in secret)
        )
    return True


HINT_RUN = 15
"""Every secret has at least so many of these characters in a row (Slack's `xox` tokens have no
more), or one of the words in or beside it; whoever adds a shorter shape lowers this."""
HINT_CHARACTERS = rb"[0-9A-Za-z_.~+/=:%-]"
HINT_WORDS = (
    b"passw", b"pwd", b"passphrase", b"passcode", b"secret", b"token", b"credential", b"key",
    b"authorization", b"bearer", b"curl", b"://",
)  # fmt: skip
"""In lower case; of the assignments, too. In most short texts is none, and RE2 has not to start."""
