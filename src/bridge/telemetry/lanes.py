"""Lanes: the numbers that one kind of request changes, looked up once and then kept.

A lane is what has the same provider, model, route, method and client; it finds the cells of all
metrics with these labels by attribute. Lanes are kept in bounded maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from bridge.domain.interception import Interception
from bridge.telemetry import catalogue
from bridge.telemetry.catalogue import OTHER, Metric, Names
from bridge.telemetry.families import Cell, Distribution, Family, Vocabulary

K = TypeVar("K")
V = TypeVar("V")

MAX_LANES = 4_000
"""Then all are looked up anew."""
MAX_CELLS = 1_000
"""Of a lane's own map, likewise."""


class Families:
    """All metrics of the catalogue that are counted here, by declaration."""

    def __init__(self, *, names: Names, user_label: bool, read: frozenset[Metric]) -> None:
        """Make a family of every metric that is not in `read`."""
        self.all: Mapping[Metric, Family] = {
            metric: Family(metric, names=names, user_label=user_label)
            for metric in catalogue.ALL
            if metric not in read
        }

    def add(self, metric: Metric, *values: str, amount: float = 1.0) -> None:
        """Add to the number with these values, which are labels' values already."""
        self.all[metric].cell(values).value += amount

    def set(self, metric: Metric, *values: str, to: float) -> None:
        """Set the number with these values."""
        self.all[metric].cell(values).value = to


class ProviderLane:
    """What is counted by provider, without the model."""

    __slots__ = (
        "_families", "altered", "bytes_in", "bytes_out", "ends", "legs", "overhead", "partial",
        "provider", "responses", "usages",
    )  # fmt: skip

    def __init__(self, families: Families, provider: str) -> None:
        """Look up the numbers of `provider`, a label's value."""
        self._families = families
        self.provider = provider
        self.bytes_in = self._cell(catalogue.BODY_BYTES, "in")
        self.bytes_out = self._cell(catalogue.BODY_BYTES, "out")
        self.partial = self._cell(catalogue.PARTIAL)
        self.altered = self._cell(catalogue.ALTERED)
        self.overhead: Distribution = families.all[catalogue.OVERHEAD].distribution((provider,))
        self.ends: dict[tuple[str, str, str | None], Cell] = {}
        self.legs: dict[tuple[str, bool], Cell] = {}
        self.responses: dict[int, Cell] = {}
        self.usages: dict[str, Cell] = {}

    def end(self, kind: str, state: str, error_type: str | None, words: Vocabulary) -> Cell:
        """Return the number of such ends."""
        key = (kind, state, error_type)
        cell = self.ends.get(key)
        if cell is None:
            error = words.value("error_type", error_type) if error_type else ""
            state = words.value("state", state)
            cell = keep(self.ends, key, self._cell(catalogue.ENDED, kind, state, error))
        return cell

    def leg(self, outcome: str, *, first: bool, words: Vocabulary) -> Cell:
        """Return the number of such legs."""
        cell = self.legs.get((outcome, first))
        if cell is None:
            labels = (words.value("outcome", outcome), "first" if first else "again")
            cell = keep(self.legs, (outcome, first), self._cell(catalogue.LEGS, *labels))
        return cell

    def response(self, status: int, words: Vocabulary) -> Cell:
        """Return the number of answers with this status."""
        cell = self.responses.get(status)
        if cell is None:
            code = words.value("code", str(status))
            cell = keep(self.responses, status, self._cell(catalogue.RESPONSES, code))
        return cell

    def usage(self, source: str, words: Vocabulary) -> Cell:
        """Return the number of token counts that are so good."""
        cell = self.usages.get(source)
        if cell is None:
            word = words.value("source", source)
            cell = keep(self.usages, source, self._cell(catalogue.USAGES, word))
        return cell

    def _cell(self, metric: Metric, *values: str) -> Cell:
        return self._families.all[metric].cell((self.provider, *values))


class Lane:
    """What is counted by provider, model, route, method and client, or by some of these."""

    __slots__ = (
        "_client", "_families", "_model", "_provider", "_route", "_user", "duration", "first_byte",
        "prompts", "states", "tokens", "tools",
    )  # fmt: skip

    def __init__(
        self, families: Families, *, provider: str, model: str, route: tuple[str, str],
        client: str, user: tuple[str, ...],
    ) -> None:  # fmt: skip
        """Look up the numbers; all are labels' values, `route` with its method."""
        self._families = families
        self._provider = provider
        self._model = model
        self._route = route
        self._client = client
        self._user = user
        every = families.all
        self.duration: Distribution = every[catalogue.DURATION].distribution((provider, model))
        self.first_byte: Distribution | None = None
        self.prompts: Cell | None = None
        self.states: dict[str, Cell] = {}
        self.tokens: dict[str, Cell] = {}
        self.tools: dict[str, Cell] = {}

    def ended(self, status: str) -> Cell:
        """Return the number of interceptions that ended so."""
        cell = self.states.get(status)
        if cell is None:
            values = (
                self._provider, self._model, status, *self._route, self._client, *self._user
            )  # fmt: skip
            cell = self.states[status] = self._families.all[catalogue.INTERCEPTIONS].cell(values)
        return cell

    def first_byte_after(self, seconds: float) -> None:
        """Count how long the first byte took; a provider that never answers has no such metric."""
        if self.first_byte is None:
            every = self._families.all
            self.first_byte = every[catalogue.FIRST_BYTE].distribution(
                (self._provider, self._model)
            )
        self.first_byte.observe(seconds)

    def prompted(self) -> None:
        """Count a prompt."""
        if self.prompts is None:
            values = (self._provider, self._model, self._client, *self._user)
            self.prompts = self._families.all[catalogue.PROMPTS].cell(values)
        self.prompts.value += 1

    def token(self, kind: str) -> Cell:
        """Return the number of tokens of a type, which is one of those in the catalogue."""
        cell = self.tokens.get(kind)
        if cell is None:
            values = (self._provider, self._model, kind, self._client, *self._user)
            cell = self.tokens[kind] = self._families.all[catalogue.TOKENS].cell(values)
        return cell

    def tool(self, name: str, server: str | None, words: Vocabulary) -> Cell:
        """Return the number of calls of a tool; a `server` is where the bridge ran it."""
        key = name if server is None else f"{server}\0{name}"
        cell = self.tools.get(key)
        if cell is not None:
            return cell
        tool = words.value("name", name)
        model = (self._provider, self._model)
        if server is None:
            cell = self._families.all[catalogue.TOOL_SELECTIONS].cell((*model, tool))
        else:
            values = (*model, words.value("server", server), tool)
            cell = self._families.all[catalogue.TOOL_INVOCATIONS].cell(values)
        return cell if tool == OTHER else keep(self.tools, key, cell)


class Lanes:
    """All lanes."""

    def __init__(self, families: Families, words: Vocabulary, *, user_label: bool) -> None:
        """Have none yet."""
        self._families = families
        self._words = words
        self._user_label = user_label
        self._lanes: dict[tuple[str, ...], Lane] = {}
        self._providers: dict[str, ProviderLane] = {}

    def of_provider(self, name: str) -> ProviderLane:
        """Return the lane of a configured provider."""
        lane = self._providers.get(name)
        if lane is None:
            word = self._words.value("provider", name)
            lane = keep(self._providers, name, ProviderLane(self._families, word))
        return lane

    def of(self, interception: Interception, *, proven: bool) -> Lane:
        """Return an interception's lane; `proven` when upstream took its model for real."""
        user = str(interception.actor.id) if self._user_label else ""
        key = (
            interception.provider_name, interception.model, interception.route,
            interception.method, interception.client, user,
        )  # fmt: skip
        lane = self._lanes.get(key)
        if lane is None:
            words = self._words
            provider = words.value("provider", interception.provider_name)
            model = words.model(provider, interception.model, proven=proven)
            lane = Lane(
                self._families,
                provider=provider,
                model=model,
                route=(
                    words.value("route", interception.route),
                    words.value("method", interception.method),
                ),
                client=words.value("client", interception.client),
                user=(words.value(catalogue.USER, user),) if user else (),
            )
            if model != OTHER:  # it may get room of its own later
                keep(self._lanes, key, lane, most=MAX_LANES)
        return lane


def keep(kept: dict[K, V], key: K, value: V, *, most: int = MAX_CELLS) -> V:
    """Keep `value` in a map, which is emptied first when it is full."""
    if len(kept) >= most:
        kept.clear()
    kept[key] = value
    return value
