"""Levels in force: of what is said for everybody, a provider and a role the strictest counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.domain.identity import Role
from bridge.domain.interception import Interception
from bridge.recording.recorder import Levels, strictest


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRules:
    """What is recorded of whom; everything that is not mentioned is as for everybody."""

    everywhere: Levels = field(default_factory=Levels)
    by_provider: Mapping[str, Levels] = field(default_factory=dict)
    """By the name of the configured instance."""
    by_role: Mapping[Role, Levels] = field(default_factory=dict)


class LevelsInForce:
    """Says which contents of an interception are recorded; a reload changes it for later ones."""

    def __init__(self, rules: LevelRules) -> None:
        """Apply `rules`."""
        self._rules = rules
        self._found: dict[tuple[str, frozenset[Role]], Levels] = {}

    def apply(self, rules: LevelRules) -> None:
        """Apply other rules from now on."""
        self._rules = rules
        self._found.clear()

    def of(self, interception: Interception) -> Levels:
        """Return what is recorded of `interception`."""
        asked = (interception.provider_name, interception.actor.roles)
        found = self._found.get(asked)
        if found is None:  # of both there are few
            found = self._found[asked] = self._strictest(*asked)
        return found

    def _strictest(self, provider_name: str, roles: frozenset[Role]) -> Levels:
        rules = self._rules
        said = [rules.everywhere]
        if (at_provider := rules.by_provider.get(provider_name)) is not None:
            said.append(at_provider)
        said += [rules.by_role[role] for role in roles & rules.by_role.keys()]
        return strictest(said)
