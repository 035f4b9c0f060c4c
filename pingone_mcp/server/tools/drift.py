"""The tool that compares an application's user list with the directory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.matching.identity import IdentityKind
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.errors import Refused
from pingone_mcp.reports.drift import KEPT_UNEXPECTED, KINDS
from pingone_mcp.reports.matching import MATCH_ON
from pingone_mcp.server.edge import AppContext, backend_of
from pingone_mcp.server.strict import StrictTool, open_object, strict_tool
from pingone_mcp.server.tools.patience import SHOWN, patiently, within
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.files.rosters import Accounts, given_accounts
from pingone_mcp.service.jobs import JobProgress
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from pingone_mcp.service.reviews.drift import DriftCheck

_NAMED = ("email", "username", "external_id", "status")
# Of the people whom a list of some accounts does not name; the counts say the rest.
_SHOWN_BESIDE = 3


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
    from pingone_mcp.service.reviews import drift  # noqa: PLC0415 - start-up: sqlite is loaded by the first question

    backend = await backend_of(ctx)
    identities = tuple(match_on or MATCH_ON)
    asked = drift.DriftQuestion(
        match_on=identities,
        keep=KEPT_UNEXPECTED if roster is not None else _SHOWN_BESIDE,
    )
    accounts = await in_thread(_accounts, backend, roster, entries, pool="disk")

    async def work(progress: JobProgress) -> tuple[JsonObject, datetime]:
        check = await drift.check_drift(backend, accounts, asked, progress=progress)
        facts = await in_thread(_facts, backend, check, roster is not None, pool="answers")
        return facts, check.state.synced_at

    question = ("check_drift", accounts.name, accounts.fingerprint, *identities)
    return await patiently(ctx, backend, question, work)


def _accounts(backend: Backend, name: str | None, entries: Sequence[Any] | None) -> Accounts:
    if (name is None) == (entries is None):
        names = ", ".join(backend.rosters.names()[:SHOWN]) or "none"
        raise Refused("Give either `roster` or `entries`.", f"Registered rosters: {names}.", code="MISSING_ARGUMENT")
    return given_accounts(entries or ()) if name is None else backend.rosters.find(name)


def _facts(backend: Backend, check: DriftCheck, is_roster: bool) -> JsonObject:  # noqa: FBT001 - as above
    """Return a check as an assistant reads it: without what is empty, with the first rows of each kind."""
    found = check.found
    facts = {name: value for name, value in found.to_json(SHOWN).items() if value not in (None, [], False)}
    if not is_roster:
        facts.pop("columns", None)
        if "unexpected" in facts:
            facts["unexpected"] = facts["unexpected"][:_SHOWN_BESIDE]
    if is_roster:
        facts["since_last"] = check.since_last.to_json(SHOWN // 2) if check.since_last is not None else None
    return within(backend, facts, {kind: found.counts[kind] for kind in KINDS})


def tools() -> list[StrictTool]:
    """Return the tool of this file."""
    return [strict_tool(check_drift, place=90, title="Compare an application with the directory")]
