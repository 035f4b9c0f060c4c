"""Lists that are read whole, because they are short: roles, who holds them, places, and who asks."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.gaps import HOW_TO_KNOW_ROLES, Gap, Unread, UnreadableEnvironment
from pingone_mcp.directory.matching.unified import (
    ORGANIZATION,
    WORKSPACE,
    ComparedField,
    FieldCondition,
    Sorting,
    at_path,
    checked,
    holds,
)
from pingone_mcp.directory.models import Description, JsonObject, Named, OrganizationSummary, Role, RoleAssignment
from pingone_mcp.directory.paging.listing import Listing
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.rows import is_truncated, plain
from pingone_mcp.errors import NoReplica, NotFound, Refused
from pingone_mcp.replica.selecting.roles import every_role
from pingone_mcp.service.answering import Listed, PageReport, asked, collect, in_time, listed
from pingone_mcp.service.asking.users import find_user
from pingone_mcp.service.backend import Backend

Fields = Mapping[str, ComparedField]

ROLE_FIELDS: Fields = MappingProxyType(
    {"id": ComparedField("id", "id"), "name": ComparedField("text", "name"), "type": ComparedField("text", "type")}
)
ASSIGNMENT_FIELDS: Fields = MappingProxyType(
    {
        "role_id": ComparedField("id", "role_id"),
        "role_name": ComparedField("text", "role_name"),
        "scope_id": ComparedField("id", "scope.id"),
        "scope_type": ComparedField("text", "scope.type"),
    }
)
ORGANIZATION_FIELDS: Fields = MappingProxyType(
    {
        "id": ComparedField("id", "id"),
        "name": ComparedField("text", "name"),
        "type": ComparedField("text", "type"),
        "region": ComparedField("text", "region"),
    }
)
WORKSPACE_FIELDS: Fields = MappingProxyType(
    {
        "id": ComparedField("id", "id"),
        "name": ComparedField("text", "name"),
        "is_default": ComparedField("flag", "is_default"),
        ORGANIZATION: ComparedField("id", "organization.id"),
    }
)
_ASSIGNMENTS = uuid.UUID("5f0c4b1e-9a55-5d2c-8f35-0f3f6a1f8b02")  # a name space of our own (RFC 9562, version 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """All rows of a short list, and what is lacking of it."""

    rows: Sequence[JsonObject]
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which rows of a short list, in which order, how many at once, and where to go on."""

    conditions: Sequence[FieldCondition] = ()
    sorting: Sorting | None = None
    limit: int
    cursor: str | None = None


async def list_roles(backend: Backend, choice: Choice, report: PageReport) -> Listed:
    """List the administrator roles that there are. Raises Refused for arguments, and Problem."""

    async def read() -> Whole:
        return Whole(rows=[role_row(one) for one in await backend.directory.roles()])

    return await _short(backend, "roles", read, ROLE_FIELDS, choice=choice, report=report)


async def find_role(backend: Backend, identity: str) -> JsonObject:
    """Return one administrator role. Raises NotFound, and Problem where the roles cannot be read."""
    return await _one(backend, "role", list_roles, identity)


def role_row(role: Role) -> JsonObject:
    row: JsonObject = plain(role)
    return row


async def list_organizations(backend: Backend, choice: Choice, report: PageReport) -> Listed:
    """List the environments that are served, with how many users and groups they have."""

    async def read() -> Whole:
        described = await backend.directory.describe()
        return Whole(rows=[_organization(one) for one in described.organizations], gaps=_gaps(described))

    return await _short(backend, "organizations", read, ORGANIZATION_FIELDS, choice=choice, report=report)


async def find_organization(backend: Backend, identity: str) -> JsonObject:
    """Return one environment that is served. Raises NotFound."""
    return await _one(backend, "organization", list_organizations, identity)


async def list_workspaces(backend: Backend, choice: Choice, report: PageReport) -> Listed:
    """List the populations that are served."""

    async def read() -> Whole:
        described = await backend.directory.describe()
        rows = [
            {**plain(place), "organization": plain(Named(id=one.organization.id, name=one.organization.name))}
            for one in described.organizations
            for place in one.workspaces
        ]
        return Whole(rows=rows, gaps=_gaps(described))

    return await _short(backend, "workspaces", read, WORKSPACE_FIELDS, choice=choice, report=report)


async def find_workspace(backend: Backend, identity: str) -> JsonObject:
    """Return one population that is served. Raises NotFound."""
    return await _one(backend, "workspace", list_workspaces, identity)


def _organization(one: OrganizationSummary) -> JsonObject:
    counts = {"user_count": one.user_count, "group_count": one.group_count}
    known = {name: count for name, count in counts.items() if count is not None}
    return {**plain(one.organization), **known}


def _gaps(described: Description) -> tuple[Gap, ...]:
    """Return what a description lacks, environments and populations that may not be read among it."""
    unreadable = [
        UnreadableEnvironment(place=one.organization.id, or_none=True)
        for one in described.organizations
        if one.organization.name is None
    ]
    populations = [
        Unread(place=one.organization.id, what=f"populations of environment {one.organization.id}")
        for one in described.organizations
        if one.organization.name is not None and one.may_read.get("populations") is False
    ]
    return (*described.gaps, *unreadable, *populations)


async def list_assignments(
    backend: Backend, choice: Choice, report: PageReport, *, user: str | None = None, copied: bool = False
) -> Listed:
    """List who holds which administrator role over what: of one `user` as it is now, of all out of the local copy.

    Raises Refused for arguments, NoReplica where the copy does not hold the roles of all, and Problem.
    """

    async def read() -> Whole:
        if user is not None and not copied:
            return await _roles_of(backend, user)
        whole = await _copied_roles(backend)
        rows = [row for row in whole.rows if user is None or row["user_id"] == user.lower()]
        return Whole(rows=rows, gaps=whole.gaps)

    selected = {"user": user, "copied": copied or None}
    return await _short(
        backend, "role assignments", read, ASSIGNMENT_FIELDS, choice=choice, report=report, selected=selected
    )


async def _roles_of(backend: Backend, reference: str) -> Whole:
    user = await find_user(backend, reference)
    is_whole = user.roles is not None and "roles" not in user.unreadable
    rows = [_assignment(user.id, role) for role in user.roles or ()]
    return Whole(rows=rows, gaps=() if is_whole else (Unread(what="roles of this user"),))


async def _copied_roles(backend: Backend) -> Whole:
    (held, roles, gaps), _ = await backend.replica.read(
        lambda copy: (copy.has_roles, every_role(copy), copy.gaps(None))
    )
    if not held:
        raise NoReplica(
            "The roles of all users are not in the local copy.",
            f"Ask for one user's, or read them into it: {HOW_TO_KNOW_ROLES}.",
            code="ROLES_NOT_COPIED",
        )
    return Whole(rows=[_assignment(user, role) for user, role in roles], gaps=gaps)


def _assignment(user: str, role: RoleAssignment) -> JsonObject:
    """Return a row; its id is made of who holds what over what, the same from wherever that is read."""
    over = role.scope
    of = "\0".join((user, role.id, over.type if over else "", over.id if over else ""))
    row: JsonObject = {"id": str(uuid.uuid5(_ASSIGNMENTS, of)), "user_id": user, "role_id": role.id}
    if role.name is not None:
        row["role_name"] = role.name
    if over is not None:
        row["scope"] = plain(over)
    if over is not None and over.type == "population":
        row[WORKSPACE] = [over.id]
    return row


async def list_myself(backend: Backend, choice: Choice, report: PageReport) -> Listed:
    """List who asks: the application that the provider is asked as, once it was let in."""

    async def read() -> Whole:
        places = await backend.directory.environments()
        readable = [place for place in places if place.name is not None]
        if not readable or backend.application is None:
            raise NotFound("The provider lets nobody in as whom it could be asked.", code="NOT_FOUND")
        row = {
            "id": backend.application,
            "username": backend.application,
            "type": "service-account",
            "status": "active",
            "organizations": [plain(Named(id=place.id, name=place.name)) for place in readable],
        }
        return Whole(rows=[row])

    return await _short(backend, "me", read, {}, choice=choice, report=report)


async def _one(
    backend: Backend, what: str, every: Callable[[Backend, Choice, PageReport], Awaitable[Listed]], identity: str
) -> JsonObject:
    condition = FieldCondition(field="id", values=(identity,))

    async def silent(_: object) -> None:
        """Take no note of progress."""

    with in_time(backend):
        try:
            found = await every(backend, Choice(conditions=[condition], limit=1), silent)
        except Refused as refused:
            if refused.code != "WRONG_FILTER":
                raise
            rows = []
        else:
            rows = found.gathered.rows
    if not rows:
        raise NotFound(f"There is no such {what} in what is served.", "List them for their ids.", code="NOT_FOUND")
    return rows[0]


async def _short(
    backend: Backend,
    tool: str,
    read: Callable[[], Awaitable[Whole]],
    known: Fields,
    *,
    choice: Choice,
    report: PageReport,
    selected: Mapping[str, Any] | None = None,
) -> Listed:
    """Answer with rows of a short list, which is read whole for each answer."""
    for condition in choice.conditions:
        checked(condition, known[condition.field])
    question = {
        "conditions": sorted([one.field, one.comparison, list(one.values)] for one in choice.conditions),
        "sorting": [choice.sorting.field, choice.sorting.descending] if choice.sorting is not None else None,
        **(selected or {}),
    }
    wanted = asked(backend, tool, question, choice.cursor)
    conditions = [
        FieldCondition(field=field, comparison=comparison, values=tuple(values))
        for field, comparison, values in wanted.question.get("conditions", ())
    ]

    async def page(_: Position | None) -> Page[JsonObject]:
        whole = await read()
        rows = [row for row in whole.rows if holds(row, conditions, known)]
        if wanted.question.get("sorting"):
            rows = _sorted(rows, known, *wanted.question["sorting"])
        return Page(items=tuple(rows), at=Position(), next=None, scanned=len(rows), total=len(rows), gaps=whole.gaps)

    listing = Listing(read=page, row=lambda row: row, identify=lambda row, _: str(row["id"]))
    gathered = await collect(backend, listing, wanted, limit=choice.limit, report=report)
    return listed(backend, wanted, gathered, lacks=is_truncated)


def _sorted(rows: Sequence[JsonObject], known: Fields, field: str, descending: bool) -> list[JsonObject]:  # noqa: FBT001 - out of a cursor
    """Return rows in the order of a field, those without it last."""
    path = known[field].path
    having = [row for row in rows if at_path(row, path) is not None]
    having.sort(key=lambda row: (str(at_path(row, path)).casefold(), row["id"]), reverse=descending)
    return [*having, *(row for row in rows if at_path(row, path) is None)]
