"""The tools that compare and review: a roster against the directory, who has access, which roles follow."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.gaps import sentences
from pingone_mcp.directory.identity import IdentityKind
from pingone_mcp.directory.listing import Listing
from pingone_mcp.directory.models import JsonObject, Page, User
from pingone_mcp.directory.provider import UserQuestion
from pingone_mcp.directory.rows import compact, fitted, is_short, plain, user_row
from pingone_mcp.errors import Refused
from pingone_mcp.replica.tally import Tally
from pingone_mcp.reports.drift import KEPT_UNEXPECTED, KINDS, MATCH_ON
from pingone_mcp.reports.review import Row, by_flags
from pingone_mcp.reports.roles import map_roles as mapped_roles
from pingone_mcp.reports.roster import Roster, roster_of
from pingone_mcp.server.edge import (
    AppContext,
    answer,
    backend_of,
    connection_of,
    open_object,
    page_reporter,
    strict_tool,
)
from pingone_mcp.server.exported import export_made, exported
from pingone_mcp.server.progress import Progressing
from pingone_mcp.server.tools.arguments import Cursor, Limit
from pingone_mcp.server.tools.changes import freshness
from pingone_mcp.service.answering import asked, collect, envelope
from pingone_mcp.service.backend import Backend
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from pingone_mcp.replica.asking.snapshot import Snapshot
    from pingone_mcp.replica.reviews import AccessReview
    from pingone_mcp.replica.state import State

_SHOWN = 20
_NAMED = ("email", "username", "external_id", "status")
# Of whom a list of some accounts does not name, and of who deserves a look in a review; the counts say the rest.
_SHOWN_BESIDE, _SHOWN_PEOPLE = 3, 10
# What `shown` takes for a list, and the age of the copy.
_SHOWN_CHARACTERS, _AGE_CHARACTERS = 50, 40


async def check_drift(
    ctx: AppContext,
    *,
    roster: Annotated[str | None, Field(max_length=128, description="Name of a registered roster.")] = None,
    entries: Annotated[
        list[Annotated[dict[str, Any], open_object(**dict.fromkeys(_NAMED, "string"))]] | None,
        Field(max_length=1_000, description="Accounts instead."),
    ] = None,
    match_on: Annotated[list[IdentityKind] | None, Field(description="Default: all three, in this order.")] = None,
) -> CallToolResult:
    """Compare an application's user list with the directory (its local copy).

    Counts first, then rows: missing (in the app, gone from the directory), status_mismatches (active in the app, not
    there), unexpected (active here, not in the app), attribute_mismatches, ambiguous; and since_last, what is new and
    what is resolved since the last check of this roster. {state: running}: call again.
    """
    backend = await backend_of(ctx)
    identities = tuple(match_on or MATCH_ON)
    read, which = await in_thread(_accounts, backend, roster, entries, pool="disk")
    keep, shown_beside = (KEPT_UNEXPECTED, _SHOWN) if roster is not None else (_SHOWN_BESIDE, _SHOWN_BESIDE)

    def compare(copy: Snapshot, tally: Tally) -> JsonObject:
        from pingone_mcp.replica import comparisons  # noqa: PLC0415 - start-up: sqlite is loaded by the first question

        now = backend.replica.now()
        drift = comparisons.check_drift(copy, read(), now, match_on=identities, keep=keep, tally=tally)
        told = {name: value for name, value in drift.to_json(_SHOWN).items() if value not in (None, [], False)}
        if "unexpected" in told:
            told["unexpected"] = told["unexpected"][:shown_beside]
        if roster is not None:
            changes = backend.rosters.since_last(roster, drift)
            told["since_last"] = changes.to_json(_SHOWN // 2) if changes is not None else None
        return _fitted(backend, told, {kind: drift.counts[kind] for kind in KINDS})

    async def work(tally: Tally) -> tuple[JsonObject, State]:
        return await backend.replica.reading(lambda copy: compare(copy, tally))

    return await _patiently(ctx, backend, ("check_drift", *which, *identities), work)


def _accounts(
    backend: Backend, name: str | None, entries: Sequence[Any] | None
) -> tuple[Callable[[], Roster], tuple[str, ...]]:
    """Return what reads the accounts, which may take long, and what tells them from others."""
    if (name is None) == (entries is None):
        names = ", ".join(backend.rosters.names()[:_SHOWN]) or "none"
        raise Refused("Give either `roster` or `entries`.", f"Registered rosters: {names}.", code="MISSING_ARGUMENT")
    if name is None:
        found = roster_of(entries or ())
        return lambda: found, ("", sha256(compact(entries).encode(errors="replace")).hexdigest())
    file = backend.rosters.find(name)
    return file.read, (name, file.fingerprint())


async def access_review(
    ctx: AppContext,
    *,
    group: Annotated[str | None, Field(max_length=256, description="Of this group (id or name).")] = None,
    role: Annotated[str | None, Field(max_length=256, description="Of this administrator role (id or name).")] = None,
    population: Annotated[str | None, Field(max_length=256, description="Of this population (id or name).")] = None,
    format: Annotated[  # noqa: A002 - the contract's name for it
        Literal["summary", "csv", "jsonl"] | None, Field(description="csv, jsonl: make a file to read or hand on.")
    ] = None,
    cursor: Annotated[str | None, Field(description="`next_cursor`.")] = None,
) -> CallToolResult:
    """Review who has access and by which way: directly, through nested groups, by a role with its scope.

    Answers counts (people, by flag, by way, by status; null: not known) and the people with most flags:
    inactive_with_access, never_signed_in, no_sign_in_for_90_days, no_mfa, privileged. With csv or jsonl instead a
    resource with everybody, a manifest with SHA-256, and next_cursor for the rows. Without group, role and population:
    everybody with any access. {state: running}: call again.
    """
    backend = await backend_of(ctx)
    selected = {"group": group, "role": role, "population": population, "format": format}
    wanted = asked(backend, "access_review", selected, cursor)
    if cursor is not None:
        return answer(exported(backend, wanted))
    from pingone_mcp.replica.asking.accesses import AccessQuestion  # noqa: PLC0415 - start-up, as above
    from pingone_mcp.replica.reviews import export_review, review_access  # noqa: PLC0415 - start-up, as above

    question = AccessQuestion(group=group, role=role, population=population)

    def make(review: AccessReview) -> JsonObject:
        if format is None or format == "summary":
            worst = heapq.nsmallest(_SHOWN_PEOPLE, review.rows(), key=by_flags)
            counts = review.counts()
            told = {"counts": counts, "gaps": sentences(review.gaps()), "people": [_short(row) for row in worst]}
            return _fitted(backend, told, {"people": counts["people"] or 0})
        name = backend.exports.name("access-review", format, review.now)
        manifest = export_review(review, format, partial(backend.exports.write, name)).to_json()
        backend.exports.describe(name, manifest)
        return _fitted(backend, {**export_made(backend, wanted, name), "manifest": manifest}, {})

    async def work(tally: Tally) -> tuple[JsonObject, State]:
        seconds = backend.answer_seconds / 2  # the rest is for the copy
        return await review_access(backend.replica, backend.directory, question, make, seconds=seconds, tally=tally)

    return await _patiently(ctx, backend, ("access_review", question, format), work)


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
    For neither: a review of the rules: groups that no rule maps, rules without a group, rules that give nobody a role;
    {state: running}: call again.
    """
    backend = await backend_of(ctx)
    from pingone_mcp.replica import comparisons  # noqa: PLC0415 - start-up, as above

    rules, now = await backend.rules(), backend.replica.now()
    if user is not None:
        found = await comparisons.roles_of(backend.replica, backend.copy, rules, user)
        told = {"user": user_row(found.user, ("id", "username", "name", "status")), **found.to_json()}
        return answer(fitted(told | await freshness(backend), backend.answer_characters))
    wanted = asked(backend, "map_roles", {"group": group}, cursor)
    if "group" not in wanted.question:

        def review(copy: Snapshot, tally: Tally) -> JsonObject:
            reviewed = comparisons.review_roles(copy, rules, now, tally).to_json(_SHOWN)
            counts = reviewed["counts"]
            return _fitted(backend, reviewed, {name: counts[name] for name in reviewed if name in counts})

        async def work(tally: Tally) -> tuple[JsonObject, State]:
            return await backend.replica.reading(lambda copy: review(copy, tally))

        return await _patiently(
            ctx, backend, ("map_roles", sha256(repr(rules).encode(errors="replace")).hexdigest()), work
        )
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
        known = (
            {"roles": reasons} if member.groups is not None else {"roles": reasons or None, "unreadable": ["groups"]}
        )
        return user_row(member, ("id", "username", "name", "status")) | known | conflicts

    listing = Listing(read=read, row=row, identify=lambda member, _: member.id)
    gathered = await collect(backend, listing, wanted, limit=limit, report=page_reporter(ctx, "members"))
    return answer(envelope(backend, wanted, gathered, lacks=is_short) | await freshness(backend))


def _fitted(backend: Backend, told: JsonObject, of: Mapping[str, int]) -> JsonObject:
    """Return facts within the size of an answer, with `shown` for each list that is not whole: 20 of 512.

    `of` says how many there are of each list.
    """
    beside = _AGE_CHARACTERS + sum(len(name) + _SHOWN_CHARACTERS for name in of)
    kept = fitted(told, max(0, backend.answer_characters - beside))
    shown = {
        name: f"{len(kept.get(name, ())):,} of {total:,}"
        for name, total in of.items()
        if len(kept.get(name, ())) < total
    }
    if not shown:
        return kept
    cut = {name: what for name, what in kept.pop("truncated", {}).items() if name not in shown}
    return kept | {"shown": shown} | ({"truncated": cut} if cut else {})


async def _patiently(
    ctx: AppContext,
    backend: Backend,
    question: tuple[object, ...],
    work: Callable[[Tally], Awaitable[tuple[JsonObject, State]]],
) -> CallToolResult:
    """Answer what looks at everybody in the copy, or how far it is when that takes longer than one answer may."""
    version, _ = await backend.replica.reading(lambda copy: copy.version)
    progressing = Progressing(ctx.report_progress)

    async def report(tally: Tally) -> None:
        await progressing.report(tally.stage, tally.done, tally.about)

    seconds = backend.answer_seconds
    ended = await connection_of(ctx).jobs.wait(question, version, work, seconds=seconds, report=report)
    if isinstance(ended, Tally):
        return answer({"state": "running", "stage": ended.stage, "done": ended.done, "about": ended.about})
    told, state = ended
    return answer(told | {"replica_age_s": backend.replica.age_of(state)})


def tools() -> list[Tool]:
    """Return the tools of this file in the order in which clients list them."""
    return [
        strict_tool(access_review, title="Review who has access"),
        strict_tool(check_drift, title="Compare an application with the directory"),
        strict_tool(map_roles, title="Map groups to application roles"),
    ]
