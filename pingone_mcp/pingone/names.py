"""Names and ids of environments, populations, groups and roles: small look-ups, kept for some minutes."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import anyio

from pingone_mcp.directory.models import Group, Organization, Role, Workspace
from pingone_mcp.directory.text import candidate, harmless
from pingone_mcp.errors import NotFound, NotPermitted, Refused, UpstreamProblem
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.client import Client, path_with
from pingone_mcp.pingone.clock import Clock
from pingone_mcp.pingone.filters import eq

T = TypeVar("T")

KEPT_SECONDS = 300.0
_LOOKUP_PAGE = 1000
_LABEL_SECONDS = 3.0
_CANDIDATES = 5
_LISTED = 10
_WITHOUT_LABELS_SECONDS = 30.0


class Names:
    """Look up what users, groups and roles are called. What the credentials may not read has no name."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._kept: dict[str, tuple[float, Any]] = {}
        self._locks: dict[str, anyio.Lock] = {}

    async def environments(self) -> tuple[Organization, ...]:
        """Return the environments served, ordered by id. An unreadable one that is configured has no name."""
        return await self.keep("environments", self._read_environments)

    async def environment_names(self) -> dict[str, str | None]:
        return {place.id: place.name for place in await self.environments()}

    async def environment_now(self, identity: str) -> Organization:
        """Return one environment as it is now, not as it was minutes ago; without a type where it cannot be read."""
        return await self._read_environment(identity.lower())

    def forget(self) -> None:
        """Forget what was looked up: something was changed."""
        self._kept.clear()

    async def populations(self, environment: str) -> tuple[Workspace, ...]:
        return await self.keep(
            f"populations {environment}",
            lambda: self._read_all(
                f"/environments/{environment}/populations", "populations", environment, wire.workspace
            ),
        )

    async def population_names(self, environment: str) -> dict[str, str | None]:
        """Return names by id; empty where they cannot be read."""
        return await self._labels(f"population names {environment}", lambda: self.populations(environment))

    async def role_names(self) -> dict[str, str | None]:
        async def read() -> tuple[Role, ...]:
            return await self._read_all("/roles", "roles", None, wire.role)

        return await self._labels("role names", lambda: self.keep("roles", read))

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

        found = await self.keep(key, attempt)
        if not found and key in self._kept:
            self._expire(key, after=_WITHOUT_LABELS_SECONDS)
        return found

    async def find_environment(self, reference: str) -> str:
        """Return the id of the environment that an id or a name means. Raises Refused."""
        if identity := as_id(reference):
            self._client.fence.check_environment(identity)
            return identity
        places = await self.environments()
        return the_one("environment", reference, ((place.id, place.name) for place in places))

    async def find_population(self, environment: str, reference: str) -> str:
        """Return the id of the population that an id or a name means. Raises Refused."""
        identity = as_id(reference) or the_one(
            "population",
            reference,
            ((place.id, place.name) for place in await self.populations(environment) if self._serves(place.id)),
        )
        self._client.fence.check_population(identity)
        return identity

    async def find_group(self, environment: str, reference: str) -> str:
        """Return the id of the group that an id or a name means. Raises Refused."""
        if identity := as_id(reference):
            return (await self.group(environment, identity)).id

        async def read() -> tuple[Group, ...]:
            path = path_with(f"/environments/{environment}/groups", {"filter": str(eq("name", reference))})
            return await self._read_all(path, "groups", environment, wire.group)

        groups = await self.keep(f"group {environment} {reference}", read)
        if not groups:
            # PingOne compares the stored name; answers show it without hidden characters. And who mistypes a name is
            # helped by the nearest ones. One page is looked through for both.
            groups = await self.keep(f"groups {environment}", lambda: self._some_groups(environment))
        served = [group for group in groups if group.workspace is None or self._serves(group.workspace.id)]
        return the_one("group", reference, ((group.id, group.name) for group in served))

    def _serves(self, population: str) -> bool:
        allowed = self._client.connection.populations
        return not allowed or population in allowed

    async def _some_groups(self, environment: str) -> tuple[Group, ...]:
        path = f"/environments/{environment}/groups?limit={_LOOKUP_PAGE}"
        page = await self._client.page(path, "groups", environment=environment)
        return tuple(wire.group(raw) for raw in page.items)

    async def group(self, environment: str, identity: str) -> Group:
        """Return a group by id, with its total member count. Raises Refused when there is none."""
        path = f"/environments/{environment}/groups/{identity}?include=totalMemberCounts"

        async def read() -> Group:
            return wire.group(await self._client.get(path), populations=await self.population_names(environment))

        try:
            group = await self.keep(path, read)
        except NotFound:
            raise Refused(
                "There is no group of this id.", "`list_groups` shows the groups.", code="UNKNOWN_NAME"
            ) from None
        if group.workspace is not None:
            self._client.fence.check_population(group.workspace.id)
        return group

    async def _read_environments(self) -> tuple[Organization, ...]:
        configured = self._client.connection.environments
        if configured is None:
            found = await self._read_all("/environments", "environments", None, wire.organization)
            return tuple(sorted(found, key=lambda place: place.id))
        return tuple([await self._read_environment(identity) for identity in sorted(configured)])

    async def _read_environment(self, identity: str) -> Organization:
        try:
            return wire.organization(await self._client.get(f"/environments/{identity}"))
        except (NotPermitted, NotFound):
            return Organization(id=identity)

    async def _read_all(
        self, path: str, key: str, environment: str | None, read: Callable[[dict[str, Any]], T]
    ) -> tuple[T, ...]:
        joint = "&" if "?" in path else "?"
        # `/roles` takes no paging parameters (recorded `self` links drop them).
        first = path if key == "roles" else f"{path}{joint}limit={_LOOKUP_PAGE}"
        return tuple(
            [
                read(item)
                async for page in self._client.pages(first, key, environment=environment)
                for item in page.items
            ]
        )

    async def keep(self, key: str, read: Callable[[], Awaitable[T]]) -> T:
        """Return what was read under this key within the last minutes, else read it, once for all who wait."""
        async with self._locks.setdefault(key, anyio.Lock()):
            kept = self._kept.get(key)
            if kept is not None and self._clock.monotonic() - kept[0] < KEPT_SECONDS:
                value: T = kept[1]
                return value
            value = await read()
            self._forget_old()
            if value != ():  # what was not there may be made any moment
                self._kept[key] = (self._clock.monotonic(), value)
            return value

    def _expire(self, key: str, *, after: float) -> None:
        at, value = self._kept[key]
        self._kept[key] = (min(at, self._clock.monotonic() - KEPT_SECONDS + after), value)

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        for key in [key for key, (at, _) in self._kept.items() if now - at >= KEPT_SECONDS]:
            del self._kept[key]
            self._locks.pop(key, None)


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


def the_one(what: str, reference: str, places: Iterable[tuple[str, str | None]]) -> str:
    """Return the only id under a name. Raises Refused, with candidates, for none and for several."""
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
    raise _UnknownName(what, reference, known)


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
