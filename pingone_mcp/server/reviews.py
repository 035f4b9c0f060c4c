"""The tools that compare and review: a roster against the directory, who has access, which roles follow."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import anyio
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.drift import MATCH_ON, check
from pingone_mcp.directory.identity import IdentityKind, folded
from pingone_mcp.directory.listing import Listing
from pingone_mcp.directory.models import JsonObject, Page, User
from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.directory.review import Reviewing, Row
from pingone_mcp.directory.roles import Rules, review_rules
from pingone_mcp.directory.roles import map_roles as mapped_roles
from pingone_mcp.directory.roster import Roster, roster_of
from pingone_mcp.directory.rows import fitted, is_short, plain, user_row
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.server.edge import (
    AppContext,
    Backend,
    answer,
    asked,
    backend_of,
    collect,
    envelope,
    strict_tool,
)
from pingone_mcp.server.reads import Cursor, Limit
from pingone_mcp.server.replica import freshness

if TYPE_CHECKING:
    from pingone_mcp.replica.standing import Standing

T = TypeVar("T")

_SHOWN = 20
# Of whom a list of some accounts does not name, and of who deserves a look in a review; the counts say the rest.
_SHOWN_BESIDE, _SHOWN_PEOPLE = 3, 10


async def check_drift(
    ctx: AppContext,
    *,
    roster: Annotated[str | None, Field(max_length=128, description="Name of a registered roster.")] = None,
    entries: Annotated[
        list[dict[str, Any]] | None,
        Field(max_length=1_000, description='Accounts instead, e.g. [{"email":"…","status":"active"}].'),
    ] = None,
    match_on: Annotated[list[IdentityKind] | None, Field(description="Default: all three, in this order.")] = None,
) -> CallToolResult:
    """Compare an application's user list with the directory (its local copy).

    Counts first, then rows: missing (in the app, gone from the directory), status_mismatches (active in the app, not
    there), unexpected (active here, not in the app), attribute_mismatches, ambiguous; and since_last, what is new and
    what is resolved since the last check of this roster.
    """
    backend = await backend_of(ctx)
    accounts = _roster(backend, roster, entries)
    now = backend.replica.now()
    drift = await _patiently(
        ctx,
        backend,
        lambda copy: check(
            accounts,
            _everybody(copy),
            now=now,
            match_on=tuple(match_on or MATCH_ON),
            gaps=(*copy.gaps(None), *_beyond(copy)),
        ),
    )
    told = {name: value for name, value in drift.to_json(_SHOWN).items() if value not in (None, [], False)}
    if roster is None and "unexpected" in told:
        told["unexpected"] = told["unexpected"][:_SHOWN_BESIDE]
    told |= await freshness(backend)
    if roster is not None:
        changes = backend.rosters.compared(roster, drift)
        told["since_last"] = changes.to_json(_SHOWN // 2) if changes is not None else None
        backend.rosters.remember(roster, drift)
    return answer(fitted(told, backend.answer_characters))


def _beyond(copy: Standing) -> list[str]:
    """Say that whoever is missing may be where this connection does not look."""
    return ["only the populations that are served were looked at"] if copy.places.connection.populations else []


def _roster(backend: Backend, name: str | None, entries: Sequence[Any] | None) -> Roster:
    if (name is None) == (entries is None):
        names = ", ".join(backend.rosters.names()[:_SHOWN]) or "none"
        raise Refused("Give either `roster` or `entries`.", f"Registered rosters: {names}.", code="MISSING_ARGUMENT")
    return backend.rosters.load(name) if name is not None else roster_of(entries or ())


def _everybody(copy: Standing) -> Any:
    from pingone_mcp.replica.people import users_of  # noqa: PLC0415 - start-up: sqlite is loaded by the first question

    return users_of(copy.database, removed=True)


async def access_review(
    ctx: AppContext,
    *,
    group: Annotated[str | None, Field(max_length=256, description="Of this group (id or name).")] = None,
    role: Annotated[str | None, Field(max_length=256, description="Of this administrator role (id or name).")] = None,
    population: Annotated[str | None, Field(max_length=256, description="Of this population (id or name).")] = None,
    format: Annotated[  # noqa: A002 - the contract's name for it
        Literal["summary", "csv", "jsonl"], Field(description="csv, jsonl: make a file to read or hand on.")
    ] = "summary",
) -> CallToolResult:
    """Review who has access and by which way: directly, through nested groups, by a role with its scope.

    Answers counts (people, by flag, by way, by status) and the people with most flags: inactive_with_access,
    never_signed_in, no_sign_in_for_90_days, no_mfa, privileged. With csv or jsonl, a resource with everybody and a
    manifest with SHA-256 instead. Without group, role and population: everybody who has any access.
    """
    backend = await backend_of(ctx)
    from pingone_mcp.replica.accesses import Accesses, AccessQuestion, export_review  # noqa: PLC0415 - start-up, as above

    question = AccessQuestion(group=group, role=role, population=population)
    now = backend.replica.now()

    def review(copy: Standing) -> JsonObject:
        if format == "summary":
            accesses, reviewing = Accesses(copy, question), Reviewing(now)
            worst = heapq.nsmallest(
                _SHOWN_PEOPLE, (reviewing.row(access) for access in accesses.people()), key=_least_wanted
            )
            return {
                "counts": reviewing.counts(),
                "gaps": list(accesses.gaps()),
                "people": [_short(row) for row in worst],
            }
        name = backend.exports.name("access-review", format, now)
        manifest = export_review(copy, question, format, now, partial(backend.exports.write, name)).to_json()
        backend.exports.describe(name, manifest)
        return {"resource": f"pingone://exports/{name}", "manifest": manifest}

    told = await _patiently(ctx, backend, review)
    return answer(fitted(told | await freshness(backend), backend.answer_characters))


def _least_wanted(row: Row) -> tuple[int, str, str]:
    return -len(row.flags), folded(row.username or ""), row.id


def _short(row: Row) -> JsonObject:
    """Return a row as an assistant reads it: without what is absent, and without the columns for a table."""
    left_out = {"first_name", "manager", "type", "created_at"}
    return {name: value for name, value in plain(row).items() if name not in left_out}


async def map_roles(
    ctx: AppContext,
    *,
    user: Annotated[str | None, Field(max_length=1024, description="Id, username, email or external id.")] = None,
    group: Annotated[str | None, Field(max_length=256, description="All members of this group (id or name).")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CallToolResult:
    """Say which application roles follow from groups and attributes by the rules that the person configured.

    For a user: roles, each with the rule and the group that gave it, and conflicts. For a group: one row per member.
    For neither: a review of the rules: groups that no rule maps, rules without a group, rules that give nobody a role.
    """
    backend = await backend_of(ctx)
    rules, now = backend.rules(), backend.replica.now()
    if user is not None:
        found = await backend.copy.user(user)
        mapped = mapped_roles(rules, found, found.groups or (), now)
        told = {"user": user_row(found, ("id", "username", "name", "status")), **mapped.to_json()}
        return answer(fitted(told | await freshness(backend), backend.answer_characters))
    wanted = asked(backend, "map_roles", {"group": group}, cursor)
    if "group" not in wanted.question:
        told = await _reviewed(ctx, backend, rules, now)
        return answer(fitted(told | await freshness(backend), backend.answer_characters))
    question = UserQuestion(group=wanted.question["group"], include=("groups",))

    async def read(at: str | None) -> Page[User]:
        return await backend.copy.users(question, at, page_size=limit)

    def row(member: User) -> JsonObject:
        mapped = mapped_roles(rules, member, member.groups or (), now)
        reasons = [
            {"role": granted.role, "rule": granted.rule, "groups": [one.name for one in granted.groups]}
            for granted in mapped.granted
        ]
        conflicts = {"conflicts": plain(mapped.conflicts)} if mapped.conflicts else {}
        return user_row(member, ("id", "username", "name", "status")) | {"roles": reasons} | conflicts

    listing = Listing(read=read, row=row, identify=lambda member, _: member.id)
    gathered = await collect(ctx, backend, listing, wanted, limit=limit, noun="members")
    return answer(envelope(backend, wanted, gathered, lacks=is_short) | await freshness(backend))


async def _reviewed(ctx: AppContext, backend: Backend, rules: Rules, now: datetime) -> JsonObject:
    from pingone_mcp.replica.accesses import groups_of, users_with_groups  # noqa: PLC0415 - start-up, as above

    reviewed = await _patiently(
        ctx, backend, lambda copy: review_rules(rules, groups_of(copy.database), users_with_groups(copy), now)
    )
    return reviewed.to_json(_SHOWN)


async def _patiently(ctx: AppContext, backend: Backend, work: Callable[[Standing], T]) -> T:
    """Return what looks at everybody in the copy, however long that takes; the client sees that it goes on."""
    found: list[T] = []
    problem: Problem | None = None

    async def tell() -> None:
        for seconds in count(1):
            await anyio.sleep(1)
            await ctx.report_progress(seconds, None, f"reading the local copy: {seconds} s")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tell)
        try:
            found.append((await backend.replica.reading(work))[0])
        except Problem as raised:  # told below, outside the group that would wrap it
            problem = raised
        tasks.cancel_scope.cancel()
    if problem is not None:
        raise problem
    return found[0]


_DRIFT_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"counts": {"type": "object"}, "since_last": {"type": ["object", "null"]}},
    "required": ["counts"],
}
_REVIEW_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"counts": {"type": "object"}, "resource": {"type": "string"}, "manifest": {"type": "object"}},
}
_ROLES_SCHEMA: JsonObject = {"type": "object", "properties": {"roles": {"type": "array"}, "counts": {"type": "object"}}}


def tools() -> list[Tool]:
    """Return the tools of this file in the order in which clients list them."""
    return [
        strict_tool(access_review, title="Review who has access", output_schema=_REVIEW_SCHEMA),
        strict_tool(check_drift, title="Compare an application with the directory", output_schema=_DRIFT_SCHEMA),
        strict_tool(map_roles, title="Map groups to application roles", output_schema=_ROLES_SCHEMA),
    ]
