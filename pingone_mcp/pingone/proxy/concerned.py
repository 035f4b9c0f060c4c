"""Whom a write is about: the people, groups, populations and roles whose ids a request names, by their names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

import anyio

from pingone_mcp.directory.matching.references import as_id
from pingone_mcp.directory.native import Concerned, ConcernedKind, ProxyQuestion
from pingone_mcp.errors import NotFound, Problem
from pingone_mcp.pingone.served import Served

_SECONDS = 3.0  # for all of them: a path has room for a hundred ids
# The word in a path before an id, and the member of a body that holds one.
_KINDS: dict[str, ConcernedKind] = {
    "users": "user",
    "groups": "group",
    "memberOfGroups": "group",
    "population": "population",
    "populations": "population",
    "role": "role",
    "roleAssignments": "role assignment",
}


async def concerned(served: Served, question: ProxyQuestion, seconds: float = _SECONDS) -> tuple[Concerned, ...]:
    """Return whom a write is about, in the order in which it names them; what cannot be read in time has no name."""
    segments = [unquote(part) for part in question.path.partition("?")[0].strip().strip("/").split("/")]
    environment, inner = segments[1], segments[2:]
    until = anyio.current_time() + seconds
    named = dict.fromkeys(_named(inner, question.body))
    assigned = "/".join(("/environments", *segments[1:]))
    found: list[Concerned] = []
    for kind, identity in named:
        in_time = anyio.current_time() < until
        unread = Concerned(kind=kind, id=identity)
        found.append(await _read(served, environment, kind, identity, assigned, until=until) if in_time else unread)
    return tuple(found)


def reaches_beyond(environment: str, body: Any) -> bool:
    """Say whether a body gives a role over more than the environment that its path names.

    The scope of a role assignment is an organization, an environment or a population (PingOne, "Role Assignments").
    What is neither this environment nor a population is more.
    """
    for scope in (one["scope"] for one in _objects(body) if isinstance(one.get("scope"), dict)):
        kind, identity = scope.get("type"), _text(scope.get("id"))
        if kind != "POPULATION" and not (kind == "ENVIRONMENT" and identity and as_id(identity) == as_id(environment)):
            return True
    return False


def _objects(body: Any) -> list[dict[str, Any]]:
    """Return the objects of a body: itself, or those in its list."""
    return [one for one in (body if isinstance(body, list) else [body]) if isinstance(one, dict)]


def _named(inner: list[str], body: Any) -> Iterator[tuple[ConcernedKind, str]]:
    """Yield kind and id of everything that path and body name: pairs in the path, and references in the body."""
    for word, segment in pairwise(inner):
        if word in _KINDS and (identity := as_id(segment)):
            yield _KINDS[word], identity
    for one in _objects(body):
        for word, member in ((inner[-1], one), *one.items()):
            if not isinstance(member, dict):
                continue
            meant = "population" if word == "scope" and member.get("type") == "POPULATION" else word
            reference = _text(member.get("id"))
            if meant in _KINDS and reference is not None and (identity := as_id(reference)):
                yield _KINDS[meant], identity


async def _read(
    served: Served, environment: str, kind: ConcernedKind, identity: str, assigned: str, *, until: float
) -> Concerned:
    """Read one of those named; `assigned` is the path of the write, where a role assignment may be read."""

    async def user() -> Concerned:
        found = await served.people.by_id(environment, identity)
        if found is None:
            return Concerned(kind=kind, id=identity, found=False)
        shown = served.people.unify(found, {}, {})
        return Concerned(kind=kind, id=identity, name=shown.name, username=shown.username, found=True)

    async def group() -> Concerned:
        # Not through `names`, which remembers for minutes: a person who confirms is to see what is true now.
        raw = await served.client.get(f"/environments/{environment}/groups/{identity}")
        return Concerned(kind=kind, id=identity, name=_text(raw.get("name")), found=True)

    async def population() -> Concerned:
        raw = await served.client.get(f"/environments/{environment}/populations/{identity}")
        return Concerned(kind=kind, id=identity, name=_text(raw.get("name")), found=True)

    async def role() -> Concerned:
        name = (await served.names.role_names()).get(identity)
        return Concerned(kind=kind, id=identity, name=name, found=True if name is not None else None)

    async def assignment() -> Concerned:
        raw = await served.client.get(assigned)
        held = raw.get("role")
        role_id = _text(held.get("id")) if isinstance(held, dict) else None
        name = (await served.names.role_names()).get(role_id) if role_id is not None else None
        return Concerned(kind=kind, id=identity, name=name, found=True if name is not None else None)

    readings: dict[ConcernedKind, Callable[[], Awaitable[Concerned]]] = {
        "user": user,
        "group": group,
        "population": population,
        "role": role,
        "role assignment": assignment,
    }
    with anyio.CancelScope(deadline=until):
        try:
            return await readings[kind]()
        except NotFound:
            return Concerned(kind=kind, id=identity, found=False)
        except Problem:
            pass
    return Concerned(kind=kind, id=identity)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
