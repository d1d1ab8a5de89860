"""The catalogue of metrics: every name, its labels, and the most label sets it may ever have.

Names here have no prefix; see `Names`. Counters, histograms and the gauges that are set come from
`telemetry/metrics.py`, the gauges that are read at scrape time from `telemetry/gauges.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

OTHER = "other"
"""What a value is called for which there is no room any more."""
UNKNOWN = "unknown"
"""What an empty value is called."""


class Kind(StrEnum):
    """What a metric counts like."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Names(StrEnum):
    """The word that all names begin with."""

    AIBRIDGE = "aibridge"
    CODER_AIBRIDGED = "coder_aibridged"
    """What dashboards of the established gateway expect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One declared metric."""

    name: str
    kind: Kind
    doc: str
    """One sentence, with the unit."""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper limits, without the last, which is infinite; of histograms only."""
    by_user: bool = False
    """Whether `metrics.user_label` adds the label `initiator_id`."""
    most: int = 1
    """Label sets at most; what comes later is counted under `other`."""

    @property
    def samples(self) -> int:
        """Time series at most: a histogram has its buckets, one more, a sum and a count."""
        return self.most * (len(self.buckets) + 3 if self.kind is Kind.HISTOGRAM else 1)


USER = "initiator_id"
MOST_VALUES: Mapping[str, int] = {
    "provider": 100, "provider_name": 100, "provider_type": 20, "model": 200, "client": 50,
    "route": 100, "method": 20, "name": 500, "server": 50, "type": 50, "code": 100, "status": 100,
    "state": 10, "kind": 10, "outcome": 20, "attempt": 2, "source": 10, "error_type": 20,
    "reason": 20, "endpoint": 100, "version": 1, "bytes": 2, "secret": 100, USER: 1_000,
}  # fmt: skip
"""Label → different values at most. Models are counted for each provider apart."""
OPEN = frozenset({"model", "client", "name", "server", USER})
"""Labels whose values clients choose; they give way first when a metric has all its label sets."""
TOKEN_TYPES = ("input", "output", "cache_read_input_tokens", "cache_write_input_tokens")
FURTHER_TOKEN_TYPES = frozenset(
    {
        "cache_ephemeral_1h_input", "cache_ephemeral_5m_input", "web_search_requests",
        "prompt_audio", "prompt_cached", "completion_accepted_prediction", "completion_audio",
        "completion_rejected_prediction", "completion_reasoning",
        "input_cached", "output_reasoning", "total_tokens",
    }
)  # fmt: skip
"""Further counts by the names that records use; others are in the record only."""

_ANSWER = (0.5, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0)
_FIRST_BYTE = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
)
# OpenTelemetry's advice for gen_ai.client.operation.time_to_first_chunk (semconv 1.41.1).
_OURS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_DISK = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0)
_ATTEMPTS = (1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 25.0)


def _counter(name: str, doc: str, *labels: str, most: int = 1, by_user: bool = False) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, doc=doc, labels=labels, most=most, by_user=by_user)


def _gauge(name: str, doc: str, *labels: str, most: int = 1) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, doc=doc, labels=labels, most=most)


def _histogram(
    name: str, doc: str, *labels: str, buckets: tuple[float, ...], most: int = 1
) -> Metric:
    return Metric(
        name=name, kind=Kind.HISTOGRAM, doc=doc, labels=labels, buckets=buckets, most=most
    )


# The catalogue reads better with a metric in few lines.
# fmt: off

# From finished records

INTERCEPTIONS = _counter(
    "interceptions_total",
    "Interceptions that ended; status is completed or failed.",
    "provider", "model", "status", "route", "method", "client", most=10_000, by_user=True,
)
DURATION = _histogram(
    "interceptions_duration_seconds",
    "From having a request to its recorded end, in seconds.",
    "provider", "model", buckets=_ANSWER, most=1_000,
)
FIRST_BYTE = _histogram(
    "time_to_first_byte_seconds",
    "From having a request to the first byte of the answer's body from upstream, in seconds.",
    "provider", "model", buckets=_FIRST_BYTE, most=1_000,
)
OVERHEAD = _histogram(
    "overhead_seconds",
    "The bridge's own share before upstream is asked: from having a request, in seconds.",
    "provider", buckets=_OURS, most=100,
)
ENDED = _counter(
    "ends_total",
    "Ends by state; kind is intercepted or passthrough, error_type empty without an error.",
    "provider", "kind", "state", "error_type", most=2_000,
)
PASSTHROUGH = _counter(
    "passthrough_total",
    "Requests passed through, of which only metadata is recorded; route is the route's pattern.",
    "provider", "route", "method", most=2_000,
)
PROMPTS = _counter(
    "prompts_total",
    "Prompts of users, recorded or not.",
    "provider", "model", "client", most=5_000, by_user=True,
)
TOKENS = _counter(
    "tokens_total",
    "Tokens by type, as the record has them at the end.",
    "provider", "model", "type", "client", most=20_000, by_user=True,
)
USAGES = _counter(
    "token_usages_total",
    "Token counts recorded, by how good they are: provider_final, provider_partial, drained, "
    "estimated.",
    "provider", "source", most=500,
)
TOOL_SELECTIONS = _counter(
    "non_injected_tool_selections_total",
    "Calls of the clients' own tools that models asked for.",
    "provider", "model", "name", most=5_000,
)
TOOL_INVOCATIONS = _counter(
    "injected_tool_invocations_total",
    "Calls of tools that the bridge offered and ran.",
    "provider", "model", "server", "name", most=5_000,
)
TOOL_RESULTS = _counter(
    "tool_results_total",
    "Results of tool calls that requests brought; outcome is error, ok, or unknown where the API "
    "cannot say it.",
    "provider", "outcome", most=300,
)
REDACTIONS = _counter(
    "redactions_total",
    "Secrets that were taken out of what is recorded, by what they were.",
    "secret", most=101,
)
BLANKED = _counter(
    "content_blanked_total",
    "Interceptions whose content was blanked by this process, because it was over its time.",
)
LEGS = _counter(
    "legs_total",
    "Upstream round trips by outcome; attempt is first, or again for what came after it.",
    "provider", "outcome", "attempt", most=1_000,
)
RESPONSES = _counter(
    "upstream_responses_total",
    "Answers of upstream by HTTP status.",
    "provider", "code", most=1_000,
)
BODY_BYTES = _counter(
    "body_bytes_total",
    "Bytes of bodies; bytes is in for requests, out for what was handed to clients.",
    "provider", "bytes", most=200,
)
PARTIAL = _counter(
    "partially_observed_total",
    "Interceptions whose record lacks detail, because it could not be read or kept.",
    "provider", most=100,
)
ALTERED = _counter(
    "altered_answers_total",
    "Answers of which the client got other bytes than upstream sent, by design.",
    "provider", most=100,
)
REFUSALS = _counter(
    "refusals_total",
    "Requests refused before they were accepted; those alike within a minute are added at its end.",
    "status", "code", most=500,
)
FAULTS = _counter(
    "metrics_faults_total",
    "Records that could not be counted, by a fault of the metrics.",
)

# The journal's disk

FSYNC = _histogram(
    "journal_fsync_duration_seconds",
    "How long the disk takes to make the journal safe, in seconds.",
    buckets=_DISK,
)

# Told by other parts

BREAKER_STATE = _gauge(
    "circuit_breaker_state",
    "0 is closed, 0.5 half open, 1 open; there is none before the first change.",
    "provider", "endpoint", "model", most=1_000,
)
BREAKER_TRIPS = _counter(
    "circuit_breaker_trips_total",
    "Times a circuit breaker opened.",
    "provider", "endpoint", "model", most=1_000,
)
BREAKER_REJECTS = _counter(
    "circuit_breaker_rejects_total",
    "Requests not sent because a circuit breaker was open.",
    "provider", "endpoint", "model", most=1_000,
)
KEYS = _gauge(
    "key_pool_state",
    "Keys of a provider; state is valid, temporary (resting) or permanent (out of use).",
    "provider", "state", most=300,
)
KEY_TRANSITIONS = _counter(
    "key_pool_state_transitions_total",
    "Times a key was put out of use; reason is rate_limited, unauthorized or forbidden.",
    "provider", "reason", most=500,
)
KEY_EXHAUSTIONS = _counter(
    "key_pool_exhaustions_total",
    "Requests for which no key was left; outcome is rate_limited or auth_failed.",
    "provider", "outcome", most=500,
)
KEY_ATTEMPTS = _histogram(
    "key_pool_failover_attempts",
    "Keys tried for a request.",
    "provider", buckets=_ATTEMPTS, most=100,
)
RELOADED = _gauge(
    "providers_last_reload_timestamp_seconds",
    "When the configuration was last read, in seconds since the epoch.",
)
RELOAD_SUCCEEDED = _gauge(
    "providers_last_reload_success_timestamp_seconds",
    "When the configuration was last read and could be used, in seconds since the epoch.",
)

# Read at scrape time

INFLIGHT = _gauge(
    "interceptions_inflight",
    "Interceptions under way.",
    "provider", "model", "route", most=2_000,
)
STREAMS = _gauge(
    "streams_open",
    "Interceptions under way whose answer is a stream.",
    "provider", most=100,
)
BUILD = _gauge("build_info", "Always 1; tells the version.", "version")
STARTED = _gauge("start_time_seconds", "When this process started, in seconds since the epoch.")
READY = _gauge("ready", "1 when /readyz says that requests may come, else 0.")
RUNNING = _gauge("requests_running", "Requests being served, those passed through included.")
BODY_MEMORY = _gauge("request_body_memory_bytes", "Memory that request bodies take, in bytes.")
REFUSALS_LOST = _counter(
    "refusals_not_recorded_total", "Refusals of which no audit row could be written."
)
STORE = _gauge(
    "store_connected", "1 while the database answers, else 0; kind is embedded or external.",
    "kind", most=2,
)
JOURNAL_BYTES = _gauge("journal_bytes", "What the journals take on disk, in bytes.")
JOURNAL_MAX_BYTES = _gauge(
    "journal_max_bytes", "What they may take before requests are refused, in bytes."
)
JOURNAL_UNSENT = _gauge(
    "journal_unsent_bytes", "What of this process's journal is not in the database yet, in bytes."
)
JOURNAL_ACCEPTING = _gauge("journal_accepting", "1 while the journal takes records, else 0.")
PENDING = _gauge("records_pending", "Records that wait for the database.")
PENDING_BYTES = _gauge("records_pending_bytes", "What they take, in bytes.")
PENDING_AGE = _gauge(
    "records_pending_oldest_age_seconds", "Age of the oldest of them, in seconds; 0 without any."
)
QUARANTINED = _gauge(
    "records_quarantined", "Records put aside because the database does not take them."
)
OUTDATED = _counter(
    "records_outdated_total", "Records not stored because they were older than the retention."
)
WRITING = _gauge("writer_active", "1 in the process that writes to the database, else 0.")
SEARCH_PENDING = _gauge(
    "search_interceptions_pending",
    "Stored interceptions whose content cannot be found by the search yet.",
)
SIEM_PENDING = _gauge("siem_records_pending", "Stored records that the SIEM was not told of yet.")
SIEM_AGE = _gauge(
    "siem_records_pending_oldest_age_seconds",
    "Since the oldest of them was stored, in seconds; 0 without any.",
)
SIEM_WRITING = _gauge(
    "siem_active", "1 in the process that writes the SIEM's file, 0 in others that may."
)
TOKENS_KNOWN = _gauge("auth_tokens_known", "Tokens of users that are known, ended ones included.")
TOKENS_AGE = _gauge(
    "auth_snapshot_age_seconds",
    "Since the database last confirmed the users' tokens, in seconds; none before it ever did.",
)
PROVIDERS = _gauge(
    "provider_info",
    "Always 1; status is enabled or disabled.",
    "provider_name", "provider_type", "status", most=200,
)
WORKERS = _gauge(
    "workers", "Worker processes by state: starting, ready, not_ready or stopping; none without.",
    "state", most=5,
)
WORKER_RESTARTS = _counter(
    "worker_restarts_total", "Worker processes that ended unasked and were replaced."
)
LOG_LINES_LOST = _counter("log_lines_lost_total", "Log lines that could not be written.")

# fmt: on

ALL: tuple[Metric, ...] = tuple(
    declared for declared in list[Any](globals().values()) if isinstance(declared, Metric)
)
"""Every metric above, in the order of declaration."""

STANDARD = (
    "process_virtual_memory_bytes",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
)
"""What Prometheus's own client tells of every process, on Linux; these have no prefix."""
