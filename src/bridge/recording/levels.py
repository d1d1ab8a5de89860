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

    def apply(self, rules: LevelRules) -> None:
        """Apply other rules from now on."""
        self._rules = rules

    def of(self, interception: Interception) -> Levels:
        """Return what is recorded of `interception`."""
        rules = self._rules
        said = [rules.everywhere]
        if (at_provider := rules.by_provider.get(interception.provider_name)) is not None:
            said.append(at_provider)
        if rules.by_role:
            said += [
                rules.by_role[role] for role in interception.actor.roles & rules.by_role.keys()
            ]
        return strictest(said) if len(said) > 1 else said[0]
