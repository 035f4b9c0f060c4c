"""What is true of a directory under contract, said by whoever made it up and not by what is tested."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from pingone_mcp.directory.models import MembershipType
from pingone_mcp.wiring import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user who is there, with the groups that the user is in."""

    id: str
    environment: str
    population: str
    username: str
    email: str | None
    status: str
    reasons: tuple[str, ...]
    groups: Mapping[str, MembershipType]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueGroup:
    """A group that is there; `parents` are those that it is nested in directly."""

    id: str
    name: str
    environment: str
    population: str | None
    parents: frozenset[str]


class TruePopulation(NamedTuple):
    environment: str
    name: str


class TrueFilter(NamedTuple):
    """A filter in the provider's own words, and whom it is about."""

    text: str
    holds: Callable[[Person], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Everything that is there, by id; `filters` are some that hold for some.

    `hidden` are the people in populations that are not served.
    """

    environments: Mapping[str, str]
    populations: Mapping[str, TruePopulation]
    people: Mapping[str, Person]
    groups: Mapping[str, TrueGroup]
    filters: tuple[TrueFilter, ...] = ()
    wrong_filters: tuple[str, ...] = field(default=())
    hidden: tuple[Person, ...] = ()

    def narrowed(self, populations: Collection[str]) -> Truth:
        """Return what is shown of it where only some populations are served."""
        return replace(
            self,
            populations={one: place for one, place in self.populations.items() if one in populations},
            people={one: person for one, person in self.people.items() if person.population in populations},
            hidden=tuple(person for person in self.people.values() if person.population not in populations),
            groups={one: group for one, group in self.groups.items() if group.population in (None, *populations)},
        )

    def members(self, group: str, kind: MembershipType | None = None) -> set[str]:
        """Return who is in a group: in one way, or in any."""
        held = ((person.id, person.groups.get(group)) for person in self.people.values())
        return {one for one, way in held if way is not None and kind in (None, way)}

    def usernames(self) -> Mapping[str, str]:
        """Return the usernames that only one person has, with the ids."""
        every = [person.username.casefold() for person in self.people.values()]
        return {
            person.username: person.id
            for person in self.people.values()
            if every.count(person.username.casefold()) == 1
        }


class Doing(Protocol):
    """What an administrator does at the provider."""

    async def hire(self, username: str) -> None: ...

    async def disable(self, user: str) -> None: ...

    async def remove(self, user: str) -> None: ...

    async def join(self, user: str, group: str) -> None: ...

    async def leave(self, user: str, group: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A provider under contract: opened anew each time, as another process would; with what is true of it now."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[Provider]]
    truth: Callable[[], Truth]
    doing: Doing
