"""What the local copy says is served: environments, populations and groups, by id or by name.

Names are found, and wrong ones refused, as `pingone.names` and `pingone.served` do it live.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pingone_mcp.directory.models import Organization
from pingone_mcp.directory.references import as_id, found_in_any, the_one, the_one_group, unknown_id
from pingone_mcp.directory.scope import Scope
from pingone_mcp.errors import Refused
from pingone_mcp.replica.asking.conditions import EVERYBODY, Condition, NotHeld, both, equals, one_of

T = TypeVar("T")

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
        self.organizations = {
            row[0]: Organization(id=row[0], name=row[1], type=row[2], region=row[3])
            for row in database.execute("SELECT id, name, type, region FROM environments_ ORDER BY id")
        }
        self._populations = [
            Population(row[0], row[1], row[2], None if row[3] is None else bool(row[3]))
            for row in database.execute("SELECT id, environment_id, name, is_default FROM populations_ ORDER BY id")
        ]
        self.population_names = {place.id: place.name for place in self._populations}
        self.environment_names = {place.id: place.name for place in self.organizations.values()}

    def several_environments(self) -> bool:
        return self.scope.has_several_environments

    def shown_environment_names(self) -> dict[str, str | None]:
        """Return the names that rows of lists carry: none where there is only one environment to name."""
        return self.environment_names if self.several_environments() else {}

    def environments(self, reference: str | None) -> Sequence[str]:
        """Return the environments to read, in one order. Raises Refused, and NotHeld where none is in the copy."""
        if reference is not None:
            wanted: Sequence[str] = (self._environment(reference),)
        elif self.scope.environments is not None:
            wanted = sorted(self.scope.environments)
        else:
            wanted = list(self.organizations)
        found = [place for place in wanted if place in self.organizations]
        if not found:
            raise NotHeld
        return found

    def _environment(self, reference: str) -> str:
        if identity := as_id(reference):
            self.scope.check_environment(identity)
            return identity
        return the_one("environment", reference, self.environment_names.items())

    def in_each(self, environments: Sequence[str], find: Callable[[str], Sequence[T]]) -> list[T]:
        """Return what is found in all environments; one that does not know a name that is looked up has nothing.

        Raises Refused when no environment knows the name.
        """
        outcomes: list[Sequence[T] | Refused] = []
        for environment in environments:
            try:
                outcomes.append(find(environment))
            except Refused as refused:
                outcomes.append(refused)
        return found_in_any(outcomes)

    def populations(self, environment: str) -> list[Population]:
        """Return the populations of an environment that are served."""
        return [place for place in self._populations if place.environment_id == environment and self._serves(place.id)]

    def _serves(self, population: str) -> bool:
        allowed = self.scope.populations
        return not allowed or population in allowed

    def population(self, environment: str, reference: str) -> str:
        """Return the id of the population that an id or a name means. Raises Refused."""
        known = [(place.id, place.name) for place in self.populations(environment)]
        identity = as_id(reference) or the_one("population", reference, known)
        self.scope.check_population(identity)
        if identity not in dict(known):
            raise unknown_id("population", known)
        return identity

    def inside(self, environment: str, reference: str | None = None) -> Condition:
        """Return that a user is in an environment, in the population meant or one of those served."""
        here = Condition("u.environment_id = ?", (environment,))
        if reference is not None:
            return both(here, one_of("u.population_id", (self.population(environment, reference),)))
        return both(here, self._in_scope())

    def served(self, environments: Sequence[str]) -> Condition:
        """Return that a user is in one of some environments, and in a population that is served."""
        return both(one_of("u.environment_id", environments), self._in_scope())

    def _in_scope(self) -> Condition:
        allowed = sorted(self.scope.populations)
        return one_of("u.population_id", allowed) if allowed else EVERYBODY

    # Groups

    def find_group(self, environment: str | None, reference: str) -> tuple[str, str]:
        """Return environment and id of the one group that an id or a name means. Raises Refused."""
        found = self.in_each(self.environments(environment), lambda place: [(place, self._group(place, reference))])
        return the_one_group(found, reference, self.environment_names)

    def _group(self, environment: str, reference: str) -> str:
        if identity := as_id(reference):
            found = self._groups(environment, Condition("id = ?", (identity,)))
            if not found:
                raise Refused("There is no group of this id.", "`list_groups` shows the groups.", code="UNKNOWN_NAME")
            if found[0][2] is not None:
                self.scope.check_population(found[0][2])
            return identity
        groups = self._groups(environment, equals("name", reference)) or self._groups(environment, EVERYBODY)
        served = [group for group in groups if group[2] is None or self._serves(group[2])]
        return the_one("group", reference, ((identity, name) for identity, name, _ in served))

    def _groups(self, environment: str, which: Condition) -> list[tuple[str, str | None, str | None]]:
        """Return id, name and population of some groups of an environment, oldest first."""
        return self._database.execute(
            "SELECT id, name, population_id FROM groups_ "  # noqa: S608 - our own text
            f"WHERE environment_id = ? AND {which.sql} ORDER BY created_at, id LIMIT {_LOOKED_THROUGH}",
            (environment, *which.values),
        ).fetchall()
