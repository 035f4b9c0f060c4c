"""What the local copy says is served: environments, populations and groups, by id or by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pingone_mcp.directory.matching.references import GroupAt, Home, Known, Lookup, Referable, References, resolved
from pingone_mcp.directory.models import Organization
from pingone_mcp.directory.scope import Scope
from pingone_mcp.replica.asking.conditions import EVERYBODY, Condition, NotHeld, both, equals, one_of

_LOOKED_THROUGH = 1_000


@dataclass(frozen=True, slots=True)
class Population:
    id: str
    environment_id: str
    name: str | None
    is_default: bool | None


class Places:
    """The places of one state of the copy, for the length of one transaction."""

    def __init__(self, database: sqlite3.Connection, scope: Scope) -> None:
        self._database = database
        self.scope = scope
        self._references = References(scope)
        self.organizations = {
            identity: Organization(id=identity, name=name, type=kind, region=region)
            for identity, name, kind, region in database.execute(
                "SELECT id, name, type, region FROM environments_ ORDER BY id"
            )
        }
        self._populations = [
            Population(identity, environment, name, None if default is None else bool(default))
            for identity, environment, name, default in database.execute(
                "SELECT id, environment_id, name, is_default FROM populations_ ORDER BY id"
            )
        ]
        self.population_names = {place.id: place.name for place in self._populations}
        self.environment_names = {place.id: place.name for place in self.organizations.values()}

    def shown_environment_names(self) -> dict[str, str | None]:
        """Return the names that rows of lists carry: none where there is only one environment to name."""
        return self.environment_names if self.scope.has_several_environments else {}

    def environments(self, reference: str | None) -> Sequence[str]:
        """Return the environments to read, in one order. Raises Refused, and NotHeld where none is in the copy."""
        wanted = resolved(self._references.environments(reference), self._look)
        found = [place for place in wanted if place in self.organizations]
        if not found:
            raise NotHeld
        return found

    def homes(self, environments: Sequence[str], population: str | None) -> list[Home]:
        """Return where the users of a population (None: of all that are served) are. Raises Refused."""
        return resolved(self._references.homes(environments, population), self._look)

    def find_group(self, environment: str | None, reference: str) -> GroupAt:
        """Return the one group that an id or a name means. Raises Refused, and NotHeld."""
        return resolved(self._references.group(self.environments(environment), reference), self._look)

    def _look(self, lookup: Lookup) -> Known:
        """Return what a resolver of references must know. Raises NotHeld for an environment that is not in the copy."""
        match lookup.kind:
            case "environments":
                return Known(tuple(Referable(place.id, place.name) for place in self.organizations.values()))
            case "environment":
                raise NotHeld
            case "populations":
                found = self.populations(lookup.environment)
                return Known(tuple(Referable(place.id, place.name, place.id) for place in found))
            case "group":
                return Known(self._groups(lookup.environment, Condition("id = ?", (lookup.reference,))))
            case "groups":
                called = self._groups(lookup.environment, equals("name", lookup.reference))
                return Known(called or self._groups(lookup.environment, EVERYBODY))

    def populations(self, environment: str) -> list[Population]:
        """Return the populations of an environment that are served."""
        return [
            place
            for place in self._populations
            if place.environment_id == environment and self.scope.has_population(place.id)
        ]

    def inside(self, home: Home) -> Condition:
        """Return that a user is in an environment, in the population meant or one of those served."""
        here = Condition("u.environment_id = ?", (home.environment,))
        meant = one_of("u.population_id", (home.population,)) if home.population is not None else self._in_scope()
        return both(here, meant)

    def served(self, environments: Sequence[str]) -> Condition:
        """Return that a user is in one of some environments, and in a population that is served."""
        return both(one_of("u.environment_id", environments), self._in_scope())

    def _in_scope(self) -> Condition:
        allowed = sorted(self.scope.populations)
        return one_of("u.population_id", allowed) if allowed else EVERYBODY

    def _groups(self, environment: str, which: Condition) -> tuple[Referable, ...]:
        """Return some groups of an environment, oldest first."""
        rows = self._database.execute(
            "SELECT id, name, population_id FROM groups_ "  # noqa: S608 - our own text
            f"WHERE environment_id = ? AND {which.sql} ORDER BY created_at, id LIMIT {_LOOKED_THROUGH}",
            (environment, *which.values),
        )
        return tuple(Referable(*row) for row in rows)
