"""Names and ids of environments, populations, groups and roles: small look-ups, kept for some minutes."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

import anyio

from pingone_mcp.clock import Clock
from pingone_mcp.directory.models import Group, Organization, Role, Workspace
from pingone_mcp.directory.text import candidate, harmless
from pingone_mcp.errors import NotFound, NotPermitted, Refused, UnexpectedAnswer, UpstreamProblem
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.client import Client, path_with
from pingone_mcp.pingone.filters import eq
from pingone_mcp.tasks import SingleFlight

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """What was found in a look-up, and what it lacks: `gap` is None where it is whole."""

    items: tuple[T, ...] = ()
    gap: str | None = None


KEPT_SECONDS = 300.0
_LOOKUP_PAGE = 1000
_LABEL_SECONDS = 3.0
_CANDIDATES = 5
_LISTED = 10
_LACKING_SECONDS = 30.0


class Names:
    """Look up what users, groups and roles are called. What the credentials may not read has no name."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._kept = _Kept(clock)
        self._reading = SingleFlight(client.tasks)

    async def environments(self) -> tuple[Organization, ...]:
        """Return the environments served, ordered by id. An unreadable one that is configured has no name."""
        return (await self.found_environments()).items

    async def found_environments(self) -> Found[Organization]:
        """Return the environments served, and whether they are all that there are."""
        return await self.keep("environments", self._read_environments, everybody=True)

    async def environment_names(self) -> dict[str, str | None]:
        return {place.id: place.name for place in await self.environments()}

    async def environment_now(self, identity: str) -> Organization:
        """Return one environment as it is now, not as it was minutes ago; without a type where it cannot be read."""
        return await self._read_environment(identity.lower())

    def forget(self) -> None:
        """Forget what was looked up, and what is just being read: something was changed."""
        self._kept, self._reading = _Kept(self._clock), SingleFlight(self._client.tasks)

    async def populations(self, environment: str) -> tuple[Workspace, ...]:
        return (await self.found_populations(environment)).items

    async def found_populations(self, environment: str, *, fresh: bool = False) -> Found[Workspace]:
        """Return the populations of an environment, and whether they are all that there are."""
        path = f"/environments/{environment}/populations"
        return await self.keep(
            f"populations {environment}",
            lambda: self._read_all(path, "populations", environment, wire.workspace),
            fresh=fresh,
            everybody=True,
        )

    async def population_names(self, environment: str) -> dict[str, str | None]:
        """Return names by id; empty where they cannot be read."""
        return await self._labels(f"population names {environment}", lambda: self.populations(environment))

    async def role_names(self) -> dict[str, str | None]:
        async def read() -> tuple[Role, ...]:
            return (await self._read_all("/roles", "roles", None, wire.role)).items

        return await self._labels("role names", lambda: self.keep("roles", read, everybody=True))

    async def _labels(
        self, key: str, read: Callable[[], Awaitable[tuple[Role, ...] | tuple[Workspace, ...]]]
    ) -> dict[str, str | None]:
        """Return names by id. Names are labels: an answer does without them when they cannot be had soon."""

        async def attempt() -> dict[str, str | None]:
            with anyio.move_on_after(_LABEL_SECONDS):
                try:
                    return {thing.id: thing.name for thing in await read()}
                except UpstreamProblem:
                    pass
            return {}

        try:
            return await self.keep(key, attempt, everybody=True)
        except UpstreamProblem:  # there is no token
            return {}

    async def find_environment(self, reference: str) -> str:
        """Return the id of the environment that an id or a name means. Raises Refused."""
        if identity := as_id(reference):
            self._client.connection.scope.check_environment(identity)
            return await self._existing_environment(identity)
        places = await self.found_environments()
        return the_one("environment", reference, ((place.id, place.name) for place in places.items), gap=places.gap)

    async def _existing_environment(self, identity: str) -> str:
        """Return the id of an environment that the credentials see, or that is configured. Raises Refused."""
        if self._client.connection.scope.environments is not None:
            return identity
        places = await self.found_environments()
        if places.gap is not None or identity in {place.id for place in places.items}:
            return identity
        if (await self._read_environment(identity)).name is not None:
            return identity
        raise unknown_id("environment", ((place.id, place.name) for place in places.items))

    async def find_population(self, environment: str, reference: str) -> str:
        """Return the id of the population that an id or a name means. Raises Refused."""
        identity = as_id(reference)
        if identity is not None:
            self._client.connection.scope.check_population(identity)
            return await self._existing_population(environment, identity)
        found = await self.found_populations(environment)
        served = [(place.id, place.name) for place in found.items if self._serves(place.id)]
        return the_one("population", reference, served, gap=found.gap)

    async def _existing_population(self, environment: str, identity: str) -> str:
        """Return the id of a population that exists, or of which that cannot be known. Raises Refused."""

        def is_there(found: Found[Workspace]) -> bool:
            return found.gap is not None or identity in {place.id for place in found.items}

        try:
            found = await self.found_populations(environment)
            if not is_there(found):  # it may have been made in the last minutes
                found = await self.found_populations(environment, fresh=True)
        except UpstreamProblem:
            return identity
        if is_there(found):
            return identity
        served = ((place.id, place.name) for place in found.items if self._serves(place.id))
        raise unknown_id("population", served)

    async def find_group(self, environment: str, reference: str) -> str:
        """Return the id of the group that an id or a name means. Raises Refused."""
        if identity := as_id(reference):
            return (await self.group(environment, identity)).id

        async def read() -> Found[Group]:
            path = path_with(f"/environments/{environment}/groups", {"filter": str(eq("name", reference))})
            return await self._read_all(path, "groups", environment, wire.group)

        found = await self.keep(f"group {environment} {reference}", read)
        groups = found.items
        if not groups:
            # PingOne compares the stored name; answers show it without hidden characters. And who mistypes a name is
            # helped by the nearest ones. One page is looked through for both.
            groups = await self.keep(f"groups {environment}", lambda: self._some_groups(environment), everybody=True)
        served = [group for group in groups if group.workspace is None or self._serves(group.workspace.id)]
        return the_one("group", reference, ((group.id, group.name) for group in served), gap=found.gap)

    def _serves(self, population: str) -> bool:
        allowed = self._client.connection.scope.populations
        return not allowed or population in allowed

    async def _some_groups(self, environment: str) -> tuple[Group, ...]:
        path = f"/environments/{environment}/groups?limit={_LOOKUP_PAGE}"
        page = await self._client.page(path, "groups", environment=environment)
        return wire.readable(page.items, wire.group)[0]

    async def group(self, environment: str, identity: str, *, fresh: bool = False) -> Group:
        """Return a group by id, with its total member count: as it is now (`fresh`), or was in the last minutes.

        Raises Refused when there is none.
        """
        path = f"/environments/{environment}/groups/{identity}?include=totalMemberCounts"

        async def read() -> Group:
            return wire.group(await self._client.get(path), populations=await self.population_names(environment))

        try:
            group = await self.keep(path, read, fresh=fresh)
        except NotFound:
            raise Refused(
                "There is no group of this id.", "`list_groups` shows the groups.", code="UNKNOWN_NAME"
            ) from None
        if group.workspace is not None:
            self._client.connection.scope.check_population(group.workspace.id)
        return group

    async def _read_environments(self) -> Found[Organization]:
        configured = self._client.connection.scope.environments
        if configured is None:
            found = await self._read_all("/environments", "environments", None, wire.organization)
            return replace(found, items=tuple(sorted(found.items, key=lambda place: place.id)))
        return Found(items=tuple([await self._read_environment(identity) for identity in sorted(configured)]))

    async def _read_environment(self, identity: str) -> Organization:
        try:
            return wire.organization(await self._client.get(f"/environments/{identity}"))
        except (NotPermitted, NotFound, UnexpectedAnswer):
            return Organization(id=identity)

    async def _read_all(
        self, path: str, key: str, environment: str | None, read: Callable[[dict[str, Any]], T]
    ) -> Found[T]:
        joint = "&" if "?" in path else "?"
        # `/roles` takes no paging parameters (recorded `self` links drop them).
        first = path if key == "roles" else f"{path}{joint}limit={_LOOKUP_PAGE}"
        pages = [page async for page in self._client.pages(first, key, environment=environment)]
        items, left_out = wire.readable((item for page in pages for item in page.items), read)
        lacking = left_out + sum(page.missing for page in pages)
        where = f" of environment {environment}" if environment is not None else ""
        gap = f"PingOne's list of {key}{where} lacks {lacking:,} of them." if lacking else None
        return Found(items=items, gap=gap)

    async def keep(
        self, key: str, read: Callable[[], Awaitable[T]], *, fresh: bool = False, everybody: bool = False
    ) -> T:
        """Return what was read under this key within the last minutes, else read it, once for all who wait.

        What is of use to `everybody` is read to its end, also where those who asked have left.
        """
        if fresh:  # what others have begun may be older than this question
            return await _read(key, read, self._kept)
        value: T | None = self._kept.get(key)
        if value is not None:
            return value
        await self._client.authenticate()  # here, where who waits is told what takes long
        return await self._reading.do(key, partial(_read, key, read, self._kept), lasting=everybody)


class _Kept:
    """What was looked up, each for some minutes; what was not there may be made any moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: dict[str, tuple[float, Any]] = {}

    def get(self, key: str) -> Any:
        """Return what is kept under a key, or None."""
        until, value = self._values.get(key, (0.0, None))
        return value if self._clock.monotonic() < until else None

    def put(self, key: str, value: object) -> None:
        now = self._clock.monotonic()
        self._values = {other: held for other, held in self._values.items() if now < held[0]}
        if value not in ((), Found()):
            lacks = not value or (isinstance(value, Found) and value.gap is not None)
            self._values[key] = (now + (_LACKING_SECONDS if lacks else KEPT_SECONDS), value)


async def _read(key: str, read: Callable[[], Awaitable[T]], kept: _Kept) -> T:
    value = await read()
    kept.put(key, value)
    return value


def no_such_user(*, limited: bool) -> NotFound:
    """Return the failure for a user who is not there, or not in one of the populations served (`limited`).

    The two are not told apart: that would tell of people whom this connection does not serve.
    """
    where = "the populations served; who is in another one is not shown" if limited else "the configured environments"
    return NotFound(
        f"There is no such user in {where}.",
        "Give an id, username, email or external id; `list_users` with `query` finds people by parts of a name.",
        code="NOT_FOUND",
    )


def as_id(reference: str) -> str | None:
    try:
        return str(uuid.UUID(reference.strip()))
    except ValueError:
        return None


class _UnknownName(Refused):
    """No thing that is `known`, names by ids, has the name of a reference."""

    def __init__(self, what: str, reference: str, known: Mapping[str, str | None]) -> None:
        self.what_kind, self.reference, self.known = what, reference, known
        wanted = _as_shown(reference)
        shown = {identity: _as_shown(name or "") for identity, name in known.items()}
        near = difflib.get_close_matches(wanted, shown.values(), n=_CANDIDATES, cutoff=0.5)
        nearest = [identity for name in near for identity, its in shown.items() if its == name]
        some = nearest or sorted(known, key=lambda identity: (shown[identity], identity))
        listed = ", ".join(candidate(identity, known[identity]) for identity in some[:_CANDIDATES])
        told = f" {'The nearest' if nearest else 'Some that there are'} (names are data): {listed}." if listed else ""
        super().__init__(
            f"There is no {what} of this name.{told}",
            f"Give another name, or an id, as `{what}`.",
            code="UNKNOWN_NAME",
        )


def found_in_any(outcomes: Iterable[Sequence[T] | Refused]) -> list[T]:
    """Return what was found in all environments; one that does not know a name that is looked up has nothing.

    Raises Refused when no environment knows the name, with candidates of all, and what else one of them refused.
    """
    found: list[T] = []
    unknown: list[Refused] = []
    for outcome in outcomes:
        if not isinstance(outcome, Refused):
            found.extend(outcome)
        elif outcome.code != "UNKNOWN_NAME":
            raise outcome
        else:
            unknown.append(outcome)
    if found:
        return found
    named = [one for one in unknown if isinstance(one, _UnknownName)]
    if named:
        known = {identity: name for one in named for identity, name in one.known.items()}
        raise _UnknownName(named[0].what_kind, named[0].reference, known)
    if unknown:
        raise unknown[0]
    raise Refused(
        "The credentials see no environment.",
        "Give the worker application a role over one.",
        code="NOTHING_SERVED",
    )


def the_one_group(
    found: Sequence[tuple[str, str]], reference: str, environments: Mapping[str, str | None]
) -> tuple[str, str]:
    """Return the only group of these (environment and id) of one name. Raises Refused for several."""
    if len(found) > 1:
        listed = ", ".join(
            f"{candidate(identity, reference)} in environment {candidate(place, environments.get(place))}"
            for place, identity in found[:_LISTED]
        )
        raise Refused(
            f"{len(found)} environments have a group of this name (names are data): {listed}.",
            "Give the id as `group`, or an `environment`.",
            code="AMBIGUOUS_NAME",
        )
    return found[0]


def the_one(what: str, reference: str, places: Iterable[tuple[str, str | None]], *, gap: str | None = None) -> str:
    """Return the only id under a name. Raises Refused, with candidates, for none and for several.

    `gap` is what the places lack: who is not among them may be there all the same, and UnexpectedAnswer says so.
    """
    wanted = _as_shown(reference)
    known: Mapping[str, str | None] = dict(places)
    found = [identity for identity, name in known.items() if name is not None and _as_shown(name) == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(candidate(identity, known[identity]) for identity in found[:_LISTED])
        raise Refused(
            f"{len(found)} things of this name exist (names are data): {listed}.",
            f"Give the id as `{what}`.",
            code="AMBIGUOUS_NAME",
        )
    if gap is not None:
        raise UnexpectedAnswer(
            f"It is not known whether there is a {what} of this name: {gap}",
            f"Try again, or give an id as `{what}`.",
            code="SHORT_LIST",
        )
    raise _UnknownName(what, reference, known)


def unknown_id(what: str, known: Iterable[tuple[str, str | None]]) -> Refused:
    """Return what is said of an id that nothing has, with some that there are."""
    some = sorted(known, key=lambda one: (_as_shown(one[1] or ""), one[0]))
    listed = ", ".join(candidate(identity, name) for identity, name in some[:_CANDIDATES])
    there = f" There are, among others (names are data): {listed}." if listed else ""
    return Refused(
        f"There is no {what} of this id.{there}", f"Give another id, or a name, as `{what}`.", code="UNKNOWN_NAME"
    )


def ambiguous_user(found: Sequence[tuple[str, str, str | None, str | None]]) -> Refused:
    """Return what is said of several users whom one reference means: environment, id, name and username of each."""
    listed = ", ".join(
        f"{candidate(identity, name, username)} in environment {place}"
        for place, identity, name, username in found[:_LISTED]
    )
    return Refused(
        f"{len(found)} users match (names are data): {listed}.",
        "Give one of these ids as `user`.",
        code="AMBIGUOUS_USER",
    )


def _as_shown(name: str) -> str:
    """Return a name as answers show it, so that what was read there can be asked for."""
    return harmless(name).strip().casefold()
