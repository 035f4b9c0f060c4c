"""The providers under contract, each with what is true of it: PingOne over the sandbox, and the dictionary."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pingone_mcp.replica.replica import Replica
from pingone_mcp.replica.store.store import Store
from pingone_mcp.replica.syncing.task import SyncOptions
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.wiring import Provider, open_pingone
from tests.contract.dictionary.company import Company, sample
from tests.contract.dictionary.opening import opened as open_company
from tests.contract.rules import Trial
from tests.contract.truth import Person, Subject, TrueFilter, TrueGroup, TruePopulation, Truth
from tests.replica.happenings import Doors
from tests.replica.truth import truth as held
from tests.world import NOW, World

# PingOne


def pingone(folder: Path, *, narrow: bool = False) -> Subject:
    """Return PingOne over a sandbox of two environments; `narrow` serves two populations of one of them."""
    world = World(sandbox=Sandbox(size=60, now=NOW), cache=folder)
    places = tuple(sorted(place.id for place in world.sandbox.company.environments))
    some = tuple(place.id for place in world.sandbox.company.main.populations[:2]) if narrow else ()
    settings = world.settings(environments=places, populations=some, retry_seconds=0.0)

    def opened() -> AbstractAsyncContextManager[Provider]:
        return open_pingone(settings, transport=world.sandbox.transport(), clock=world.time.clock())

    def truth() -> Truth:
        whole = true_of(world.sandbox)
        return whole.narrowed(some) if narrow else whole

    return Subject(name="pingone", open=opened, truth=truth, doing=AtPingOne(world))


def true_of(sandbox: Sandbox) -> Truth:
    environments, people, groups = dict[str, str](), dict[str, Person](), dict[str, TrueGroup]()
    populations = dict[str, TruePopulation]()
    for place in sandbox.company.environments:
        environments[place.id] = place.name
        state, there = sandbox.state(place.id), held(sandbox, place.id)
        populations |= {one: TruePopulation(place.id, kept["name"]) for one, kept in state.populations.items()}
        for identity, record in there.users.items():
            primary = [one["email"] for one in record.get("emails", ()) if one["is_primary"]]
            people[identity] = Person(
                id=identity,
                environment=place.id,
                population=record["workspaces"][0]["id"],
                username=record["username"],
                email=primary[0] if primary else None,
                status=record["status"],
                reasons=tuple(record.get("status_reasons", ())),
                groups={group: _way(kind) for (user, group), kind in there.memberships.items() if user == identity},
            )
        for one in state.groups.values():
            home = one.record.get("population")
            groups[one.id] = TrueGroup(
                id=one.id,
                name=one.record["name"],
                environment=place.id,
                population=home["id"] if home else None,
                parents=frozenset(one.parents),
            )
    return Truth(
        environments=environments,
        populations=populations,
        people=people,
        groups=groups,
        filters=(
            TrueFilter("enabled eq false", lambda person: "disabled" in person.reasons),
            TrueFilter('username sw "A"', lambda person: person.username.lower().startswith("a")),
            TrueFilter(
                'enabled eq true and (username sw "b" or username sw "c")',
                lambda person: "disabled" not in person.reasons and person.username.lower()[0] in "bc",
            ),
        ),
        wrong_filters=('title co "x"', "title pr", 'not (title eq "x")', 'createdAt ge "2026-01-01T00:00:00Z"'),
    )


def _way(kind: str) -> Any:
    return kind


@dataclass
class AtPingOne:
    """An administrator at the sandbox's own doors."""

    world: World

    async def hire(self, username: str) -> None:
        await self._send("POST", "/users", {"username": username, "email": f"{username}@example.org"})

    async def disable(self, user: str) -> None:
        await self._send("PUT", f"/users/{user}/enabled", {"enabled": False})

    async def remove(self, user: str) -> None:
        await self._send("DELETE", f"/users/{user}")

    async def join(self, user: str, group: str) -> None:
        await self._send("POST", f"/users/{user}/memberOfGroups", {"id": group})

    async def leave(self, user: str, group: str) -> None:
        await self._send("DELETE", f"/users/{user}/memberOfGroups/{group}")

    async def _send(self, method: str, path: str, body: Any = None) -> None:
        self.world.sandbox.clock.advance(2)
        self.world.time.passed += 2
        async with Doors(self.world.sandbox) as doors:
            assert await doors.send(method, path, body) < 300


# The dictionary


def dictionary(
    _: Path | None = None, *, narrow: bool = False, changed: Callable[[Company], Provider] | None = None
) -> Subject:
    """Return the dictionary; `narrow` serves some populations, `changed` makes another provider of its company."""
    company = sample()
    some = tuple(one for one, place in company.populations.items() if place.name != "Guests") if narrow else ()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Provider]:
        if changed is not None:
            yield changed(company)
            return
        async with open_company(company, populations=some) as provider:
            yield provider

    def truth() -> Truth:
        whole = true_of_company(company)
        return whole.narrowed(some) if narrow else whole

    return Subject(name="dictionary", open=opened, truth=truth, doing=AtDictionary(company))


def true_of_company(company: Company) -> Truth:
    people = {
        identity: Person(
            id=identity,
            environment=user.organizations[0].id,
            population=user.workspaces[0].id,
            username=user.username or "",
            email=user.email,
            status=user.status,
            reasons=user.status_reasons,
            groups=company.memberships(identity),
        )
        for identity, user in company.users.items()
    }
    groups = {
        identity: TrueGroup(
            id=identity,
            name=group.name or "",
            environment=group.organization.id,
            population=group.workspace.id if group.workspace is not None else None,
            parents=frozenset(parent for one, parent in company.nestings if one == identity),
        )
        for identity, group in company.groups.items()
    }
    return Truth(
        environments=company.environments,
        populations={one: TruePopulation(*place) for one, place in company.populations.items()},
        people=people,
        groups=groups,
        filters=(
            TrueFilter("active eq false", lambda person: "disabled" in person.reasons),
            TrueFilter('login sw "A" and active eq true', lambda person: person.username.startswith("ada")),
            TrueFilter('mail ew "5@DICTIONARY.EXAMPLE"', lambda person: person.username.endswith("5")),
        ),
        wrong_filters=('job co "x"', "job pr", 'not (job eq "x")', 'key sw "x"', "login eq 5", 'active eq "perhaps"'),
    )


@dataclass
class AtDictionary:
    """An administrator who writes in the dicts."""

    company: Company

    async def hire(self, username: str) -> None:
        self.company.hire("New", "Comer", min(self.company.populations), username=username)

    async def disable(self, user: str) -> None:
        self.company.disable(user)

    async def remove(self, user: str) -> None:
        self.company.remove(user)

    async def join(self, user: str, group: str) -> None:
        self.company.join(user, group)

    async def leave(self, user: str, group: str) -> None:
        self.company.leave(user, group)


PROVIDERS: dict[str, Callable[[Path], Subject]] = {"pingone": pingone, "dictionary": dictionary}
NARROWED: dict[str, Callable[[Path], Subject]] = {
    f"{name}-narrowed": partial(provider, narrow=True)
    for name, provider in (("pingone", pingone), ("dictionary", dictionary))
}


# What is tried of a subject


def replica_at(folder: Path, provider: Provider) -> Replica:
    return Replica(store=Store(folder / "copy.sqlite"), source=provider.source, options=SyncOptions(roles=True))


@asynccontextmanager
async def live(subject: Subject) -> AsyncIterator[Trial]:
    """Open a provider itself."""

    @asynccontextmanager
    async def reopened() -> AsyncIterator[Any]:
        async with subject.open() as again:
            yield again.directory

    async with subject.open() as provider:
        yield Trial(directory=provider.directory, truth=subject.truth(), reopened=reopened)


@asynccontextmanager
async def copied(subject: Subject, folder: Path) -> AsyncIterator[Trial]:
    """Open the local copy of a provider, brought up to date."""

    @asynccontextmanager
    async def reopened() -> AsyncIterator[Any]:
        async with subject.open() as again:
            yield replica_at(folder, again).directory(again.directory)

    async with subject.open() as provider:
        replica = replica_at(folder, provider)
        report = await replica.sync("auto", report=lambda *_: None)
        assert report.complete, report.reason
        yield Trial(directory=replica.directory(provider.directory), truth=subject.truth(), reopened=reopened)
