"""A fault as it happens: asks a gateway whose upstream has it, and says what everybody saw."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor

from bridge.domain.interception import Ending, Interception
from bridge.domain.records import TokenUsageRecorded
from bridge.policy.breaker import BreakerRules, Circuit, CircuitBreakers, State
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.tally import Tally
from bridge.upstream.relay import RelayLimits
from tests.faults.fault import (
    AS_SENT,
    BUT_USAGE,
    CLEAN,
    CUT,
    FAILURE,
    NONE,
    NOTHING,
    ONLY_EVENT,
    OWN_ERROR,
    PLUS_EVENT,
    SUCCESS,
    UNCOUNTED,
    Fault,
    Mode,
    Seen,
    breaker_view,
    client_view,
    error_name,
    record_view,
)
from tests.loopback.speaking import SpeakingTestCase
from tests.support.fakes import FakeUpstream, Received, Send, Step, answer, unused_port
from tests.support.rawclient import RawResponse

_THRESHOLD = 2
_EVENT = re.compile(rb"(?:event: ([^\n]*)\n)?data: ([^\n]*)\n\n")
_BUSY = (Send(answer(b"{}", status=503)),)
"""Certain to be counted as a failure."""
_SAMPLES = {
    "aibridge_ends_total": ("ends", ("state", "error_type")),
    "aibridge_legs_total": ("legs", ("outcome",)),
    "aibridge_upstream_responses_total": ("responses", ("code",)),
    "aibridge_token_usages_total": ("usages", ("source",)),
    "aibridge_partially_observed_total": ("partial", ()),
}
"""Name → what the table calls it, and the labels that it shows."""
_READ = (*_SAMPLES, "aibridge_metrics_faults_total", "aibridge_circuit_breaker_")

Samples = dict[tuple[str, ...], float]


class FaultCase(SpeakingTestCase):
    """One gateway and one fault; `observed` is what came of it."""

    mode: ClassVar[Mode]
    dialect: ClassVar[str]

    max_event_bytes = 64 * 1024
    fault: Fault | None = None
    observed: Seen | None = None

    async def observe(self, fault: Fault) -> Seen:
        """Have `fault` as often as it takes to see what it does to a circuit breaker."""
        self.fault = fault
        self.told = fault.told(self.speech, self.mode)
        self.first_byte_seconds = fault.first_byte_seconds
        self.relay_limits = RelayLimits(
            upstream_idle=fault.idle_seconds,
            client_stall=30.0,
            exchange=fault.exchange_seconds,
            ping=0.0,
        )
        self._busy = False
        self._tallies: list[tuple[Interception, Tally, int]] = []
        self.metrics = Metrics(names="aibridge", user_label=False, clock=reactor)  # type: ignore[arg-type]
        self.breakers = self._circuit_breakers()
        if fault.refused:
            self.upstream = FakeUpstream(reactor, ())  # which does not listen
            self.start_gateway(f"http://127.0.0.1:{unused_port()}")
        else:
            await self.start(self._script, begin=fault.begin)

        response = await self._ask()
        ended = self.journal.ended
        usages = self.journal.of(TokenUsageRecorded)
        counted = self._counted()
        self.observed = Seen(
            client=self._client(response),
            record=record_view(
                ended.status,
                ended.error_type or "",
                ended.http_status,
                partial=ended.partially_observed,
            ),
            usage=usages[-1].usage_source if usages else NONE,
            metrics=counted,
            breaker=await self._breaker(response),
        )
        return self.observed

    def _script(self, _: Received) -> tuple[Step, ...]:
        return _BUSY if self._busy else tuple(self.told.steps)

    async def _ask(self) -> RawResponse:
        ask = self.speech.ask_stream if self.mode is Mode.STREAMING else self.speech.ask
        response: RawResponse = await self.ask(ask)
        await self.settled()
        self._count_rest()
        return response

    # The client

    def _client(self, response: RawResponse) -> str:
        end = CLEAN if response.end == "clean" else CUT
        waits = response.header(b"retry-after") or b""
        return client_view(response.status, self._body(response.body), end, waits.decode())

    def _body(self, body: bytes) -> str:
        """Return what a body is, compared with what upstream sent."""
        sent = self.told.body
        if body == sent:
            return AS_SENT if sent else NOTHING
        if body == self.speech.seen(sent):
            return BUT_USAGE
        if body.startswith(sent) and (name := self._error_event(body[len(sent) :])):
            return f"{PLUS_EVENT if sent else ONLY_EVENT} {name}"
        if not sent and (name := self._error(body)):
            return f"{OWN_ERROR} {name}"
        return f"something else: {body[:200]!r}"

    def _error_event(self, data: bytes) -> str:
        """Return the name of an error of ours that is one whole event; "" for anything else."""
        match = _EVENT.fullmatch(data)
        if match is None or (match[1] or b"") != self.speech.error_name:
            return ""
        return self._error(match[2])

    def _error(self, text: bytes) -> str:
        """Return the name of an error of ours in the API's words; "" for anything else."""
        try:
            members: dict[str, Any] = json.loads(text)["error"]
        except (ValueError, KeyError, TypeError):
            return ""
        message = members.pop("message", "")
        ours = members in self.speech.errors.values() and message.endswith(".")
        return error_name(members) if ours else ""

    # The metrics

    def _ended(self, interception: Interception, ending: Ending) -> None:
        super()._ended(interception, ending)
        tally = self.metrics.begin(interception, prompted=True)
        self._tallies.append((interception, tally, 0))
        self._count_rest()

    def _count_rest(self) -> None:
        """Count the records that are written down and not counted yet."""
        for n, (interception, tally, done) in enumerate(self._tallies):
            records = [
                each
                for each in self.journal.records
                if getattr(each, "interception_id", None) == interception.id
            ]
            tally.add(records[done:])
            self._tallies[n] = (interception, tally, len(records))

    def _samples(self) -> Samples:
        """Return what a scrape tells: name and values of labels → value."""
        lines = self.metrics.scrape({}, "text/plain")().body.decode().splitlines(keepends=True)
        told = "".join(line for line in lines if line.startswith(_READ))
        found: Samples = {}
        for family in text_string_to_metric_families(told):
            for sample in family.samples:
                _, labels = _SAMPLES.get(sample.name, ("", ()))
                key = (sample.name, *(sample.labels[label] for label in labels))
                found[key] = found.get(key, 0.0) + sample.value
        return found

    def _counted(self) -> str:
        """Return the samples that the table shows, and check that nothing was left uncounted."""
        samples = self._samples()
        self.assertEqual(samples["aibridge_metrics_faults_total",], 0.0)
        told = []
        for name, (short, _) in _SAMPLES.items():
            for (sample, *values), value in samples.items():
                if sample == name and value:
                    told.append(" ".join(filter(None, (short, *values, f"{value:g}"))))
        return ", ".join(told)

    # The circuit breaker

    def _circuit_breakers(self) -> CircuitBreakers:
        def changed(circuit: Circuit, before: State, after: State) -> None:
            self.metrics.breaker_changed(
                circuit.provider, circuit.route, circuit.model, before.value, after.value
            )

        def rejected(circuit: Circuit) -> None:
            self.metrics.breaker_rejected(circuit.provider, circuit.route, circuit.model)

        return CircuitBreakers(
            rules=BreakerRules(failure_threshold=_THRESHOLD, interval=0.0, timeout=60.0),
            clock=reactor,  # type: ignore[arg-type]
            on_change=changed,
            on_reject=rejected,
        )

    async def _breaker(self, first: RawResponse) -> str:
        """Return what the breaker takes the fault for, which it has had once."""
        self.assertFalse(self.breakers.states(), "one failure is not enough")
        for _ in range(_THRESHOLD - 1):
            self.assertEqual(self._client(await self._ask()), self._client(first))
        counted = FAILURE if self.breakers.states() else await self._no_failure()
        if counted == FAILURE:
            asked = len(self.upstream.requests)
            refused = await self._ask()
            self.assertEqual(refused.status, 503)
            self.assertIn(int(refused.header(b"retry-after") or b"0"), range(1, 61))
            self.assertEqual(len(self.upstream.requests), asked)
        samples = self._samples()
        trips, rejects = (
            int(samples.get((f"aibridge_circuit_breaker_{word}_total",), 0.0))
            for word in ("trips", "rejects")
        )
        return breaker_view(counted, trips, rejects)

    async def _no_failure(self) -> str:
        """Have the fault between two failures: only a success makes the first one forgotten."""
        await self._fail()
        self.assertFalse(self.breakers.states(), "one failure is not enough")
        await self._ask()
        self.assertFalse(self.breakers.states(), "it was no failure before")
        await self._fail()
        return UNCOUNTED if self.breakers.states() else SUCCESS

    async def _fail(self) -> None:
        self._busy = True
        self.assertEqual((await self._ask()).status, 503)
        self._busy = False
