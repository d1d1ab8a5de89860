"""The one table: every option is declared here, and nowhere else has a default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.config import recording
from bridge.config.kinds import (
    BASE_URL,
    BOOLEAN,
    DATABASE,
    DIRECTORY,
    OPTIONAL_TEXT,
    PROXY,
    SECRET,
    TEXT,
    TEXTS,
    choice,
    duration,
    header_names,
    networks,
    processes,
    size,
    whole,
)
from bridge.config.table import Option
from bridge.domain.identity import Secret

_KIB, _MIB, _GIB = 1024, 1024**2, 1024**3
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

# The table reads better with an option in few lines.
# fmt: off

# The process

LISTEN = Option(
    path="listen", kind=TEXTS, default=("tcp:4001:interface=127.0.0.1",),
    doc="Twisted endpoint description, or several, on which clients are served.",
)
OPERATIONS_LISTEN = Option(
    path="operations_listen", kind=TEXT, default="tcp:4002:interface=127.0.0.1", empty=True,
    doc='Endpoint for health details and metrics, without authentication; "" turns it off.',
)
DATA_DIR = Option(
    path="data_dir", kind=DIRECTORY, default=Path("var/aibridge"),
    doc="Directory of the journal, the embedded database and the first tokens.",
)
DATABASE_ADDRESS = Option(
    path="database", kind=DATABASE, default=Secret("embedded"),
    doc="embedded, or postgresql://user:password@host/database.",
)
RUN_AS = Option(
    path="run_as", kind=TEXT, default="", empty=True,
    doc='System user of the embedded database when started as root; "" picks postgres or nobody.',
)
WORKERS = Option(
    path="workers", kind=processes(64), default=0,
    doc="Processes that serve clients, for one that does the rest; auto is one for each "
    "processor, 0 is a single process for everything.",
)
BEHIND_PROXY = Option(
    path="behind_proxy", kind=BOOLEAN, default=False,
    doc="A TLS-terminating proxy stands in front, so plain listening off loopback is meant.",
)
TRUSTED_PROXIES = Option(
    path="trusted_proxies", kind=networks(), default=(),
    doc="Addresses and networks of proxies whose X-Forwarded-For is believed; with none, "
    "behind_proxy believes whoever connects.",
)
HTTPS_PROXY = Option(
    path="https_proxy", kind=PROXY, default=Secret(""), empty=True,
    fallback_environment=("HTTPS_PROXY", "https_proxy"),
    doc='Proxy through which providers are reached by https, e.g. http://proxy:3128; "" for none.',
)
NO_PROXY = Option(
    path="no_proxy", kind=TEXTS, default=(), fallback_environment=("NO_PROXY", "no_proxy"),
    doc="Hosts, .domains, addresses and networks that are reached without the proxy; * for all.",
)
CA_FILE = Option(
    path="ca_file", kind=TEXT, default="", empty=True,
    doc='Certificates (PEM) that are trusted besides the system\'s, for providers; "" for none.',
)
INSECURE = Option(
    path="insecure", kind=BOOLEAN, default=False,
    doc="Allow what is otherwise refused because credentials would travel unprotected.",
)
LOG_HUMAN = Option(
    path="log_human", kind=OPTIONAL_TEXT, default=None, empty=True, shown_default="/dev/stderr",
    more_environment=("CODER_LOGGING_HUMAN",),
    doc='Where readable logs go: a file, /dev/stderr or "" for nowhere; '
    "unset in a daemon means data_dir/aibridge.log.",
)
LOG_JSON = Option(
    path="log_json", kind=TEXT, default="", empty=True, more_environment=("CODER_LOGGING_JSON",),
    doc='Where logs go as JSON, one object a line: a file, /dev/stderr or "" for nowhere.',
)
LOG_LEVEL = Option(
    path="log_level", kind=choice("debug", "info", "warning", "error"), default="info",
    reloadable=True,
    doc="The least severe messages that are logged.",
)

METRICS_NAMES = Option(
    path="metrics.names", kind=choice("aibridge", "coder_aibridged"), default="aibridge",
    doc="The word that all names of metrics begin with; the second is the established gateway's.",
)
METRICS_USER_LABEL = Option(
    path="metrics.user_label", kind=BOOLEAN, default=False,
    doc="Tell users apart in the metrics, by id in the label initiator_id; many more series.",
)

# The gateway, under the established names

ENABLED = Option(
    path="aibridge.enabled", kind=BOOLEAN, default=True,
    doc="Serve AI clients; when false only management is served.",
)
RETENTION = Option(
    path="aibridge.retention", kind=duration(zero="for ever"), default=60 * _DAY,
    doc="How long interceptions and all that belongs to them are kept; 0 is for ever.",
)
STRUCTURED_LOGGING = Option(
    path="aibridge.structured_logging", kind=BOOLEAN, default=False,
    doc="Also write every record, content included, to the logs.",
)
ALLOW_BYOK = Option(
    path="aibridge.allow_byok", kind=BOOLEAN, default=True,
    doc="Let users send their own provider credential beside their bridge token.",
)
SEND_ACTOR_HEADERS = Option(
    path="aibridge.send_actor_headers", kind=BOOLEAN, default=False,
    doc="Tell providers who asks, in the two headers below; a provider may override it.",
)
ACTOR_HEADER_ID = Option(
    path="aibridge.actor_header_id", kind=TEXT, default="X-AI-Bridge-Actor-ID", empty=True,
    doc='Name of the header that carries the user\'s id; "" leaves it out.',
)
ACTOR_HEADER_USERNAME = Option(
    path="aibridge.actor_header_username", kind=TEXT, empty=True,
    default="X-AI-Bridge-Actor-Metadata-Username",
    doc='Name of the header that carries the user\'s name; "" leaves it out.',
)
STORED_OBJECTS = Option(
    path="aibridge.stored_objects", kind=choice("own", "all", "off"), default="own",
    doc="Which responses and conversations kept by a provider are reachable with our key: a "
    "user's own, all, or none; a provider may override it.",
)
FORWARD_SCOPE_HEADERS = Option(
    path="aibridge.forward_scope_headers", kind=BOOLEAN, default=False,
    doc="Let users name organisation, project or workspace beside our key, and not only beside "
    "their own; a provider may override it.",
)
DENY_HEADERS = Option(
    path="aibridge.deny_headers", kind=header_names(), default=(),
    doc="Request headers that never go to providers, besides those that are known to say too much.",
)
MAX_CONCURRENCY = Option(
    path="aibridge.max_concurrency", kind=whole(), default=0,
    reloadable=True,
    doc="Requests served at a time, beyond which the answer is 503; 0 is no limit.",
)
RATE_LIMIT = Option(
    path="aibridge.rate_limit", kind=whole(), default=0, reloadable=True,
    doc="Requests a second for each user, beyond which the answer is 429; 0 is no limit.",
)
MAX_STREAMS_PER_USER = Option(
    path="aibridge.max_streams_per_user", kind=whole(), default=0, reloadable=True,
    doc="Requests of one user under way at a time, beyond which the answer is 429; 0 is no limit.",
)
MAX_RETRIES = Option(
    path="aibridge.max_retries", kind=whole(), default=0, reloadable=True,
    doc="How often a provider that answered 408, 409, 429 or 5xx is asked again before the client "
    "is told; 0 leaves that to the client. A provider may override it.",
)
ON_CLIENT_ABORT = Option(
    path="aibridge.on_client_abort", kind=choice("close", "drain"), default="close",
    doc="What becomes of a stream whose client has left: close it at once, or read on (within "
    "limits.abort_drain), so that the token counts are exact.",
)
ANTHROPIC_KEY = Option(
    path="aibridge.anthropic_key", kind=SECRET, default=Secret(""),
    fallback_environment=("ANTHROPIC_API_KEY",),
    doc="Key of the provider anthropic.",
)
ANTHROPIC_BASE_URL = Option(
    path="aibridge.anthropic_base_url", kind=BASE_URL, default="https://api.anthropic.com",
    doc="Base URL of the provider anthropic.",
)
OPENAI_KEY = Option(
    path="aibridge.openai_key", kind=SECRET, default=Secret(""), doc="Key of the provider openai.",
)
OPENAI_BASE_URL = Option(
    path="aibridge.openai_base_url", kind=BASE_URL, default="https://api.openai.com/v1",
    doc="Base URL of the provider openai.",
)
BEDROCK_REGION = Option(
    path="aibridge.bedrock_region", kind=TEXT, default="",
    doc="AWS region of the provider bedrock.",
)
BEDROCK_ACCESS_KEY = Option(
    path="aibridge.bedrock_access_key", kind=SECRET, default=Secret(""),
    doc="AWS access key id of the provider bedrock.",
)
BEDROCK_ACCESS_KEY_SECRET = Option(
    path="aibridge.bedrock_access_key_secret", kind=SECRET, default=Secret(""),
    doc="AWS secret access key of the provider bedrock.",
)
BEDROCK_MODEL = Option(
    path="aibridge.bedrock_model", kind=TEXT,
    default="global.anthropic.claude-sonnet-4-5-20250929-v1:0",
    doc="Model of the provider bedrock for ordinary requests.",
)
BEDROCK_SMALL_FAST_MODEL = Option(
    path="aibridge.bedrock_small_fast_model", kind=TEXT,
    default="global.anthropic.claude-haiku-4-5-20251001-v1:0",
    more_flags=("aibridge-bedrock-small-fastmodel", "ai-gateway-bedrock-small-fastmodel"),
    doc="Model of the provider bedrock for requests that want a small, fast one.",
)
BEDROCK_BASE_URL = Option(
    path="aibridge.bedrock_base_url", kind=BASE_URL, default="",
    doc="Base URL of the provider bedrock; wins over the region.",
)
CIRCUIT_BREAKER_ENABLED = Option(
    path="aibridge.circuit_breaker_enabled", kind=BOOLEAN, default=False,
    doc="Stop asking a provider for a model for a while after it failed repeatedly.",
)
CIRCUIT_BREAKER_FAILURE_THRESHOLD = Option(
    path="aibridge.circuit_breaker_failure_threshold", kind=whole(1), default=5, hidden=True,
    doc="Consecutive failures that open the circuit breaker.",
)
CIRCUIT_BREAKER_INTERVAL = Option(
    path="aibridge.circuit_breaker_interval", kind=duration(), default=10.0, hidden=True,
    doc="Time after which a closed circuit breaker forgets failures.",
)
CIRCUIT_BREAKER_TIMEOUT = Option(
    path="aibridge.circuit_breaker_timeout", kind=duration(), default=30.0, hidden=True,
    doc="Time an open circuit breaker waits before it tries again.",
)
CIRCUIT_BREAKER_MAX_REQUESTS = Option(
    path="aibridge.circuit_breaker_max_requests", kind=whole(1), default=3, hidden=True,
    doc="Requests let through while the circuit breaker tries again.",
)

# Limits

REQUEST_HEADER = Option(
    path="limits.request_header", kind=duration(), default=10.0,
    doc="A client sends its whole request header within this.",
)
REQUEST_BODY_IDLE = Option(
    path="limits.request_body_idle", kind=duration(), default=30.0,
    doc="Longest pause of a client while it sends a body.",
)
CONNECT = Option(
    path="limits.connect", kind=duration(), default=10.0,
    doc="A connection to a provider, TLS included, is made within this.",
)
FIRST_BYTE = Option(
    path="limits.first_byte", kind=duration(), default=10 * _MINUTE,
    doc="A provider begins its answer within this.",
)
UPSTREAM_IDLE = Option(
    path="limits.upstream_idle", kind=duration(), default=5 * _MINUTE,
    doc="Longest pause of a provider within an answer.",
)
CLIENT_STALL = Option(
    path="limits.client_stall", kind=duration(), default=2 * _MINUTE,
    doc="Longest time a client may leave its answer unread.",
)
EXCHANGE = Option(
    path="limits.exchange", kind=duration(), default=_HOUR,
    doc="A request and its whole answer take at most this.",
)
STATEMENT = Option(
    path="limits.statement", kind=duration(), default=30.0,
    doc="One SQL statement takes at most this.",
)
DRAIN = Option(
    path="limits.drain", kind=duration(zero="at once"), default=30.0,
    doc="On shutdown, running answers may go on for this long; 0 cuts them at once.",
)
RETRY_WAIT = Option(
    path="limits.retry_wait", kind=duration(zero="never"), default=30.0,
    doc="Longest pause before a provider is asked again; who wants a longer one is not asked.",
)
ABORT_DRAIN = Option(
    path="limits.abort_drain", kind=duration(), default=_MINUTE,
    doc="How long a stream is read on after its client has left (aibridge.on_client_abort).",
)
ABORT_DRAIN_BYTES = Option(
    path="limits.abort_drain_bytes", kind=size(_KIB), default=4 * _MIB,
    doc="How much of a stream is read on after its client has left.",
)
UPSTREAM_KEEPALIVE = Option(
    path="limits.upstream_keepalive", kind=duration(zero="never kept"), default=30.0,
    doc="Unused connections to a provider are kept for this long; 0 never keeps one.",
)
PING = Option(
    path="limits.ping", kind=duration(zero="off"), default=10.0,
    doc="A stream that is quiet for this long gets a ping event; 0 sends none.",
)
CONNECTIONS = Option(
    path="limits.connections", kind=whole(1), default=10_000, doc="Client connections at a time.",
)
CONNECTIONS_PER_ADDRESS = Option(
    path="limits.connections_per_address", kind=whole(1), default=2_000,
    doc="Client connections at a time from one address.",
)
MAX_BODY = Option(
    path="limits.max_body", kind=size(_KIB), default=32 * _MIB,
    more_paths=("aibridge.max_body_bytes",),
    doc="Largest request body; beyond it the answer is 413.",
)
BODY_MEMORY = Option(
    path="limits.body_memory", kind=size(_MIB), default=512 * _MIB,
    doc="Memory for all request bodies together; beyond it the answer is 503.",
)
HEADER_BYTES = Option(
    path="limits.header_bytes", kind=size(_KIB), default=64 * _KIB, doc="Largest request header.",
)
MAX_EVENT = Option(
    path="limits.max_event", kind=size(_KIB), default=16 * _MIB,
    doc="Largest event of a stream that is read for the record; larger ones pass unread.",
)
MAX_DOCUMENT = Option(
    path="limits.max_document", kind=size(_KIB), default=32 * _MIB,
    doc="Largest answer in one piece that is read for the record; larger ones pass unread.",
)

# The journal

JOURNAL_FSYNC = Option(
    path="journal.fsync", kind=choice("before_end", "group", "never"), default="before_end",
    doc="When records are forced to disk: before an answer ends, every 20 ms, or never.",
)
JOURNAL_MAX_BYTES = Option(
    path="journal.max_bytes", kind=size(_MIB), default=_GIB,
    doc="Size of the journal at which new requests are refused.",
)
JOURNAL_SEGMENT_BYTES = Option(
    path="journal.segment_bytes", kind=size(64 * _KIB), default=16 * _MIB,
    doc="Size at which a new file of the journal is begun.",
)
JOURNAL_KEEP = Option(
    path="journal.keep", kind=duration(zero="not at all"), default=_DAY,
    doc="Time for which stored records can be replayed; 0 keeps none of them.",
)

SIEM_FILE = Option(
    path="siem.file", kind=TEXT, default="", empty=True,
    doc='File to which every stored record and audit row is appended, as JSON, one object a line; '
    '"" for none.',
)
SIEM_CONTENT = Option(
    path="siem.content", kind=BOOLEAN, default=True,
    doc="Whether prompts, tool arguments, results and thoughts are in that file too.",
)

# Tokens

TOKEN_DEFAULT_LIFETIME = Option(
    path="tokens.default_lifetime", kind=duration(), default=90 * _DAY,
    doc="Lifetime of a new token for which none is given.",
)
TOKEN_MAX_LIFETIME = Option(
    path="tokens.max_lifetime", kind=duration(), default=365 * _DAY,
    doc="Longest lifetime that a token may be given.",
)
OFFLINE_GRACE = Option(
    path="auth.offline_grace", kind=duration(zero="none"), default=_DAY,
    doc="How long known tokens are good after a start without the database.",
)

# fmt: on

ALL: tuple[Option[Any], ...] = (
    *(each for each in list(globals().values()) if isinstance(each, Option)),
    *recording.ALL,
)
"""Every option, in the order of declaration."""
