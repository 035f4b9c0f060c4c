"""Verify a connection step by step, in plain words: token, environments, and what the credentials may read."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from pingone_mcp.advice import setting
from pingone_mcp.clock import Clock
from pingone_mcp.directory.matching.filters import Within, eq
from pingone_mcp.directory.rights import AUDIT, CONFIGURATION, GROUPS, MEMBERS, POPULATIONS, ROLES, USERS, Right
from pingone_mcp.directory.text.harmless import candidate, harmless
from pingone_mcp.errors import (
    NotFound,
    NotPermitted,
    Problem,
    RateLimited,
    ServerFailed,
    UnexpectedAnswer,
    Unreachable,
    UpstreamProblem,
)
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.api.client import Client, open_client, path_with
from pingone_mcp.pingone.connection import Connection
from pingone_mcp.pingone.feed import audit
from pingone_mcp.pingone.names import Names

# Seconds in which a request is repeated, and in which one is answered: a step says within ten what hangs.
PATIENCE, REQUEST_SECONDS = 5.0, 6.5
_NAMED = 10
_COUNTED = frozenset({USERS, POPULATIONS, GROUPS})
_ROLES = (
    f"Give it a role over an environment, such as {USERS.role}, and {CONFIGURATION.role} to list "
    f"environments; or name the environments in {setting('environments')} instead of `all`."
)
# Places in PingOne's console.
_APPLICATION = "Applications \u203a Applications \u203a the worker application"
_OVERVIEW, _GRANTS = f"{_APPLICATION} \u203a Overview", f"{_APPLICATION} \u203a Roles \u203a Grant roles"
_PLACES = {"token": _OVERVIEW}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedStep:
    """What one step of the check-up found. `needed`: without it the server is of no use.

    `text` names settings by their marks (`advice.setting`). `answered` is false where PingOne did not say so itself,
    `signs_in` says that it is about the credentials themselves, and `where` is the place in its console that mends it.
    """

    step: str
    ok: bool
    text: str
    needed: bool = True
    answered: bool = True
    signs_in: bool = False
    where: str = ""


@asynccontextmanager
async def open_checkup(
    connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None, clock: Clock | None = None
) -> AsyncIterator[AsyncIterator[CheckedStep]]:
    """Open a check-up of a connection; it yields findings as they come.

    It asks for a token of its own, because a cached one says nothing about the credentials of today, and it is less
    patient than the server, because a person waits for it.
    """
    clock = clock or Clock()
    with tempfile.TemporaryDirectory(prefix="pingone-mcp-check-", ignore_cleanup_errors=True) as cache:
        bounds = {"retry_seconds": PATIENCE, "request_seconds": REQUEST_SECONDS}
        pace = connection.pace.model_copy(
            update={name: min(getattr(connection.pace, name), most) for name, most in bounds.items()}
        )
        fresh = replace(connection, cache_dir=Path(cache), pace=pace)
        async with open_client(fresh, transport=transport, clock=clock) as client:
            yield _checked(client, Names(client, clock), clock)


async def _checked(client: Client, names: Names, clock: Clock) -> AsyncIterator[CheckedStep]:
    connection = client.connection
    yield CheckedStep(step="region", ok=True, text=_region(connection))
    finding = await _step("token", client.authenticate, "received for the worker application")
    yield replace(finding, signs_in=True)
    if not finding.ok:
        return
    try:
        environments = await names.environments()
    except UpstreamProblem as problem:
        yield _failed("environments", problem)
        return
    if not environments:
        text = f"The worker application may see none. {_ROLES}"
        yield CheckedStep(step="environments", ok=False, text=text, where=_GRANTS)
    advice: set[str] = set()
    for place in environments:
        label = harmless(place.name) if place.name else place.id
        kind = f", {place.type}" if place.type else ""
        yield CheckedStep(
            step="environment",
            ok=True,
            text=f"{label} ({place.id}{kind})"
            if place.name
            else f"{place.id} (name and type not readable{await _others(client)})",
        )
        async for finding in _Rights(client, names, place.id, label, advice).findings(clock):
            yield finding
    for population in connection.scope.populations:
        yield await _population(client, names, population, [place.id for place in environments])


def _region(connection: Connection) -> str:
    """Say which hosts are asked, and whether that is because of the region."""
    endpoints = connection.endpoints
    hosts = " and ".join(dict.fromkeys(urlsplit(url).netloc for url in (connection.api_base, connection.token_url)))
    if endpoints.api_url and (endpoints.auth_url or endpoints.custom_domain):
        return f"{hosts}, which are named by themselves, so that no region counts"
    chosen = "" if "region" in endpoints.model_fields_set else f", because {setting('region')} is not set"
    return f"{endpoints.region}{chosen}: {hosts}"


async def _others(client: Client) -> str:
    """Return what environments the credentials do see, for who has named another one."""
    try:
        page = await client.page("/environments?limit=10", "environments", environment=None)
    except UpstreamProblem:
        return ""
    seen = [candidate(place.id, place.name) for place in wire.readable(page.items, wire.organization)[0]]
    return f"; the credentials see {', '.join(seen)}" if seen else ""


class _Rights:
    """What a sync reads of one environment, tried one by one.

    `advice` is what was said so far, of other environments too: said twice, it hides what is different.
    """

    def __init__(self, client: Client, names: Names, environment: str, label: str, advice: set[str]) -> None:
        self._client = client
        self._names = names
        self._environment = environment
        self._root = f"/environments/{environment}"
        self._label = label
        self._advice = advice
        self._found: dict[Right, CheckedStep] = {}
        self._first: dict[Right, str | None] = {}

    async def findings(self, clock: Clock) -> AsyncIterator[CheckedStep]:
        now = datetime.fromtimestamp(clock.wall(), UTC)
        yield await self._read(USERS, f"{self._root}/users?limit=1", "users")
        yield await self._read(POPULATIONS, f"{self._root}/populations?limit=1", "populations")
        yield await self._read(GROUPS, f"{self._root}/groups?limit=1", "groups")
        user, group = self._first.get(USERS), self._first.get(GROUPS)
        if user is not None and group is not None:
            members = str(Within("memberOfGroups", eq("id", group)))
            yield await self._read(MEMBERS, path_with(f"{self._root}/users", {"limit": 1, "filter": members}), "users")
        if user is not None:
            yield await self._read(ROLES, f"{self._root}/users/{user}/roleAssignments", "roleAssignments")
        audited = audit.path(self._environment, now, limit=1, since=now - timedelta(hours=1))
        yield await self._read(AUDIT, audited, "activities")
        # What could not be read is not asked for again: that it cannot may have taken half a minute.
        if self._found[USERS].ok and self._found[POPULATIONS].ok:
            hidden = await _hidden(self._client, self._names, self._environment)
            if hidden is not None:
                yield CheckedStep(step=f"users of {self._label}", ok=False, text=hidden, needed=False)

    async def _read(self, right: Right, path: str, key: str) -> CheckedStep:
        self._found[right] = finding = await self._tried(right, path, key)
        return finding

    async def _tried(self, right: Right, path: str, key: str) -> CheckedStep:
        step, needed = f"{right.what} of {self._label}", right is USERS
        try:
            page = await self._client.page(path, key, environment=self._environment)
        except Problem as problem:
            known = problem.next_step in self._advice
            self._advice.add(problem.next_step)
            said = Problem(
                f"{problem.what} Without them, {right.without}.",
                "What is advised above helps here too." if known else problem.next_step,
                code=None if known else problem.code,
                correlation_id=None if known else problem.correlation_id,
            )
            return _failed(step, said, needed=needed, answered=_answered(problem))
        self._first[right] = next(iter(wire.ids_of(page.raws)), None)
        count = f", {page.count:,}" if page.count is not None and right in _COUNTED else ""
        return CheckedStep(step=step, ok=True, text=f"readable{count}", needed=needed)


async def _hidden(client: Client, names: Names, environment: str) -> str | None:
    """Return what to say where populations count more users than can be seen: a role that was narrowed looks so."""
    try:
        users = f"/environments/{environment}/users?limit=1"
        seen = (await client.page(users, "users", environment=environment)).count
        counted = sum(place.user_count or 0 for place in await names.populations(environment))
    except Problem:  # its step has said so already
        return None
    if seen is None or counted <= seen:
        return None
    return (
        f"PingOne counts {counted:,} in the populations and shows {seen:,}. Check that the roles reach all populations."
    )


async def _population(client: Client, names: Names, population: str, environments: list[str]) -> CheckedStep:
    """Find a population that PINGONE_POPULATIONS names: a wrong id would make every answer an empty one."""
    step = f"population {population}"
    for environment in environments:
        try:
            await client.get(f"/environments/{environment}/populations/{population}")
        except (NotFound, NotPermitted):
            continue
        except Problem as problem:
            return _failed(step, problem)
        return CheckedStep(step=step, ok=True, text="readable")
    text = f"None of the environments has it, or it may not be read. Check {setting('populations')} and the roles."
    if there := await _populations(names, environments):
        text += f" There are: {', '.join(there[:_NAMED])}."
    return CheckedStep(step=step, ok=False, text=text, where=_GRANTS)


async def _populations(names: Names, environments: list[str]) -> list[str]:
    """Return what populations can be seen, name and id."""
    there: list[str] = []
    for environment in environments:
        try:
            there += [candidate(place.id, place.name) for place in await names.populations(environment)]
        except UpstreamProblem:
            continue
    return there


async def _step(step: str, act: Callable[[], Awaitable[None]], text: str) -> CheckedStep:
    try:
        await act()
    except UpstreamProblem as problem:
        return _failed(step, problem)
    return CheckedStep(step=step, ok=True, text=text)


def _failed(step: str, problem: Problem, *, needed: bool = True, answered: bool | None = None) -> CheckedStep:
    answered = _answered(problem) if answered is None else answered
    where = _PLACES.get(step, _GRANTS) if answered else ""
    return CheckedStep(step=step, ok=False, text=problem.text(setting), needed=needed, answered=answered, where=where)


def _answered(problem: Problem) -> bool:
    """Say whether PingOne answers, and does not give what is asked for."""
    return not isinstance(problem, (Unreachable, ServerFailed, RateLimited, UnexpectedAnswer))
